/**
 * A driver half that breaks the rules of split rings: it fills rings with chains that are mostly plausible and tricks
 * that are not. Structure-aware: each trick is one named way of being wrong, on an otherwise sound chain.
 */
import { InternalError } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";
import {
  availableRingSize,
  DescriptorFlag,
  descriptorSize,
  indexAdd,
  type QueueOptions,
  usedRingSize,
} from "../virtqueue/index.js";
import type { HostileContent } from "./hostile-requests.js";
import type { SeededRandom } from "./seeded-random.js";

/** One way of being wrong. Some are allowed after all, and a device must take them. */
export const hostileTricks = [
  "next-past-table",
  "loop-to-start",
  "loop-to-itself",
  "empty-descriptor",
  "address-in-gap",
  "past-region-end",
  "address-64-bit",
  "readable-last",
  "huge",
  "indirect-unasked",
  "indirect-nested",
  "indirect-with-next",
  "indirect-odd-length",
  "indirect-empty",
  "indirect-outside",
  "indirect-long",
  "indirect-writable",
  "random-flags",
  "random-descriptor",
  "over-the-rings",
  "head-past-table",
  "head-again",
  "index-jump",
  "index-back",
] as const;

/** The name of a trick. */
export type HostileTrick = (typeof hostileTricks)[number];

/** A range of guest memory. */
export interface MemoryRange {
  readonly address: number;
  readonly size: number;
}

/** The ring to spoil, and how. */
export interface HostileDriverOptions extends Pick<QueueOptions, "size" | "addresses" | "endianness" | "indirect"> {
  random: SeededRandom;
  startIndex?: number;
  /** Where buffers and indirect tables go; used again from its start for each `publish`. May span touching regions. */
  arena: MemoryRange;
  /** Addresses where no memory is. */
  outside: readonly number[];
  /** A large range for chains of 2^32 bytes, 1 GiB or more; only its first page is written. Without it none are made. */
  vast?: MemoryRange;
  /** Probability that a chain is wrong. Default 0.2. */
  hostility?: number;
}

/** A descriptor before it is written. */
interface Entry {
  address: number;
  /** High word of the address when that is no safe integer. */
  high?: number;
  length: number;
  flags: number;
  next: number;
}

const { Next, Write, Indirect } = DescriptorFlag;

export class HostileDriver {
  readonly #memory: GuestMemory;
  readonly #options: HostileDriverOptions;
  readonly #random: SeededRandom;
  readonly #little: boolean;
  #index: number;
  #bump = 0;
  #free: number[] = [];

  constructor(memory: GuestMemory, options: HostileDriverOptions) {
    this.#memory = memory;
    this.#options = options;
    this.#random = options.random;
    this.#little = options.endianness === "little";
    this.#index = options.startIndex ?? 0;
  }

  /** Zeroes the rings and starts both indices, as a driver does before it gives the ring to the device. */
  prepareRings(): void {
    const { addresses, size } = this.#options;
    this.#memory.write(addresses.descriptors, new Uint8Array(size * descriptorSize));
    this.#memory.write(addresses.available, new Uint8Array(availableRingSize(size)));
    this.#memory.write(addresses.used, new Uint8Array(usedRingSize(size)));
    this.#word(addresses.available + 2, this.#index);
    this.#word(addresses.used + 2, this.#index);
    // Without EVENT_IDX these are noise, with it they are wishes: both are the device's to take.
    this.#word(addresses.available, this.#random.below(3) === 0 ? 1 : 0);
    this.#word(addresses.available + 4 + 2 * size, this.#random.below(0x10000));
  }

  /**
   * Makes chains of `contents` available and moves the index. Chains go to descriptors that this call did not use yet;
   * when those run out, the rest of the contents is left.
   * @returns the tricks that were used.
   */
  publish(contents: readonly HostileContent[]): HostileTrick[] {
    const { size, addresses, hostility = 0.2 } = this.#options;
    const random = this.#random;
    const tricks: HostileTrick[] = [];
    this.#bump = 0;
    this.#free = [];
    for (let descriptor = 0; descriptor < Math.min(size, 256); descriptor++) this.#free.push(descriptor);
    if (random.chance(0.5)) random.shuffle(this.#free);
    let added = 0;
    let lastHead = 0;
    for (const content of contents) {
      const trick = random.chance(hostility) ? hostileTricks[random.below(hostileTricks.length)] : undefined;
      let head = this.#chain(content, trick);
      if (head === undefined) break;
      if (trick === "head-past-table") head = size + random.below(0x10000 - size);
      if (trick === "head-again") head = lastHead;
      if (trick !== undefined) tricks.push(trick);
      this.#word(addresses.available + 4 + 2 * (indexAdd(this.#index, added) % size), head);
      lastHead = head;
      added++;
    }
    this.#index = indexAdd(this.#index, added);
    if (tricks.includes("index-jump")) this.#index = indexAdd(this.#index, size + random.below(0x8000));
    if (tricks.includes("index-back")) this.#index = indexAdd(this.#index, -1 - added - random.below(100));
    this.#word(addresses.available + 2, this.#index);
    return tricks;
  }

  /** Builds one chain. Returns its head; undefined when there are no descriptors left. */
  #chain(content: HostileContent, trick: HostileTrick | undefined): number | undefined {
    const random = this.#random;
    const entries = [...this.#readable(content.readable), ...this.#writable(content.writable)];
    if (entries.length === 0) entries.push({ address: this.#take(16), length: 16, flags: Write, next: 0 });
    if (trick !== undefined) this.#spoil(entries, trick);
    const negotiated = this.#options.indirect;
    const wantsTable = trick?.startsWith("indirect") === true || (negotiated && random.chance(0.5));
    return wantsTable ? this.#indirect(entries, trick) : this.#direct(entries, trick);
  }

  #direct(entries: Entry[], trick: HostileTrick | undefined): number | undefined {
    if (this.#free.length < entries.length) return undefined;
    const places = this.#free.splice(0, entries.length);
    this.#link(entries, places, this.#options.size, trick);
    const table = this.#options.addresses.descriptors;
    for (const [index, entry] of entries.entries()) this.#write(table + places[index] * descriptorSize, entry);
    return places[0];
  }

  #indirect(entries: Entry[], trick: HostileTrick | undefined): number | undefined {
    const head = this.#free.shift();
    if (head === undefined) return undefined;
    const random = this.#random;
    const filler = trick === "indirect-long" ? this.#options.size : 0;
    const count = entries.length + filler;
    const places = Array.from({ length: count }, (_, index) => index);
    if (random.chance(0.3)) places.splice(1, count, ...random.shuffle(places.slice(1)));
    this.#link(entries, places, count, trick);
    const table = this.#take(count * descriptorSize, 16);
    for (const [index, entry] of entries.entries()) this.#write(table + places[index] * descriptorSize, entry);
    const outer: Entry = { address: table, length: count * descriptorSize, flags: Indirect, next: random.below(4) };
    if (trick === "indirect-with-next") outer.flags |= Next;
    if (trick === "indirect-writable") outer.flags |= Write;
    if (trick === "indirect-odd-length") outer.length += 1 + random.below(15);
    if (trick === "indirect-empty") outer.length = 0;
    if (trick === "indirect-outside") this.#misplace(outer);
    this.#write(this.#options.addresses.descriptors + head * descriptorSize, outer);
    return head;
  }

  /** Connects entries at `places` of a table of `limit`. */
  #link(entries: Entry[], places: readonly number[], limit: number, trick: HostileTrick | undefined): void {
    for (const [index, entry] of entries.entries()) {
      const isLast = index === entries.length - 1;
      entry.next = isLast ? this.#random.below(0x10000) : places[index + 1];
      if (!isLast) entry.flags |= Next;
    }
    const last = entries[entries.length - 1];
    const any = entries[this.#random.below(entries.length)];
    if (trick === "next-past-table") {
      any.flags |= Next;
      any.next = Math.min(0xffff, limit + this.#random.below(4));
    } else if (trick === "loop-to-start" || trick === "loop-to-itself") {
      last.flags |= Next;
      last.next = trick === "loop-to-start" ? places[0] : places[entries.length - 1];
    } else if (trick === "indirect-nested") any.flags |= Indirect;
    else if (trick === "indirect-unasked") entries[0].flags |= Indirect;
    else if (trick === "random-flags") any.flags = this.#random.below(0x10000);
    else if (trick === "random-descriptor") {
      any.address = this.#random.below(2 ** 32);
      any.high = this.#random.below(2 ** this.#random.below(33));
      any.length = this.#random.below(2 ** 32);
      any.flags = this.#random.below(8);
      any.next = this.#random.below(0x10000);
    }
  }

  /** Spoils what the entries point to. */
  #spoil(entries: Entry[], trick: HostileTrick): void {
    const random = this.#random;
    const any = entries[random.below(entries.length)];
    const { arena, vast, addresses } = this.#options;
    if (trick === "empty-descriptor") any.length = 0;
    else if (trick === "address-in-gap") this.#misplace(any);
    else if (trick === "past-region-end") {
      any.address = arena.address + arena.size - random.below(64);
      any.length = 65 + random.below(0x1_0000);
    } else if (trick === "address-64-bit") any.high = 0x20_0000 + random.below(2 ** 32 - 0x20_0000);
    else if (trick === "readable-last") entries.push({ address: this.#take(8), length: 8, flags: 0, next: 0 });
    else if (trick === "over-the-rings") {
      const parts = [addresses.descriptors, addresses.available, addresses.used];
      any.address = parts[random.below(3)];
    } else if (trick === "huge" && vast !== undefined) {
      const flags = random.chance(0.5) ? Write : 0;
      const pieces: Entry[] = [];
      for (let bytes = 0; bytes < 2 ** 32; bytes += 2 ** 30) {
        pieces.push({ address: vast.address + 16 * random.below(64), length: 2 ** 30 - 2048, flags, next: 0 });
      }
      if (random.chance(0.8)) pieces.push({ ...pieces[0], length: 8192 + random.below(4096) });
      if (flags === Write) entries.push(...pieces);
      else entries.splice(random.chance(0.5) ? 0 : 1, 0, ...pieces);
    }
  }

  #misplace(entry: Entry): void {
    const { outside } = this.#options;
    entry.address = outside[this.#random.below(outside.length)];
    entry.length = Math.max(entry.length - (entry.length % descriptorSize), descriptorSize);
  }

  #readable(bytes: Uint8Array): Entry[] {
    return this.#split(bytes.length).map(({ at, length }) => {
      const address = this.#take(length);
      this.#memory.write(address, bytes.subarray(at, at + length));
      return { address, length, flags: 0, next: 0 };
    });
  }

  #writable(length: number): Entry[] {
    return this.#split(length).map((piece) => {
      return { address: this.#take(piece.length), length: piece.length, flags: Write, next: 0 };
    });
  }

  /** Cuts `length` bytes into up to four pieces. */
  #split(length: number): { at: number; length: number }[] {
    const pieces: { at: number; length: number }[] = [];
    for (let at = 0; at < length; ) {
      const left = length - at;
      const step = pieces.length === 3 || this.#random.chance(0.6) ? left : 1 + this.#random.below(left);
      pieces.push({ at, length: step });
      at += step;
    }
    return pieces;
  }

  /** Room in the arena, from its start again when it is full. */
  #take(length: number, alignment = 1): number {
    const { arena } = this.#options;
    if (length > arena.size) throw new InternalError(`the arena is too small for ${length} bytes`);
    const start = Math.ceil((arena.address + this.#bump) / alignment) * alignment - arena.address;
    const at = start + length > arena.size ? 0 : start;
    this.#bump = at + length;
    return arena.address + at;
  }

  #write(at: number, entry: Entry): void {
    const view = new DataView(new ArrayBuffer(descriptorSize));
    const little = this.#little;
    const high = entry.high ?? Math.floor(entry.address / 2 ** 32);
    view.setUint32(little ? 0 : 4, entry.address % 2 ** 32, little);
    view.setUint32(little ? 4 : 0, high, little);
    view.setUint32(8, entry.length, little);
    view.setUint16(12, entry.flags, little);
    view.setUint16(14, entry.next, little);
    this.#memory.write(at, new Uint8Array(view.buffer));
  }

  #word(address: number, value: number): void {
    const bytes = [value & 0xff, value >>> 8];
    this.#memory.write(address, Uint8Array.from(this.#little ? bytes : bytes.reverse()));
  }
}
