/**
 * One part of a ring (descriptor table, available or used ring) in guest memory. Index and event fields are read and
 * written here with the ordering that the memory's sharing needs: `Atomics` gives acquire, release and the full barrier
 * between publishing an index and reading the peer's event field (virtio 1.2 §2.7.13.4.1); within one thread plain
 * accesses do.
 */
import { type Endianness, hostEndianness, swap16 } from "../bytes/index.js";
import { ProtocolError } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";

export class RingPart {
  readonly view: DataView;
  /** Byte offset of the part in `view`. */
  readonly offset: number;
  readonly #words: Uint16Array;
  readonly #word: number;
  readonly #swap: boolean;
  readonly #shared: boolean;

  /** @throws ProtocolError `ring-outside-memory`, `ring-misaligned` */
  constructor(
    memory: GuestMemory,
    place: { address: number; size: number; alignment: number; endianness: Endianness; name: string; queue: number },
  ) {
    const { address, size, alignment, queue } = place;
    const detail = `${place.name} at 0x${address.toString(16)}, ${size} bytes`;
    if (address % alignment !== 0) throw new ProtocolError("ring-misaligned", { queue, detail });
    const region = memory.findRange(address, size);
    if (region === undefined) throw new ProtocolError("ring-outside-memory", { queue, detail });
    this.view = region.view;
    this.offset = address - region.base;
    this.#words = region.words;
    this.#word = this.offset >>> 1;
    this.#swap = place.endianness !== hostEndianness;
    this.#shared = region.shared;
  }

  /** Reads the 16-bit word number `index` of the part. */
  load(index: number): number {
    const at = this.#word + index;
    const value = this.#shared ? Atomics.load(this.#words, at) : this.#words[at];
    return this.#swap ? swap16(value) : value;
  }

  /** Writes the 16-bit word number `index` of the part; what was written before is visible before it. */
  store(index: number, value: number): void {
    const at = this.#word + index;
    const word = this.#swap ? swap16(value) : value;
    if (this.#shared) Atomics.store(this.#words, at, word);
    else this.#words[at] = word;
  }
}
