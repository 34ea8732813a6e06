/**
 * A packed ring in guest memory, as both halves use it: descriptors as 32-bit words, and the two event suppression
 * structures as one word each. The last word of a descriptor (id and flags) is what hands it over, so it is stored and
 * loaded with the ordering that the memory's sharing needs; within one thread plain accesses do.
 */
import { hostEndianness, swap32 } from "../bytes/index.js";
import { ProtocolError } from "../errors/index.js";
import type { GuestMemory } from "../memory/index.js";
import { eventAreaSize, isPackedQueueSize } from "./packed-layout.js";
import { descriptorSize, type RingAddresses } from "./ring-layout.js";
import { RingPart } from "./ring-part.js";

/** Packed rings are little-endian on every machine. */
export const swapsPackedWords = hostEndianness === "big";

export class PackedRing {
  /** The descriptors, four words each: address (low, high), length, id and flags. */
  readonly words: Uint32Array;
  /** Index in `words` of descriptor 0. */
  readonly start: number;
  /** Another thread or process sees the ring. */
  readonly shared: boolean;
  readonly #driverWords: Uint32Array;
  readonly #driverAt: number;
  readonly #deviceWords: Uint32Array;
  readonly #deviceAt: number;

  /** @throws ProtocolError `ring-outside-memory`, `ring-misaligned`, `packed-ring-size-invalid` */
  constructor(memory: GuestMemory, queue: number, size: number, addresses: RingAddresses) {
    if (!isPackedQueueSize(size))
      throw new ProtocolError("packed-ring-size-invalid", { queue, detail: `size ${size}` });
    const part = (name: string, address: number, bytes: number, alignment: number) =>
      new RingPart(memory, { address, size: bytes, alignment, endianness: "little", name, queue });
    const ring = part("descriptor ring", addresses.descriptors, descriptorSize * size, 16);
    const driver = part("driver area", addresses.available, eventAreaSize, 4);
    const device = part("device area", addresses.used, eventAreaSize, 4);
    this.words = ring.words32;
    this.start = ring.word32;
    this.shared = ring.shared || driver.shared || device.shared;
    this.#driverWords = driver.words32;
    this.#driverAt = driver.word32;
    this.#deviceWords = device.words32;
    this.#deviceAt = device.word32;
  }

  /** Reads a descriptor's last word: nothing that is read later is older than it. */
  loadFlags(at: number): number {
    const value = this.shared ? Atomics.load(this.words, at) : this.words[at];
    return swapsPackedWords ? swap32(value) : value;
  }

  /** Writes a descriptor's last word; all that was written before is visible before it. */
  storeFlags(at: number, value: number): void {
    const word = swapsPackedWords ? swap32(value) : value;
    if (this.shared) Atomics.store(this.words, at, word);
    else this.words[at] = word;
  }

  /** What the driver asks of the device: place in the low half, mode in the high half. */
  loadDriverEvent(): number {
    const value = this.shared ? Atomics.load(this.#driverWords, this.#driverAt) : this.#driverWords[this.#driverAt];
    return swapsPackedWords ? swap32(value) : value;
  }

  storeDriverEvent(value: number): void {
    const word = swapsPackedWords ? swap32(value) : value;
    if (this.shared) Atomics.store(this.#driverWords, this.#driverAt, word);
    else this.#driverWords[this.#driverAt] = word;
  }

  /** What the device asks of the driver. */
  loadDeviceEvent(): number {
    const value = this.shared ? Atomics.load(this.#deviceWords, this.#deviceAt) : this.#deviceWords[this.#deviceAt];
    return swapsPackedWords ? swap32(value) : value;
  }

  storeDeviceEvent(value: number): void {
    const word = swapsPackedWords ? swap32(value) : value;
    if (this.shared) Atomics.store(this.#deviceWords, this.#deviceAt, word);
    else this.#deviceWords[this.#deviceAt] = word;
  }
}
