/** Routes accesses of one address space to the windows that answer there. */
import { type AccessWidth, type RegisterWindow, readRegister, writeRegister } from "../bytes/index.js";
import type { ProcessorSpace } from "./bridge-description.js";

/** A range of addresses and what answers there. */
export interface DecodePiece {
  readonly space: ProcessorSpace;
  readonly base: number;
  readonly size: number;
  /** Offsets are from `base`. */
  readonly window: RegisterWindow;
}

interface Segment {
  readonly start: number;
  readonly end: number;
  readonly base: number;
  readonly window: RegisterWindow;
}

/** What nobody answers reads as (a PCI master abort). */
export function allOnes(width: AccessWidth): number {
  return width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff;
}

/** A window in which nobody answers. */
export const emptyWindow: RegisterWindow = {
  read8: () => 0xff,
  read16: () => 0xffff,
  read32: () => 0xffff_ffff,
  write8: () => {},
  write16: () => {},
  write32: () => {},
};

/**
 * An address space made of pieces. Where pieces overlap, the first in the list answers; where there is none, reads
 * give all ones and writes are dropped. An access that leaves its piece is nobody's.
 */
export class AddressDecoder implements RegisterWindow {
  #segments: readonly Segment[] = [];
  #last: Segment | undefined;

  constructor(pieces: readonly Omit<DecodePiece, "space">[] = []) {
    this.setPieces(pieces);
  }

  /** Replaces the whole map. */
  setPieces(pieces: readonly Omit<DecodePiece, "space">[]): void {
    const edges = new Set<number>();
    for (const piece of pieces) edges.add(piece.base).add(piece.base + piece.size);
    const sorted = [...edges].sort((a, b) => a - b);
    const segments: Segment[] = [];
    for (let index = 0; index + 1 < sorted.length; index++) {
      const start = sorted[index];
      const end = sorted[index + 1];
      const owner = pieces.find((piece) => piece.base <= start && piece.base + piece.size >= end);
      if (owner === undefined) continue;
      const before = segments.at(-1);
      if (
        before !== undefined &&
        before.end === start &&
        before.window === owner.window &&
        before.base === owner.base
      ) {
        segments[segments.length - 1] = { ...before, end };
      } else {
        segments.push({ start, end, base: owner.base, window: owner.window });
      }
    }
    this.#segments = segments;
    this.#last = undefined;
  }

  /** Somebody answers at `address`. */
  claims(address: number, width: AccessWidth = 1): boolean {
    return this.#find(address, width) !== undefined;
  }

  read8(offset: number): number {
    return this.#read(offset, 1);
  }

  read16(offset: number): number {
    return this.#read(offset, 2);
  }

  read32(offset: number): number {
    return this.#read(offset, 4);
  }

  write8(offset: number, value: number): void {
    this.#write(offset, 1, value);
  }

  write16(offset: number, value: number): void {
    this.#write(offset, 2, value);
  }

  write32(offset: number, value: number): void {
    this.#write(offset, 4, value);
  }

  #read(address: number, width: AccessWidth): number {
    const segment = this.#find(address, width);
    return segment === undefined ? allOnes(width) : readRegister(segment.window, address - segment.base, width);
  }

  #write(address: number, width: AccessWidth, value: number): void {
    const segment = this.#find(address, width);
    if (segment !== undefined) writeRegister(segment.window, address - segment.base, width, value);
  }

  #find(address: number, width: AccessWidth): Segment | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.start && address + width <= last.end) return last;
    const segments = this.#segments;
    let low = 0;
    let high = segments.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const segment = segments[middle];
      if (address < segment.start) high = middle - 1;
      else if (address >= segment.end) low = middle + 1;
      else if (address + width > segment.end) return undefined;
      else {
        this.#last = segment;
        return segment;
      }
    }
    return undefined;
  }
}
