/** One of a unit's slots: a request for the device, the transfer that goes with it, and the program's request. */
import type { ScsiRequest } from "../../../virtio/index.js";
import type { TransferCommand, UnitRequest } from "./command-entry.js";
import type { SlotOwner } from "./slot-owner.js";
import type { SlotTransfer } from "./slot-transfer.js";

/** Whose completion a slot waits for. */
export class PipelineSlot {
  readonly unit: SlotOwner;
  /** In its unit; what the pipelined path puts into the request's id. */
  readonly index: number;
  scsi: ScsiRequest;
  /** Undefined for the synchronous path's own slot while the unit is closed. */
  transfer: SlotTransfer | undefined;
  /** The program's request of the pipelined path. */
  request: UnitRequest | undefined;
  /** What it is, and where on the disk it starts, in bytes: ioActual, which may have said so, is the answer's by then. */
  command: TransferCommand | undefined;
  offset = 0;
  /** The pipelined path has it on the ring. */
  inFlight = false;
  /** The synchronous path waits for it; called with 0 or an error of the path. */
  onAnswer: ((pathError: number) => void) | undefined;
  /** An {@link IoError} that it ends with, whatever the device says: it was aborted, or is late. */
  endWith = 0;
  /** Its controller was reset under it: to be sent again. */
  mustRestart = false;
  /** Times that its command was repeated. */
  repeats = 0;
  /** Milliseconds, when it was put on the ring. */
  startedAt = 0;
  /** Counts transfers of the unit: tells older from younger ones. */
  sequence = 0;

  constructor(unit: SlotOwner, index: number, scsi: ScsiRequest) {
    this.unit = unit;
    this.index = index;
    this.scsi = scsi;
  }
}
