import { a4000 } from "./a4000.js";
import type { Board } from "./board.js";

/**
 * Commodore Amiga 3000: 68030, Zorro III, ECS, and SCSI on the main board. Memory and Zorro bus are where the Amiga 4000
 * has them.
 */
export const a3000: Board = {
  ...a4000,
  name: "a3000",
  title: "Amiga 3000 (68030, Zorro III), SCSI on board and by A4091",
  amiga: { agnus: 0x20, denise: 0xfc, onboardScsi: true },
};
