/** SCSI commands as promises: the class driver's part above the port driver. Buffers are lent for the time of an SRB. */
import { DeviceError } from "../../errors/index.js";
import { describeCdb, describeSense } from "../../scsi/index.js";
import type { PortDriver } from "./port-driver.js";
import { type Srb, SrbFlags, SrbFunction, SrbStatus, srbStatusFlags, srbStatusName } from "./srb.js";

/** A SCSI command did not succeed. */
export class SrbError extends DeviceError {
  override readonly name = "SrbError";
  /** SRB status without flags. */
  readonly status: number;
  /** Sense data; empty when there is none. */
  readonly sense: Uint8Array;

  constructor(cdb: Uint8Array, status: number, sense: Uint8Array) {
    const words = sense.length > 0 ? `: ${describeSense(sense)}` : "";
    super(`${cdb.length > 0 ? describeCdb(cdb) : "request"} failed: ${srbStatusName(status)}${words}`);
    this.status = status;
    this.sense = sense;
  }
}

/** One command. */
export interface SrbRequest {
  readonly cdb?: Uint8Array;
  readonly function?: number;
  readonly dataIn?: Uint8Array;
  readonly dataOut?: Uint8Array;
  /** Milliseconds; 0 for ever. */
  readonly timeout?: number | undefined;
  readonly pnpAction?: number;
  readonly lun?: number;
  readonly target?: number;
  readonly path?: number;
  readonly flags?: number;
  /** Cut the buffer as the device sees it into elements of so many bytes, as pages of a process are. */
  readonly elementLength?: number | undefined;
}

/** How it ended. */
export interface SrbResult {
  /** SRB status without flags. */
  readonly status: number;
  readonly scsiStatus: number;
  readonly sense: Uint8Array;
  /** Bytes moved. */
  readonly length: number;
}

const noCdb = new Uint8Array(0);

/** Sends one SRB and says how it ended, whatever that is. */
export function sendSrb(port: PortDriver, request: SrbRequest): Promise<SrbResult> {
  const srb = port.acquireSrb();
  const data = request.dataIn ?? request.dataOut;
  srb.function = request.function ?? SrbFunction.ExecuteScsi;
  srb.setCdb(request.cdb ?? noCdb);
  srb.pathId = request.path ?? 0;
  srb.targetId = request.target ?? 0;
  srb.lun = request.lun ?? 0;
  srb.pnpAction = request.pnpAction ?? 0;
  srb.timeout = request.timeout ?? 10_000;
  srb.flags = (request.flags ?? 0) | (request.dataIn ? SrbFlags.DataIn : request.dataOut ? SrbFlags.DataOut : 0);
  srb.data = data;
  srb.dataLength = data?.length ?? 0;
  const { dma } = port.extension.port;
  const lent =
    data === undefined || !isBulk(srb) ? undefined : dma.share(data, request.dataIn ? "from-device" : "to-device");
  for (const { address, length } of lent?.segments ?? []) addElements(srb, address, length, request.elementLength);
  return new Promise((resolve) => {
    srb.onComplete = () => {
      const isAutosense = (srb.status & srbStatusFlags.autosenseValid) !== 0;
      const result: SrbResult = {
        status: srb.status & 0x3f,
        scsiStatus: srb.scsiStatus,
        sense: isAutosense ? srb.sense.slice(0, srb.senseLength) : noCdb,
        length: srb.dataLength,
      };
      if (lent !== undefined && !srb.memoryLost) dma.unshare(lent);
      port.releaseSrb(srb);
      resolve(result);
    };
    port.submit(srb);
  });
}

/** Reads, writes and WRITE SAME go to the device; every other buffer is the driver's to fill. */
function isBulk(srb: Srb): boolean {
  const low = srb.cdb[0] & 0x1f;
  const isSame = srb.cdb[0] === 0x41 || srb.cdb[0] === 0x93;
  return srb.function === SrbFunction.ExecuteScsi && (low === 0x08 || low === 0x0a || low === 0x0e || isSame);
}

function addElements(srb: Srb, address: number, length: number, elementLength = length): void {
  for (let done = 0; done < length; done += elementLength) {
    srb.addSegment(address + done, Math.min(elementLength, length - done));
  }
}

/** What a class driver tries again. */
const passing = new Set<number>([SrbStatus.Busy, SrbStatus.Aborted, SrbStatus.BusReset]);
const mostTries = 8;
const unitAttention = 6;

/** Sends a command and tries again what passes: resets, no room, unit attention. @throws SrbError */
export async function executeSrb(port: PortDriver, request: SrbRequest): Promise<SrbResult> {
  for (let attempt = 1; ; attempt++) {
    const result = await sendSrb(port, request);
    if (result.status === SrbStatus.Success && result.scsiStatus === 0) return result;
    const isAttention = (result.sense[2] & 0x0f) === unitAttention;
    if (attempt < mostTries && (passing.has(result.status) || isAttention)) continue;
    throw new SrbError(request.cdb ?? noCdb, result.status, result.sense);
  }
}
