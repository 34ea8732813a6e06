/** A driver half that breaks the rules of packed rings: chains that are mostly plausible, and tricks that are not. */
import type { GuestMemory } from "../memory/index.js";
import { DescriptorFlag, descriptorSize, PackedFlag, wrapBit } from "../virtqueue/index.js";
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
export const hostilePackedTricks = [
  ...chainTricks,
  "random-id",
  "id-again",
  "next-on-last",
  "all-next",
  "other-lap",
  "overrun",
] as const;

/** The name of a trick. */
export type HostilePackedTrick = (typeof hostilePackedTricks)[number];

const { Next, Write } = DescriptorFlag;
const { Available, Used } = PackedFlag;

export class HostilePackedDriver implements HostileRingDriver {
  readonly #memory: GuestMemory;
  readonly #options: HostileDriverOptions;
  readonly #random: SeededRandom;
  readonly #chains: HostileChains;
  #slot: number;
  #wrapped: boolean;
  /** Ids are used round and round, in some rings soon again. */
  readonly #ids: number;
  #id = 0;
  #lastId = 0;

  constructor(memory: GuestMemory, options: HostileDriverOptions) {
    this.#memory = memory;
    this.#options = options;
    this.#random = options.random;
    this.#chains = new HostileChains(memory, options);
    this.#ids = options.random.chance(0.3) ? 2 : options.size;
    const start = options.startIndex ?? wrapBit;
    this.#slot = start & ~wrapBit;
    this.#wrapped = (start & wrapBit) === 0;
  }

  prepareRings(): void {
    const { addresses, size } = this.#options;
    this.#memory.write(addresses.descriptors, new Uint8Array(size * descriptorSize));
    const random = this.#random;
    const event = Uint8Array.from({ length: 4 }, (_, at) => (at === 2 ? random.below(4) : random.below(256)));
    this.#memory.write(addresses.available, event);
    this.#memory.write(addresses.used, new Uint8Array(4));
  }

  publish(contents: readonly HostileContent[]): HostilePackedTrick[] {
    const { size, hostility = 0.2 } = this.#options;
    const random = this.#random;
    const tricks: HostilePackedTrick[] = [];
    this.#chains.begin();
    let left = size;
    for (const content of contents) {
      const trick = random.chance(hostility)
        ? hostilePackedTricks[random.below(hostilePackedTricks.length)]
        : undefined;
      const entries = this.#entries(content, trick);
      if (entries.length > left) break;
      left -= entries.length;
      if (trick !== undefined) tricks.push(trick);
      if (trick === "all-next") this.#fillLap(entries[0], Next);
      else this.#place(entries, trick);
    }
    return tricks;
  }

  /** The descriptors that a chain has in the ring. */
  #entries(content: HostileContent, trick: HostilePackedTrick | undefined): HostileEntry[] {
    const random = this.#random;
    const entries = this.#chains.entriesOf(content);
    if (trick !== undefined) this.#chains.spoil(entries, trick);
    this.#chains.mislabel(entries, trick);
    const wantsTable = trick?.startsWith("indirect") === true || (this.#options.indirect && random.chance(0.5));
    const chain = wantsTable ? [this.#table(entries, trick)] : entries;
    for (const [index, entry] of chain.entries()) if (index < chain.length - 1) entry.flags |= Next;
    const last = chain[chain.length - 1];
    if (trick === "next-on-last") last.flags |= Next;
    return chain;
  }

  /** All of a chain in a table. Flags other than WRITE mean nothing there, so some are set. */
  #table(entries: readonly HostileEntry[], trick: HostilePackedTrick | undefined): HostileEntry {
    const random = this.#random;
    const long = trick === "indirect-long" ? Array.from({ length: this.#options.size }, () => entries[0]) : [];
    const all = [...entries, ...long];
    const table = this.#chains.take(all.length * descriptorSize, 16);
    for (const [index, entry] of all.entries()) {
      const noise = random.chance(0.3) ? random.below(0x10000) & ~Write : 0;
      this.#write(table + index * descriptorSize, entry, entry.flags | noise, random.below(0x10000));
    }
    return this.#chains.tableEntry(table, all.length, trick);
  }

  /** Puts a chain into the ring, its first descriptor last. */
  #place(entries: readonly HostileEntry[], trick: HostilePackedTrick | undefined): void {
    const { addresses, size } = this.#options;
    const random = this.#random;
    const id = trick === "id-again" ? this.#lastId : trick === "random-id" ? random.below(0x10000) : this.#id;
    this.#id = (this.#id + 1) % this.#ids;
    this.#lastId = id;
    const places = entries.map(() => {
      const place = { slot: this.#slot, owner: this.#wrapped ? Used : Available };
      this.#slot = (this.#slot + 1) % size;
      if (this.#slot === 0) this.#wrapped = !this.#wrapped;
      return place;
    });
    const forgotten = trick === "other-lap" ? random.below(entries.length) : -1;
    for (let index = entries.length - 1; index >= 0; index--) {
      const { slot, owner } = places[index];
      const flags = entries[index].flags | (index === forgotten ? owner ^ (Available | Used) : owner);
      this.#write(addresses.descriptors + slot * descriptorSize, entries[index], flags, id);
    }
    if (trick === "overrun") this.#fillLap(entries[0], 0);
  }

  /** Makes every descriptor of the ring available, whoever has it. */
  #fillLap(entry: HostileEntry, flag: number): void {
    const { addresses, size } = this.#options;
    let wrapped = this.#wrapped;
    for (let step = 0, slot = this.#slot; step < size; step++) {
      const flags = (entry.flags & Write) | flag | (wrapped ? Used : Available);
      this.#write(addresses.descriptors + slot * descriptorSize, entry, flags, step);
      slot = (slot + 1) % size;
      if (slot === 0) wrapped = !wrapped;
    }
  }

  #write(at: number, entry: HostileEntry, flags: number, id: number): void {
    const view = new DataView(new ArrayBuffer(descriptorSize));
    view.setUint32(0, entry.address % 2 ** 32, true);
    view.setUint32(4, entry.high ?? Math.floor(entry.address / 2 ** 32), true);
    view.setUint32(8, entry.length, true);
    view.setUint16(12, id, true);
    view.setUint16(14, flags, true);
    this.#memory.write(at, new Uint8Array(view.buffer));
  }
}
