/** `ringside attach`: works on the disk behind a vhost-user socket with our driver, no virtual machine in between. */
import { randomInt } from "node:crypto";
import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { blockBytes } from "../memory/index.js";
import { readPartitions } from "../partition/index.js";
import { allEnded } from "./all-ended.js";
import { benchDisk, benchMemory, formatBench } from "./attach-bench.js";
import type { AttachAction, AttachOptions } from "./attach-options.js";
import { type AttachedDisk, attachDisk, serverWentAway } from "./attached-disk.js";
import { UsageError, WorkFailed } from "./errors.js";
import type { Interruption } from "./interruption.js";
import { writeOutput } from "./output.js";
import { Pace } from "./pace.js";
import { formatRate, formatSize, formatTable, printable } from "./table.js";
import { verificationBytes, verifyUnit } from "./verify.js";

const memory = 64 << 20;
/** Bytes that are moved at once, and requests of it. */
const windowBytes = 2 << 20;
const piecesAtOnce = 8;

/** Carries the command out. @throws what {@link exitStatusOf} knows */
export async function attach(action: AttachAction, options: AttachOptions, interruption: Interruption): Promise<void> {
  if (process.platform !== "linux")
    throw new WorkFailed("attach works on Linux only: it shares memory with the server");
  const work = { info, read, write, verify, bench }[action];
  if (action === "write" && options.input === undefined) throw new UsageError("write what? say --input FILE");
  if (action === "read" && options.output === undefined && process.stdout.isTTY === true) {
    throw new UsageError("a disk is nothing for a terminal: say --output FILE, or send it into a pipe");
  }
  const disk = await attachDisk(options, action === "bench" ? benchMemory(options) : memory);
  const pace = new Pace(interruption);
  let text: string;
  try {
    text = await work(disk, options, pace);
  } catch (cause) {
    throw disk.isGone() ? serverWentAway(options, cause) : cause;
  } finally {
    pace.end();
    await disk.close();
  }
  if (text !== "") await writeOutput(text);
}

type Work = (disk: AttachedDisk, options: AttachOptions, pace: Pace) => Promise<string>;

const info: Work = async (disk, options) => {
  const { scheme, partitions } = await readPartitions(disk.blocks);
  const parts = partitions.map(({ name, type, firstBlock, blocks }) => ({ name, type, firstBlock, blocks }));
  if (options.json) return `${JSON.stringify({ ...disk.facts, scheme, partitions: parts }, undefined, 2)}\n`;
  const { blocks, blockSize } = disk.blocks;
  const { units, ...facts } = disk.facts;
  const rows = Object.entries({ size: formatSize(blocks * blockSize), ...facts, scheme }).map(([name, value]) => [
    name,
    printable(Array.isArray(value) ? value.join(" ") : `${value}`) || "-",
  ]);
  const [, ...lines] = formatTable([{ title: "" }, { title: "" }], rows);
  const columns = [{ title: "  Partition" }, { title: "Type" }, { title: "First block" }, { title: "Blocks" }];
  const table = parts.map((part) => [
    `  ${printable(part.name)}`,
    printable(part.type),
    `${part.firstBlock}`,
    `${part.blocks}`,
  ]);
  const others = Array.isArray(units)
    ? units.map(({ target, lun, product }) => `unit ${target}/${lun}: ${printable(product)}`)
    : [];
  return `${[...lines, ...formatTable(columns, table), ...others].join("\n")}\n`;
};

const read: Work = async (disk, options, pace) => {
  const { start, end } = rangeOf(disk, options.offset, options.length);
  const file = options.output === undefined ? undefined : openOutput(options.output);
  const begin = performance.now();
  try {
    await pace.begin(end - start, false);
    pace.name("reading");
    for await (const bytes of windows(disk, start, end)) {
      await pieces(disk, bytes, (lba, piece) => disk.blocks.read(lba, piece));
      if (file === undefined) await writeOutput(bytes.bytes.slice());
      else writeFully(file, bytes.bytes);
      await pace.step(bytes.bytes.length);
    }
  } finally {
    if (file !== undefined) closeSync(file);
  }
  return file === undefined ? "" : summary("read", end - start, begin, options);
};

const write: Work = async (disk, options, pace) => {
  const path = options.input as string;
  if (disk.isReadOnly) throw new WorkFailed("the disk is read-only");
  const file = openInput(path);
  const begin = performance.now();
  try {
    const { size } = statSync(path);
    const { start, end } = rangeOf(disk, options.offset, options.length ?? size);
    if (end - start > size)
      throw new UsageError(`${path} has ${size} bytes, not ${end - start}: say a smaller --length`);
    await pace.begin(end - start, false);
    pace.name(`writing ${path}`);
    for await (const window of windows(disk, start, end)) {
      readFully(file, window.bytes, window.position - start, path);
      await pieces(disk, window, (lba, piece) => disk.blocks.write(lba, piece));
      await pace.step(window.bytes.length);
    }
    await disk.blocks.flush();
    return summary("written", end - start, begin, options);
  } finally {
    closeSync(file);
  }
};

const verify: Work = async (disk, options, pace) => {
  const { blocks, dma, isRefusal } = disk;
  if (options.write && disk.isReadOnly) throw new WorkFailed("the disk is read-only: leave out --write");
  const writeTest = options.write ? "put-back" : disk.isReadOnly ? "refused" : "none";
  const seed = options.seed ?? randomInt(2 ** 32);
  await pace.begin(verificationBytes(blocks.blocks, blocks.blockSize, writeTest), false);
  pace.name("verifying");
  const image = {
    path: options.socket,
    read: (position: number, bytes: Uint8Array) => blocks.read(position / blocks.blockSize, bytes),
  };
  const { places, bytes, read, written } = await verifyUnit({
    ...{ unit: blocks, isRefusal, image, dma },
    ...{ writeTest, seed, pace },
  });
  const report = {
    ...{ verified: true, seed, places, bytes, readBytesPerSecond: Math.round(read.bytesPerSecond) },
    ...(written === undefined ? {} : { writeBytesPerSecond: Math.round(written.bytesPerSecond) }),
  };
  if (options.json) return `${JSON.stringify(report, undefined, 2)}\n`;
  const how = {
    none: "read twice, and the same both times; --write writes too",
    refused: "read twice, and the same both times; writes are refused",
    "put-back": "read twice, written, read back, and what was there put back",
  }[writeTest];
  const rates = `read ${formatRate(read.bytesPerSecond)}${written === undefined ? "" : `, written ${formatRate(written.bytesPerSecond)}`}`;
  return `verified ${formatSize(bytes)} in ${places} places: ${how}; ${rates} (--seed ${seed})\n`;
};

const bench: Work = async (disk, options, pace) => {
  const report = await benchDisk(disk, options, pace);
  const text = options.json ? `${JSON.stringify(report)}\n` : formatBench(report);
  if (report.errors === 0) return text;
  await writeOutput(text);
  throw new WorkFailed(`${report.errors} of ${report.requests + report.errors} requests failed`);
};

function summary(what: string, bytes: number, begin: number, options: AttachOptions): string {
  const seconds = Math.max(0.001, (performance.now() - begin) / 1000);
  const bytesPerSecond = Math.round(bytes / seconds);
  if (options.json) return `${JSON.stringify({ bytes, seconds: Math.round(seconds * 1000) / 1000, bytesPerSecond })}\n`;
  return `${what} ${formatSize(bytes)} in ${seconds.toFixed(1)} s, ${formatRate(bytesPerSecond)}\n`;
}

/** Bytes `start` to `end`. @throws UsageError when these are no whole blocks of the disk */
function rangeOf(disk: AttachedDisk, start: number, length: number | undefined): { start: number; end: number } {
  const { blocks, blockSize } = disk.blocks;
  const size = blocks * blockSize;
  const end = length === undefined ? size : start + length;
  if (start > size || end > size) throw new UsageError(`the disk ends at byte ${size}, before ${Math.max(start, end)}`);
  if (start % blockSize === 0 && end % blockSize === 0) return { start, end };
  throw new UsageError(
    `the disk has blocks of ${blockSize} bytes: give multiples of it, not ${start} and ${end - start}`,
  );
}

/** A piece of the disk, in memory that the server reaches. */
interface Window {
  readonly position: number;
  readonly bytes: Uint8Array;
}

async function* windows(disk: AttachedDisk, start: number, end: number): AsyncGenerator<Window> {
  const room = disk.dma.allocate(windowBytes, 4096);
  const all = blockBytes(room);
  for (let position = start; position < end; position += windowBytes) {
    yield { position, bytes: all.subarray(0, Math.min(windowBytes, end - position)) };
  }
  disk.dma.free(room);
}

/** Moves a window as several requests at once. */
function pieces(
  disk: AttachedDisk,
  window: Window,
  move: (lba: number, piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const { blockSize } = disk.blocks;
  const size = Math.max(blockSize, windowBytes / piecesAtOnce);
  const moves: Promise<void>[] = [];
  for (let at = 0; at < window.bytes.length; at += size) {
    moves.push(move((window.position + at) / blockSize, window.bytes.subarray(at, at + size)));
  }
  return allEnded(moves);
}

function openOutput(path: string): number {
  try {
    return openSync(path, "w");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new WorkFailed(`${path} cannot be written (${code}): give another file for --output`, { cause });
  }
}

function openInput(path: string): number {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UsageError(`${path} cannot be read (${code}): give another file for --input`, { cause });
  }
  if (statSync(path).isFile()) return file;
  closeSync(file);
  throw new UsageError(`${path} is no file: give another one for --input`);
}

function writeFully(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done);
}

function readFully(file: number, bytes: Uint8Array, position: number, path: string): void {
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(file, bytes, done, bytes.length - done, position + done);
    if (count === 0) throw new WorkFailed(`${path} became shorter while it was read`);
    done += count;
  }
}
