/**
 * What a driver of any host adapter is to those who send commands through it: virtio-scsi's, the 53C710's. Discovery,
 * repetition of commands and block access need no more than this.
 */
import type { UnitAddress } from "../lun-address.js";

/** Data and patience of one command. */
export interface CommandOptions {
  /** Data for the device. */
  dataOut?: Uint8Array;
  /** Room for data from the device. */
  dataIn?: Uint8Array;
  /** Milliseconds; default the driver's. */
  timeout?: number;
  /** Stops waiting and has the command aborted. The memory stays lent until the device gave it back. */
  signal?: AbortSignal;
  /** Request queue to use, on adapters that have several. Default 0. */
  queue?: number;
  /** SAM task attribute ({@link TaskAttribute}), where the adapter and the unit queue commands. Default SIMPLE. */
  attribute?: number;
}

/** SAM-5 §8.6 task attributes, numbered as {@link ScsiTask.attribute}. */
export const TaskAttribute = { Simple: 0, Ordered: 1, HeadOfQueue: 2 } as const;

/** How a command ended. */
export interface CommandAnswer {
  /** {@link ScsiResponse}: how far it came. */
  readonly response: number;
  /** SCSI status, meaningful with response OK. */
  readonly status: number;
  /** Sense data, empty without. */
  readonly sense: Uint8Array;
  /** Bytes of the data buffers that were not used. */
  readonly residual: number;
}

/** What an adapter can address and move. */
export interface InitiatorLimits {
  /** Targets that can be there, in the order in which they are looked for. */
  readonly targets: readonly number[];
  /** LUNs that a target can have: 0 … luns − 1. */
  readonly luns: number;
  /** Bytes that one command may move. */
  readonly largestTransfer: number;
}

/** A driver of a host adapter. */
export interface ScsiInitiator {
  readonly limits: InitiatorLimits;
  /**
   * Sends one command and waits for its end.
   * @throws RequestAborted when it ran out of time or was called off; the reason when the driver gave its device up;
   * RangeError when CDB, address or data are more than the adapter takes.
   */
  execute(address: UnitAddress, cdb: Uint8Array, options?: CommandOptions): Promise<CommandAnswer>;
}
