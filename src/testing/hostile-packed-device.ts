/** A device half that breaks the rules of packed rings: it uses what the driver made available, mostly as it should. */
import type { GuestMemory } from "../memory/index.js";
import { DescriptorFlag, descriptorSize, movePlace, PackedFlag, wrapBit } from "../virtqueue/index.js";
import type { HostileDeviceOptions, HostileRingDevice } from "./hostile-device.js";
import type { SeededRandom } from "./seeded-random.js";

/** One way of being wrong. Scribbling over areas is no violation that a driver can see; it must not do harm either. */
export const hostilePackedDeviceTricks = [
  "id-past-table",
  "id-not-in-flight",
  "id-again",
  "length-too-large",
  "length-without-write",
  "scribble-descriptors",
  "scribble-driver-area",
  "random-event",
] as const;

/** The name of a trick. */
export type HostilePackedDeviceTrick = (typeof hostilePackedDeviceTricks)[number];

/** A chain that was made available and not used. */
interface Owned {
  readonly id: number;
  readonly descriptors: number;
  readonly room: number;
}

export class HostilePackedDevice implements HostileRingDevice {
  readonly #memory: GuestMemory;
  readonly #options: HostileDeviceOptions;
  readonly #random: SeededRandom;
  readonly #owned: Owned[] = [];
  #completed: number[] = [];
  #available: number;
  #used: number;
  /** Where the last step began. */
  #before: number;

  constructor(memory: GuestMemory, options: HostileDeviceOptions) {
    this.#memory = memory;
    this.#options = options;
    this.#random = options.random;
    this.#available = options.startIndex ?? wrapBit;
    this.#used = this.#available;
    this.#before = this.#available;
  }

  take(room: number): void {
    const { size } = this.#options;
    let descriptors = 0;
    let flags: number = DescriptorFlag.Next;
    let id = 0;
    while ((flags & DescriptorFlag.Next) !== 0 && descriptors < size) {
      const view = this.#view(this.#available);
      id = view.getUint16(12, true);
      flags = view.getUint16(14, true);
      descriptors++;
      this.#available = movePlace(this.#available, 1, size);
    }
    this.#owned.push({ id, descriptors, room });
  }

  step(count: number): HostilePackedDeviceTrick | undefined {
    const { size, addresses, hostility = 0.1 } = this.#options;
    const random = this.#random;
    const tricks = hostilePackedDeviceTricks;
    const trick = random.chance(hostility) ? tricks[random.below(tricks.length)] : undefined;
    this.#before = this.#used;
    for (let done = 0; done < count && this.#owned.length > 0; done++) {
      const [chain] = this.#owned.splice(random.below(this.#owned.length), 1);
      this.#element(chain.id, random.below(chain.room + 1), chain.descriptors);
      this.#completed.push(chain.id);
    }
    if (trick === "id-past-table") this.#element(size + random.below(0x10000 - size), 0, 1);
    else if (trick === "id-not-in-flight") this.#element(random.below(size), 0, 1);
    else if (trick === "id-again") this.#element(this.#completed.at(-1) ?? 0, 0, 1);
    else if (trick?.startsWith("length") === true && this.#owned.length > 0) {
      const [chain] = this.#owned.splice(0, 1);
      const length = chain.room + 1 + random.below(2 ** 32 - chain.room - 1);
      this.#element(chain.id, length, chain.descriptors, trick === "length-too-large");
    } else if (trick === "scribble-descriptors") this.#scribble(addresses.descriptors, size * descriptorSize);
    else if (trick === "scribble-driver-area") this.#scribble(addresses.available, 4);
    else if (trick === "random-event") this.#scribble(addresses.used, 4);
    this.#completed = this.#completed.slice(-4);
    return trick;
  }

  takeBack(): void {
    const at = this.#options.addresses.descriptors + descriptorSize * (this.#before & ~wrapBit) + 15;
    const [flags] = this.#memory.read(at, 1);
    this.#memory.write(at, Uint8Array.of(flags ^ (PackedFlag.Used >>> 8)));
  }

  #view(place: number): DataView {
    const at = this.#options.addresses.descriptors + descriptorSize * (place & ~wrapBit);
    return new DataView(this.#memory.read(at, descriptorSize).buffer);
  }

  #element(id: number, length: number, descriptors: number, says = length > 0): void {
    const { addresses, size } = this.#options;
    const view = this.#view(this.#used);
    const owner = (this.#used & wrapBit) === 0 ? 0 : PackedFlag.Available | PackedFlag.Used;
    view.setUint32(8, length, true);
    view.setUint16(12, id, true);
    view.setUint16(14, owner | (says ? DescriptorFlag.Write : 0), true);
    this.#memory.write(addresses.descriptors + descriptorSize * (this.#used & ~wrapBit), new Uint8Array(view.buffer));
    this.#used = movePlace(this.#used, descriptors, size);
  }

  #scribble(address: number, length: number): void {
    const random = this.#random;
    this.#memory.write(
      address,
      Uint8Array.from({ length }, () => random.below(256)),
    );
  }
}
