/**
 * The driver's half of a packed virtqueue, virtio 1.2 §2.8. What the device needs of a descriptor is written once and
 * never read back: which buffer ids are under way, how long their chains are and what they hold is private.
 */
import { swap32 } from "../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../errors/index.js";
import type { DmaBlock, GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import { IndirectTables } from "./indirect-tables.js";
import { EventMode, firstPlace, isAhead, isPackedQueueSize, movePlace, PackedFlag, wrapBit } from "./packed-layout.js";
import { PackedRing, swapsPackedWords } from "./packed-ring.js";
import type { ChainPieces, QueueDriver, QueueDriverOptions } from "./queue.js";
import { DescriptorFlag, descriptorSize } from "./ring-layout.js";
import { observeAdded } from "./ring-trace.js";
import { ringViolation } from "./ring-violation.js";

const word32Range = 0x1_0000_0000;
/** Both flags that say whose a descriptor is, in a descriptor's last word. */
const ownerFlags = (PackedFlag.Available | PackedFlag.Used) << 16;
const nextWord = DescriptorFlag.Next << 16;
const writeWord = DescriptorFlag.Write << 16;

/**
 * One driver half. Fields are `private` and not `#private`, which V8 loads more slowly. With IN_ORDER a used descriptor
 * may stand for all chains up to its own.
 */
export class PackedDriver<Cookie> implements QueueDriver<Cookie> {
  readonly index: number;
  readonly size: number;
  usedLength = 0;
  private readonly _ring: PackedRing;
  private readonly _words: Uint32Array;
  private readonly _start: number;
  private readonly _indirect: boolean;
  private readonly _eventIndex: boolean;
  private readonly _inOrder: boolean;
  private readonly _cutUsedLength: boolean;
  private readonly _observer: Observer | undefined;
  private readonly _tables: IndirectTables;
  /** Free buffer ids, each naming the next. With IN_ORDER they are used round and round. */
  private readonly _nextId: Uint16Array;
  private _freeId = 0;
  /** Per id: descriptors of its chain; 0 while it is not in flight. */
  private readonly _length: Uint16Array;
  /** Per id: bytes the device may write. */
  private readonly _room: Uint32Array;
  private readonly _cookies: (Cookie | undefined)[];
  private _free: number;
  private _inFlight = 0;
  private _broken = false;

  /** Slot of the next descriptor to make available. */
  private _slot: number;
  /** The flags that make a descriptor available in this lap, in a descriptor's last word. */
  private _lap: number;
  /** Index of the last word of the first descriptor added since the last `publish`, which is held back; -1 for none. */
  private _heldAt = -1;
  private _heldWord = 0;
  /** Where the next used descriptor comes. */
  private _usedSlot: number;
  /** The owner flags of a used descriptor in that lap. */
  private _usedLap: number;
  /** Length of the shortest chain so far: so many descriptors a chain takes at least. */
  private _shortest: number;
  /** `enableInterrupts` saw a used descriptor, and `reap` has not looked since. */
  private _promised = false;
  /** IN_ORDER: the id that comes back next, the last of a batch or -1, and what was written to that one. */
  private _oldest = 0;
  private _batchEnd = -1;
  private _batchWritten = 0;

  /** @throws RangeError for a bad size; ProtocolError when the ring lies outside memory. */
  constructor(memory: GuestMemory, options: QueueDriverOptions) {
    const { index, size, addresses, startIndex: start = firstPlace } = options;
    if (!isPackedQueueSize(size)) throw new RangeError(`queue size must be within 1…32768, got ${size}`);
    if ((start & ~wrapBit) >= size) throw new RangeError(`a ring of ${size} cannot start at ${start & ~wrapBit}`);
    this.index = index;
    this.size = size;
    this._ring = new PackedRing(memory, index, size, addresses);
    this._words = this._ring.words;
    this._start = this._ring.start;
    this._indirect = options.indirect;
    this._eventIndex = options.eventIndex;
    this._inOrder = options.inOrder ?? false;
    this._cutUsedLength = options.excessUsedLength === "cut";
    this._observer = options.observer;
    this._tables = new IndirectTables(options.dma);
    this._nextId = Uint16Array.from({ length: size }, (_, id) => (id + 1) % size);
    this._length = new Uint16Array(size);
    this._room = new Uint32Array(size);
    this._cookies = new Array<Cookie | undefined>(size).fill(undefined);
    this._free = size;
    this._shortest = size;
    this._slot = start & ~wrapBit;
    this._usedSlot = this._slot;
    const wrapped = (start & wrapBit) === 0;
    this._lap = (wrapped ? PackedFlag.Used : PackedFlag.Available) << 16;
    this._usedLap = wrapped ? 0 : ownerFlags;
    // What lies here belongs to nobody: as after a lap in which everything was used, which is this one for the slots before
    // the start and the one before for the others. Otherwise a slot that is held back would look used.
    const usedNow = wrapped ? 0 : ownerFlags;
    for (let slot = 0; slot < size; slot++) {
      const flags = slot < this._slot ? usedNow : usedNow ^ ownerFlags;
      this._words[this._start + 4 * slot + 3] = swapsPackedWords ? swap32(flags) : flags;
    }
    this._ring.storeDriverEvent(0);
  }

  get inFlight(): number {
    return this._inFlight;
  }

  get free(): number {
    return this._free;
  }

  get position(): number {
    return this._slot | (((this._lap >>> 16) & PackedFlag.Available) !== 0 ? wrapBit : 0);
  }

  add(pieces: ChainPieces, cookie: Cookie): boolean {
    const { count } = pieces;
    const inTable = this._indirect && count > 1;
    const taken = inTable ? 1 : count;
    if (this._broken || this._free < taken || count === 0) return false;
    const id = this._freeId;
    const headAt = (this._start + (this._slot << 2) + 3) | 0;
    const headWord = inTable ? this._addTable(pieces, id) : this._addDirect(pieces, id);
    // The first of all chains is held back: before it is there the device sees none of the others.
    if (this._heldAt < 0) {
      this._heldAt = headAt;
      this._heldWord = headWord;
    } else this._words[headAt] = swapsPackedWords ? swap32(headWord) : headWord;
    this._freeId = this._nextId[id];
    this._free -= taken;
    this._length[id] = taken;
    this._cookies[id] = cookie;
    this._inFlight++;
    if (taken < this._shortest) this._shortest = taken;
    if (this._observer !== undefined) observeAdded(this._observer, this.index, id, pieces, inTable);
    return true;
  }

  publish(): boolean {
    if (this._heldAt < 0) return false;
    this._ring.storeFlags(this._heldAt, this._heldWord);
    this._heldAt = -1;
    // §2.8.21.3.1: the store above comes before the load below; both are atomic where another thread looks.
    const event = this._ring.loadDeviceEvent();
    const mode = (event >>> 16) & 3;
    if (mode === EventMode.Disable) return false;
    if (mode !== EventMode.Descriptor || !this._eventIndex) return true;
    // Also when others passed the event before. QEMU's network adapter (7.2 and 10) goes on after a full socket with an
    // event where it begins, takes all there is and leaves the event behind it: it would hear of nothing more. A driver may
    // always notify, and a device that is at work has turned notifications off.
    return !isAhead(event & 0xffff, this.position);
  }

  reap(): Cookie | undefined {
    if (this._inOrder) return this._reapInOrder();
    const id = this._lookForUsed();
    if (id < 0) return undefined;
    this._nextId[id] = this._freeId;
    this._freeId = id;
    return this._take(id);
  }

  enableInterrupts(): boolean {
    return this.enableInterruptsAfter(1);
  }

  /**
   * With EVENT_IDX the event is a descriptor, and which chains come back first is the device's choice: the interrupt is
   * asked for where `count` of the shortest chains end, which may be early. It is late only for chains that are added
   * later and are shorter than all before.
   */
  enableInterruptsAfter(count: number): boolean {
    if (this._eventIndex) {
      // Chains that are yet to come may have one descriptor each.
      const least = count > this._inFlight ? 1 : this._shortest;
      const ahead = Math.min((count - 1) * least, this.size - 1);
      const place = movePlace(this._usedSlot | (this._usedLap === 0 ? 0 : wrapBit), ahead, this.size);
      this._ring.storeDriverEvent(place | (EventMode.Descriptor << 16));
    } else this._ring.storeDriverEvent(EventMode.Enable << 16);
    // A chain that was used before the device could see this is not announced; look again.
    const nothing = this._broken || !this._areUsed(count);
    this._promised = !nothing;
    return nothing;
  }

  disableInterrupts(): void {
    this._ring.storeDriverEvent(EventMode.Disable << 16);
  }

  detachAll(keepsTables = false): Cookie[] {
    this._broken = true;
    const cookies: Cookie[] = [];
    for (let id = 0; id < this.size; id++) {
      if (this._length[id] === 0) continue;
      this._length[id] = 0;
      cookies.push(this._cookies[id] as Cookie);
      this._cookies[id] = undefined;
    }
    this._inFlight = 0;
    this._tables.forget(keepsTables);
    return cookies;
  }

  /** Writes a chain into the ring, but for its first last word, which it returns. */
  private _addDirect(pieces: ChainPieces, id: number): number {
    const { count, readableCount, addresses, lengths } = pieces;
    const words = this._words;
    let slot = this._slot;
    let lap = this._lap;
    let room = 0;
    let headWord = 0;
    // `| 0` says that numbers stay small: the compiler then checks no sum for overflow.
    const end = (count - 1) | 0;
    for (let piece = 0; piece <= end; piece = (piece + 1) | 0) {
      const length = lengths[piece];
      let last = lap | id;
      if (piece < end) last |= nextWord;
      if (piece >= readableCount) {
        last |= writeWord;
        room += length;
      }
      const at = (this._start + (slot << 2)) | 0;
      writePlace(words, at, addresses[piece], length);
      if (piece === 0) headWord = last;
      else words[(at + 3) | 0] = swapsPackedWords ? swap32(last) : last;
      slot = (slot + 1) | 0;
      if (slot === this.size) {
        slot = 0;
        lap ^= ownerFlags;
      }
    }
    this._slot = slot;
    this._lap = lap;
    this._room[id] = room;
    return headWord;
  }

  /** The same as a table: one descriptor in the ring. In tables WRITE is the only flag (§2.8.19). */
  private _addTable(pieces: ChainPieces, id: number): number {
    const { count, readableCount, addresses, lengths } = pieces;
    const table: DmaBlock = this._tables.tableFor(id, count);
    const words = table.region.words32;
    const at = table.offset >>> 2;
    let room = 0;
    for (let piece = 0; piece < count; piece = (piece + 1) | 0) {
      const length = lengths[piece];
      const isWritable = piece >= readableCount;
      if (isWritable) room += length;
      writePlace(words, at + 4 * piece, addresses[piece], length);
      const last = isWritable ? writeWord : 0;
      words[at + 4 * piece + 3] = swapsPackedWords ? swap32(last) : last;
    }
    const word = this._lap | id | (DescriptorFlag.Indirect << 16);
    writePlace(this._words, this._start + (this._slot << 2), table.address, count * descriptorSize);
    this._slot = (this._slot + 1) | 0;
    if (this._slot === this.size) {
      this._slot = 0;
      this._lap ^= ownerFlags;
    }
    this._room[id] = room;
    return word;
  }

  /** The id in the next used descriptor, or -1 when there is none. @throws ProtocolError */
  private _lookForUsed(): number {
    if (this._inFlight === 0 || this._broken) return -1;
    const at = (this._start + (this._usedSlot << 2)) | 0;
    const word = this._ring.loadFlags((at + 3) | 0);
    if ((word & ownerFlags) !== this._usedLap) {
      if (this._promised) throw this._violation("used-descriptor-changed", undefined, `slot ${this._usedSlot}`);
      return -1;
    }
    this._promised = false;
    const id = word & 0xffff;
    if (id >= this.size) throw this._violation("used-id-out-of-range", undefined, `id ${id} of ${this.size}`);
    if (this._length[id] === 0) throw this._violation("used-id-not-in-flight", id);
    const length = this._words[(at + 2) | 0];
    const written = swapsPackedWords ? swap32(length) : length;
    const room = this._room[id];
    // Without WRITE the length means nothing (§2.8.5); QEMU puts it there all the same, so what can be true is taken.
    if (written > room && (word & writeWord) !== 0 && !this._cutUsedLength)
      throw this._violation("used-length-too-large", id, `${written} of ${room} bytes`);
    this.usedLength = written > room ? room : written;
    return id;
  }

  /** §2.8.11: all chains up to the one that is named were used; those before it entirely. */
  private _reapInOrder(): Cookie | undefined {
    if (this._batchEnd < 0) {
      const id = this._lookForUsed();
      if (id < 0) return undefined;
      this._batchEnd = id;
      this._batchWritten = this.usedLength;
    }
    const id = this._oldest;
    if (id === this._batchEnd) {
      this.usedLength = this._batchWritten;
      this._batchEnd = -1;
    } else this.usedLength = this._room[id];
    this._oldest = this._nextId[id];
    return this._take(id);
  }

  /** Takes a chain back: the next used descriptor comes behind all of its own. */
  private _take(id: number): Cookie {
    const taken = this._length[id];
    let slot = (this._usedSlot + taken) | 0;
    if (slot >= this.size) {
      slot = (slot - this.size) | 0;
      this._usedLap ^= ownerFlags;
    }
    this._usedSlot = slot;
    this._length[id] = 0;
    this._free += taken;
    this._inFlight--;
    const cookie = this._cookies[id] as Cookie;
    this._cookies[id] = undefined;
    return cookie;
  }

  /** Whether so many chains were used and not reaped. What is wrong about them is `reap`'s to say. */
  private _areUsed(count: number): boolean {
    if (this._batchEnd >= 0) return true;
    let slot = this._usedSlot;
    let lap = this._usedLap;
    for (let seen = 0; seen < count; seen++) {
      if (seen >= this._inFlight) return false;
      const word = this._ring.loadFlags(this._start + 4 * slot + 3);
      if ((word & ownerFlags) !== lap) return false;
      const id = word & 0xffff;
      // In a batch there may be more than one, which is for `reap` to find out.
      if (this._inOrder || id >= this.size || this._length[id] === 0) return true;
      slot += this._length[id];
      if (slot >= this.size) {
        slot -= this.size;
        lap ^= ownerFlags;
      }
    }
    return true;
  }

  /** Breaks the queue and names why. */
  private _violation(code: ViolationCode, id?: number, detail?: string): ProtocolError {
    this._broken = true;
    this._promised = false;
    return ringViolation(this._observer, this.index, code, id, detail);
  }
}

/** Address and length of a descriptor. */
function writePlace(words: Uint32Array, at: number, address: number, length: number): void {
  const low = address >>> 0;
  const high = low === address ? 0 : (address - low) / word32Range;
  words[at] = swapsPackedWords ? swap32(low) : low;
  words[(at + 1) | 0] = swapsPackedWords ? swap32(high) : high;
  words[(at + 2) | 0] = swapsPackedWords ? swap32(length) : length;
}
