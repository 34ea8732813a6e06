import { configAreas, zorroConfigArea, zorroSpace } from "../zorro/index.js";
import type { Board } from "./board.js";

/**
 * Commodore Amiga 4000: 68040, Zorro III, no PCI. Its memory here is the fast memory of the main board; that on a
 * processor's card follows it, so that more than 16 MiB are one piece as well.
 */
export const a4000: Board = {
  name: "a4000",
  title: "Amiga 4000 (68040, Zorro III), SCSI by A4091",
  endianness: "big",
  ramBase: 0x0700_0000,
  defaultRamSize: 0x100_0000,
  bridges: [],
  zorro: {
    configAreas: [configAreas.zorro3, configAreas.zorro2],
    configAreaSize: zorroConfigArea.size,
    space: zorroSpace,
    firstBase: 0x4000_0000,
    slots: 4,
  },
  amiga: { agnus: 0x23, denise: 0xf8, onboardScsi: false },
};
