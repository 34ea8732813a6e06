import { a3000 } from "./a3000.js";
import { a4000 } from "./a4000.js";
import { amigaone } from "./amigaone.js";
import { armVirt } from "./arm-virt.js";
import type { Board } from "./board.js";
import { pc } from "./pc.js";
import { pegasos2 } from "./pegasos2.js";
import { q35 } from "./q35.js";
import { riscvVirt } from "./riscv-virt.js";

/** Every board with places for virtio devices, by its name. */
export const boards: Readonly<Record<string, Board>> = {
  amigaone,
  pegasos2,
  pc,
  q35,
  "riscv-virt": riscvVirt,
  "arm-virt": armVirt,
};

/** Boards with a Zorro III bus, by name. */
export const zorroBoards: Readonly<Record<string, Board>> = { a4000, a3000 };

/** Of {@link boards}, the ones with slots for PCI adapters. */
export const pciBoards: readonly Board[] = Object.values(boards).filter((board) => board.adapters !== undefined);

/** The board called `name`. @throws RangeError that lists the names, when there is none. */
export function boardNamed(name: string): Board {
  const known = { ...boards, ...zorroBoards };
  if (Object.hasOwn(known, name)) return known[name];
  throw new RangeError(`unknown machine "${name}": one of ${Object.keys(known).join(", ")}`);
}
