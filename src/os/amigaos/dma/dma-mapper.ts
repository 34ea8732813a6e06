/**
 * Exec's DMA calls: StartDMA finds the physical pieces of a program's buffer and lends it to the device, GetDMAList lists
 * them, EndDMA takes the buffer back. Where the machine's devices cannot reach that memory as it is (or a test wants to see
 * who touches what is lent), each piece is lent through the machine's own `share`.
 */
import { InternalError } from "../../../errors/index.js";
import { GuestDma, type SharedBuffer } from "../../../memory/index.js";
import { type ExecMemory, execPageSize } from "../exec/index.js";
import type { DmaList } from "./dma-list.js";

/** Flags of StartDMA and EndDMA. */
export const DmaFlag = {
  /** The device reads what the program wrote. */
  ReadFromRam: 1,
} as const;

/** How buffers are looked up; see `CommandBehaviour`. */
export interface MappingRules {
  readonly addresses: "physical" | "virtual";
  readonly pages: "each" | "first";
}

const rightRules: MappingRules = { addresses: "physical", pages: "each" };

/** A loan of copies that is not over. */
interface Loan {
  readonly length: number;
  readonly shared: readonly SharedBuffer[];
}

/** The calls. Addresses are a program's. */
export class DmaMapper {
  readonly memory: ExecMemory;
  /** How often StartDMA was called. */
  starts = 0;
  readonly #rules: MappingRules;
  readonly #copies: boolean;
  readonly #loans = new Map<number, Loan[]>();
  #direct = 0;

  /** @param rules other than the right ones only to show what goes wrong then. */
  constructor(memory: ExecMemory, rules: MappingRules = rightRules) {
    this.memory = memory;
    this.#rules = rules;
    const isRight = rules.addresses === "physical" && rules.pages === "each";
    this.#copies = isRight && !(memory.dma instanceof GuestDma);
  }

  /** Buffers that are lent now. */
  get loans(): number {
    let count = this.#direct;
    for (const loans of this.#loans.values()) count += loans.length;
    return count;
  }

  /**
   * Lends a buffer and puts its physical pieces into `list`.
   * @returns false, and nothing is lent, when there is no memory at one of its addresses or the list is too short.
   */
  startDma(address: number, length: number, flags: number, list: DmaList): boolean {
    this.starts++;
    list.clear();
    if (!this.memory.isMapped(address, length)) return false;
    if (this.#copies) return this.#startCopied(address, length, flags, list);
    if (!this.#collect(address, length, list)) return false;
    this.#direct++;
    return true;
  }

  /** Takes back what `startDma` lent. @throws InternalError when nothing was. */
  endDma(address: number, length: number): void {
    if (!this.#copies) {
      if (this.#direct === 0) throw new InternalError("EndDMA without StartDMA");
      this.#direct--;
      return;
    }
    const loans = this.#loans.get(address);
    const at = loans?.findIndex((loan) => loan.length === length) ?? -1;
    if (loans === undefined || at < 0) throw new InternalError("EndDMA without StartDMA");
    const [{ shared }] = loans.splice(at, 1);
    if (loans.length === 0) this.#loans.delete(address);
    for (const buffer of shared) this.memory.dma.unshare(buffer);
  }

  /** Physical pieces of a buffer. */
  pieces(address: number, length: number): number {
    let count = 0;
    let end = -1;
    for (let done = 0; done < length; ) {
      const step = Math.min(length - done, execPageSize - ((address + done) % execPageSize));
      const physical = this.memory.physical(address + done);
      if (physical !== end) count++;
      end = physical + step;
      done += step;
    }
    return count;
  }

  /** Bytes at `address` that `pieces` pieces hold at most, out of `length`. */
  reach(address: number, length: number, pieces: number): number {
    let count = 0;
    let end = -1;
    for (let done = 0; done < length; ) {
      const step = Math.min(length - done, execPageSize - ((address + done) % execPageSize));
      const physical = this.memory.physical(address + done);
      if (physical < 0) return done;
      if (physical !== end && ++count > pieces) return done;
      end = physical + step;
      done += step;
    }
    return length;
  }

  #collect(address: number, length: number, list: DmaList): boolean {
    const { addresses, pages } = this.#rules;
    // What a driver does that takes the program's address for the device's, or the first page for all of them.
    if (addresses === "virtual") return list.push(address, length);
    if (pages === "first") return list.push(this.memory.physical(address), length);
    for (let done = 0; done < length; ) {
      const step = Math.min(length - done, execPageSize - ((address + done) % execPageSize));
      if (!list.push(this.memory.physical(address + done), step)) return false;
      done += step;
    }
    return true;
  }

  #startCopied(address: number, length: number, flags: number, list: DmaList): boolean {
    const direction = (flags & DmaFlag.ReadFromRam) !== 0 ? "to-device" : "from-device";
    const shared: SharedBuffer[] = [];
    const giveBack = () => {
      for (const buffer of shared) this.memory.dma.unshare(buffer);
    };
    try {
      for (let done = 0; done < length; ) {
        const step = this.#run(address + done, length - done);
        const buffer = this.memory.dma.share(this.#bytes(address + done, step), direction);
        shared.push(buffer);
        for (const segment of buffer.segments) {
          if (list.push(segment.address, segment.length)) continue;
          giveBack();
          return false;
        }
        done += step;
      }
    } catch (error) {
      giveBack();
      // Memory for copies ran out.
      if (error instanceof RangeError) return false;
      throw error;
    }
    const loans = this.#loans.get(address);
    const loan: Loan = { length, shared };
    if (loans === undefined) this.#loans.set(address, [loan]);
    else loans.push(loan);
    return true;
  }

  /** Bytes from `address` on, `most` at most, that follow each other physically. */
  #run(address: number, most: number): number {
    const first = this.memory.physical(address);
    let done = Math.min(most, execPageSize - (address % execPageSize));
    while (done < most && this.memory.physical(address + done) === first + done) {
      done += Math.min(most - done, execPageSize);
    }
    return done;
  }

  /** Bytes that follow each other physically. */
  #bytes(address: number, length: number): Uint8Array {
    const physical = this.memory.physical(address);
    const region = this.memory.memory.find(physical);
    if (region === undefined) throw new RangeError(`no memory at 0x${address.toString(16)}`);
    return region.bytes.subarray(physical - region.base, physical - region.base + length);
  }
}
