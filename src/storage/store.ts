/**
 * Where a disk's bytes are. A method answers at once (returns undefined) or with a promise; either way the work is done
 * when it answers, and the scatter belongs to the store until then. Positions and lengths are bytes and have been
 * checked against `byteLength` by the caller (logical units do); a store throws or rejects with {@link StoreError} when
 * the medium fails.
 */
import { DeviceError } from "../errors/index.js";
import type { Scatter } from "../memory/index.js";

/** Done at once, or when the promise resolves. */
export type Answer = undefined | Promise<void>;

/** What is known of a range: whether reading it needs the medium, and whether it reads as zeros. */
export interface ExtentStatus {
  readonly allocated: boolean;
  /** Bytes, from the position asked for, that have this status. */
  readonly length: number;
}

export interface Store {
  /** What it is, for people: `memory`, a file's path. */
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  /** Reads `length` bytes at `position` into the first `length` bytes of `target`. */
  read(position: number, target: Scatter, length: number): Answer;
  /** Writes the first `length` bytes of `source` at `position`. */
  write(position: number, source: Scatter, length: number): Answer;
  /** After it answers, everything written before it was called survives a power loss. */
  flush(): Answer;
  /** Gives space back where that is possible; the range reads as zeros afterwards. */
  discard(position: number, length: number): Answer;
  /** Makes the range read as zeros; keeps the space when `keepSpace`. */
  writeZeroes(position: number, length: number, keepSpace: boolean): Answer;
  /** The status of the range that starts at `position`. */
  extentAt(position: number): ExtentStatus;
  /** Gives up locks and descriptors. Not used afterwards. */
  close(): Answer;
}

/** The medium failed. `code` says how, so that a logical unit can choose the sense. */
export class StoreError extends DeviceError {
  override readonly name = "StoreError";
  readonly code: "read" | "write" | "no-space" | "read-only" | "changed-size";
  /** The byte at which the medium failed, when that is known: units report the block as the INFORMATION of their sense. */
  readonly position: number | undefined;

  constructor(code: StoreError["code"], message: string, options: ErrorOptions & { readonly position?: number } = {}) {
    super(message, options);
    this.code = code;
    this.position = options.position;
  }
}
