/** The driver's indirect tables, one for each chain that may be in flight. */
import type { DmaBlock, DmaMemory } from "../memory/index.js";
import { descriptorSize } from "./ring-layout.js";

const fewest = 8;

export class IndirectTables {
  private readonly _dma: DmaMemory;
  private readonly _tables: (DmaBlock | undefined)[] = [];

  constructor(dma: DmaMemory) {
    this._dma = dma;
  }

  /** The table of a chain: made when first needed, replaced when a longer chain comes. */
  tableFor(chain: number, descriptors: number): DmaBlock {
    const table = this._tables[chain];
    const byteLength = descriptors * descriptorSize;
    if (table !== undefined && table.size >= byteLength) return table;
    let size = fewest * descriptorSize;
    while (size < byteLength) size *= 2;
    const larger = this._dma.allocate(size, 16);
    if (table !== undefined) this._dma.free(table);
    this._tables[chain] = larger;
    return larger;
  }

  /** Gives all memory back, or never uses it again: a device that did not reset may still read it. */
  forget(keepsMemory: boolean): void {
    if (!keepsMemory) for (const table of this._tables) if (table !== undefined) this._dma.free(table);
    this._tables.length = 0;
  }
}
