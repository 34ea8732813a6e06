/**
 * A device half that breaks the rules of split rings: it completes what the driver made available, mostly as it should,
 * and sometimes not.
 */
import type { GuestMemory } from "../memory/index.js";
import { availableRingSize, descriptorSize, indexAdd, type QueueOptions } from "../virtqueue/index.js";
import type { SeededRandom } from "./seeded-random.js";

/** One way of being wrong. Scribbling is no violation that a driver can see; it must not do harm either. */
export const hostileDeviceTricks = [
  "id-past-table",
  "id-not-in-flight",
  "id-again",
  "length-too-large",
  "index-jump",
  "index-back",
  "scribble-descriptors",
  "scribble-available",
  "random-flags",
  "random-event",
] as const;

/** The name of a trick. */
export type HostileDeviceTrick = (typeof hostileDeviceTricks)[number];

/** The ring to spoil, and how. */
export interface HostileDeviceOptions extends Pick<QueueOptions, "size" | "addresses" | "endianness"> {
  random: SeededRandom;
  startIndex?: number;
  /** Probability that a step has a trick. Default 0.1. */
  hostility?: number;
}

/** A device half that breaks rules. */
export interface HostileRingDevice {
  /** Takes the next chain, after the driver published it. @param room bytes that may be written. */
  take(room: number): void;
  /** Completes up to `count` chains in random order, and perhaps plays a trick. @returns the trick. */
  step(count: number): string | undefined;
  /** What the last step completed looks as if it was not. */
  takeBack(): void;
}

export class HostileDevice implements HostileRingDevice {
  readonly #memory: GuestMemory;
  readonly #options: HostileDeviceOptions;
  readonly #random: SeededRandom;
  readonly #little: boolean;
  /** Heads that were made available and not completed, with the room that the driver says they have. */
  readonly #owned: { head: number; room: number }[] = [];
  #completed: number[] = [];
  #nextAvailable: number;
  #nextUsed: number;
  /** The used index before the last step. */
  #before = 0;

  constructor(memory: GuestMemory, options: HostileDeviceOptions) {
    this.#memory = memory;
    this.#options = options;
    this.#random = options.random;
    this.#little = options.endianness === "little";
    this.#nextAvailable = options.startIndex ?? 0;
    this.#nextUsed = this.#nextAvailable;
  }

  /** Takes the next chain off the available ring, after the driver added it. @param room bytes that may be written. */
  take(room: number): void {
    const { addresses, size } = this.#options;
    const slot = addresses.available + 4 + 2 * (this.#nextAvailable % size);
    const [first, second] = this.#memory.read(slot, 2);
    this.#owned.push({ head: this.#little ? first | (second << 8) : (first << 8) | second, room });
    this.#nextAvailable = indexAdd(this.#nextAvailable, 1);
  }

  /**
   * Completes up to `count` chains in random order, moves the used index, and perhaps plays a trick.
   * @returns the trick.
   */
  step(count: number): HostileDeviceTrick | undefined {
    const { size, addresses, hostility = 0.1 } = this.#options;
    const random = this.#random;
    const trick = random.chance(hostility) ? hostileDeviceTricks[random.below(hostileDeviceTricks.length)] : undefined;
    this.#before = this.#nextUsed;
    let added = 0;
    for (; added < count && this.#owned.length > 0; added++) {
      const [chain] = this.#owned.splice(random.below(this.#owned.length), 1);
      this.#element(added, chain.head, random.below(chain.room + 1));
      this.#completed.push(chain.head);
    }
    if (trick === "id-past-table") this.#element(added++, size + random.below(2 ** 32 - size), 0);
    else if (trick === "id-not-in-flight") this.#element(added++, random.below(size), 0);
    else if (trick === "id-again") this.#element(added++, this.#completed.at(-1) ?? 0, 0);
    else if (trick === "length-too-large" && this.#owned.length > 0) {
      const [chain] = this.#owned.splice(0, 1);
      this.#element(added++, chain.head, chain.room + 1 + random.below(2 ** 32 - chain.room - 1));
    } else if (trick === "scribble-descriptors") this.#scribble(addresses.descriptors, size * descriptorSize);
    else if (trick === "scribble-available") this.#scribble(addresses.available, availableRingSize(size));
    else if (trick === "random-flags") this.#word(addresses.used, random.below(0x10000));
    else if (trick === "random-event") this.#word(addresses.used + 4 + 8 * size, random.below(0x10000));
    this.#completed = this.#completed.slice(-4);
    this.#nextUsed = indexAdd(this.#nextUsed, added);
    if (trick === "index-jump")
      this.#nextUsed = indexAdd(this.#nextUsed, 1 + this.#owned.length + random.below(0x8000));
    if (trick === "index-back") this.#nextUsed = indexAdd(this.#nextUsed, -1 - random.below(0x4000));
    this.#word(addresses.used + 2, this.#nextUsed);
    return trick;
  }

  takeBack(): void {
    this.#word(this.#options.addresses.used + 2, this.#before);
  }

  #element(ahead: number, id: number, length: number): void {
    const { addresses, size } = this.#options;
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, id, this.#little);
    view.setUint32(4, length, this.#little);
    const slot = indexAdd(this.#nextUsed, ahead) % size;
    this.#memory.write(addresses.used + 4 + 8 * slot, new Uint8Array(view.buffer));
  }

  #scribble(address: number, length: number): void {
    const bytes = new Uint8Array(length);
    for (let index = 0; index < length; index++) bytes[index] = this.#random.below(256);
    this.#memory.write(address, bytes);
  }

  #word(address: number, value: number): void {
    const bytes = [value & 0xff, value >>> 8];
    this.#memory.write(address, Uint8Array.from(this.#little ? bytes : bytes.reverse()));
  }
}
