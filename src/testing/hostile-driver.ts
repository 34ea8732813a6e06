/**
 * A driver half that breaks the rules of split rings: it fills rings with chains that are mostly plausible and tricks
 * that are not. Structure-aware: each trick is one named way of being wrong, on an otherwise sound chain.
 */
import type { GuestMemory } from "../memory/index.js";
import { availableRingSize, DescriptorFlag, descriptorSize, indexAdd, usedRingSize } from "../virtqueue/index.js";
import {
  chainTricks,
  HostileChains,
  type HostileDriverOptions,
  type HostileEntry,
  type HostileRingDriver,
} from "./hostile-chains.js";
import type { HostileContent } from "./hostile-requests.js";
import type { SeededRandom } from "./seeded-random.js";

/** One way of being wrong. Some are allowed after all, and a device must take them. */
export const hostileTricks = [
  ...chainTricks,
  "next-past-table",
  "loop-to-start",
  "loop-to-itself",
  "head-past-table",
  "head-again",
  "index-jump",
  "index-back",
] as const;

/** The name of a trick. */
export type HostileTrick = (typeof hostileTricks)[number];

const { Next } = DescriptorFlag;

export class HostileDriver implements HostileRingDriver {
  readonly #memory: GuestMemory;
  readonly #options: HostileDriverOptions;
  readonly #random: SeededRandom;
  readonly #little: boolean;
  readonly #chains: HostileChains;
  #index: number;
  #free: number[] = [];

  constructor(memory: GuestMemory, options: HostileDriverOptions) {
    this.#memory = memory;
    this.#options = options;
    this.#random = options.random;
    this.#chains = new HostileChains(memory, options);
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
    this.#chains.begin();
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
    const entries = this.#chains.entriesOf(content);
    if (trick !== undefined) this.#chains.spoil(entries, trick);
    const negotiated = this.#options.indirect;
    const wantsTable = trick?.startsWith("indirect") === true || (negotiated && random.chance(0.5));
    return wantsTable ? this.#indirect(entries, trick) : this.#direct(entries, trick);
  }

  #direct(entries: HostileEntry[], trick: HostileTrick | undefined): number | undefined {
    if (this.#free.length < entries.length) return undefined;
    const places = this.#free.splice(0, entries.length);
    this.#link(entries, places, this.#options.size, trick);
    const table = this.#options.addresses.descriptors;
    for (const [index, entry] of entries.entries()) this.#write(table + places[index] * descriptorSize, entry);
    return places[0];
  }

  #indirect(entries: HostileEntry[], trick: HostileTrick | undefined): number | undefined {
    const head = this.#free.shift();
    if (head === undefined) return undefined;
    const random = this.#random;
    const filler = trick === "indirect-long" ? this.#options.size : 0;
    const count = entries.length + filler;
    const places = Array.from({ length: count }, (_, index) => index);
    if (random.chance(0.3)) places.splice(1, count, ...random.shuffle(places.slice(1)));
    this.#link(entries, places, count, trick);
    const table = this.#chains.take(count * descriptorSize, 16);
    for (const [index, entry] of entries.entries()) this.#write(table + places[index] * descriptorSize, entry);
    const outer = this.#chains.tableEntry(table, count, trick);
    this.#write(this.#options.addresses.descriptors + head * descriptorSize, outer);
    return head;
  }

  /** Connects entries at `places` of a table of `limit`. */
  #link(entries: HostileEntry[], places: readonly number[], limit: number, trick: HostileTrick | undefined): void {
    for (const [index, entry] of entries.entries()) {
      const isLast = index === entries.length - 1;
      entry.next = isLast ? this.#random.below(0x10000) : places[index + 1];
      if (!isLast) entry.flags |= Next;
    }
    const last = entries[entries.length - 1];
    if (trick === "next-past-table") {
      const any = entries[this.#random.below(entries.length)];
      any.flags |= Next;
      any.next = Math.min(0xffff, limit + this.#random.below(4));
    } else if (trick === "loop-to-start" || trick === "loop-to-itself") {
      last.flags |= Next;
      last.next = trick === "loop-to-start" ? places[0] : places[entries.length - 1];
    } else this.#chains.mislabel(entries, trick);
  }

  #write(at: number, entry: HostileEntry): void {
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
