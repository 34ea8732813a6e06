/** One command at a target, from selection to COMMAND COMPLETE. Kept and used again. */
import { MemoryRegion, Scatter } from "../../memory/index.js";
import { ScsiTask } from "../../scsi/index.js";
import { noRequest } from "../chip/scsi-wire.js";
import { Phase } from "../registers.js";

/** How far a command is. */
export type CommandStage = "command" | "data-out" | "executing" | "data-in" | "status" | "complete";

const initialRoom = 4096;

export class TargetCommand {
  readonly task = new ScsiTask();
  readonly dataOut = new Scatter();
  readonly dataIn = new Scatter();
  stage: CommandStage = "command";
  initiator = 0;
  lun = 0;
  /** Of a queue tag message; -1 without. */
  tag = -1;
  /** The initiator lets the target leave the bus. */
  mayDisconnect = false;
  /** Bytes of the CDB that came. */
  cdbLength = 0;
  /** Bytes of data that moved. */
  position = 0;
  /** Bytes of data in all. */
  total = 0;
  /** Bytes of data up to where the initiator was told to save its pointers. */
  savedPosition = 0;
  /** Additional sense code of an error on the bus with which it is to end; undefined without. */
  busError: number | undefined;
  /** How often it was repeated after such errors. */
  repeats = 0;
  /** Was told to stop; what its unit still does concerns nobody. */
  isAborted = false;
  /** It is off the bus and wants to come back. */
  isReady = false;
  /** Neighbours among those that are off the bus. */
  preceding: TargetCommand | undefined;
  following: TargetCommand | undefined;
  #region = new MemoryRegion(0, new Uint8Array(initialRoom));

  /** Where the data is between unit and wire. */
  get data(): Uint8Array {
    return this.#region.bytes;
  }

  /** The same, for copies out of it that allocate nothing. */
  get pages(): MemoryRegion["pages"] {
    return this.#region.pages;
  }

  /** Readies the command for a new nexus. */
  begin(initiator: number): void {
    this.stage = "command";
    this.initiator = initiator;
    this.lun = 0;
    this.tag = -1;
    this.mayDisconnect = false;
    this.cdbLength = 0;
    this.position = 0;
    this.total = 0;
    this.savedPosition = 0;
    this.busError = undefined;
    this.repeats = 0;
    this.isAborted = false;
    this.task.cdb.fill(0);
  }

  /** Tells it to stop: what its unit has not begun is not carried out any more. */
  abort(): void {
    this.isAborted = true;
    this.task.isAborted = true;
  }

  /** Bytes of memory that it keeps. */
  get room(): number {
    return this.#region.size;
  }

  /** Room for `length` bytes of data in `scatter`. */
  makeRoom(scatter: Scatter, length: number): void {
    scatter.clear();
    if (length === 0) return;
    if (this.#region.size < length) this.#region = new MemoryRegion(0, new Uint8Array(roundUp(length)));
    scatter.push(this.#region, 0, length);
  }
}

function roundUp(length: number): number {
  return Math.ceil(length / initialRoom) * initialRoom;
}

/** Bytes of a CDB by its first byte (SPC): groups 0 to 5, and 32 for variable length; vendors' groups have 10. */
export function cdbLengthOf(opcode: number): number {
  switch (opcode >> 5) {
    case 0:
      return 6;
    case 3:
      return opcode === 0x7f ? 32 : 10;
    case 4:
      return 16;
    case 5:
      return 12;
    default:
      return 10;
  }
}

/** The phase that a command's stage asks for; {@link noRequest} while its unit works. */
export function stagePhase({ stage }: TargetCommand): number {
  switch (stage) {
    case "command":
      return Phase.Command;
    case "data-out":
      return Phase.DataOut;
    case "data-in":
      return Phase.DataIn;
    case "status":
      return Phase.Status;
    default:
      return noRequest;
  }
}
