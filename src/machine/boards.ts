import { amigaone } from "./amigaone.js";
import type { Board } from "./board.js";
import { pc } from "./pc.js";
import { pegasos2 } from "./pegasos2.js";

/** Every board by its name. */
export const boards: Readonly<Record<string, Board>> = { amigaone, pegasos2, pc };

/** The board called `name`. @throws RangeError that lists the names, when there is none. */
export function boardNamed(name: string): Board {
  if (Object.hasOwn(boards, name)) return boards[name];
  throw new RangeError(`unknown machine "${name}": one of ${Object.keys(boards).join(", ")}`);
}
