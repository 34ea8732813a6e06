/** Small files that the command line names and that are read whole. */
import { closeSync, constants, createReadStream, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { isatty, ReadStream } from "node:tty";
import { UsageError } from "./errors.js";
import type { Interruption } from "./interruption.js";

/**
 * A file's bytes, at most `limit`. A pipe or a terminal (and `-`, standard input, when `path` is undefined) is waited for
 * until it ends or the user calls it off, and a device that never ends costs no more than `limit`.
 * @throws UsageError when there is more, Interrupted, and the system's errors, with their `code`
 */
export async function readInputFile(
  path: string | undefined,
  limit: number,
  interruption: Interruption,
): Promise<Uint8Array> {
  const input = path === undefined ? process.stdin : openInput(path);
  void interruption.ended().then(() => input.destroy());
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of input) {
      pieces.push(piece);
      size += piece.length;
      if (size > limit) throw new UsageError(`${path ?? "standard input"} has more than ${limit} bytes`);
    }
  } finally {
    // What the stream says of its early end is not why it ended.
    interruption.check();
  }
  return Buffer.concat(pieces);
}

/** Opens without waiting: a pipe's other end may never come. */
function openInput(path: string) {
  const descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    if (isatty(descriptor)) return new ReadStream(descriptor);
    if (fstatSync(descriptor).isFIFO()) return new Socket({ fd: descriptor, readable: true, writable: false });
    return createReadStream(path, { fd: descriptor });
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
