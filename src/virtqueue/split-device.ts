/**
 * The device's half of a split virtqueue, virtio 1.2 §2.7. Every field that the driver can change is read once, then
 * checked, then used. What breaks a rule is thrown as a named violation, once; the queue is broken after it.
 */
import { type Endianness, hostEndianness, swap16, swap32 } from "../bytes/index.js";
import { ProtocolError, type ViolationCode } from "../errors/index.js";
import { GuestMemory, type MemoryRegion, type Scatter } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import { Chain } from "./chain.js";
import { indexAdd, indexDistance, needsEvent } from "./needs-event.js";
import type { QueueDevice, QueueOptions } from "./queue.js";
import {
  availableRingSize,
  compactLayout,
  DescriptorFlag,
  descriptorSize,
  isQueueSize,
  layoutAt,
  maxQueueSize,
  noInterruptFlag,
  noNotifyFlag,
  type RingAddresses,
  usedRingSize,
} from "./ring-layout.js";
import { RingPart } from "./ring-part.js";
import { observePopped, observeUsed } from "./ring-trace.js";
import { ringViolation } from "./ring-violation.js";

/** Addresses above 2^53 are rounded when they become numbers: no memory lies there. */
const word32Range = 0x1_0000_0000;

export class SplitDevice implements QueueDevice {
  readonly index: number;
  readonly size: number;
  #memory!: GuestMemory;
  readonly #indirect: boolean;
  readonly #eventIndex: boolean;
  readonly #notifyOnEmpty: boolean;
  readonly #mask: number;
  readonly #endianness: Endianness;
  /** The ring's byte order is not the host's. */
  readonly #swap: boolean;
  // The parts' memory, taken apart: a load less for each access on the hot path.
  #descriptorWords!: Uint32Array;
  #descriptorBase!: number;
  #available!: RingPart;
  #availableWords!: Uint16Array;
  /** Index in `#availableWords` of ring entry 0. */
  #availableEntries!: number;
  #used!: RingPart;
  #usedWords!: Uint32Array;
  /** Index in `#usedWords` of used element 0. */
  #usedElements!: number;
  readonly #observer: Observer | undefined;
  readonly #chains: (Chain | undefined)[] = [];
  /** Where the indirect table of the chain being read is; reused. */
  readonly #table: { words: Uint32Array; at: number; limit: number } = { words: new Uint32Array(0), at: 0, limit: 0 };
  /** The region that the last buffer lay in: mostly the next one does too. */
  #lastRegion!: MemoryRegion;
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
    this.index = index;
    this.size = size;
    this.#endianness = endianness;
    this.#swap = endianness !== hostEndianness;
    this.#indirect = options.indirect;
    this.#eventIndex = options.eventIndex;
    this.#notifyOnEmpty = options.notifyOnEmpty ?? false;
    this.#mask = size - 1;
    this.#observer = options.observer;
    const start = options.startIndex ?? 0;
    this.#nextAvailable = start;
    this.#seenAvailable = start;
    this.#nextUsed = options.startUsedIndex ?? start;
    this.#publishedUsed = this.#nextUsed;
    this.move(memory, addresses);
  }

  /**
   * Takes the ring to be in other memory, or at another address, from here on; positions stay. Chains that are in flight
   * keep the memory that they were popped with.
   * @throws ProtocolError `ring-outside-memory`, `ring-misaligned`; nothing has changed then.
   */
  move(memory: GuestMemory, addresses: RingAddresses): void {
    const { size, index } = this;
    const part = (name: string, address: number, bytes: number, alignment: number) =>
      new RingPart(memory, { address, size: bytes, alignment, endianness: this.#endianness, name, queue: index });
    const descriptors = part("descriptor table", addresses.descriptors, descriptorSize * size, 16);
    const available = part("available ring", addresses.available, availableRingSize(size), 2);
    const used = part("used ring", addresses.used, usedRingSize(size), 4);
    this.#memory = memory;
    this.#descriptorWords = descriptors.words32;
    this.#descriptorBase = descriptors.word32;
    this.#available = available;
    this.#availableWords = available.words16;
    this.#availableEntries = available.word16 + 2;
    this.#used = used;
    this.#usedWords = used.words32;
    this.#usedElements = used.word32 + 1;
    this.#lastRegion = memory.regions[0];
  }

  /** Lets go of the ring: nothing is popped from here on, and what is still pushed reaches nobody. */
  abandon(): void {
    const layout = compactLayout(this.size);
    this.move(GuestMemory.ofSize(layout.byteLength), layoutAt(layout, 0));
    this.#available.store(1, this.#nextAvailable);
    this.#seenAvailable = this.#nextAvailable;
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

  /** Position in the used ring: what the next pushed chain gets. */
  get nextUsed(): number {
    return this.#nextUsed;
  }

  pop(): Chain | undefined {
    if (this.#nextAvailable === this.#seenAvailable && !this.#moreAvailable()) return undefined;
    const entry = this.#availableWords[this.#availableEntries + (this.#nextAvailable & this.#mask)];
    const head = this.#swap ? swap16(entry) : entry;
    const chain = this.#chainAt(head);
    this.#nextAvailable = indexAdd(this.#nextAvailable, 1);
    return chain;
  }

  /**
   * A chain that was popped in an earlier life of this ring and never pushed: it has its place in the available ring
   * behind it. @throws ProtocolError as {@link SplitDevice.pop}
   */
  popAgain(head: number): Chain {
    return this.#chainAt(head);
  }

  #chainAt(head: number): Chain {
    if (head >= this.size) throw this.#violation("head-out-of-range", head, `descriptor ${head} of ${this.size}`);
    const chain = (this.#chains[head] ??= new Chain(head));
    if (chain.inFlight) throw this.#violation("head-in-flight", head);
    this.#walk(chain);
    chain.inFlight = true;
    this.#inFlight++;
    if (this.#observer !== undefined) observePopped(this.#observer, this.index, chain);
    return chain;
  }

  push(chain: Chain, written: number): void {
    const swap = this.#swap;
    const words32 = this.#usedWords;
    const slot = this.#usedElements + 2 * (this.#nextUsed & this.#mask);
    words32[slot] = swap ? swap32(chain.head) : chain.head;
    words32[slot + 1] = swap ? swap32(written) : written;
    this.#nextUsed = indexAdd(this.#nextUsed, 1);
    chain.inFlight = false;
    this.#inFlight--;
    if (this.#observer !== undefined) observeUsed(this.#observer, this.index, chain.head, written);
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
    // Only looked at here: an index that jumped is `pop`'s to name, publishing never throws.
    if (this.#notifyOnEmpty && this.#inFlight === 0 && this.#available.load(1) === this.#nextAvailable) return true;
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
    if (this.#broken !== undefined) return false;
    if (this.#seenAvailable !== this.#nextAvailable) return true;
    const index = this.#available.load(1);
    const count = indexDistance(index, this.#nextAvailable);
    if (count > this.size)
      throw this.#violation("avail-index-jump", undefined, `${count} entries in a queue of ${this.size}`);
    this.#seenAvailable = index;
    return count > 0;
  }

  /** Reads a chain, from the descriptor table and from the indirect table that its last descriptor may name. */
  #walk(chain: Chain): void {
    const { head, readable, writable } = chain;
    const swap = this.#swap;
    let words = this.#descriptorWords;
    let table = this.#descriptorBase;
    let limit = this.size;
    let region = this.#lastRegion;
    let scatter = readable;
    let pieces = 0;
    let bytes = 0;
    let count = 0;
    let inTable = false;
    // `| 0` says that numbers stay small: the compiler then checks no sum for overflow.
    let at = (table + (head << 2)) | 0;
    readable.clear();
    writable.clear();
    for (;;) {
      // Four loads, each once: what the driver changes after them is not seen.
      let low = words[at];
      let high = words[(at + 1) | 0];
      let length = words[(at + 2) | 0];
      let tail = words[(at + 3) | 0];
      if (swap) {
        const first = low;
        low = swap32(high);
        high = swap32(first);
        length = swap32(length);
        tail = swap16(tail & 0xffff) | (swap16(tail >>> 16) << 16);
      }
      const address = high === 0 ? low : high * word32Range + low;

      if ((tail & DescriptorFlag.Indirect) !== 0) {
        if (inTable) throw this.#violation("indirect-nested", head);
        inTable = true;
        const inner = this.#indirectTable(head, address, length, tail);
        words = inner.words;
        table = inner.at;
        limit = inner.limit;
        // §2.7.5.3.2: descriptors before the table do not count against it.
        count = 0;
        at = table;
        continue;
      }

      if (length === 0) throw this.#violation("descriptor-empty", head);
      if ((tail & DescriptorFlag.Write) !== 0) {
        if (scatter === readable) {
          readable.end = pieces;
          readable.byteLength = bytes;
          scatter = writable;
          pieces = 0;
          bytes = 0;
        }
      } else if (scatter === writable) throw this.#violation("readable-after-writable", head);
      bytes += length;
      if (bytes >= word32Range) throw this.#violation("chain-too-large", head);
      if (address < region.base || address >= region.end) region = this.#regionOf(head, address, length);
      if (length <= region.end - address) {
        // Storing a reference costs a write barrier; mostly it is there already.
        if (scatter.regions[pieces] !== region) scatter.regions[pieces] = region;
        scatter.offsets[pieces] = address - region.base;
        scatter.lengths[pieces] = length;
        pieces = (pieces + 1) | 0;
      } else pieces = this.#addSplit(head, scatter, pieces, address, length);
      count = (count + 1) | 0;
      if ((tail & DescriptorFlag.Next) === 0) break;
      if (count >= limit) throw this.#violation("chain-too-long", head, `more than ${limit} descriptors`);
      const next = tail >>> 16;
      if (next >= limit) throw this.#violation("next-out-of-range", head, `next ${next} of ${limit}`);
      at = (table + (next << 2)) | 0;
    }
    scatter.end = pieces;
    scatter.byteLength = bytes;
    this.#lastRegion = region;
  }

  /** §2.7.5.3: checks an indirect table; what lies at no multiple of 4 is copied, everything else read in place. */
  #indirectTable(head: number, address: number, byteLength: number, tail: number) {
    if (!this.#indirect) throw this.#violation("indirect-not-negotiated", head);
    if ((tail & DescriptorFlag.Next) !== 0) throw this.#violation("indirect-with-next", head);
    if (byteLength === 0 || byteLength % descriptorSize !== 0) {
      throw this.#violation("indirect-length", head, `${byteLength} bytes`);
    }
    const region = this.#memory.findRange(address, byteLength);
    if (region === undefined) {
      throw this.#violation("indirect-outside-memory", head, `0x${address.toString(16)} + ${byteLength} bytes`);
    }
    // §2.7.5.3.1 forbids tables longer than the queue; drivers in the field make them, so only the format's own bound
    // is enforced.
    const limit = Math.min(byteLength / descriptorSize, maxQueueSize);
    const offset = address - region.base;
    const table = this.#table;
    table.limit = limit;
    if (offset % 4 === 0 && region.words32.length > 0) {
      table.words = region.words32;
      table.at = offset / 4;
    } else {
      table.words = new Uint32Array(region.bytes.slice(offset, offset + limit * descriptorSize).buffer);
      table.at = 0;
    }
    return table;
  }

  #regionOf(head: number, address: number, length: number): MemoryRegion {
    const region = this.#memory.find(address);
    if (region !== undefined) return region;
    throw this.#violation("address-outside-memory", head, `0x${address.toString(16)} + ${length} bytes`);
  }

  /** Adds a descriptor that crosses regions that touch, one piece each. Returns the number of pieces. */
  #addSplit(head: number, scatter: Scatter, pieces: number, address: number, length: number): number {
    let index = pieces;
    let done = 0;
    while (done < length) {
      const region = this.#regionOf(head, address + done, length - done);
      const step = Math.min(length - done, region.end - address - done);
      scatter.regions[index] = region;
      scatter.offsets[index] = address + done - region.base;
      scatter.lengths[index] = step;
      index++;
      done += step;
    }
    return index;
  }

  /** Breaks the queue and names why. */
  #violation(code: ViolationCode, head?: number, detail?: string): ProtocolError {
    this.#broken = code;
    this.#seenAvailable = this.#nextAvailable;
    return ringViolation(this.#observer, this.index, code, head, detail);
  }
}
