/** The two FIFOs as test registers see them. Transfers of SCRIPTS pass by without being seen here. */

const lanes = 4;
const laneDepth = 16;
const scsiDepth = 8;

/** The DMA FIFO: four lanes of 16 bytes with parity. */
export class DmaFifo {
  readonly #bytes: number[][] = Array.from({ length: lanes }, () => []);

  clear(): void {
    for (const lane of this.#bytes) lane.length = 0;
  }

  get isEmpty(): boolean {
    return this.#bytes.every((lane) => lane.length === 0);
  }

  /** CTEST1: bits 7:4 lanes that are empty, bits 3:0 lanes that are full. */
  get flags(): number {
    let flags = 0;
    for (let lane = 0; lane < lanes; lane++) {
      if (this.#bytes[lane].length === 0) flags |= 0x10 << lane;
      if (this.#bytes[lane].length === laneDepth) flags |= 1 << lane;
    }
    return flags;
  }

  /** Pushes a byte with its parity bit; a full lane keeps what it has. */
  push(lane: number, value: number, parity: boolean): void {
    const bytes = this.#bytes[lane];
    if (bytes.length < laneDepth) bytes.push(value | (parity ? 0x100 : 0));
  }

  /** Whether a lane has nothing. */
  isLaneEmpty(lane: number): boolean {
    return this.#bytes[lane].length === 0;
  }

  /** The byte that comes next, without its parity; 0 when there is none. */
  front(lane: number): number {
    return (this.#bytes[lane][0] ?? 0) & 0xff;
  }

  /** Pops a byte with its parity in bit 8; an empty lane gives 0. */
  pop(lane: number): number {
    return this.#bytes[lane].shift() ?? 0;
  }
}

/** The SCSI FIFO: 8 bytes with parity. */
export class ScsiFifo {
  readonly #bytes: number[] = [];

  clear(): void {
    this.#bytes.length = 0;
  }

  get count(): number {
    return this.#bytes.length;
  }

  /** Pushes a byte; its parity bit makes the number of ones odd, or even. */
  push(value: number, even: boolean): void {
    if (this.#bytes.length >= scsiDepth) return;
    const parity = isOdd(value) === even;
    this.#bytes.push(value | (parity ? 0x100 : 0));
  }

  /** Pops a byte with its parity in bit 8; 0 when there is none. */
  pop(): number {
    return this.#bytes.shift() ?? 0;
  }
}

/** Whether a byte has an odd number of ones. */
export function isOdd(value: number): boolean {
  let bits = value ^ (value >> 4);
  bits ^= bits >> 2;
  return ((bits ^ (bits >> 1)) & 1) === 1;
}
