/** VirtIoStartIo: one call for each SRB. Sends it, answers it, or refuses it. */
import { BlkType, blkConfig, encodeRanges } from "../../virtio/index.js";
import { type AdapterExtension, deviceOf } from "./adapter-extension.js";
import { addSegments, virtIoBuildIo } from "./build-io.js";
import { completeBare, completeSrb, completeWithSense } from "./complete-srb.js";
import type { DiskFacts } from "./disk-facts.js";
import { rhelDoReadWrite } from "./do-read-write.js";
import { readConfiguration } from "./find-adapter.js";
import type { ScsiTranslation } from "./scsi-answer.js";
import { PnpAction, type Srb, SrbFunction, SrbStatus } from "./srb.js";
import { decodeTransfer } from "./transfer-decoder.js";
import { translateScsi } from "./translate.js";

const noBytes = new Uint8Array(0);

/** Always true, as the port driver wants it: the SRB has ended or will. */
export function virtIoStartIo(extension: AdapterExtension, srb: Srb): boolean {
  // ScsiPort has no BuildIo.
  if (!extension.profile.buildIo && !virtIoBuildIo(extension, srb)) return true;
  if (extension.resetInProgress) completeSrb(extension, srb, SrbStatus.BusReset);
  else if (extension.removed || extension.failure !== undefined || extension.queues.length === 0) {
    completeSrb(extension, srb, SrbStatus.NoDevice);
  } else if (srb.function === SrbFunction.ExecuteScsi) executeScsi(extension, srb);
  else otherFunction(extension, srb);
  return true;
}

function executeScsi(extension: AdapterExtension, srb: Srb): void {
  if (srb.cdbLength === 0) completeSrb(extension, srb, SrbStatus.BadFunction);
  else if (decodeTransfer(srb.cdb, extension.behaviour, extension.transfer)) send(extension, srb);
  else carryOut(extension, srb, translateScsi(srb.cdb, srb.data ?? noBytes, srb.dataLength, diskFacts(extension)));
}

/** What the translation is told. */
export function diskFacts(extension: AdapterExtension): DiskFacts {
  const { info, profile, behaviour, configuration, serial, port, limitKnown } = extension;
  const { bus, slot } = port.fn;
  const maximumTransferLength = configuration?.maximumTransferLength ?? 0;
  return { info, generation: profile.generation, behaviour, maximumTransferLength, serial, bus, slot, limitKnown };
}

/** Puts the request on the ring; where it has no room, the SRB says so. */
function send(extension: AdapterExtension, srb: Srb): void {
  if (rhelDoReadWrite(extension, srb)) {
    if (extension.profile.nextRequestRoom > 0) {
      const { ring } = extension.queues[0];
      if (ring.free >= extension.profile.nextRequestRoom) extension.port.nextRequest();
    }
    return;
  }
  completeSrb(extension, srb, extension.profile.noRoom === "busy" ? SrbStatus.Busy : SrbStatus.Aborted);
}

/** Acts on a translation. */
export function carryOut(extension: AdapterExtension, srb: Srb, what: ScsiTranslation): void {
  const request = srb.extension;
  request.stage = "only";
  switch (what.kind) {
    case "answer":
      giveAnswer(extension, srb, what.data);
      return;
    case "sense":
      completeWithSense(extension, srb, what.sense);
      return;
    case "bare-check-condition":
      completeBare(extension, srb);
      return;
    case "status":
      completeSrb(extension, srb, what.status);
      return;
    case "flush":
      sendFlush(extension, srb);
      return;
    case "ranges": {
      const encoded = encodeRanges(what.ranges, what.flags, deviceOf(extension).endianness);
      request.begin(what.type, 0);
      request.addRanges(encoded);
      request.end();
      send(extension, srb);
      return;
    }
    case "same":
      request.stage = "same";
      request.nextSector = what.sector;
      request.sectorsLeft = what.sectors;
      sendSame(extension, srb);
      return;
    case "identify":
      request.begin(BlkType.GetId, 0);
      request.addIdBuffer();
      request.end();
      request.stage = "identify";
      send(extension, srb);
      return;
    case "cache":
      deviceOf(extension).writeConfig(blkConfig.offset.writeback, what.on ? 1 : 0);
      readConfiguration(extension);
      completeSrb(extension, srb, SrbStatus.Success);
      return;
    case "transfer":
      // BuildIo made it already.
      send(extension, srb);
  }
}

/** Ends an SRB with data: as much as its buffer holds. */
function giveAnswer(extension: AdapterExtension, srb: Srb, data: Uint8Array): void {
  const length = Math.min(data.length, srb.data?.length ?? 0, srb.dataLength);
  srb.data?.set(data.subarray(0, length));
  srb.dataLength = length;
  const isCapacity = srb.cdb[0] === 0x25 || srb.cdb[0] === 0x9e;
  if (isCapacity) extension.limitKnown = true;
  // Each INQUIRY tells the port driver the depth again.
  if (srb.cdb[0] === 0x12) extension.port.setQueueDepth(extension.configuration?.depth ?? 1);
  completeSrb(extension, srb, SrbStatus.Success);
}

/** FLUSH, always of the whole device. */
export function sendFlush(extension: AdapterExtension, srb: Srb): void {
  srb.extension.begin(BlkType.Flush, 0);
  srb.extension.end();
  send(extension, srb);
}

/** WRITE SAME: as many copies of the block as one request takes. */
export function sendSame(extension: AdapterExtension, srb: Srb): void {
  const { info, configuration } = extension;
  const request = srb.extension;
  const perBlock = info.blockSize / 512;
  const breaks = configuration?.breaks ?? 1;
  const pieces = Math.max(1, srb.segmentCount * Math.ceil(info.blockSize / (info.sizeMax ?? info.blockSize)));
  const copies = Math.max(1, Math.min(Math.floor(breaks / pieces), request.sectorsLeft / perBlock));
  request.begin(BlkType.Out, request.nextSector);
  for (let copy = 0; copy < copies; copy++) {
    if (!addSegments(extension, srb, true)) {
      completeSrb(extension, srb, SrbStatus.BadSrbBlockLength);
      return;
    }
  }
  request.end();
  request.nextSector += copies * perBlock;
  request.sectorsLeft -= copies * perBlock;
  send(extension, srb);
}

/** Everything but EXECUTE_SCSI. Resets by function are the port driver's to wait for: see `resetByFunction`. */
function otherFunction(extension: AdapterExtension, srb: Srb): void {
  const { profile } = extension;
  switch (srb.function) {
    case SrbFunction.Power:
      completeSrb(extension, srb, SrbStatus.Success);
      return;
    case SrbFunction.Pnp:
      pnp(extension, srb);
      return;
    case SrbFunction.Flush:
    case SrbFunction.Shutdown:
      if (profile.flushesByFunction && extension.info.canFlush && !extension.info.isReadOnly) sendFlush(extension, srb);
      else completeSrb(extension, srb, SrbStatus.Success);
      return;
    case SrbFunction.ResetDevice:
    case SrbFunction.ResetLogicalUnit:
      completeSrb(extension, srb, SrbStatus.Success);
      return;
    default:
      completeSrb(extension, srb, SrbStatus.InvalidRequest);
  }
}

/** Whether an SRB is a reset that this driver carries out: the port driver then calls the reset routine for it. */
export function isResetByFunction(extension: AdapterExtension, srb: Srb): boolean {
  if (!extension.profile.resetsByFunction) return false;
  const { ResetBus, ResetDevice, ResetLogicalUnit } = SrbFunction;
  return srb.function === ResetBus || srb.function === ResetDevice || srb.function === ResetLogicalUnit;
}

function pnp(extension: AdapterExtension, srb: Srb): void {
  if (!extension.profile.handlesPnp) {
    completeSrb(extension, srb, SrbStatus.Success);
    return;
  }
  switch (srb.pnpAction) {
    case PnpAction.QueryCapabilities:
      // STOR_DEVICE_CAPABILITIES: version 1, and of the flags behind it Removable.
      if (srb.data !== undefined && srb.data.length >= 8) srb.data.set([1, 0, 0, 0, 0x04, 0, 0, 0]);
      break;
    case PnpAction.RemoveDevice:
    case PnpAction.SurpriseRemoval:
      extension.removed = true;
      extension.port.busChangeDetected();
      break;
    case PnpAction.StopDevice:
      extension.stopped = true;
      break;
    default:
      completeSrb(extension, srb, SrbStatus.InvalidRequest);
      return;
  }
  completeSrb(extension, srb, SrbStatus.Success);
}
