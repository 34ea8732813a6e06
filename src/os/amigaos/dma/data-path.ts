/** The memory path of a unit: its slots, and the loans of the synchronous path. */
import type { DmaBlock } from "../../../memory/index.js";
import type { ScsiRequest } from "../../../virtio/index.js";
import type { UnitDataPath } from "../device/slot-transfer.js";
import type { UnitAccess } from "../device/unit.js";
import { IoError } from "../exec/index.js";
import { DmaList } from "./dma-list.js";
import { DmaFlag, DmaMapper } from "./dma-mapper.js";
import { addPieces, TransferSlot } from "./transfer-slot.js";

/** Entries of the original's scatter list, request and response among them. */
const scatterEntries = 64;
/** What is copied at most for one command whose buffer has too many pieces. */
const largestCopy = 16 << 20;
/** Slots whose buffers are made at once; later ones are made when they are first used, and kept. */
const readySlots = 16;

/** A loan of the synchronous path. */
interface SynchronousLoan {
  readonly address: number;
  readonly length: number;
  readonly isWrite: boolean;
  /** Undefined: the buffer itself is mapped. */
  readonly copy: DmaBlock | undefined;
}

/** The path of one unit. */
export class AmigaDataPath implements UnitDataPath {
  readonly slots: readonly TransferSlot[];
  readonly mapper: DmaMapper;
  /** The synchronous path's list. */
  readonly list: DmaList;
  readonly #unit: UnitAccess;
  readonly #loans = new Map<ScsiRequest, SynchronousLoan>();

  /** @throws RangeError when memory is short; nothing is kept then. */
  constructor(unit: UnitAccess, slots: number) {
    const { commands } = unit.profile;
    this.#unit = unit;
    this.mapper = new DmaMapper(unit.memory, commands);
    this.list = new DmaList(commands.mostSegments);
    this.slots = Array.from({ length: slots }, () => new TransferSlot(unit, this.mapper));
    try {
      for (const slot of this.slots.slice(0, readySlots)) slot.prepare();
    } catch (error) {
      this.close(false);
      throw error;
    }
  }

  lend(scsi: ScsiRequest, address: number, length: number, isWrite: boolean): number {
    if (length === 0) return 0;
    const { commands } = this.#unit.profile;
    const { mapper, list } = this;
    if (!mapper.memory.isMapped(address, length)) {
      return commands.transferCheck === "before" ? IoError.BadAddress : IoError.Dma;
    }
    const loan = { address, length, isWrite };
    const segments = Math.min(list.capacity, this.#unit.limits.segments);
    const isWhole = commands.splitting === "none" || mapper.reach(address, length, segments) === length;
    if (isWhole && mapper.startDma(address, length, isWrite ? DmaFlag.ReadFromRam : 0, list)) {
      addPieces(scsi, list, isWrite);
      this.#loans.set(scsi, { ...loan, copy: undefined });
      return 0;
    }
    if (commands.splitting === "none") {
      if (commands.scatterBounds === "unchecked") {
        list.overrun += Math.max(0, mapper.pieces(address, length) - scatterEntries);
      }
      return IoError.Dma;
    }
    const copy = this.#copyOf(address, length, isWrite);
    if (copy === undefined) return IoError.Dma;
    if (isWrite) scsi.addOut(copy.address, length);
    else scsi.addIn(copy.address, length);
    this.#loans.set(scsi, { ...loan, copy });
    return 0;
  }

  takeBack(scsi: ScsiRequest, moved: number): void {
    const loan = this.#loans.get(scsi);
    if (loan === undefined) return;
    this.#loans.delete(scsi);
    const { address, length, isWrite, copy } = loan;
    if (copy === undefined) {
      this.mapper.endDma(address, length);
      return;
    }
    const { region, offset } = copy;
    if (!isWrite) this.mapper.memory.write(address, region.bytes.subarray(offset, offset + Math.min(moved, length)));
    this.mapper.memory.dma.free(copy);
  }

  close(keepsMemory: boolean): void {
    if (keepsMemory) return;
    for (const slot of this.slots) slot.close();
  }

  /** A copy in one piece of what a command cannot name in its pieces; undefined when there is no room. */
  #copyOf(address: number, length: number, isWrite: boolean): DmaBlock | undefined {
    if (length > largestCopy) return undefined;
    const { memory } = this.mapper;
    try {
      const copy = memory.dma.allocate(length);
      if (isWrite) copy.region.bytes.set(memory.read(address, length), copy.offset);
      return copy;
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }
}

/** Makes the memory path of a unit. @throws RangeError when memory is short. */
export function openDataPath(unit: UnitAccess, slots: number): AmigaDataPath {
  return new AmigaDataPath(unit, slots);
}
