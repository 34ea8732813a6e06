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
  /** The part's memory as 32-bit words in host order, for descriptors and used elements. */
  readonly words32: Uint32Array;
  /** Index of the part's first word in `words32`, if it starts at one. */
  readonly word32: number;
  /** The ring's byte order is not the host's. */
  readonly swap: boolean;
  /** The same as 16-bit words, for ring entries, indices and event fields. */
  readonly words16: Uint16Array;
  /** Index of the part's first word in `words16`. */
  readonly word16: number;
  /** One thread, host byte order: plain accesses to the words do. Queues ask for this before they call. */
  readonly plain: boolean;
  /** Another thread or process sees it. */
  readonly shared: boolean;

  /** @throws ProtocolError `ring-outside-memory`, `ring-misaligned` */
  constructor(
    memory: GuestMemory,
    place: { address: number; size: number; alignment: number; endianness: Endianness; name: string; queue: number },
  ) {
    const { address, size, alignment, queue } = place;
    const detail = `${place.name} at 0x${address.toString(16)}, ${size} bytes`;
    if (address % alignment !== 0) throw new ProtocolError("ring-misaligned", { queue, detail });
    const region = memory.findRange(address, size);
    if (region === undefined || region.base % 4 !== 0 || region.words32.length === 0)
      throw new ProtocolError("ring-outside-memory", { queue, detail });
    const offset = address - region.base;
    this.words16 = region.words;
    this.word16 = offset >>> 1;
    this.words32 = region.words32;
    this.word32 = offset >>> 2;
    this.swap = place.endianness !== hostEndianness;
    this.shared = region.shared;
    this.plain = !this.swap && !region.shared;
  }

  /** Reads the 16-bit word number `index` of the part. */
  load(index: number): number {
    const at = this.word16 + index;
    const value = this.shared ? Atomics.load(this.words16, at) : this.words16[at];
    return this.swap ? swap16(value) : value;
  }

  /** Writes the 16-bit word number `index` of the part; what was written before is visible before it. */
  store(index: number, value: number): void {
    const at = this.word16 + index;
    const word = this.swap ? swap16(value) : value;
    if (this.shared) Atomics.store(this.words16, at, word);
    else this.words16[at] = word;
  }
}
