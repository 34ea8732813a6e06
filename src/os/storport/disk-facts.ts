/** All that the translation of SCSI commands knows of the disk: pure data. */
import type { Behaviour } from "./behaviour.js";
import type { BlkConfigInfo } from "./block-config.js";
import type { StorportProfile } from "./profile.js";

/** The disk, the driver's limits, and how the driver behaves. */
export interface DiskFacts {
  readonly info: BlkConfigInfo;
  readonly generation: StorportProfile["generation"];
  readonly behaviour: Behaviour;
  /** Bytes of a request. */
  readonly maximumTransferLength: number;
  /** GET_ID's answer; undefined before it was asked for. */
  readonly serial: string | undefined;
  /** Where the adapter is; makes an identifier where there is no serial number. */
  readonly bus: number;
  readonly slot: number;
  /** READ CAPACITY was answered, or the limit is known anyway. */
  readonly limitKnown: boolean;
}

/** Sectors in a block. */
export function sectorsPerBlock(facts: DiskFacts): number {
  return facts.info.blockSize / 512;
}

/** Blocks of the disk. */
export function diskBlocks(facts: DiskFacts): number {
  return Math.floor(facts.info.capacity / sectorsPerBlock(facts));
}
