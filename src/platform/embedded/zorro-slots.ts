/** The Zorro bus of a board and its slots: pieces of the processor's address space, and A4091s with their targets. */
import { readRegister, windowOf, writeRegister } from "../../bytes/index.js";
import type { Board } from "../../machine/index.js";
import type { GuestMemory } from "../../memory/index.js";
import { A4091Board, type A4091Options, attachScsiBus, ScsiWire, type TargetOptions } from "../../ncr53c710/index.js";
import type { Observer } from "../../observe/index.js";
import type { DecodePiece } from "../../pci/index.js";
import type { ScsiBus } from "../../scsi/index.js";
import { type ZorroBoard, ZorroBus } from "../../zorro/index.js";

/** How an A4091 is plugged in. */
export interface EmbeddedA4091Options extends A4091Options {
  /** SCSI id of the board, which no target can have. Default 7, as its switches say when all are off. */
  readonly hostId?: number;
  /** How its targets behave. */
  readonly target?: TargetOptions;
}

/** The slots of one board. */
export class ZorroSlots {
  /** Undefined on a board without Zorro. */
  readonly bus: ZorroBus | undefined;
  /** For the processor's address decoder. */
  readonly pieces: readonly DecodePiece[];
  readonly #board: Board;
  readonly #memory: GuestMemory;
  readonly #observer: Observer | undefined;
  readonly #adapters: A4091Board[] = [];
  #used = 0;

  constructor(board: Board, memory: GuestMemory, observer?: Observer) {
    const { zorro } = board;
    this.#board = board;
    this.#memory = memory;
    this.#observer = observer;
    if (zorro === undefined) {
      this.pieces = [];
      return;
    }
    const bus = new ZorroBus({ observer });
    this.bus = bus;
    const ranges = [
      ...zorro.configAreas.map(({ base }) => ({ base, size: zorro.configAreaSize })),
      { base: zorro.space.start, size: zorro.space.end - zorro.space.start },
    ];
    this.pieces = ranges.map(({ base, size }) => ({
      ...{ space: "memory", base, size },
      window: windowOf(
        (offset, width) => readRegister(bus.space, base + offset, width),
        (offset, width, value) => writeRegister(bus.space, base + offset, width, value),
      ),
    }));
  }

  /** @throws RangeError when there is no slot left. */
  plug(board: ZorroBoard): void {
    this.#takeSlot().plug(board);
  }

  /** @throws RangeError when there is no slot left, or the id is none. */
  plugA4091(scsi: ScsiBus, options: EmbeddedA4091Options): A4091Board {
    const { hostId = 7, target, ...rest } = options;
    if (!Number.isInteger(hostId) || hostId < 0 || hostId > 7) {
      throw new RangeError(`a SCSI id is within 0…7, got ${hostId}`);
    }
    const zorro = this.#takeSlot();
    const wire = new ScsiWire();
    attachScsiBus(wire, scsi, hostId, { observer: this.#observer, ...target });
    const dip = rest.dip ?? 0xf8 | hostId;
    const board = new A4091Board({ memory: this.#memory, zorro, wire }, { observer: this.#observer, ...rest, dip });
    zorro.plug(board);
    this.#adapters.push(board);
    return board;
  }

  /** Every board as after power-on; adapters stop for good. */
  close(): void {
    this.bus?.reset();
    for (const adapter of this.#adapters) adapter.close();
  }

  #takeSlot(): ZorroBus {
    const slots = this.#board.zorro?.slots ?? 0;
    if (this.bus === undefined || this.#used >= slots) {
      throw new RangeError(`${this.#board.name} has no free Zorro slot left`);
    }
    this.#used++;
    return this.bus;
  }
}
