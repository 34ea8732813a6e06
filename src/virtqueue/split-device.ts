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
import type { MovableQueueDevice, QueueDeviceOptions } from "./queue.js";
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

/**
 * One device half. Fields are `private` and not `#private`, which V8 loads more slowly: 15 % of a round trip.
 */
export class SplitDevice implements MovableQueueDevice {
  readonly index: number;
  readonly size: number;
  private _memory!: GuestMemory;
  private readonly _indirect: boolean;
  private readonly _eventIndex: boolean;
  private readonly _notifyOnEmpty: boolean;
  private readonly _mask: number;
  private readonly _endianness: Endianness;
  /** The ring's byte order is not the host's. */
  private readonly _swap: boolean;
  // The parts' memory, taken apart: a load less for each access on the hot path.
  private _descriptorWords!: Uint32Array;
  private _descriptorBase!: number;
  private _available!: RingPart;
  private _availableWords!: Uint16Array;
  /** Index in `_availableWords` of ring entry 0. */
  private _availableEntries!: number;
  private _used!: RingPart;
  private _usedWords!: Uint32Array;
  /** Index in `_usedWords` of used element 0. */
  private _usedElements!: number;
  private _usedIndex!: Uint16Array;
  /** Index in `_usedIndex` of the used index. */
  private _usedIndexAt!: number;
  /** See {@link RingPart.plain}; both rings. */
  private _plain!: boolean;
  private readonly _observer: Observer | undefined;
  private readonly _chains: (Chain | undefined)[] = [];
  /** The region that the last buffer lay in: mostly the next one does too. */
  private _lastRegion!: MemoryRegion;
  private _nextAvailable: number;
  /** The available index as last read: entries before it are known to be there. */
  private _seenAvailable: number;
  private _nextUsed: number;
  private _publishedUsed: number;
  private _inFlight = 0;
  private _broken: ViolationCode | undefined;
  /** The available index that `enableNotifications` saw ahead of us, until `pop` has looked again; -1 for none. */
  private _promised = -1;

  /** @throws ProtocolError `ring-size-invalid`, `ring-outside-memory`, `ring-misaligned` */
  constructor(memory: GuestMemory, options: QueueDeviceOptions) {
    const { index, size, endianness, addresses } = options;
    if (!isQueueSize(size)) throw new ProtocolError("ring-size-invalid", { queue: index, detail: `size ${size}` });
    this.index = index;
    this.size = size;
    this._endianness = endianness;
    this._swap = endianness !== hostEndianness;
    this._indirect = options.indirect;
    this._eventIndex = options.eventIndex;
    this._notifyOnEmpty = options.notifyOnEmpty ?? false;
    this._mask = size - 1;
    this._observer = options.observer;
    const start = options.startIndex ?? 0;
    this._nextAvailable = start;
    this._seenAvailable = start;
    this._nextUsed = options.startUsedIndex ?? start;
    this._publishedUsed = this._nextUsed;
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
      new RingPart(memory, { address, size: bytes, alignment, endianness: this._endianness, name, queue: index });
    const descriptors = part("descriptor table", addresses.descriptors, descriptorSize * size, 16);
    const available = part("available ring", addresses.available, availableRingSize(size), 2);
    const used = part("used ring", addresses.used, usedRingSize(size), 4);
    this._memory = memory;
    this._descriptorWords = descriptors.words32;
    this._descriptorBase = descriptors.word32;
    this._available = available;
    this._availableWords = available.words16;
    this._availableEntries = available.word16 + 2;
    this._used = used;
    this._usedWords = used.words32;
    this._usedElements = used.word32 + 1;
    this._usedIndex = this._used.words16;
    this._usedIndexAt = this._used.word16 + 1;
    this._plain = this._available.plain && this._used.plain;
    this._lastRegion = memory.regions[0];
  }

  /** Lets go of the ring: nothing is popped from here on, and what is still pushed reaches nobody. */
  abandon(): void {
    const layout = compactLayout(this.size);
    this.move(GuestMemory.ofSize(layout.byteLength), layoutAt(layout, 0));
    this._available.store(1, this._nextAvailable);
    this._seenAvailable = this._nextAvailable;
  }

  get inFlight(): number {
    return this._inFlight;
  }

  get broken(): ViolationCode | undefined {
    return this._broken;
  }

  get nextAvailable(): number {
    return this._nextAvailable;
  }

  /** Position in the used ring: what the next pushed chain gets. */
  get nextUsed(): number {
    return this._nextUsed;
  }

  get base(): number {
    return indexAdd(this._nextAvailable, -this._inFlight);
  }

  pop(): Chain | undefined {
    if (this._nextAvailable === this._seenAvailable && !this._moreAvailable()) return undefined;
    const entry = this._availableWords[this._availableEntries + (this._nextAvailable & this._mask)];
    const head = this._swap ? swap16(entry) : entry;
    const chain = this._chainAt(head);
    this._nextAvailable = indexAdd(this._nextAvailable, 1);
    return chain;
  }

  /**
   * A chain that was popped in an earlier life of this ring and never pushed: it has its place in the available ring
   * behind it. @throws ProtocolError as {@link SplitDevice.pop}
   */
  popAgain(head: number): Chain {
    return this._chainAt(head);
  }

  private _chainAt(head: number): Chain {
    if (head >= this.size) throw this._violation("head-out-of-range", head, `descriptor ${head} of ${this.size}`);
    const chain = (this._chains[head] ??= new Chain(head));
    if (chain.inFlight) throw this._violation("head-in-flight", head);
    chain.readable.clear();
    chain.writable.clear();
    this._readTable(chain, this._descriptorWords, this._descriptorBase, head, this.size, false);
    chain.inFlight = true;
    this._inFlight++;
    if (this._observer !== undefined) observePopped(this._observer, this.index, chain);
    return chain;
  }

  push(chain: Chain, written: number): void {
    const swap = this._swap;
    const words32 = this._usedWords;
    const slot = this._usedElements + 2 * (this._nextUsed & this._mask);
    words32[slot] = swap ? swap32(chain.head) : chain.head;
    words32[slot + 1] = swap ? swap32(written) : written;
    this._nextUsed = indexAdd(this._nextUsed, 1);
    chain.inFlight = false;
    this._inFlight--;
    if (this._observer !== undefined) observeUsed(this._observer, this.index, chain.head, written);
  }

  retire(chain: Chain, written: number): void {
    this.push(chain, written);
    this._chains[chain.head] = undefined;
    chain.readable.clear();
    chain.writable.clear();
  }

  publish(): boolean {
    const now = this._nextUsed;
    const old = this._publishedUsed;
    if (now === old) return false;
    if (this._plain) this._usedIndex[this._usedIndexAt] = now;
    else this._used.store(1, now);
    this._publishedUsed = now;
    // Only looked at here: an index that jumped is `pop`'s to name, publishing never throws.
    if (this._notifyOnEmpty && this._inFlight === 0 && this._available.load(1) === this._nextAvailable) return true;
    // The index store above and the load below are a store-load pair: RingPart orders them where it matters.
    if (this._eventIndex) return needsEvent(this._available.load(2 + this.size), now, old);
    const flags = this._plain ? this._availableWords[this._availableEntries - 2] : this._available.load(0);
    return (flags & noInterruptFlag) === 0;
  }

  enableNotifications(): boolean {
    if (this._eventIndex) this._used.store(2 + 4 * this.size, this._nextAvailable);
    else this._used.store(0, 0);
    // §2.7.10.1: an entry that was added before the driver could see this is not announced; look again.
    const index = this._available.load(1);
    const nothing = this._broken !== undefined || index === this._nextAvailable;
    this._promised = nothing ? -1 : index;
    return nothing;
  }

  disableNotifications(): void {
    // With EVENT_IDX an avail_event that stays behind is the suppression.
    if (!this._eventIndex) this._used.store(0, noNotifyFlag);
  }

  private _moreAvailable(): boolean {
    if (this._broken !== undefined) return false;
    if (this._seenAvailable !== this._nextAvailable) return true;
    const index = this._plain ? this._availableWords[this._availableEntries - 1] : this._available.load(1);
    const count = indexDistance(index, this._nextAvailable);
    // Counted from what the driver has been given back: it has no descriptors for more. This bounds the work between two
    // calls of `publish`, also when a ring lies on itself and the device's own writes move the index.
    if (count > this.size || indexDistance(index, this._publishedUsed) > this.size)
      throw this._violation("avail-index-jump", undefined, `${count} entries in a queue of ${this.size}`);
    if (count === 0 && this._promised >= 0 && this._promised !== this._nextAvailable)
      throw this._violation("avail-index-jump", undefined, `the index went back from ${this._promised} to ${index}`);
    this._promised = -1;
    this._seenAvailable = index;
    return count > 0;
  }

  /**
   * Reads the descriptors of a chain from one table, the ring's or an indirect one, starting with number `first`. What was
   * read from the ring's table before is in the chain already. The table is a parameter that never changes, which is
   * what lets the compiler keep its address and length in registers.
   */
  private _readTable(
    chain: Chain,
    words: Uint32Array,
    table: number,
    first: number,
    limit: number,
    inner: boolean,
  ): void {
    const { head, readable, writable } = chain;
    const swap = this._swap;
    let region = this._lastRegion;
    let scatter = writable.end > 0 ? writable : readable;
    let pieces = scatter.end;
    let bytes = scatter.byteLength;
    let count = 0;
    // `| 0` says that numbers stay small: the compiler then checks no sum for overflow.
    let at = (table + (first << 2)) | 0;
    for (;;) {
      // Four loads, each once: what the driver changes after them is not seen.
      let low = words[at];
      let high = words[(at + 1) | 0];
      let length = words[(at + 2) | 0];
      let tail = words[(at + 3) | 0];
      if (swap) {
        const other = low;
        low = swap32(high);
        high = swap32(other);
        length = swap32(length);
        tail = swap16(tail & 0xffff) | (swap16(tail >>> 16) << 16);
      }
      const address = high === 0 ? low : high * word32Range + low;
      if ((tail & DescriptorFlag.Indirect) !== 0) {
        scatter.end = pieces;
        scatter.byteLength = bytes;
        this._lastRegion = region;
        if (inner) throw this._violation("indirect-nested", head);
        this._readIndirect(chain, address, length, tail);
        return;
      }
      if (length === 0) throw this._violation("descriptor-empty", head);
      if ((tail & DescriptorFlag.Write) !== 0) {
        if (scatter === readable) {
          readable.end = pieces;
          readable.byteLength = bytes;
          scatter = writable;
          pieces = 0;
          bytes = 0;
        }
      } else if (scatter === writable) throw this._violation("readable-after-writable", head);
      bytes += length;
      if (bytes >= word32Range) throw this._violation("chain-too-large", head);
      if (address < region.base || address >= region.end) region = this._regionOf(head, address, length);
      if (length <= region.end - address) {
        scatter.regions[pieces] = region;
        scatter.offsets[pieces] = address - region.base;
        scatter.lengths[pieces] = length;
        pieces = (pieces + 1) | 0;
      } else pieces = this._addSplit(head, scatter, pieces, address, length);
      if ((tail & DescriptorFlag.Next) === 0) break;
      count = (count + 1) | 0;
      if (count >= limit) throw this._violation("chain-too-long", head, `more than ${limit} descriptors`);
      const next = tail >>> 16;
      if (next >= limit) throw this._violation("next-out-of-range", head, `next ${next} of ${limit}`);
      at = (table + (next << 2)) | 0;
    }
    scatter.end = pieces;
    scatter.byteLength = bytes;
    this._lastRegion = region;
  }

  /** §2.7.5.3: the rest of a chain; a table at no multiple of 4 is copied, every other one read in place. */
  private _readIndirect(chain: Chain, address: number, byteLength: number, tail: number): void {
    const { head } = chain;
    if (!this._indirect) throw this._violation("indirect-not-negotiated", head);
    if ((tail & DescriptorFlag.Next) !== 0) throw this._violation("indirect-with-next", head);
    if (byteLength === 0 || byteLength % descriptorSize !== 0) {
      throw this._violation("indirect-length", head, `${byteLength} bytes`);
    }
    const region = this._memory.findRange(address, byteLength);
    if (region === undefined) {
      throw this._violation("indirect-outside-memory", head, `0x${address.toString(16)} + ${byteLength} bytes`);
    }
    // §2.7.5.3.1 forbids tables longer than the queue; drivers in the field make them, so only the format's own bound
    // is enforced.
    const limit = Math.min(byteLength / descriptorSize, maxQueueSize);
    const offset = address - region.base;
    if (offset % 4 === 0 && region.words32.length > 0) {
      this._readTable(chain, region.words32, offset / 4, 0, limit, true);
    } else {
      const copy = region.bytes.slice(offset, offset + limit * descriptorSize);
      this._readTable(chain, new Uint32Array(copy.buffer), 0, 0, limit, true);
    }
  }

  private _regionOf(head: number, address: number, length: number): MemoryRegion {
    const region = this._memory.find(address);
    if (region !== undefined) return region;
    throw this._violation("address-outside-memory", head, `0x${address.toString(16)} + ${length} bytes`);
  }

  /** Adds a descriptor that crosses regions that touch, one piece each. Returns the number of pieces. */
  private _addSplit(head: number, scatter: Scatter, pieces: number, address: number, length: number): number {
    let index = pieces;
    let done = 0;
    while (done < length) {
      const region = this._regionOf(head, address + done, length - done);
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
  private _violation(code: ViolationCode, head?: number, detail?: string): ProtocolError {
    this._broken = code;
    this._seenAvailable = this._nextAvailable;
    return ringViolation(this._observer, this.index, code, head, detail);
  }
}
