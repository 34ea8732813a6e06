/** What `ringside attach` shall do: its options. */
import type { DeviceKind } from "./driven.js";

/** What can be done with a disk. */
export const attachActions = ["info", "read", "write", "verify", "bench"] as const;
/** One of {@link attachActions}. */
export type AttachAction = (typeof attachActions)[number];

/** What a benchmark measures. */
export const benchOps = ["read", "write", "randread", "randwrite"] as const;
/** One of {@link benchOps}. */
export type BenchOp = (typeof benchOps)[number];

/** The options as the command line gives them. */
export interface AttachOptions {
  readonly socket: string;
  readonly device: DeviceKind;
  /** `TARGET/LUN` */
  readonly to?: string;
  readonly queues: number;
  /** Packed rings: must be when true, may not be when false. */
  readonly packed?: boolean;
  /** Seconds to wait for the back end. */
  readonly wait: number;
  /** Bytes. */
  readonly offset: number;
  readonly length?: number;
  readonly output?: string;
  readonly input?: string;
  readonly write: boolean;
  readonly seed?: number;
  readonly op: BenchOp;
  /** Bytes. */
  readonly blockSize: number;
  readonly depth: number;
  readonly seconds: number;
  readonly json: boolean;
}
