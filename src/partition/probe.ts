/** Finds out how a disk is partitioned. */
import { type BlockReader, readInside } from "./block-reader.js";
import { bootBlockType } from "./dos-type.js";
import { readGpt } from "./gpt.js";
import { judgeBootBlock, readMbr } from "./mbr.js";
import type { PartitionTable } from "./partition-table.js";
import { readRdb } from "./rdb.js";

/**
 * Reads the partition table of a disk. An RDB counts before a GPT, a GPT before an MBR (unless the MBR does not announce
 * it). What is broken in the data is said in the notes; only I/O errors reject. Reads a bounded number of blocks.
 * @throws RangeError when the reader's block size or its number of blocks makes no sense.
 */
export async function readPartitions(reader: BlockReader): Promise<PartitionTable> {
  const { blockSize, blocks } = reader;
  if (!(blockSize >= 512 && blockSize % 512 === 0 && Number.isSafeInteger(blocks) && blocks >= 0)) {
    throw new RangeError(`cannot look for partitions on ${blocks} blocks of ${blockSize} bytes`);
  }
  const first = await readInside(reader, 0, 1);
  if (first === undefined) return { scheme: "none", partitions: [], notes: ["the disk has no blocks"] };
  const boot = judgeBootBlock(first, blocks);

  const rdb = await readRdb(reader);
  if (rdb?.scheme === "rdb") {
    const isShared = boot.kind === "mbr" && boot.entries.some(({ type }) => type !== 0);
    return isShared ? withNotes(rdb, ["block 0 has an MBR too; the RDB counts"]) : rdb;
  }
  const rdbNotes = rdb?.notes ?? [];

  const gpt = await readGpt(reader);
  if (boot.kind === "mbr" && !boot.isProtective && boot.entries.some(({ type }) => type !== 0)) {
    const notes = gpt === undefined ? [] : ["there are remains of a GPT, which the MBR does not announce"];
    return withNotes(await readMbr(reader, boot.entries), [...rdbNotes, ...notes]);
  }
  if (gpt !== undefined) return withNotes(gpt, [...rdbNotes, ...protectionNotes(boot)]);
  if (boot.kind === "mbr") {
    const notes = boot.isProtective ? ["the MBR announces a GPT, but there is none"] : [];
    return withNotes(await readMbr(reader, boot.entries), [...rdbNotes, ...notes]);
  }
  const notes = [...rdbNotes];
  if (boot.kind === "file-system") notes.push(`there is no partition table; block 0 is ${boot.name}'s`);
  else if (boot.kind === "damaged") notes.push("block 0 ends as an MBR does, but its entries make no sense");
  const content = bootBlockType(first.getUint32(0));
  if (content !== undefined) notes.push(`there is no partition table; a ${content} file system begins in block 0`);
  return { scheme: "none", partitions: [], notes };
}

/** UEFI 2.10 §5.2.3: block 0 of a GPT disk has one entry of type 0xEE that covers it. */
function protectionNotes(boot: ReturnType<typeof judgeBootBlock>): string[] {
  if (boot.kind !== "mbr" || !boot.isProtective) return ["the GPT has no protective MBR"];
  const used = boot.entries.filter(({ type, size }) => type !== 0 && size !== 0);
  return used.length > 1 ? ["the MBR has other entries beside the protective one (hybrid); the GPT counts"] : [];
}

function withNotes(table: PartitionTable, notes: readonly string[]): PartitionTable {
  return notes.length === 0 ? table : { ...table, notes: [...notes, ...table.notes] };
}
