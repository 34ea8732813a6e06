/**
 * The driver's half of a split virtqueue, virtio 1.2 §2.7. The descriptor table in shared memory is only ever written:
 * the free list and everything known of what is in flight are private, so a device that scribbles can do no harm.
 */
import { hostEndianness, swap16, swap32 } from "../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import { IndirectTables } from "./indirect-tables.js";
import { indexAdd, indexDistance, needsEvent } from "./needs-event.js";
import type { ChainPieces, QueueDriver, QueueDriverOptions } from "./queue.js";
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
import { observeAdded } from "./ring-trace.js";
import { ringViolation } from "./ring-violation.js";

const word32Range = 0x1_0000_0000;

/** In an indirect table each descriptor is followed by the next one. */
const sequence = Uint16Array.from({ length: maxQueueSize }, (_, index) => index + 1);

/**
 * One driver half. Fields are `private` and not `#private`, which V8 loads more slowly: 15 % of a round trip.
 */
export class SplitDriver<Cookie> implements QueueDriver<Cookie> {
  readonly index: number;
  readonly size: number;
  usedLength = 0;
  private readonly _swap: boolean;
  private readonly _indirect: boolean;
  private readonly _eventIndex: boolean;
  private readonly _cutUsedLength: boolean;
  private readonly _mask: number;
  // The parts' memory, taken apart: a load less for each access on the hot path.
  private readonly _descriptorWords: Uint32Array;
  private readonly _descriptorBase: number;
  private readonly _available: RingPart;
  private readonly _availableWords: Uint16Array;
  /** Index in `_availableWords` of ring entry 0. */
  private readonly _availableEntries: number;
  private readonly _used: RingPart;
  private readonly _usedWords: Uint32Array;
  /** Index in `_usedWords` of used element 0. */
  private readonly _usedElements: number;
  private readonly _usedIndex: Uint16Array;
  /** Index in `_usedIndex` of the used index. */
  private readonly _usedIndexAt: number;
  /** See {@link RingPart.plain}; both rings. */
  private readonly _plain: boolean;
  private readonly _observer: Observer | undefined;

  // The private side of the descriptor table.
  protected readonly _next: Uint16Array;
  /** Per head: last descriptor of its chain. */
  protected readonly _tail: Uint16Array;
  /** Per head: descriptors taken from the table; 0 while it is not in flight. */
  private readonly _length: Uint16Array;
  /** Per head: bytes the device may write. */
  protected readonly _room: Uint32Array;
  private readonly _cookies: (Cookie | undefined)[];
  private readonly _tables: IndirectTables;
  private _freeHead = 0;
  private _free: number;
  private _inFlight = 0;
  private _broken = false;
  /** The used index that `enableInterrupts` saw ahead of us, until `reap` has looked again; -1 for none. */
  private _promised = -1;

  private _nextAvailable: number;
  private _publishedAvailable: number;
  protected _nextUsed: number;
  protected _seenUsed: number;

  /** Last descriptor that was written. */
  private _last = 0;

  /** @throws RangeError for a bad size; ProtocolError when the ring lies outside memory. */
  constructor(memory: GuestMemory, options: QueueDriverOptions) {
    const { index, size, endianness, addresses } = options;
    if (!isQueueSize(size)) throw new RangeError(`queue size must be a power of two within 1…32768, got ${size}`);
    const part = (name: string, address: number, bytes: number, alignment: number) =>
      new RingPart(memory, { address, size: bytes, alignment, endianness, name, queue: index });
    this.index = index;
    this.size = size;
    this._swap = endianness !== hostEndianness;
    this._indirect = options.indirect;
    this._eventIndex = options.eventIndex;
    this._cutUsedLength = options.excessUsedLength === "cut";
    this._mask = size - 1;
    const descriptors = part("descriptor table", addresses.descriptors, descriptorSize * size, 16);
    this._descriptorWords = descriptors.words32;
    this._descriptorBase = descriptors.word32;
    this._available = part("available ring", addresses.available, availableRingSize(size), 2);
    this._availableWords = this._available.words16;
    this._availableEntries = this._available.word16 + 2;
    this._used = part("used ring", addresses.used, usedRingSize(size), 4);
    this._usedWords = this._used.words32;
    this._usedElements = this._used.word32 + 1;
    this._usedIndex = this._used.words16;
    this._usedIndexAt = this._used.word16 + 1;
    this._plain = this._available.plain && this._used.plain;
    this._tables = new IndirectTables(options.dma);
    this._observer = options.observer;
    this._next = new Uint16Array(size);
    this._tail = new Uint16Array(size);
    this._length = new Uint16Array(size);
    this._room = new Uint32Array(size);
    this._free = size;
    this._cookies = new Array<Cookie | undefined>(size).fill(undefined);
    for (let descriptor = 0; descriptor < size; descriptor++) this._next[descriptor] = descriptor + 1;
    const start = options.startIndex ?? 0;
    this._nextAvailable = start;
    this._publishedAvailable = start;
    this._nextUsed = start;
    this._seenUsed = start;
    if (start !== 0) {
      this._available.store(1, start);
      this._used.store(1, start);
    }
    if (this._eventIndex) this._available.store(2 + size, start);
  }

  get inFlight(): number {
    return this._inFlight;
  }

  get free(): number {
    return this._free;
  }

  get position(): number {
    return this._nextAvailable;
  }

  add(pieces: ChainPieces, cookie: Cookie): boolean {
    const { count } = pieces;
    const inTable = this._indirect && count > 1;
    const taken = inTable ? 1 : count;
    if (this._broken || this._free < taken || count === 0) return false;
    const head = this._freeHead;
    let last = head;
    if (inTable) {
      const table = this._tables.tableFor(head, count);
      this._room[head] = this._writePieces(pieces, table.region.words32, table.offset >>> 2, sequence, 0);
      this._writeDescriptor(head, table.address, count * descriptorSize, DescriptorFlag.Indirect);
    } else {
      this._room[head] = this._writePieces(pieces, this._descriptorWords, this._descriptorBase, this._next, head);
      last = this._last;
    }
    this._freeHead = this._next[last];
    this._free -= taken;
    this._tail[head] = last;
    this._length[head] = taken;
    this._cookies[head] = cookie;
    this._inFlight++;
    const slot = this._nextAvailable & this._mask;
    this._availableWords[this._availableEntries + slot] = this._swap ? swap16(head) : head;
    this._nextAvailable = indexAdd(this._nextAvailable, 1);
    if (this._observer !== undefined) observeAdded(this._observer, this.index, head, pieces, inTable);
    return true;
  }

  /**
   * Writes the descriptors of a chain, from number `first` on along `next`.
   * Returns the bytes that the device may write; `_last` is the last descriptor.
   */
  private _writePieces(
    pieces: ChainPieces,
    words: Uint32Array,
    table: number,
    next: Uint16Array,
    first: number,
  ): number {
    const { count, readableCount, addresses, lengths } = pieces;
    const swap = this._swap;
    let descriptor = first;
    let room = 0;
    // `| 0` says that numbers stay small: the compiler then checks no sum for overflow.
    const end = (count - 1) | 0;
    for (let piece = 0; ; piece = (piece + 1) | 0) {
      const address = addresses[piece];
      const length = lengths[piece];
      const following = next[descriptor];
      let tail = following << 16;
      if (piece < end) tail |= DescriptorFlag.Next;
      if (piece >= readableCount) {
        tail |= DescriptorFlag.Write;
        room += length;
      }
      const at = (table + (descriptor << 2)) | 0;
      const low = address >>> 0;
      const high = low === address ? 0 : (address - low) / word32Range;
      if (swap) writeSwapped(words, at, low, high, length, tail);
      else {
        words[at] = low;
        words[(at + 1) | 0] = high;
        words[(at + 2) | 0] = length;
        words[(at + 3) | 0] = tail;
      }
      if (piece === end) break;
      descriptor = following;
    }
    this._last = descriptor;
    return room;
  }

  private _writeDescriptor(descriptor: number, address: number, length: number, flags: number): void {
    const words = this._descriptorWords;
    const at = this._descriptorBase + 4 * descriptor;
    const low = address >>> 0;
    const high = (address - low) / word32Range;
    if (this._swap) writeSwapped(words, at, low, high, length, flags);
    else {
      words[at] = low;
      words[at + 1] = high;
      words[at + 2] = length;
      words[at + 3] = flags;
    }
  }

  publish(): boolean {
    const now = this._nextAvailable;
    const old = this._publishedAvailable;
    if (now === old) return false;
    if (this._plain) this._availableWords[this._availableEntries - 1] = now;
    else this._available.store(1, now);
    this._publishedAvailable = now;
    // The index store above and the load below are a store-load pair: RingPart orders them where it matters.
    if (this._eventIndex) return needsEvent(this._used.load(2 + 4 * this.size), now, old);
    const flags = this._plain ? this._usedIndex[this._usedIndexAt - 1] : this._used.load(0);
    return (flags & noNotifyFlag) === 0;
  }

  reap(): Cookie | undefined {
    if (this._nextUsed === this._seenUsed && !this._moreUsed()) return undefined;
    const id = this._readUsed();
    this._next[this._tail[id]] = this._freeHead;
    this._freeHead = id;
    return this._take(id);
  }

  enableInterrupts(): boolean {
    return this.enableInterruptsAfter(1);
  }

  enableInterruptsAfter(count: number): boolean {
    if (this._eventIndex) this._available.store(2 + this.size, indexAdd(this._nextUsed, count - 1));
    else this._available.store(0, 0);
    // §2.7.9.3: a chain used before the device could see this is not announced; look again.
    const index = this._used.load(1);
    const nothing = this._broken || indexDistance(index, this._nextUsed) < count;
    this._promised = nothing ? -1 : index;
    return nothing;
  }

  disableInterrupts(): void {
    // With EVENT_IDX: an event index that was just passed comes round again after 65535 more chains only.
    if (this._eventIndex) this._available.store(2 + this.size, indexAdd(this._nextUsed, -1));
    else this._available.store(0, noInterruptFlag);
  }

  detachAll(keepsTables = false): Cookie[] {
    this._broken = true;
    const cookies: Cookie[] = [];
    for (let head = 0; head < this.size; head++) {
      if (this._length[head] === 0) continue;
      this._length[head] = 0;
      cookies.push(this._cookies[head] as Cookie);
      this._cookies[head] = undefined;
    }
    this._inFlight = 0;
    this._tables.forget(keepsTables);
    return cookies;
  }

  /** The chain that the next used element names, checked; `usedLength` is set. @throws ProtocolError */
  protected _readUsed(): number {
    const swap = this._swap;
    const words32 = this._usedWords;
    const slot = this._usedElements + 2 * (this._nextUsed & this._mask);
    const id = swap ? swap32(words32[slot]) : words32[slot];
    const written = swap ? swap32(words32[slot + 1]) : words32[slot + 1];
    if (id >= this.size) throw this._violation("used-id-out-of-range", undefined, `id ${id} of ${this.size}`);
    if (this._length[id] === 0) throw this._violation("used-id-not-in-flight", id);
    const room = this._room[id];
    if (written > room && !this._cutUsedLength)
      throw this._violation("used-length-too-large", id, `${written} of ${room} bytes`);
    this.usedLength = written > room ? room : written;
    return id;
  }

  /** Takes a chain back. */
  protected _take(id: number): Cookie {
    this._nextUsed = indexAdd(this._nextUsed, 1);
    this._free += this._length[id];
    this._length[id] = 0;
    this._inFlight--;
    const cookie = this._cookies[id] as Cookie;
    this._cookies[id] = undefined;
    return cookie;
  }

  protected _moreUsed(): boolean {
    if (this._broken) return false;
    const index = this._plain ? this._usedIndex[this._usedIndexAt] : this._used.load(1);
    const count = indexDistance(index, this._nextUsed);
    if (count > this._inFlight)
      throw this._violation("used-index-jump", undefined, `${count} used, ${this._inFlight} in flight`);
    if (count === 0 && this._promised >= 0 && this._promised !== this._nextUsed)
      throw this._violation("used-index-jump", undefined, `the index went back from ${this._promised} to ${index}`);
    this._promised = -1;
    this._seenUsed = index;
    return count > 0;
  }

  /** Breaks the queue and names why. */
  protected _violation(code: ViolationCode, head?: number, detail?: string): ProtocolError {
    this._broken = true;
    this._seenUsed = this._nextUsed;
    return ringViolation(this._observer, this.index, code, head, detail);
  }
}

/** A descriptor in the other byte order: the halves of the address change places, as do those of the last word. */
function writeSwapped(words: Uint32Array, at: number, low: number, high: number, length: number, tail: number): void {
  words[at] = swap32(high);
  words[at + 1] = swap32(low);
  words[at + 2] = swap32(length);
  words[at + 3] = swap16(tail & 0xffff) | (swap16(tail >>> 16) << 16);
}
