import { amigaone } from "./amigaone.js";
import { armVirt } from "./arm-virt.js";
import type { Board } from "./board.js";
import { pc } from "./pc.js";
import { pegasos2 } from "./pegasos2.js";
import { riscvVirt } from "./riscv-virt.js";

/** Every board by its name. */
export const boards: Readonly<Record<string, Board>> = {
  amigaone,
  pegasos2,
  pc,
  "riscv-virt": riscvVirt,
  "arm-virt": armVirt,
};

/** Of these, the ones with slots for PCI adapters. */
export const pciBoards: readonly Board[] = Object.values(boards).filter((board) => board.adapters !== undefined);

/** The board called `name`. @throws RangeError that lists the names, when there is none. */
export function boardNamed(name: string): Board {
  if (Object.hasOwn(boards, name)) return boards[name];
  throw new RangeError(`unknown machine "${name}": one of ${Object.keys(boards).join(", ")}`);
}
