/** Where the driver half gets the pages that it puts into the balloon. */
import type { DmaBlock, DmaMemory } from "../../memory/index.js";
import { balloonPageSize } from "./protocol.js";

/** Memory that can do without some of its pages. */
export interface BalloonMemory {
  /** A page that nobody uses, by its number; undefined when there is none to spare. */
  take(): number | undefined;
  /** The page may be used again. */
  give(page: number): void;
}

/** Pages of a driver's DMA memory. */
export class DmaBalloonMemory implements BalloonMemory {
  readonly #dma: DmaMemory;
  readonly #blocks = new Map<number, DmaBlock>();

  constructor(dma: DmaMemory) {
    this.#dma = dma;
  }

  take(): number | undefined {
    let block: DmaBlock;
    try {
      block = this.#dma.allocate(balloonPageSize, balloonPageSize);
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
    const page = block.address / balloonPageSize;
    this.#blocks.set(page, block);
    return page;
  }

  give(page: number): void {
    const block = this.#blocks.get(page);
    if (block === undefined) return;
    this.#blocks.delete(page);
    this.#dma.free(block);
  }
}
