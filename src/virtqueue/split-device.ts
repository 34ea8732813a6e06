/**
 * The device's half of a split virtqueue, virtio 1.2 §2.7. Every field that the driver can change is read once, then
 * checked, then used. What breaks a rule is thrown as a named violation, once; the queue is broken after it.
 */
import { ProtocolError, type ViolationCode } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import { Chain } from "./chain.js";
import { indexAdd, indexDistance, needsEvent } from "./needs-event.js";
import type { QueueDevice, QueueOptions } from "./queue.js";
import {
  availableRingSize,
  DescriptorFlag,
  descriptorSize,
  isQueueSize,
  maxQueueSize,
  noInterruptFlag,
  noNotifyFlag,
  usedRingSize,
} from "./ring-layout.js";
import { RingPart } from "./ring-part.js";

/** High halves of addresses from here on are not safe integers, and no memory lies there. */
const highestAddressWord = 0x1f_ffff;
const word32 = 0x1_0000_0000;

export class SplitDevice implements QueueDevice {
  readonly index: number;
  readonly size: number;
  readonly #memory: GuestMemory;
  readonly #little: boolean;
  readonly #indirect: boolean;
  readonly #eventIndex: boolean;
  readonly #notifyOnEmpty: boolean;
  readonly #mask: number;
  readonly #descriptors: RingPart;
  readonly #available: RingPart;
  readonly #used: RingPart;
  /** Byte offsets of the low and the high half of a descriptor's address. */
  readonly #lowWord: number;
  readonly #highWord: number;
  readonly #observer: Observer | undefined;
  readonly #chains: (Chain | undefined)[] = [];
  #nextAvailable: number;
  /** The available index as last read: entries before it are known to be there. */
  #seenAvailable: number;
  #nextUsed: number;
  #publishedUsed: number;
  #inFlight = 0;
  #broken: ViolationCode | undefined;

  /** @throws ProtocolError `ring-size-invalid`, `ring-outside-memory`, `ring-misaligned` */
  constructor(memory: GuestMemory, options: QueueOptions & { notifyOnEmpty?: boolean }) {
    const { index, size, endianness, addresses } = options;
    if (!isQueueSize(size)) throw new ProtocolError("ring-size-invalid", { queue: index, detail: `size ${size}` });
    const part = (name: string, address: number, bytes: number, alignment: number) =>
      new RingPart(memory, { address, size: bytes, alignment, endianness, name, queue: index });
    this.index = index;
    this.size = size;
    this.#memory = memory;
    this.#little = endianness === "little";
    this.#indirect = options.indirect;
    this.#eventIndex = options.eventIndex;
    this.#notifyOnEmpty = options.notifyOnEmpty ?? false;
    this.#mask = size - 1;
    this.#descriptors = part("descriptor table", addresses.descriptors, descriptorSize * size, 16);
    this.#available = part("available ring", addresses.available, availableRingSize(size), 2);
    this.#used = part("used ring", addresses.used, usedRingSize(size), 4);
    this.#lowWord = this.#little ? 0 : 4;
    this.#highWord = this.#little ? 4 : 0;
    this.#observer = options.observer;
    const start = options.startIndex ?? 0;
    this.#nextAvailable = start;
    this.#seenAvailable = start;
    this.#nextUsed = start;
    this.#publishedUsed = start;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get broken(): ViolationCode | undefined {
    return this.#broken;
  }

  get nextAvailable(): number {
    return this.#nextAvailable;
  }

  pop(): Chain | undefined {
    if (this.#broken !== undefined || !this.#moreAvailable()) return undefined;
    const slot = this.#available.offset + 4 + 2 * (this.#nextAvailable & this.#mask);
    const head = this.#available.view.getUint16(slot, this.#little);
    if (head >= this.size) throw this.#violation("head-out-of-range", head, `descriptor ${head} of ${this.size}`);
    const chain = (this.#chains[head] ??= new Chain(head));
    if (chain.inFlight) throw this.#violation("head-in-flight", head);
    chain.readable.clear();
    chain.writable.clear();
    this.#walk(chain);
    this.#nextAvailable = indexAdd(this.#nextAvailable, 1);
    chain.inFlight = true;
    this.#inFlight++;
    if (this.#observer !== undefined) this.#observeChain(this.#observer, "pop", chain);
    return chain;
  }

  push(chain: Chain, written: number): void {
    const { view, offset } = this.#used;
    const slot = offset + 4 + 8 * (this.#nextUsed & this.#mask);
    view.setUint32(slot, chain.head, this.#little);
    view.setUint32(slot + 4, written, this.#little);
    this.#nextUsed = indexAdd(this.#nextUsed, 1);
    chain.inFlight = false;
    this.#inFlight--;
    if (this.#observer !== undefined) {
      this.#observer.emit({
        category: "ring",
        source: `queue ${this.index}`,
        name: "used",
        fields: { head: chain.head, written },
      });
    }
  }

  retire(chain: Chain, written: number): void {
    this.push(chain, written);
    this.#chains[chain.head] = undefined;
    chain.readable.clear();
    chain.writable.clear();
  }

  publish(): boolean {
    const now = this.#nextUsed;
    const old = this.#publishedUsed;
    if (now === old) return false;
    this.#used.store(1, now);
    this.#publishedUsed = now;
    if (this.#notifyOnEmpty && this.#inFlight === 0 && !this.#moreAvailable()) return true;
    // The index store above and the load below are a store-load pair: RingPart orders them where it matters.
    if (this.#eventIndex) return needsEvent(this.#available.load(2 + this.size), now, old);
    return (this.#available.load(0) & noInterruptFlag) === 0;
  }

  enableNotifications(): boolean {
    if (this.#eventIndex) this.#used.store(2 + 4 * this.size, this.#nextAvailable);
    else this.#used.store(0, 0);
    // §2.7.10.1: an entry that was added before the driver could see this is not announced; look again.
    return this.#broken !== undefined || this.#available.load(1) === this.#nextAvailable;
  }

  disableNotifications(): void {
    // With EVENT_IDX an avail_event that stays behind is the suppression.
    if (!this.#eventIndex) this.#used.store(0, noNotifyFlag);
  }

  #moreAvailable(): boolean {
    if (this.#seenAvailable !== this.#nextAvailable) return true;
    const index = this.#available.load(1);
    const count = indexDistance(index, this.#nextAvailable);
    if (count > this.size)
      throw this.#violation("avail-index-jump", undefined, `${count} entries in a queue of ${this.size}`);
    this.#seenAvailable = index;
    return count > 0;
  }

  #walk(chain: Chain): void {
    const little = this.#little;
    const { head, readable, writable } = chain;
    let { view, offset: table } = this.#descriptors;
    let limit = this.size;
    let inIndirect = false;
    let count = 0;
    let at = table + head * descriptorSize;
    for (;;) {
      const low = view.getUint32(at + this.#lowWord, little);
      const high = view.getUint32(at + this.#highWord, little);
      const length = view.getUint32(at + 8, little);
      const flags = view.getUint16(at + 12, little);
      const next = view.getUint16(at + 14, little);
      const address = high === 0 ? low : high * word32 + low;
      if (high > highestAddressWord)
        throw this.#violation("address-outside-memory", head, `address high word 0x${high.toString(16)}`);

      if ((flags & DescriptorFlag.Indirect) !== 0) {
        if (!this.#indirect) throw this.#violation("indirect-not-negotiated", head);
        if (inIndirect) throw this.#violation("indirect-nested", head);
        if ((flags & DescriptorFlag.Next) !== 0) throw this.#violation("indirect-with-next", head);
        if (length === 0 || length % descriptorSize !== 0)
          throw this.#violation("indirect-length", head, `${length} bytes`);
        const region = this.#memory.findRange(address, length);
        if (region === undefined) {
          throw this.#violation("indirect-outside-memory", head, `0x${address.toString(16)} + ${length} bytes`);
        }
        view = region.view;
        table = address - region.base;
        // §2.7.5.3.1 forbids tables longer than the queue; drivers in the field make them, so only the format's own
        // bound is enforced.
        limit = Math.min(length / descriptorSize, maxQueueSize);
        inIndirect = true;
        at = table;
        continue;
      }

      if (length === 0) throw this.#violation("descriptor-empty", head);
      if (++count > limit) throw this.#violation("chain-too-long", head, `more than ${limit} descriptors`);
      if ((flags & DescriptorFlag.Write) !== 0) {
        if (writable.byteLength + length >= word32) throw this.#violation("chain-too-large", head);
        this.#append(chain, writable, address, length);
      } else {
        if (writable.byteLength !== 0) throw this.#violation("readable-after-writable", head);
        if (readable.byteLength + length >= word32) throw this.#violation("chain-too-large", head);
        this.#append(chain, readable, address, length);
      }
      if ((flags & DescriptorFlag.Next) === 0) return;
      if (next >= limit) throw this.#violation("next-out-of-range", head, `next ${next} of ${limit}`);
      at = table + next * descriptorSize;
    }
  }

  /** Adds a piece, split where it crosses regions that touch. */
  #append(chain: Chain, scatter: Chain["readable"], address: number, length: number): void {
    let from = address;
    let left = length;
    for (;;) {
      const region = this.#memory.find(from);
      if (region === undefined) {
        throw this.#violation("address-outside-memory", chain.head, `0x${address.toString(16)} + ${length} bytes`);
      }
      const room = region.end - from;
      if (left <= room) {
        scatter.push(region, from - region.base, left);
        return;
      }
      scatter.push(region, from - region.base, room);
      from += room;
      left -= room;
    }
  }

  #observeChain(observer: Observer, name: string, chain: Chain): void {
    const { head, readable, writable } = chain;
    const fields = {
      head,
      readable: readable.byteLength,
      readablePieces: readable.end,
      writable: writable.byteLength,
      writablePieces: writable.end,
    };
    observer.emit({ category: "ring", source: `queue ${this.index}`, name, fields });
  }

  /** Breaks the queue and names why. */
  #violation(code: ViolationCode, head?: number, detail?: string): ProtocolError {
    this.#broken = code;
    const error = new ProtocolError(code, {
      queue: this.index,
      ...(head === undefined ? {} : { head }),
      ...(detail === undefined ? {} : { detail }),
    });
    this.#observer?.emit({
      category: "violation",
      source: `queue ${this.index}`,
      name: code,
      fields: { message: error.message },
    });
    return error;
  }
}
