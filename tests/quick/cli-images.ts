/** Images as users have them: partitioned by the system's own tools, filled with data that is nowhere the same. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { makeRdb } from "../../src/partition/make-rdb.js";
import { seededRandom } from "../../src/testing/seeded-random.js";

/** Writes an image of `size` bytes of noise. */
export function writeNoise(path: string, size: number, seed = 1): void {
  const random = seededRandom(seed);
  const bytes = new Uint32Array(size / 4).map(() => random.below(2 ** 32));
  writeAt(path, 0, new Uint8Array(bytes.buffer), "w");
}

function writeAt(path: string, position: number, bytes: Uint8Array, flags = "r+"): void {
  const file = openSync(path, flags);
  writeSync(file, bytes, 0, bytes.length, position);
  closeSync(file);
}

/** Why a tool cannot be used, or false. */
export function missing(tool: string): string | false {
  return spawnSync(tool, ["--version"]).status === 0 ? false : `${tool} is not installed`;
}

function runTool(tool: string, words: readonly string[], input = ""): void {
  const { status, stderr } = spawnSync(tool, words, { encoding: "utf8", input });
  if (status !== 0) throw new Error(`${tool} ${words.join(" ")}: ${stderr}`);
}

/** An MBR with a FAT and a Linux partition, made by sfdisk. */
export function partitionMbr(path: string): void {
  writeAt(path, 0, new Uint8Array(512));
  runTool("sfdisk", [path], "label: dos\nstart=2048, size=4096, type=c, bootable\nstart=6144, size=8192, type=83\n");
}

/** A GPT with two named partitions, made by parted. */
export function partitionGpt(path: string): void {
  runTool("parted", ["-s", path, "mklabel", "gpt", "mkpart", "boot", "fat32", "2048s", "6143s"]);
  runTool("parted", ["-s", path, "mkpart", "root", "ext4", "6144s", "14335s", "set", "1", "esp", "on"]);
}

/** An RDB for 4096-byte blocks with two partitions. */
export function partitionRdb4k(path: string): void {
  const first = { name: "DH0", dosType: 0x444f5303, lowCylinder: 1, highCylinder: 7, bootable: true };
  const second = { name: "WORK", dosType: 0x53465300, lowCylinder: 8, highCylinder: 15 };
  const table = makeRdb({ blockSize: 4096, cylinders: 16, partitions: [first, second] });
  writeAt(path, 0, table);
}

/** Of a whole file, in hexadecimal. */
export function sha256Of(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
