/**
 * The second of the two contracts through which the halves meet: the guest's physical memory, as regions at addresses.
 * Every address that comes from a peer goes through {@link GuestMemory.find}; what is not in a region is a violation.
 */
import { ProtocolError } from "../errors/index.js";
import { MemoryRegion } from "./region.js";

export class GuestMemory {
  readonly regions: readonly MemoryRegion[];
  #last: MemoryRegion;

  /** @throws RangeError when there is no region or two overlap. */
  constructor(regions: readonly MemoryRegion[]) {
    if (regions.length === 0) throw new RangeError("guest memory needs at least one region");
    const sorted = [...regions].sort((a, b) => a.base - b.base);
    for (let index = 1; index < sorted.length; index++) {
      if (sorted[index].base < sorted[index - 1].end) {
        throw new RangeError(
          `regions at 0x${sorted[index - 1].base.toString(16)} and 0x${sorted[index].base.toString(16)} overlap`,
        );
      }
    }
    this.regions = sorted;
    this.#last = sorted[0];
  }

  /** Plain private memory: one region of `size` bytes at `base`. */
  static ofSize(size: number, base = 0): GuestMemory {
    return new GuestMemory([new MemoryRegion(base, new Uint8Array(size))]);
  }

  /** The region that holds the byte at `address`, or undefined. */
  find(address: number): MemoryRegion | undefined {
    const last = this.#last;
    if (address >= last.base && address < last.end) return last;
    for (const region of this.regions) {
      if (address >= region.base && address < region.end) {
        this.#last = region;
        return region;
      }
    }
    return undefined;
  }

  /** The region that holds all of `length` bytes at `address`, or undefined. */
  findRange(address: number, length: number): MemoryRegion | undefined {
    const region = this.find(address);
    return region !== undefined && length <= region.end - address ? region : undefined;
  }

  /**
   * Copies bytes out of guest memory; crosses regions that touch.
   * @throws ProtocolError `address-outside-memory`
   */
  read(address: number, length: number): Uint8Array {
    const copy = new Uint8Array(length);
    this.#each(address, length, (region, offset, done, step) => {
      copy.set(region.bytes.subarray(offset, offset + step), done);
    });
    return copy;
  }

  /**
   * Copies bytes into guest memory; crosses regions that touch.
   * @throws ProtocolError `address-outside-memory`, before anything is written.
   */
  write(address: number, bytes: Uint8Array): void {
    this.#each(address, bytes.length, () => {});
    this.#each(address, bytes.length, (region, offset, done, step) => {
      region.bytes.set(bytes.subarray(done, done + step), offset);
    });
  }

  #each(
    address: number,
    length: number,
    visit: (region: MemoryRegion, offset: number, done: number, step: number) => void,
  ): void {
    let done = 0;
    while (done < length) {
      const region = this.find(address + done);
      if (region === undefined) {
        throw new ProtocolError("address-outside-memory", {
          detail: `0x${address.toString(16)} + ${length} bytes`,
        });
      }
      const offset = address + done - region.base;
      const step = Math.min(length - done, region.size - offset);
      visit(region, offset, done, step);
      done += step;
    }
  }
}
