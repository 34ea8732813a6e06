/**
 * What hostile drivers put into chains, whatever the ring's format: buffers in an arena, mostly as they should be, and
 * tricks that spoil what descriptors point to.
 */
import { InternalError } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";
import { DescriptorFlag, descriptorSize, type QueueOptions } from "../virtqueue/index.js";
import type { HostileContent } from "./hostile-requests.js";
import type { SeededRandom } from "./seeded-random.js";

/** A range of guest memory. */
export interface MemoryRange {
  readonly address: number;
  readonly size: number;
}

/** The ring to spoil, and how. */
export interface HostileDriverOptions extends Pick<QueueOptions, "size" | "addresses" | "endianness" | "indirect"> {
  random: SeededRandom;
  /** Where the ring starts, as {@link QueueOptions.startIndex}. */
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

/** A driver half that breaks rules. */
export interface HostileRingDriver {
  /** Makes the ring as a driver does before it gives it to the device. */
  prepareRings(): void;
  /** Makes chains of `contents` available. @returns the tricks that were used. */
  publish(contents: readonly HostileContent[]): readonly string[];
}

/** A descriptor before it is written. */
export interface HostileEntry {
  address: number;
  /** High word of the address when that is no safe integer. */
  high?: number;
  length: number;
  flags: number;
  next: number;
}

/** Ways of being wrong that rings of every format have. Some are allowed after all, and a device must take them. */
export const chainTricks = [
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
] as const;

const { Next, Write, Indirect } = DescriptorFlag;

/** Makes and spoils the entries of chains. */
export class HostileChains {
  readonly #memory: GuestMemory;
  readonly #options: HostileDriverOptions;
  readonly #random: SeededRandom;
  #bump = 0;

  constructor(memory: GuestMemory, options: HostileDriverOptions) {
    this.#memory = memory;
    this.#options = options;
    this.#random = options.random;
  }

  /** From the start of the arena again. */
  begin(): void {
    this.#bump = 0;
  }

  /** Entries for a content; at least one. */
  entriesOf(content: HostileContent): HostileEntry[] {
    const entries = [...this.readable(content.readable), ...this.writable(content.writable)];
    if (entries.length === 0) entries.push({ address: this.take(16), length: 16, flags: Write, next: 0 });
    return entries;
  }

  /** Spoils what the entries point to. */
  spoil(entries: HostileEntry[], trick: string): void {
    const random = this.#random;
    const any = entries[random.below(entries.length)];
    const { arena, vast, addresses } = this.#options;
    if (trick === "empty-descriptor") any.length = 0;
    else if (trick === "address-in-gap") this.misplace(any);
    else if (trick === "past-region-end") {
      any.address = arena.address + arena.size - random.below(64);
      any.length = 65 + random.below(0x1_0000);
    } else if (trick === "address-64-bit") any.high = 0x20_0000 + random.below(2 ** 32 - 0x20_0000);
    else if (trick === "readable-last") entries.push({ address: this.take(8), length: 8, flags: 0, next: 0 });
    else if (trick === "over-the-rings") {
      const parts = [addresses.descriptors, addresses.available, addresses.used];
      any.address = parts[random.below(3)];
    } else if (trick === "huge" && vast !== undefined) {
      const flags = random.chance(0.5) ? Write : 0;
      const pieces: HostileEntry[] = [];
      for (let bytes = 0; bytes < 2 ** 32; bytes += 2 ** 30) {
        pieces.push({ address: vast.address + 16 * random.below(64), length: 2 ** 30 - 2048, flags, next: 0 });
      }
      if (random.chance(0.8)) pieces.push({ ...pieces[0], length: 8192 + random.below(4096) });
      if (flags === Write) entries.push(...pieces);
      else entries.splice(random.chance(0.5) ? 0 : 1, 0, ...pieces);
    }
  }

  /** Spoils what the entries say of themselves. */
  mislabel(entries: readonly HostileEntry[], trick: string | undefined): void {
    const random = this.#random;
    const entry = entries[random.below(entries.length)];
    if (trick === "indirect-nested") entry.flags |= Indirect;
    if (trick === "indirect-unasked") entries[0].flags |= Indirect;
    if (trick === "random-flags") entry.flags = random.below(0x10000);
    if (trick !== "random-descriptor") return;
    entry.address = random.below(2 ** 32);
    entry.high = random.below(2 ** random.below(33));
    entry.length = random.below(2 ** 32);
    entry.flags = random.below(8);
    entry.next = random.below(0x10000);
  }

  /** The descriptor of a table of `count` entries. */
  tableEntry(address: number, count: number, trick: string | undefined): HostileEntry {
    const random = this.#random;
    const length = count * descriptorSize;
    const outer: HostileEntry = { address, length, flags: Indirect, next: random.below(4) };
    if (trick === "indirect-with-next") outer.flags |= Next;
    if (trick === "indirect-writable") outer.flags |= Write;
    if (trick === "indirect-odd-length") outer.length += 1 + random.below(15);
    if (trick === "indirect-empty") outer.length = 0;
    if (trick === "indirect-outside") this.misplace(outer);
    return outer;
  }

  /** Moves a buffer to where no memory is. */
  misplace(entry: HostileEntry): void {
    const { outside } = this.#options;
    entry.address = outside[this.#random.below(outside.length)];
    entry.length = Math.max(entry.length - (entry.length % descriptorSize), descriptorSize);
  }

  private readable(bytes: Uint8Array): HostileEntry[] {
    return this.#split(bytes.length).map(({ at, length }) => {
      const address = this.take(length);
      this.#memory.write(address, bytes.subarray(at, at + length));
      return { address, length, flags: 0, next: 0 };
    });
  }

  private writable(length: number): HostileEntry[] {
    return this.#split(length).map((piece) => {
      return { address: this.take(piece.length), length: piece.length, flags: Write, next: 0 };
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
  take(length: number, alignment = 1): number {
    const { arena } = this.#options;
    if (length > arena.size) throw new InternalError(`the arena is too small for ${length} bytes`);
    const start = Math.ceil((arena.address + this.#bump) / alignment) * alignment - arena.address;
    const at = start + length > arena.size ? 0 : start;
    this.#bump = at + length;
    return arena.address + at;
  }
}
