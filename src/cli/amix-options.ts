/** Values of the options for Amix, apart from what works with them, which is loaded when it is asked for. */
import type { ChipsetGate } from "../os/index.js";

/** Zorro boards with a 53C710 or its successor, as `--boards` names them. */
export const amixBoardNames = ["a4091", "a4092", "a4770"] as const;
/** A value of `--boards`. */
export type AmixBoardName = (typeof amixBoardNames)[number];

/** Values of `--autocon`. */
export const chipsetGates = ["stock", "published", "corrected"] as const satisfies readonly ChipsetGate[];
