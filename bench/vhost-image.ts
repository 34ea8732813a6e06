/** Images that both servers of `ringside bench vhost` serve: written, in the page cache or out of it, or in memory only. */
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, fsyncSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { libcFunction, RawMapping } from "../src/linux/index.js";
import { untilExit } from "./until-exit.js";

/** Bytes of an image. */
export const fileSize = 1 << 30;
const pageSize = 4096;
const residencyStep = 2 << 20;
const dontNeed = 4;
const random = 1;
const advise = libcFunction("int posix_fadvise(int, int64_t, int64_t, int)");

/**
 * An image with something everywhere, on its medium, unless it is there. @param piece bytes a write: what the page cache
 * then holds it in. A small write to a large folio costs as much as the folio has pages (ext4 looks at every buffer of it),
 * so images that are compared must be made alike.
 */
export function writeImage(path: string, size = fileSize, piece = pageSize): void {
  if (existsSync(path)) return;
  const block = new Uint8Array(piece).map((_, index) => index * 7);
  const fd = openSync(path, "w");
  for (let at = 0; at < size; at += block.length) writeSync(fd, block, 0, block.length, at);
  fsyncSync(fd);
  closeSync(fd);
}

/** Reads the file once: the page cache of an idle machine forgets. What is missing comes in single pages. */
export function warm(path: string): void {
  const buffer = new Uint8Array(1 << 22);
  const fd = openSync(path, "r");
  advise()(fd, 0, 0, random);
  for (let at = 0; at < fileSize; at += buffer.length) readSync(fd, buffer, 0, buffer.length, at);
  closeSync(fd);
}

/** Has the medium take what was written, so that the next load pays for its own writes only. */
export function settle(path: string): void {
  const fd = openSync(path, "r+");
  fsyncSync(fd);
  closeSync(fd);
}

/** Makes the page cache forget a file, and looks whether it has. @throws Error when pages stay */
export function forget(path: string): void {
  const fd = openSync(path, "r+");
  try {
    fsyncSync(fd);
    advise()(fd, 0, 0, dontNeed);
    const mapping = new RawMapping(fd, fileSize);
    let resident = 0;
    for (let at = 0; at < fileSize; at += residencyStep) {
      for (let page = 0; page < residencyStep; page += pageSize)
        if (mapping.isResident(at + page, pageSize)) resident++;
    }
    mapping.close();
    if (resident > 0) throw new Error(`${resident} pages of ${path} stay in the page cache: it is not cold`);
  } finally {
    closeSync(fd);
  }
}

/** A block device whose medium is memory: no noise of a disk. Needs root. */
export class LoopDevice {
  readonly path: string;
  readonly close: () => void;

  /** @throws Error where there are no loop devices for us */
  constructor(folder: string) {
    const file = join(folder, "loop.img");
    writeImage(file);
    try {
      this.path = execFileSync("losetup", ["--find", "--show", file], { encoding: "utf8", stdio: "pipe" }).trim();
    } catch (cause) {
      rmSync(file);
      throw new Error("no loop device (is this root?)", { cause });
    }
    this.close = untilExit(() => {
      execFileSync("losetup", ["--detach", this.path]);
      rmSync(file);
    });
  }
}
