/**
 * The driver's half of a split virtqueue, virtio 1.2 §2.7. The descriptor table in shared memory is only ever written:
 * the free list and everything known of what is in flight are private, so a device that scribbles can do no harm.
 */
import { hostEndianness, swap16, swap32 } from "../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../errors/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import { indexAdd, indexDistance, needsEvent } from "./needs-event.js";
import type { ChainPieces, QueueDriver, QueueOptions } from "./queue.js";
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
import { observeAdded } from "./ring-trace.js";
import { ringViolation } from "./ring-violation.js";

const word32Range = 0x1_0000_0000;

/** What the driver half is made from. */
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
  readonly #swap: boolean;
  readonly #indirect: boolean;
  readonly #eventIndex: boolean;
  readonly #cutUsedLength: boolean;
  readonly #mask: number;
  // The parts' memory, taken apart: a load less for each access on the hot path.
  readonly #descriptorWords: Uint32Array;
  readonly #descriptorBase: number;
  readonly #available: RingPart;
  readonly #availableWords: Uint16Array;
  /** Index in `#availableWords` of ring entry 0. */
  readonly #availableEntries: number;
  readonly #used: RingPart;
  readonly #usedWords: Uint32Array;
  /** Index in `#usedWords` of used element 0. */
  readonly #usedElements: number;
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
  readonly #cookies: (Cookie | undefined)[];
  readonly #tables: (DmaBlock | undefined)[] = [];
  #freeHead = 0;
  #free: number;
  #inFlight = 0;
  #broken = false;

  #nextAvailable: number;
  #publishedAvailable: number;
  #nextUsed: number;
  #seenUsed: number;

  /** Last descriptor that was written. */
  #last = 0;

  /** @throws RangeError for a bad size; ProtocolError when the ring lies outside memory. */
  constructor(memory: GuestMemory, options: SplitDriverOptions) {
    const { index, size, endianness, addresses } = options;
    if (!isQueueSize(size)) throw new RangeError(`queue size must be a power of two within 1…32768, got ${size}`);
    const part = (name: string, address: number, bytes: number, alignment: number) =>
      new RingPart(memory, { address, size: bytes, alignment, endianness, name, queue: index });
    this.index = index;
    this.size = size;
    this.#swap = endianness !== hostEndianness;
    this.#indirect = options.indirect;
    this.#eventIndex = options.eventIndex;
    this.#cutUsedLength = options.excessUsedLength === "cut";
    this.#mask = size - 1;
    const descriptors = part("descriptor table", addresses.descriptors, descriptorSize * size, 16);
    this.#descriptorWords = descriptors.words32;
    this.#descriptorBase = descriptors.word32;
    this.#available = part("available ring", addresses.available, availableRingSize(size), 2);
    this.#availableWords = this.#available.words16;
    this.#availableEntries = this.#available.word16 + 2;
    this.#used = part("used ring", addresses.used, usedRingSize(size), 4);
    this.#usedWords = this.#used.words32;
    this.#usedElements = this.#used.word32 + 1;
    this.#dma = options.dma;
    this.#observer = options.observer;
    this.#next = new Uint16Array(size);
    this.#tail = new Uint16Array(size);
    this.#length = new Uint16Array(size);
    this.#room = new Uint32Array(size);
    this.#free = size;
    this.#cookies = new Array<Cookie | undefined>(size).fill(undefined);
    for (let descriptor = 0; descriptor < size; descriptor++) this.#next[descriptor] = descriptor + 1;
    const start = options.startIndex ?? 0;
    this.#nextAvailable = start;
    this.#publishedAvailable = start;
    this.#nextUsed = start;
    this.#seenUsed = start;
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

  add(pieces: ChainPieces, cookie: Cookie): boolean {
    const { count } = pieces;
    const inTable = this.#indirect && count > 1;
    const taken = inTable ? 1 : count;
    if (this.#broken || this.#free < taken || count === 0) return false;
    const head = this.#freeHead;
    let last = head;
    if (inTable) {
      const table = this.#tableFor(head, count);
      this.#room[head] = this.#writePieces(pieces, table.region.words32, table.offset >>> 2, undefined);
      this.#writeDescriptor(head, table.address, count * descriptorSize, DescriptorFlag.Indirect);
    } else {
      this.#room[head] = this.#writePieces(pieces, this.#descriptorWords, this.#descriptorBase, this.#next);
      last = this.#last;
    }
    this.#freeHead = this.#next[last];
    this.#free -= taken;
    this.#tail[head] = last;
    this.#length[head] = taken;
    this.#cookies[head] = cookie;
    this.#inFlight++;
    const slot = this.#nextAvailable & this.#mask;
    this.#availableWords[this.#availableEntries + slot] = this.#swap ? swap16(head) : head;
    this.#nextAvailable = indexAdd(this.#nextAvailable, 1);
    if (this.#observer !== undefined) observeAdded(this.#observer, this.index, head, pieces, inTable);
    return true;
  }

  /**
   * Writes the descriptors of a chain, one after the other in an indirect table or along the free list of `next`.
   * Returns the bytes that the device may write; `#last` is the last descriptor.
   */
  #writePieces(pieces: ChainPieces, words: Uint32Array, table: number, next: Uint16Array | undefined): number {
    const { count, readableCount, addresses, lengths } = pieces;
    let descriptor = next === undefined ? 0 : this.#freeHead;
    let room = 0;
    // `| 0` says that numbers stay small: the compiler then checks no sum for overflow.
    const end = (count - 1) | 0;
    for (let piece = 0; ; piece = (piece + 1) | 0) {
      const address = addresses[piece];
      const length = lengths[piece];
      const following = next === undefined ? (descriptor + 1) | 0 : next[descriptor];
      let tail = following << 16;
      if (piece < end) tail |= DescriptorFlag.Next;
      if (piece >= readableCount) {
        tail |= DescriptorFlag.Write;
        room += length;
      }
      const at = (table + (descriptor << 2)) | 0;
      const low = address >>> 0;
      const high = low === address ? 0 : (address - low) / word32Range;
      if (this.#swap) writeSwapped(words, at, low, high, length, tail);
      else {
        words[at] = low;
        words[(at + 1) | 0] = high;
        words[(at + 2) | 0] = length;
        words[(at + 3) | 0] = tail;
      }
      if (piece === end) break;
      descriptor = following;
    }
    this.#last = descriptor;
    return room;
  }

  #writeDescriptor(descriptor: number, address: number, length: number, flags: number): void {
    const words = this.#descriptorWords;
    const at = this.#descriptorBase + 4 * descriptor;
    const low = address >>> 0;
    const high = (address - low) / word32Range;
    if (this.#swap) writeSwapped(words, at, low, high, length, flags);
    else {
      words[at] = low;
      words[at + 1] = high;
      words[at + 2] = length;
      words[at + 3] = flags;
    }
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
    const swap = this.#swap;
    const words32 = this.#usedWords;
    const slot = this.#usedElements + 2 * (this.#nextUsed & this.#mask);
    const id = swap ? swap32(words32[slot]) : words32[slot];
    const written = swap ? swap32(words32[slot + 1]) : words32[slot + 1];
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
    return ringViolation(this.#observer, this.index, code, head, detail);
  }
}

/** A descriptor in the other byte order: the halves of the address change places, as do those of the last word. */
function writeSwapped(words: Uint32Array, at: number, low: number, high: number, length: number, tail: number): void {
  words[at] = swap32(high);
  words[at + 1] = swap32(low);
  words[at + 2] = swap32(length);
  words[at + 3] = swap16(tail & 0xffff) | (swap16(tail >>> 16) << 16);
}
