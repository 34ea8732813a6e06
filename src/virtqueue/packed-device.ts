/**
 * The device's half of a packed virtqueue, virtio 1.2 §2.8. Every field that the driver can change is read once, then
 * checked, then used. What breaks a rule is thrown as a named violation, once; the queue is broken after it.
 */
import { swap32 } from "../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../errors/index.js";
import { GuestMemory, type MemoryRegion, type Scatter } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import type { Chain } from "./chain.js";
import { PackedChains } from "./packed-chains.js";
import { EventMode, firstPlace, movePlace, PackedFlag, packedLayout, passesEvent, wrapBit } from "./packed-layout.js";
import { PackedRing, swapsPackedWords } from "./packed-ring.js";
import type { MovableQueueDevice, QueueDeviceOptions } from "./queue.js";
import { DescriptorFlag, descriptorSize, layoutAt, maxQueueSize, type RingAddresses } from "./ring-layout.js";
import { observePopped, observeUsed } from "./ring-trace.js";
import { ringViolation } from "./ring-violation.js";

/** Addresses above 2^53 are rounded when they become numbers: no memory lies there. */
const word32Range = 0x1_0000_0000;
/** Both flags that say whose a descriptor is, in a descriptor's last word. */
const ownerFlags = (PackedFlag.Available | PackedFlag.Used) << 16;
const availableWord = PackedFlag.Available << 16;
const usedWord = PackedFlag.Used << 16;
const nextWord = DescriptorFlag.Next << 16;
const writeWord = DescriptorFlag.Write << 16;
const indirectWord = DescriptorFlag.Indirect << 16;

/** A descriptor of a chain that an earlier server popped, as it wrote it down. */
export interface PackedDescriptor {
  readonly address: number;
  readonly length: number;
  readonly id: number;
  readonly flags: number;
}

/** One device half. Fields are `private` and not `#private`, which V8 loads more slowly. */
export class PackedDevice implements MovableQueueDevice {
  readonly index: number;
  readonly size: number;
  private readonly _indirect: boolean;
  private readonly _eventIndex: boolean;
  private readonly _observer: Observer | undefined;
  private readonly _chains: PackedChains;
  private _memory!: GuestMemory;
  private _ring!: PackedRing;
  private _words!: Uint32Array;
  private _start!: number;
  /** The region that the last buffer lay in: mostly the next one does too. */
  private _lastRegion!: MemoryRegion;
  /** Slot of the next descriptor to look at, and the owner flags that make it available. */
  private _slot: number;
  private _lap: number;
  /** Where the next used descriptor goes, and its owner flags. */
  private _usedSlot: number;
  private _usedLap: number;
  /** Descriptors from the oldest that was not yet given back visibly to the last that was popped. */
  private _taken: number;
  /** Descriptors that were given back since the last `publish`. */
  private _given = 0;
  /** The first of the used descriptors since then, which is held back; -1 for none. */
  private _heldSlot = -1;
  private _heldWord = 0;
  private _heldLength = 0;
  private _inFlight = 0;
  /** Descriptors of the chains in flight. */
  private _inFlightDescriptors = 0;
  private _broken: ViolationCode | undefined;
  /** `enableNotifications` saw an available descriptor, and `pop` has not looked since. */
  private _promised = false;

  /** @throws ProtocolError `packed-ring-size-invalid`, `ring-outside-memory`, `ring-misaligned` */
  constructor(memory: GuestMemory, options: QueueDeviceOptions) {
    const { index, size, startIndex: start = firstPlace, startUsedIndex: used = start } = options;
    this.index = index;
    this.size = size;
    this._indirect = options.indirect;
    this._eventIndex = options.eventIndex;
    this._observer = options.observer;
    this.move(memory, options.addresses);
    this._chains = new PackedChains();
    if ((start & ~wrapBit) >= size || (used & ~wrapBit) >= size) {
      const detail = `a ring of ${size} cannot stand at ${start & ~wrapBit} and ${used & ~wrapBit}`;
      throw ringViolation(this._observer, index, "ring-overrun", undefined, detail);
    }
    this._slot = start & ~wrapBit;
    this._lap = (start & wrapBit) === 0 ? usedWord : availableWord;
    this._usedSlot = used & ~wrapBit;
    this._usedLap = (used & wrapBit) === 0 ? 0 : ownerFlags;
    const lapped = (start & wrapBit) !== (used & wrapBit);
    // Popped by an earlier server and not given back. More than a lap cannot be: then nothing is taken from here on.
    this._taken = this._slot - this._usedSlot + (lapped ? size : 0);
    if (this._taken < 0 || this._taken > size) {
      const detail = `available at ${start}, used at ${used}, of ${size}`;
      throw ringViolation(this._observer, index, "ring-overrun", undefined, detail);
    }
  }

  move(memory: GuestMemory, addresses: RingAddresses): void {
    this._ring = new PackedRing(memory, this.index, this.size, addresses);
    this._words = this._ring.words;
    this._start = this._ring.start;
    this._memory = memory;
    this._lastRegion = memory.regions[0];
  }

  abandon(): void {
    const layout = packedLayout(this.size);
    // Zeros are available in no lap.
    this.move(GuestMemory.ofSize(layout.byteLength), layoutAt(layout, 0));
  }

  get inFlight(): number {
    return this._inFlight;
  }

  get broken(): ViolationCode | undefined {
    return this._broken;
  }

  get nextAvailable(): number {
    return this._slot | (this._lap === availableWord ? wrapBit : 0);
  }

  get nextUsed(): number {
    return this._usedSlot | (this._usedLap === 0 ? 0 : wrapBit);
  }

  get base(): number {
    const available = movePlace(this.nextAvailable, -this._inFlightDescriptors, this.size);
    return (available | (this.nextUsed << 16)) >>> 0;
  }

  /** Word `word` (0…3) of the descriptor in `slot` as it lies in the ring: for records of what was popped. */
  descriptorWord(slot: number, word: number): number {
    const value = this._words[this._start + 4 * slot + word];
    return swapsPackedWords ? swap32(value) : value;
  }

  pop(): Chain | undefined {
    if (this._broken !== undefined) return undefined;
    const at = (this._start + (this._slot << 2)) | 0;
    const last = this._ring.loadFlags((at + 3) | 0);
    if ((last & ownerFlags) !== this._lap) {
      if (this._promised) throw this._violation("available-descriptor-changed", undefined, `slot ${this._slot}`);
      return undefined;
    }
    this._promised = false;
    // Counted from what the driver has been given back: it has no descriptors for more. This bounds the work between
    // two calls of `publish`.
    const left = this.size - this._taken;
    if (left <= 0) throw this._violation("ring-overrun", undefined, `${this.size} descriptors are not used yet`);
    const chain = this._readChain(this._words, this._start, this._slot, this.size, this._lap, last, left);
    const { descriptors } = chain;
    this._taken += descriptors;
    let next = (this._slot + descriptors) | 0;
    if (next >= this.size) {
      next = (next - this.size) | 0;
      this._lap ^= ownerFlags;
    }
    this._slot = next;
    return chain;
  }

  /**
   * A chain that was popped in an earlier life of this ring and never pushed: its descriptors in the ring may be
   * overwritten. The position is behind it already. @throws ProtocolError as {@link PackedDevice.pop}
   */
  popAgain(descriptors: readonly PackedDescriptor[]): Chain {
    const words = new Uint32Array(4 * descriptors.length);
    for (const [index, { address, length, id, flags }] of descriptors.entries()) {
      const next = index < descriptors.length - 1 ? nextWord : 0;
      const low = address >>> 0;
      const kept = (flags & ~DescriptorFlag.Next & ~(ownerFlags >>> 16)) << 16;
      const last = kept | next | availableWord | id;
      const fields = [low, (address - low) / word32Range, length, last];
      for (const [word, value] of fields.entries()) words[4 * index + word] = swapsPackedWords ? swap32(value) : value;
    }
    const count = descriptors.length;
    if (count === 0 || count > this.size) throw new RangeError(`a chain cannot have ${count} descriptors`);
    const first = swapsPackedWords ? swap32(words[3]) : words[3];
    return this._readChain(words, 0, 0, this.size, availableWord, first, this.size);
  }

  /**
   * Makes every descriptor from the next used one to the next available one look as the driver left it: an earlier server
   * may have written used ones there that it never made visible.
   */
  scrub(): void {
    let slot = this._usedSlot;
    let lap = this._usedLap === 0 ? usedWord : availableWord;
    for (let left = this._taken; left > 0; left--) {
      this._ring.storeFlags(this._start + 4 * slot + 3, lap);
      if (++slot < this.size) continue;
      slot = 0;
      lap ^= ownerFlags;
    }
  }

  push(chain: Chain, written: number): void {
    this._give(chain, written);
    this._chains.end(chain);
  }

  retire(chain: Chain, written: number): void {
    this._give(chain, written);
    this._chains.forget(chain);
    chain.readable.clear();
    chain.writable.clear();
  }

  publish(): boolean {
    const slot = this._heldSlot;
    if (slot < 0) return false;
    const at = (this._start + (slot << 2)) | 0;
    this._words[(at + 2) | 0] = swapsPackedWords ? swap32(this._heldLength) : this._heldLength;
    this._ring.storeFlags((at + 3) | 0, this._heldWord);
    this._heldSlot = -1;
    const given = this._given;
    this._given = 0;
    this._taken -= given;
    // The store above comes before the load below; both are atomic where another thread looks.
    const event = this._ring.loadDriverEvent();
    const mode = (event >>> 16) & 3;
    if (mode === EventMode.Disable) return false;
    if (mode !== EventMode.Descriptor || !this._eventIndex) return true;
    return passesEvent(event & 0xffff, this.nextUsed, given, this.size);
  }

  enableNotifications(): boolean {
    const mode = this._eventIndex ? EventMode.Descriptor : EventMode.Enable;
    this._ring.storeDeviceEvent(this.nextAvailable | (mode << 16));
    // A chain that was added before the driver could see this is not announced; look again.
    const last = this._ring.loadFlags(this._start + 4 * this._slot + 3);
    const nothing = this._broken !== undefined || (last & ownerFlags) !== this._lap;
    this._promised = !nothing;
    return nothing;
  }

  disableNotifications(): void {
    this._ring.storeDeviceEvent(EventMode.Disable << 16);
  }

  private _give(chain: Chain, written: number): void {
    const slot = this._usedSlot;
    let last = this._usedLap | chain.head;
    if (written > 0) last |= writeWord;
    if (this._heldSlot < 0) {
      // The first of all is held back: before it is there the driver sees none of the others.
      this._heldSlot = slot;
      this._heldWord = last;
      this._heldLength = written;
    } else {
      const at = (this._start + (slot << 2)) | 0;
      this._words[(at + 2) | 0] = swapsPackedWords ? swap32(written) : written;
      this._words[(at + 3) | 0] = swapsPackedWords ? swap32(last) : last;
    }
    const { descriptors } = chain;
    let next = (slot + descriptors) | 0;
    if (next >= this.size) {
      next = (next - this.size) | 0;
      this._usedLap ^= ownerFlags;
    }
    this._usedSlot = next;
    this._given += descriptors;
    this._inFlightDescriptors -= descriptors;
    this._inFlight--;
    if (this._observer !== undefined) observeUsed(this._observer, this.index, chain.head, written);
  }

  /**
   * Reads a chain of the ring from `slot` on, whose first last word `first` was read already; at most `limit` descriptors.
   * All of a chain was made available before its first descriptor, and is so in its own lap.
   */
  private _readChain(
    words: Uint32Array,
    start: number,
    slot: number,
    size: number,
    lap: number,
    first: number,
    limit: number,
  ): Chain {
    const chain = this._chains.acquire();
    chain.readable.clear();
    chain.writable.clear();
    let place = slot;
    let owner = lap;
    let last = first;
    let count = 0;
    for (;;) {
      const at = (start + (place << 2)) | 0;
      // Each once: what the driver changes after them is not seen.
      const low = swapsPackedWords ? swap32(words[at]) : words[at];
      const high = swapsPackedWords ? swap32(words[(at + 1) | 0]) : words[(at + 1) | 0];
      const length = swapsPackedWords ? swap32(words[(at + 2) | 0]) : words[(at + 2) | 0];
      const address = high === 0 ? low : high * word32Range + low;
      count = (count + 1) | 0;
      if ((last & indirectWord) !== 0) {
        if (count > 1 || (last & nextWord) !== 0) throw this._violation("indirect-with-next", last & 0xffff);
        this._readTable(chain, address, length, last & 0xffff);
        break;
      }
      this._addPiece(chain, address, length, (last & writeWord) !== 0);
      if ((last & nextWord) === 0) break;
      if (count >= limit) {
        const detail = `more than ${limit} descriptors`;
        throw this._violation(limit === size ? "chain-too-long" : "ring-overrun", undefined, detail);
      }
      place = (place + 1) | 0;
      if (place === size) {
        place = 0;
        owner ^= ownerFlags;
      }
      const word = words[(start + (place << 2) + 3) | 0];
      last = swapsPackedWords ? swap32(word) : word;
      if ((last & ownerFlags) !== owner) throw this._violation("chain-not-available", undefined, `slot ${place}`);
    }
    // The id stands in the last descriptor (§2.8.6).
    const id = last & 0xffff;
    if (!this._chains.begin(chain, id)) throw this._violation("head-in-flight", id);
    chain.descriptors = count;
    this._inFlight++;
    this._inFlightDescriptors += count;
    if (this._observer !== undefined) observePopped(this._observer, this.index, chain);
    return chain;
  }

  private _addPiece(chain: Chain, address: number, length: number, isWritable: boolean): void {
    if (length === 0) throw this._violation("descriptor-empty");
    const { writable } = chain;
    if (!isWritable && writable.end > 0) throw this._violation("readable-after-writable");
    const scatter = isWritable ? writable : chain.readable;
    const bytes = scatter.byteLength + length;
    if (bytes >= word32Range) throw this._violation("chain-too-large");
    let region = this._lastRegion;
    if (address < region.base || address >= region.end) region = this._regionOf(address, length);
    if (length > region.end - address) {
      this._addSplit(scatter, address, length);
      return;
    }
    const piece = scatter.end;
    scatter.regions[piece] = region;
    scatter.offsets[piece] = address - region.base;
    scatter.lengths[piece] = length;
    scatter.end = (piece + 1) | 0;
    scatter.byteLength = bytes;
  }

  /** §2.8.7: all of a chain in a table, in order; WRITE is the only flag that counts there. */
  private _readTable(chain: Chain, address: number, byteLength: number, id: number): void {
    if (!this._indirect) throw this._violation("indirect-not-negotiated", id);
    if (byteLength === 0 || byteLength % descriptorSize !== 0) {
      throw this._violation("indirect-length", id, `${byteLength} bytes`);
    }
    const region = this._memory.findRange(address, byteLength);
    if (region === undefined) {
      throw this._violation("indirect-outside-memory", id, `0x${address.toString(16)} + ${byteLength} bytes`);
    }
    const count = byteLength / descriptorSize;
    if (count > maxQueueSize) throw this._violation("chain-too-long", id, `a table of ${count} descriptors`);
    const offset = address - region.base;
    // A table at no multiple of 4 is copied, every other one read in place.
    const inPlace = offset % 4 === 0 && region.words32.length > 0;
    const words = inPlace ? region.words32 : new Uint32Array(region.bytes.slice(offset, offset + byteLength).buffer);
    const end = ((inPlace ? offset >>> 2 : 0) + 4 * count) | 0;
    for (let at = (end - 4 * count) | 0; at < end; at = (at + 4) | 0) {
      const low = swapsPackedWords ? swap32(words[at]) : words[at];
      const high = swapsPackedWords ? swap32(words[(at + 1) | 0]) : words[(at + 1) | 0];
      const length = swapsPackedWords ? swap32(words[(at + 2) | 0]) : words[(at + 2) | 0];
      const last = swapsPackedWords ? swap32(words[(at + 3) | 0]) : words[(at + 3) | 0];
      const place = high === 0 ? low : high * word32Range + low;
      this._addPiece(chain, place, length, (last & writeWord) !== 0);
    }
  }

  private _regionOf(address: number, length: number): MemoryRegion {
    const region = this._memory.find(address);
    if (region === undefined)
      throw this._violation("address-outside-memory", undefined, `0x${address.toString(16)} + ${length} bytes`);
    this._lastRegion = region;
    return region;
  }

  /** Adds a descriptor that crosses regions that touch, one piece each. */
  private _addSplit(scatter: Scatter, address: number, length: number): void {
    for (let done = 0; done < length; ) {
      const region = this._regionOf(address + done, length - done);
      const step = Math.min(length - done, region.end - address - done);
      scatter.push(region, address + done - region.base, step);
      done += step;
    }
  }

  /** Breaks the queue and names why. */
  private _violation(code: ViolationCode, id?: number, detail?: string): ProtocolError {
    this._broken = code;
    this._promised = false;
    return ringViolation(this._observer, this.index, code, id, detail);
  }
}
