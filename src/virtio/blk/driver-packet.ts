/** The answer to a SCSI packet command of 0.9.5, driver half. */
import type { Endianness } from "../../bytes/index.js";
import { scsiSenseLength, scsiTrailer } from "./protocol.js";

/** How a packet command ended. */
export interface PacketResult {
  /** What the device calls errors: the SCSI status in the low byte; older devices put more above it. */
  readonly errors: number;
  /** Empty without. */
  readonly sense: Uint8Array;
  /** Bytes of the data buffer that were not used. */
  readonly residual: number;
}

/** Bytes between data and status. */
export const packetAnswerLength = scsiSenseLength + scsiTrailer.size;

/** Takes sense data and trailer apart. `dataLength` is ignored, as 0.9.5 says. */
export function parsePacketAnswer(answer: Uint8Array, endianness: Endianness): PacketResult {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
  const { errors, senseLength, residual } = scsiTrailer.read(view, scsiSenseLength, endianness);
  return { errors, sense: answer.slice(0, Math.min(senseLength, scsiSenseLength)), residual };
}
