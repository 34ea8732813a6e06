/** Ends SRBs: status, sense, and the note to the port driver. */

import { buildSense, fixedSenseLength } from "../../scsi/index.js";
import { BlkStatus } from "../../virtio/index.js";
import type { AdapterExtension } from "./adapter-extension.js";
import type { SenseTriple } from "./scsi-answer.js";
import { type Srb, SrbFlags, SrbStatus, srbStatusFlags } from "./srb.js";

const checkCondition = 2;
const inquiry = 0x12;
const reportLuns = 0xa0;

/** Ends an SRB. What failed moved nothing; what was busy comes again as it is. */
export function completeSrb(extension: AdapterExtension, srb: Srb, status: number): void {
  if (status === SrbStatus.Success && extension.attention !== undefined && takesAttention(srb)) {
    const { attention } = extension;
    extension.attention = undefined;
    completeWithSense(extension, srb, attention);
    return;
  }
  srb.status = status;
  if (status !== SrbStatus.Success && status !== SrbStatus.Busy) srb.dataLength = 0;
  extension.port.requestComplete(srb);
}

/** Ends an SRB with CHECK CONDITION and fixed format sense, where its buffer has room for all of it. */
export function completeWithSense(extension: AdapterExtension, srb: Srb, sense: SenseTriple): void {
  srb.scsiStatus = checkCondition;
  srb.dataLength = 0;
  srb.status = SrbStatus.Error;
  const wanted = (srb.flags & SrbFlags.DisableAutosense) === 0 && srb.senseRoom >= fixedSenseLength;
  if (wanted) {
    srb.senseLength = buildSense(srb.sense, "fixed", sense);
    srb.sense[0] |= 0x80;
    srb.status |= srbStatusFlags.autosenseValid;
  }
  extension.port.requestComplete(srb);
}

/** The bare CHECK CONDITION of defect 25: no sense, and SRB SUCCESS. */
export function completeBare(extension: AdapterExtension, srb: Srb): void {
  srb.scsiStatus = checkCondition;
  srb.status = SrbStatus.Success;
  extension.port.requestComplete(srb);
}

/** SRB status of a device's answer. */
export function srbStatusOf(deviceStatus: number): number {
  if (deviceStatus === BlkStatus.Ok) return SrbStatus.Success;
  return deviceStatus === BlkStatus.Unsupported ? SrbStatus.InvalidRequest : SrbStatus.Error;
}

function takesAttention(srb: Srb): boolean {
  const opcode = srb.cdb[0];
  return (
    srb.cdbLength > 0 && opcode !== inquiry && opcode !== reportLuns && (srb.flags & SrbFlags.DisableAutosense) === 0
  );
}
