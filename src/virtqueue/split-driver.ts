/**
 * The driver's half of a split virtqueue, virtio 1.2 §2.7. The descriptor table in shared memory is only ever written:
 * the free list and everything known of what is in flight are private, so a device that scribbles can do no harm.
 */
import { ProtocolError, type ViolationCode } from "../errors/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import { indexAdd, indexDistance, needsEvent } from "./needs-event.js";
import type { QueueDriver, QueueOptions } from "./queue.js";
import {
  availableRingSize,
  DescriptorFlag,
  descriptorSize,
  isQueueSize,
  noInterruptFlag,
  noNotifyFlag,
  usedRingSize,
} from "./ring-layout.js";
import { RingPart } from "./ring-part.js";

const word32 = 0x1_0000_0000;

export interface SplitDriverOptions extends QueueOptions {
  /** Where indirect tables come from. */
  dma: DmaMemory;
  /**
   * What a used length above the chain's room means: a violation, or (legacy devices put other values there,
   * virtio 1.2 §2.7.8.2) a number to cut. Default `violation`.
   */
  excessUsedLength?: "violation" | "cut";
}

export class SplitDriver<Cookie> implements QueueDriver<Cookie> {
  readonly index: number;
  readonly size: number;
  usedLength = 0;
  readonly #little: boolean;
  readonly #indirect: boolean;
  readonly #eventIndex: boolean;
  readonly #cutUsedLength: boolean;
  readonly #mask: number;
  readonly #descriptors: RingPart;
  readonly #available: RingPart;
  readonly #used: RingPart;
  readonly #lowWord: number;
  readonly #highWord: number;
  readonly #dma: DmaMemory;
  readonly #observer: Observer | undefined;

  // The private side of the descriptor table.
  readonly #next: Uint16Array;
  /** Per head: last descriptor of its chain. */
  readonly #tail: Uint16Array;
  /** Per head: descriptors taken from the table; 0 while it is not in flight. */
  readonly #length: Uint16Array;
  /** Per head: bytes the device may write. */
  readonly #room: Uint32Array;
  readonly #cookies: (Cookie | undefined)[] = [];
  readonly #tables: (DmaBlock | undefined)[] = [];
  #freeHead = 0;
  #free: number;
  #inFlight = 0;
  #broken = false;

  #nextAvailable: number;
  #publishedAvailable: number;
  #nextUsed: number;
  #seenUsed: number;

  // The chain under construction.
  #head = 0;
  #left = 0;
  #taken = 0;
  #last = 0;
  #chainRoom = 0;
  #view: DataView;
  #at = 0;
  #inTable = false;
  #tableNext = 0;
  #table = 0;

  /** @throws RangeError for a bad size; ProtocolError when the ring lies outside memory. */
  constructor(memory: GuestMemory, options: SplitDriverOptions) {
    const { index, size, endianness, addresses } = options;
    if (!isQueueSize(size)) throw new RangeError(`queue size must be a power of two within 1…32768, got ${size}`);
    const part = (name: string, address: number, bytes: number, alignment: number) =>
      new RingPart(memory, { address, size: bytes, alignment, endianness, name, queue: index });
    this.index = index;
    this.size = size;
    this.#little = endianness === "little";
    this.#indirect = options.indirect;
    this.#eventIndex = options.eventIndex;
    this.#cutUsedLength = options.excessUsedLength === "cut";
    this.#mask = size - 1;
    this.#descriptors = part("descriptor table", addresses.descriptors, descriptorSize * size, 16);
    this.#available = part("available ring", addresses.available, availableRingSize(size), 2);
    this.#used = part("used ring", addresses.used, usedRingSize(size), 4);
    this.#lowWord = this.#little ? 0 : 4;
    this.#highWord = this.#little ? 4 : 0;
    this.#dma = options.dma;
    this.#observer = options.observer;
    this.#next = new Uint16Array(size);
    this.#tail = new Uint16Array(size);
    this.#length = new Uint16Array(size);
    this.#room = new Uint32Array(size);
    this.#free = size;
    for (let descriptor = 0; descriptor < size; descriptor++) this.#next[descriptor] = descriptor + 1;
    const start = options.startIndex ?? 0;
    this.#nextAvailable = start;
    this.#publishedAvailable = start;
    this.#nextUsed = start;
    this.#seenUsed = start;
    this.#view = this.#descriptors.view;
    if (start !== 0) {
      this.#available.store(1, start);
      this.#used.store(1, start);
    }
    if (this.#eventIndex) this.#available.store(2 + size, start);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get free(): number {
    return this.#free;
  }

  begin(descriptors: number): boolean {
    const inTable = this.#indirect && descriptors > 1;
    if (this.#broken || this.#free < (inTable ? 1 : descriptors)) return false;
    const head = this.#freeHead;
    this.#head = head;
    this.#left = descriptors;
    this.#chainRoom = 0;
    this.#inTable = inTable;
    if (inTable) {
      const table = this.#tableFor(head, descriptors);
      this.#view = table.region.view;
      this.#at = table.offset;
      this.#table = table.address;
      this.#tableNext = 0;
      this.#taken = 1;
    } else {
      this.#view = this.#descriptors.view;
      this.#at = this.#descriptors.offset + head * descriptorSize;
      this.#last = head;
      this.#taken = descriptors;
    }
    return true;
  }

  readable(address: number, length: number): void {
    this.#put(address, length, 0);
  }

  writable(address: number, length: number): void {
    this.#chainRoom += length;
    this.#put(address, length, DescriptorFlag.Write);
  }

  commit(cookie: Cookie): number {
    const head = this.#head;
    let last = this.#last;
    if (this.#inTable) {
      last = head;
      const byteLength = this.#tableNext * descriptorSize;
      const at = this.#descriptors.offset + head * descriptorSize;
      this.#write(this.#descriptors.view, at, this.#table, byteLength, DescriptorFlag.Indirect, 0);
    }
    this.#freeHead = this.#next[last];
    this.#free -= this.#taken;
    this.#tail[head] = last;
    this.#length[head] = this.#taken;
    this.#room[head] = this.#chainRoom;
    this.#cookies[head] = cookie;
    this.#inFlight++;
    const slot = this.#available.offset + 4 + 2 * (this.#nextAvailable & this.#mask);
    this.#available.view.setUint16(slot, head, this.#little);
    this.#nextAvailable = indexAdd(this.#nextAvailable, 1);
    if (this.#observer !== undefined) {
      this.#observer.emit({
        category: "ring",
        source: `queue ${this.index}`,
        name: "available",
        fields: { head, descriptors: this.#taken, indirect: this.#inTable, writable: this.#chainRoom },
      });
    }
    return head;
  }

  publish(): boolean {
    const now = this.#nextAvailable;
    const old = this.#publishedAvailable;
    if (now === old) return false;
    this.#available.store(1, now);
    this.#publishedAvailable = now;
    // The index store above and the load below are a store-load pair: RingPart orders them where it matters.
    if (this.#eventIndex) return needsEvent(this.#used.load(2 + 4 * this.size), now, old);
    return (this.#used.load(0) & noNotifyFlag) === 0;
  }

  reap(): Cookie | undefined {
    if (this.#nextUsed === this.#seenUsed && !this.#moreUsed()) return undefined;
    const { view, offset } = this.#used;
    const slot = offset + 4 + 8 * (this.#nextUsed & this.#mask);
    const id = view.getUint32(slot, this.#little);
    const written = view.getUint32(slot + 4, this.#little);
    if (id >= this.size) throw this.#violation("used-id-out-of-range", undefined, `id ${id} of ${this.size}`);
    const taken = this.#length[id];
    if (taken === 0) throw this.#violation("used-id-not-in-flight", id);
    const room = this.#room[id];
    if (written > room && !this.#cutUsedLength)
      throw this.#violation("used-length-too-large", id, `${written} of ${room} bytes`);
    this.usedLength = written > room ? room : written;
    this.#nextUsed = indexAdd(this.#nextUsed, 1);
    this.#length[id] = 0;
    this.#next[this.#tail[id]] = this.#freeHead;
    this.#freeHead = id;
    this.#free += taken;
    this.#inFlight--;
    const cookie = this.#cookies[id] as Cookie;
    this.#cookies[id] = undefined;
    return cookie;
  }

  enableInterrupts(): boolean {
    return this.enableInterruptsAfter(1);
  }

  enableInterruptsAfter(count: number): boolean {
    if (this.#eventIndex) this.#available.store(2 + this.size, indexAdd(this.#nextUsed, count - 1));
    else this.#available.store(0, 0);
    // §2.7.9.3: a chain used before the device could see this is not announced; look again.
    return this.#broken || indexDistance(this.#used.load(1), this.#nextUsed) < count;
  }

  disableInterrupts(): void {
    // With EVENT_IDX: an event index that was just passed comes round again after 65535 more chains only.
    if (this.#eventIndex) this.#available.store(2 + this.size, indexAdd(this.#nextUsed, -1));
    else this.#available.store(0, noInterruptFlag);
  }

  detachAll(): Cookie[] {
    this.#broken = true;
    const cookies: Cookie[] = [];
    for (let head = 0; head < this.size; head++) {
      if (this.#length[head] === 0) continue;
      this.#length[head] = 0;
      cookies.push(this.#cookies[head] as Cookie);
      this.#cookies[head] = undefined;
    }
    this.#inFlight = 0;
    for (const table of this.#tables) if (table !== undefined) this.#dma.free(table);
    this.#tables.length = 0;
    return cookies;
  }

  #put(address: number, length: number, flag: number): void {
    const left = --this.#left;
    const more = left > 0 ? DescriptorFlag.Next : 0;
    if (this.#inTable) {
      this.#write(this.#view, this.#at, address, length, flag | more, ++this.#tableNext);
      this.#at += descriptorSize;
      return;
    }
    const next = this.#next[this.#last];
    this.#write(this.#view, this.#at, address, length, flag | more, next);
    if (left > 0) {
      this.#last = next;
      this.#at = this.#descriptors.offset + next * descriptorSize;
    }
  }

  #write(view: DataView, at: number, address: number, length: number, flags: number, next: number): void {
    const little = this.#little;
    const low = address >>> 0;
    view.setUint32(at + this.#lowWord, low, little);
    view.setUint32(at + this.#highWord, (address - low) / word32, little);
    view.setUint32(at + 8, length, little);
    view.setUint16(at + 12, flags, little);
    view.setUint16(at + 14, next, little);
  }

  /** The indirect table of a head: made when first needed, replaced when a longer chain comes. */
  #tableFor(head: number, descriptors: number): DmaBlock {
    const table = this.#tables[head];
    const byteLength = descriptors * descriptorSize;
    if (table !== undefined && table.size >= byteLength) return table;
    let size = 8 * descriptorSize;
    while (size < byteLength) size *= 2;
    const larger = this.#dma.allocate(size, 16);
    if (table !== undefined) this.#dma.free(table);
    this.#tables[head] = larger;
    return larger;
  }

  #moreUsed(): boolean {
    if (this.#broken) return false;
    const index = this.#used.load(1);
    const count = indexDistance(index, this.#nextUsed);
    if (count > this.#inFlight)
      throw this.#violation("used-index-jump", undefined, `${count} used, ${this.#inFlight} in flight`);
    this.#seenUsed = index;
    return count > 0;
  }

  /** Breaks the queue and names why. */
  #violation(code: ViolationCode, head?: number, detail?: string): ProtocolError {
    this.#broken = true;
    this.#seenUsed = this.#nextUsed;
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
