/** Where a 53C710 board's registers are in the kernel's address space: two pages a card, mapped once. */
import { type RegisterWindow, subWindow } from "../../bytes/index.js";
import { a4091Layout } from "../../ncr53c710/index.js";
import type { KernelSpace } from "./kernel-space.js";
import { pageFrame } from "./kernel-space.js";

/** Where the seed's driver takes a board to be that `autocon` did not find. */
export const a4091Fallback = { base: 0x4000_0000, size: 0x0100_0000 } as const;

/** A board with its pages. */
export interface MappedBoard {
  readonly base: number;
  /** Virtual address of the AUTOCONFIG page. */
  readonly config: number;
  /** Virtual address of the chip's registers. */
  readonly chip: number;
  /** The chip's registers, through the mapping. */
  readonly registers: RegisterWindow;
}

/** Maps boards. */
export class BoardMapper {
  readonly #space: KernelSpace;
  readonly #boards = new Map<number, MappedBoard>();

  constructor(space: KernelSpace) {
    this.#space = space;
  }

  /**
   * The pages of the board number `index`, mapped when it is first asked for.
   * @param place where it is, asked for only then
   * @returns undefined when there is no room in the kernel's map (ENOMEM).
   */
  map(index: number, place: () => number): MappedBoard | undefined {
    const known = this.#boards.get(index);
    if (known !== undefined) return known;
    const base = place();
    const config = this.#space.sptalloc(1, pageFrame(base));
    const chip = this.#space.sptalloc(1, pageFrame(base + a4091Layout.chip));
    if (config === 0 || chip === 0) return undefined;
    const board = { base, config, chip, registers: subWindow(this.#space, chip) };
    this.#boards.set(index, board);
    return board;
  }
}
