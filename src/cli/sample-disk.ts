/** The disk that `ringside run` makes when it is given none: 64 MiB with a rigid disk block and two partitions. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

const blockSize = 512;
const surfaces = 4;
const blocksPerTrack = 32;
const cylinderBlocks = surfaces * blocksPerTrack;
const cylinders = 1024;
const endOfList = 0xffff_ffff;

/** Partitions of the sample disk: cylinders of 64 KiB. */
const partitions = [
  { name: "DH0", dosType: 0x444f_5303, low: 2, high: 255, isBootable: true },
  { name: "DH1", dosType: 0x5046_5303, low: 256, high: cylinders - 1, isBootable: false },
] as const;

/** Makes the image at `path`, which must not exist yet. */
export function writeSampleDisk(path: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    ftruncateSync(file, cylinders * cylinderBlocks * blockSize);
    writeSync(file, rigidDiskBlock(), 0, blockSize, 0);
    for (const index of partitions.keys()) {
      writeSync(file, partitionBlock(index), 0, blockSize, (index + 1) * blockSize);
      const boot = new DataView(new ArrayBuffer(4));
      boot.setUint32(0, partitions[index].dosType);
      writeSync(file, boot, 0, 4, partitions[index].low * cylinderBlocks * blockSize);
    }
  } finally {
    closeSync(file);
  }
}

/** An RDB block: longwords by index, texts by byte offset; the checksum makes its 64 longwords add up to 0. */
function block(
  id: string,
  longs: Readonly<Record<number, number>>,
  texts: Readonly<Record<number, string>>,
): Uint8Array {
  const bytes = new Uint8Array(blockSize);
  const view = new DataView(bytes.buffer);
  for (const [at, text] of Object.entries({ 0: id, ...texts })) {
    for (let index = 0; index < text.length; index++) bytes[Number(at) + index] = text.charCodeAt(index);
  }
  const size = 64;
  for (const [index, value] of Object.entries({ 1: size, 3: 7, ...longs })) view.setUint32(Number(index) * 4, value);
  let sum = 0;
  for (let index = 0; index < size; index++) sum = (sum + view.getUint32(index * 4)) >>> 0;
  view.setUint32(8, -sum >>> 0);
  return bytes;
}

function rigidDiskBlock(): Uint8Array {
  const lists = { 4: blockSize, 6: endOfList, 7: 1, 8: endOfList, 9: endOfList };
  const geometry = { 16: cylinders, 17: blocksPerTrack, 18: surfaces };
  // The RDB has the first two cylinders; what partitions may take is the rest.
  const extent = { 32: 0, 33: 2 * cylinderBlocks - 1, 34: 2, 35: cylinders - 1, 36: cylinderBlocks, 38: 2 };
  const names = { 160: "RINGSIDE", 168: "SAMPLE DISK     ", 184: "1.0 " };
  return block("RDSK", { ...lists, ...geometry, ...extent }, names);
}

function partitionBlock(index: number): Uint8Array {
  const { name, dosType, low, high, isBootable } = partitions[index];
  const next = index + 1 < partitions.length ? index + 2 : endOfList;
  // From longword 32 on: the DosEnvec, whose first entry says how many follow.
  const geometry = { 32: 16, 33: blockSize / 4, 35: surfaces, 36: 1, 37: blocksPerTrack, 38: 2, 41: low, 42: high };
  const mounting = { 43: 30, 45: 0x1_fe00, 46: 0x7fff_fffe, 47: 0, 48: dosType };
  const longs = { 4: next, 5: isBootable ? 1 : 0, ...geometry, ...mounting };
  return block("PART", longs, { 36: String.fromCharCode(name.length) + name });
}
