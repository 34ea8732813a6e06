/**
 * One SCSI command on its way through a target. A transport fills in what came (CDB, data buffers, nexus), asks the
 * target to `prepare` it (which parses the CDB), checks the buffers as its own rules want, and has it executed.
 * Tasks are reused: a transport keeps one for each request it can have in flight.
 */
import type { Scatter } from "../memory/index.js";
import type { Nexus } from "./nexus.js";

/** SAM-5 §5.3.1 status codes. */
export const ScsiStatus = {
  Good: 0x00,
  CheckCondition: 0x02,
  ConditionMet: 0x04,
  Busy: 0x08,
  ReservationConflict: 0x18,
  TaskSetFull: 0x28,
  AcaActive: 0x30,
  TaskAborted: 0x40,
} as const;

/** The largest sense data that SPC allows. */
export const maxSenseLength = 252;
/** The largest CDB (SPC: 260 bytes for variable-length CDBs). */
export const maxCdbLength = 260;

/** One command in flight. */
export class ScsiTask {
  /** The command, zero-filled behind what came. */
  readonly cdb: Uint8Array;
  /** Who sends it. */
  nexus!: Nexus;
  /** The initiator's tag, 64 bits as two halves. */
  tagLow = 0;
  tagHigh = 0;
  /** SAM task attribute: 0 SIMPLE, 1 ORDERED, 2 HEAD OF QUEUE, 3 ACA. */
  attribute = 0;
  /** Data from the initiator; set by the transport. */
  dataOut!: Scatter;
  /** Room for data to the initiator; set by the transport. */
  dataIn!: Scatter;

  // Set by prepare()
  /** Bytes that the CDB asks to move to the initiator (an allocation length, or blocks × block size). */
  expectedIn = 0;
  /** Bytes that the CDB asks to move from the initiator. */
  expectedOut = 0;
  /** First logical block, for commands that name blocks. May exceed 2^53: then it is not exact but still too large. */
  lba = 0;
  /** Number of blocks. */
  blocks = 0;

  /**
   * Set by the transport when it called the task off while it was executing: what the unit has not begun of it is not
   * carried out any more (an aborted write that waits for its turn must not overwrite what came after it).
   */
  isAborted = false;

  // Set by execute()
  status: number = ScsiStatus.Good;
  readonly sense = new Uint8Array(maxSenseLength);
  /** Bytes of `sense` that are valid; 0 without CHECK CONDITION. */
  senseLength = 0;
  /** Bytes written to `dataIn`. */
  transferredIn = 0;
  /** Bytes taken from `dataOut`. */
  transferredOut = 0;

  /** @param cdb where the transport puts commands: `maxCdbLength` bytes, zero-filled. */
  constructor(cdb: Uint8Array = new Uint8Array(maxCdbLength)) {
    this.cdb = cdb;
  }

  /** Readies the task for a new command. */
  begin(nexus: Nexus, dataOut: Scatter, dataIn: Scatter): void {
    this.nexus = nexus;
    this.dataOut = dataOut;
    this.dataIn = dataIn;
    this.expectedIn = 0;
    this.expectedOut = 0;
    this.lba = 0;
    this.blocks = 0;
    this.isAborted = false;
    this.status = ScsiStatus.Good;
    this.senseLength = 0;
    this.transferredIn = 0;
    this.transferredOut = 0;
  }
}
