/** SHA-256 of a whole unit, read through the driver. */
import { createHash } from "node:crypto";
import { blockBytes, type DmaMemory } from "../memory/index.js";
import { allEnded } from "./all-ended.js";
import type { DrivenBlocks } from "./driven.js";
import type { Pace } from "./pace.js";

/** Commands that are under way at once, and bytes of each. */
const depth = 4;
const pieceBytes = 256 * 1024;

/** In hexadecimal. @throws Interrupted, and what the driver throws */
export async function hashUnit(unit: DrivenBlocks, dma: DmaMemory, pace: Pace): Promise<string> {
  const hash = createHash("sha256");
  const pieceBlocks = Math.max(1, Math.floor(pieceBytes / unit.blockSize));
  const room = dma.allocate(depth * pieceBlocks * unit.blockSize, 4096);
  try {
    const bytes = blockBytes(room);
    for (let lba = 0; lba < unit.blocks; lba += depth * pieceBlocks) {
      const blocks = Math.min(depth * pieceBlocks, unit.blocks - lba);
      const reads: Promise<void>[] = [];
      for (let done = 0; done < blocks; done += pieceBlocks) {
        const end = Math.min(done + pieceBlocks, blocks);
        reads.push(unit.read(lba + done, bytes.subarray(done * unit.blockSize, end * unit.blockSize)));
      }
      await allEnded(reads);
      hash.update(bytes.subarray(0, blocks * unit.blockSize));
      await pace.step(blocks * unit.blockSize);
    }
  } finally {
    dma.free(room);
  }
  return hash.digest("hex");
}
