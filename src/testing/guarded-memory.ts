/** Guest memory with guards: bytes around each region that nobody may touch, and that are looked at afterwards. */
import { InternalError } from "../errors/index.js";
import { GuestMemory, MemoryRegion } from "../memory/index.js";

/** Bytes of pattern before and after each region. */
const guardSize = 4096;
const guardByte = 0x6b;

/** A region to make. */
export interface GuardedRegion {
  /** Guest-physical address. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
}

export class GuardedMemory {
  readonly memory: GuestMemory;
  readonly #guards: Uint8Array[] = [];

  /**
   * @param make makes a region from the bytes between the guards. Default: a usual one.
   * @throws RangeError when regions overlap.
   */
  constructor(
    regions: readonly GuardedRegion[],
    make: (base: number, bytes: Uint8Array) => MemoryRegion = (base, bytes) => new MemoryRegion(base, bytes),
  ) {
    const made = regions.map(({ base, size }) => {
      const all = new Uint8Array(size + 2 * guardSize);
      for (const start of [0, guardSize + size]) {
        this.#guards.push(all.subarray(start, start + guardSize).fill(guardByte));
      }
      return make(base, all.subarray(guardSize, guardSize + size));
    });
    this.memory = new GuestMemory(made);
  }

  /** @throws InternalError when somebody wrote outside the memory. */
  check(): void {
    for (const guard of this.#guards) {
      for (const byte of guard) {
        if (byte !== guardByte) throw new InternalError("somebody wrote outside the guest's memory");
      }
    }
  }
}
