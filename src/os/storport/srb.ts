/**
 * SCSI request blocks as Storport's reference has them: what a port driver hands to a miniport. Objects are kept and
 * used again; the SRB extension (DMA memory of the miniport) belongs to the SRB for its life.
 */
import { fixedSenseLength } from "../../scsi/index.js";
import type { SrbExtension } from "./srb-extension.js";

/** What an SRB asks for. */
export const SrbFunction = {
  ExecuteScsi: 0x00,
  IoControl: 0x02,
  Shutdown: 0x07,
  Flush: 0x08,
  AbortCommand: 0x10,
  ResetBus: 0x12,
  ResetDevice: 0x13,
  Wmi: 0x17,
  ResetLogicalUnit: 0x20,
  Power: 0x24,
  Pnp: 0x25,
  DumpPointers: 0x26,
  FreeDumpPointers: 0x27,
  /** An extended STORAGE_REQUEST_BLOCK, whose own function stands elsewhere. */
  StorageRequestBlock: 0x28,
} as const;

/** How an SRB ended. */
export const SrbStatus = {
  Pending: 0x00,
  Success: 0x01,
  Aborted: 0x02,
  Error: 0x04,
  Busy: 0x05,
  InvalidRequest: 0x06,
  InvalidPathId: 0x07,
  NoDevice: 0x08,
  Timeout: 0x09,
  SelectionTimeout: 0x0a,
  BusReset: 0x0e,
  DataOverrun: 0x12,
  BadSrbBlockLength: 0x15,
  InvalidLun: 0x20,
  InvalidTargetId: 0x21,
  BadFunction: 0x22,
  InternalError: 0x30,
} as const;

/** Flags in an SRB status beside the status. */
export const srbStatusFlags = { queueFrozen: 0x40, autosenseValid: 0x80 } as const;

/** Flags of an SRB. */
export const SrbFlags = { DisableAutosense: 0x20, DataIn: 0x40, DataOut: 0x80 } as const;

/** What a PNP request asks for. */
export const PnpAction = {
  StartDevice: 0x00,
  RemoveDevice: 0x02,
  StopDevice: 0x04,
  QueryCapabilities: 0x09,
  SurpriseRemoval: 0x17,
} as const;

const statusNames = new Map<number, string>(Object.entries(SrbStatus).map(([name, value]) => [value, name]));

/** The name of an SRB status, without its flags. */
export function srbStatusName(status: number): string {
  return statusNames.get(status & 0x3f) ?? `0x${(status & 0x3f).toString(16)}`;
}

/** One SCSI request block. */
export class Srb {
  /** One of {@link SrbFunction}. */
  function: number = SrbFunction.ExecuteScsi;
  /** One of {@link SrbStatus}, with {@link srbStatusFlags}. */
  status: number = SrbStatus.Pending;
  flags = 0;
  pathId = 0;
  targetId = 0;
  lun = 0;
  /** Bytes of `cdb`; 0 is an SRB without a CDB. */
  cdbLength = 0;
  readonly cdb = new Uint8Array(16);
  scsiStatus = 0;
  /** Bytes of sense data in `sense`. */
  senseLength = 0;
  readonly sense = new Uint8Array(fixedSenseLength);
  /** Room for sense data as the caller says; below 18 none is written. */
  senseRoom = fixedSenseLength;
  /** DataTransferLength: bytes to move, afterwards bytes moved. */
  dataLength = 0;
  /** The buffer as the processor sees it. */
  data: Uint8Array | undefined;
  /** StorPortGetScatterGatherList: the buffer as the device sees it. */
  readonly segmentAddresses: number[] = [];
  readonly segmentLengths: number[] = [];
  segmentCount = 0;
  /** Milliseconds that it may take. */
  timeout = 10_000;
  /** {@link PnpAction}, for PNP requests. */
  pnpAction = 0;
  /** Processor that it was sent from; chooses the queue. */
  processor = 0;
  /** Called when the miniport is done with it. */
  onComplete: ((srb: Srb) => void) | undefined;
  /** The device may still write to its memory: it is not used again. */
  memoryLost = false;
  /** The port driver's: the miniport has it, and until when it may (milliseconds). */
  isOutstanding = false;
  deadline = 0;
  readonly extension: SrbExtension;

  constructor(extension: SrbExtension) {
    this.extension = extension;
  }

  /** Back to an SRB that asks for nothing; keeps its extension. */
  clear(): void {
    this.function = SrbFunction.ExecuteScsi;
    this.status = SrbStatus.Pending;
    this.flags = 0;
    this.pathId = this.targetId = this.lun = 0;
    this.cdbLength = 0;
    this.cdb.fill(0);
    this.scsiStatus = 0;
    this.senseLength = 0;
    this.senseRoom = fixedSenseLength;
    this.dataLength = 0;
    this.data = undefined;
    this.segmentCount = 0;
    this.onComplete = undefined;
  }

  /** Sets the CDB. @throws RangeError for more than 16 bytes. */
  setCdb(cdb: Uint8Array): void {
    if (cdb.length > 16) throw new RangeError(`a CDB has up to 16 bytes here, got ${cdb.length}`);
    this.cdb.fill(0);
    this.cdb.set(cdb);
    this.cdbLength = cdb.length;
  }

  /** Adds a piece of the buffer as the device sees it. */
  addSegment(address: number, length: number): void {
    this.segmentAddresses[this.segmentCount] = address;
    this.segmentLengths[this.segmentCount] = length;
    this.segmentCount++;
  }
}
