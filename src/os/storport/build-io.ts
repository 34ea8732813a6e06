/**
 * VirtIoBuildIo: what can be said of an SRB without a lock, and the elements of reads and writes. Allocates nothing for
 * them.
 */

import { ringFeatures } from "../../transport/index.js";
import { BlkType } from "../../virtio/index.js";
import { type AdapterExtension, hasFeatureBit } from "./adapter-extension.js";
import { completeSrb, completeWithSense } from "./complete-srb.js";
import { TraceLevel } from "./debug-print.js";
import { virtioMaxSg } from "./profile.js";
import { senseOf } from "./scsi-answer.js";
import { type Srb, SrbFunction, SrbStatus } from "./srb.js";
import { decodeTransfer } from "./transfer-decoder.js";
import { checkTransfer, needsFlush, TransferCheck } from "./translate.js";

/** False when the SRB has ended: it does not go to StartIo. */
export function virtIoBuildIo(extension: AdapterExtension, srb: Srb): boolean {
  if (srb.pathId !== 0 || srb.targetId !== 0 || srb.lun !== 0 || extension.removed) {
    return end(extension, srb, SrbStatus.NoDevice);
  }
  if (extension.stopped) return end(extension, srb, SrbStatus.Aborted);
  const request = srb.extension;
  request.stage = "only";
  request.fua = false;
  request.id = extension.nextId;
  if (srb.function !== SrbFunction.ExecuteScsi || srb.cdbLength === 0) return true;
  if (!decodeTransfer(srb.cdb, extension.behaviour, extension.transfer)) return true;
  return buildTransfer(extension, srb);
}

function end(extension: AdapterExtension, srb: Srb, status: number): false {
  completeSrb(extension, srb, status);
  return false;
}

/** Checks a read or a write and makes its elements: header, data, status. */
function buildTransfer(extension: AdapterExtension, srb: Srb): boolean {
  const { transfer, info, behaviour } = extension;
  switch (checkTransfer(transfer, srb.cdb[0], info, extension.limitKnown, behaviour)) {
    case TransferCheck.Send:
      break;
    case TransferCheck.Nothing:
      return end(extension, srb, SrbStatus.Success);
    case TransferCheck.BadLength:
      return end(extension, srb, SrbStatus.BadSrbBlockLength);
    case TransferCheck.WriteProtected:
      completeWithSense(extension, srb, senseOf.writeProtected);
      return false;
    case TransferCheck.InvalidField:
      completeWithSense(extension, srb, senseOf.invalidField);
      return false;
    default:
      return end(extension, srb, SrbStatus.InvalidRequest);
  }
  if (srb.segmentCount === 0) return end(extension, srb, SrbStatus.BadFunction);
  if (srb.dataLength !== transfer.blocks * info.blockSize) return end(extension, srb, SrbStatus.BadSrbBlockLength);
  const request = srb.extension;
  request.begin(transfer.write ? BlkType.Out : BlkType.In, transfer.lba * (info.blockSize / 512));
  if (!addSegments(extension, srb, transfer.write)) return end(extension, srb, SrbStatus.BadSrbBlockLength);
  request.end();
  if (needsFlush(transfer, info)) request.stage = "write-then-flush";
  return true;
}

/** Adds the SG list, cut to size_max. False when it is longer than the table, the device's seg_max or the ring. */
export function addSegments(extension: AdapterExtension, srb: Srb, write: boolean): boolean {
  const { behaviour, info } = extension;
  const { sg } = srb.extension;
  const checksLimits = behaviour.segmentLimits === "both";
  const sizeMax = checksLimits ? (info.sizeMax ?? 0) : 0;
  const limit = dataLimit(extension);
  for (let index = 0; index < srb.segmentCount; index++) {
    let address = srb.segmentAddresses[index];
    let left = srb.segmentLengths[index];
    while (left > 0) {
      const length = sizeMax > 0 && left > sizeMax ? sizeMax : left;
      if (write) sg.addReadable(address, length);
      else sg.addWritable(address, length);
      address += length;
      left -= length;
      // One element is the header.
      if (sg.count - 1 > limit) return tooLong(extension, limit);
    }
  }
  return true;
}

/** Data elements that a request may have: the table's, the device's and the ring's limits. */
function dataLimit(extension: AdapterExtension): number {
  const { behaviour, info, profile, queues } = extension;
  let limit = behaviour.sgBounds === "checked" ? virtioMaxSg(profile) - 2 : Number.POSITIVE_INFINITY;
  const segMax = behaviour.segmentLimits === "both" ? (info.segMax ?? 0) : 0;
  if (segMax > 0 && segMax < limit) limit = segMax;
  if (!hasFeatureBit(extension, ringFeatures.INDIRECT_DESC) && queues[0].size - 2 < limit) limit = queues[0].size - 2;
  return limit;
}

/** Says which limit it was. */
function tooLong(extension: AdapterExtension, limit: number): false {
  const { info, profile, debug } = extension;
  const name = limit === info.segMax ? "seg_max" : limit === virtioMaxSg(profile) - 2 ? "VIRTIO_MAX_SG" : "the ring";
  debug.print(TraceLevel.Error, `a request of more than ${limit} data elements: that is the limit of ${name}`);
  return false;
}
