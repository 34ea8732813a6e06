/** VirtIoInterrupt, the message routine, and the completion of requests. */
import { ProtocolError } from "../../errors/index.js";
import { IsrStatus } from "../../transport/index.js";
import { BlkStatus } from "../../virtio/index.js";
import { type AdapterExtension, deviceOf, type RequestQueue } from "./adapter-extension.js";
import { completeSrb, srbStatusOf } from "./complete-srb.js";
import { TraceLevel } from "./debug-print.js";
import { readConfiguration } from "./find-adapter.js";
import { senseOf } from "./scsi-answer.js";
import { type Srb, SrbStatus } from "./srb.js";
import { noStatus } from "./srb-extension.js";
import { carryOut, diskFacts, sendFlush, sendSame } from "./start-io.js";
import { translateScsi } from "./translate.js";
import { allOnes, virtIODeviceISR } from "./virtio-device.js";

const noBytes = new Uint8Array(0);

/** The line's interrupt, and what a dump polls. False when it was not this adapter's. */
export function virtIoInterrupt(extension: AdapterExtension): boolean {
  if (extension.removed || extension.deviceBase === undefined || extension.resetInProgress) return false;
  const isr = virtIODeviceISR(extension);
  if (isr === allOnes && isGone(extension)) return false;
  // A dump is polled: nobody raises an interrupt, and completed requests have to be found all the same.
  const polls = extension.dumpMode && extension.behaviour.dumpCompletion === "polled";
  if (isr === 0 && !polls) return false;
  if ((isr & IsrStatus.Config) !== 0) configurationChanged(extension);
  if ((isr & IsrStatus.Queue) !== 0 || polls) drainAll(extension);
  return true;
}

/** A message. The interrupt status is not read, unless one message serves everything. */
export function virtIoMessageInterrupt(extension: AdapterExtension, message: number): boolean {
  if (extension.removed || extension.resetInProgress) return false;
  if (extension.sharedMessage) {
    const isr = virtIODeviceISR(extension);
    if (isr === allOnes && isGone(extension)) return false;
    drainAll(extension);
    // Older devices do not keep the status while messages are on.
    if ((isr & IsrStatus.Config) !== 0 || (isr === 0 && deviceOf(extension).isLegacy)) configurationChanged(extension);
    return true;
  }
  if (message === 0) configurationChanged(extension);
  const { queues } = extension;
  for (let index = 0; index < queues.length; index++) if (queues[index].message === message) drain(extension, index);
  return true;
}

/** Looks at all rings, whatever an interrupt status says. */
export function drainAll(extension: AdapterExtension): void {
  for (let index = 0; index < extension.queues.length; index++) drain(extension, index);
}

/** Registers of all ones: the device was pulled. From here on everything ends with NO_DEVICE. */
export function isGone(extension: AdapterExtension): boolean {
  if (extension.behaviour.removal !== "detected" || deviceOf(extension).readStatus() !== allOnes) return false;
  if (!extension.removed) {
    extension.removed = true;
    extension.debug.print(TraceLevel.Error, "the device was removed");
    extension.port.busChangeDetected();
  }
  return true;
}

/** The completion of one queue: drain, ask for interrupts, again if something came meanwhile. */
function drain(extension: AdapterExtension, index: number): void {
  const queue = extension.queues[index];
  if (queue === undefined || extension.failure !== undefined) return;
  try {
    do {
      for (let token = queue.ring.reap(); token !== undefined; token = queue.ring.reap()) {
        const srb = typeof token === "number" ? takeById(queue, token) : token;
        if (srb !== undefined) requestDone(extension, srb);
      }
    } while (!extension.dumpMode && !queue.ring.enableInterrupts());
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    violated(extension, error);
  }
}

function takeById(queue: RequestQueue, id: number): Srb | undefined {
  const srb = queue.byId.get(id);
  queue.byId.delete(id);
  return srb;
}

/** A broken rule is counted, and puts the device out of use. */
function violated(extension: AdapterExtension, error: ProtocolError): void {
  extension.violations.set(error.code, (extension.violations.get(error.code) ?? 0) + 1);
  extension.debug.print(TraceLevel.Fatal, error.message);
  if (extension.behaviour.unknownUsedId === "skipped") return;
  extension.failure = error;
  extension.port.deviceFailed(error);
}

/** One request came back. */
function requestDone(extension: AdapterExtension, srb: Srb): void {
  const request = srb.extension;
  const status = request.status;
  switch (request.stage) {
    case "only":
      completeSrb(extension, srb, status === noStatus ? SrbStatus.Error : srbStatusOf(status));
      return;
    case "write-then-flush":
      writeDone(extension, srb, status);
      return;
    case "flush-after-write": {
      const isLost = extension.behaviour.fuaStatus === "last" || request.firstStatus === BlkStatus.Ok;
      completeSrb(extension, srb, srbStatusOf(isLost ? status : request.firstStatus));
      return;
    }
    case "same":
      if (status === BlkStatus.Ok && request.sectorsLeft > 0) sendSame(extension, srb);
      else completeSrb(extension, srb, srbStatusOf(status));
      return;
    case "identify":
      identified(extension, srb, status);
  }
}

/** A write that has to be durable: its flush follows, unless it failed. */
function writeDone(extension: AdapterExtension, srb: Srb, status: number): void {
  const request = srb.extension;
  if (status !== BlkStatus.Ok && extension.behaviour.fuaStatus === "first-failure") {
    completeSrb(extension, srb, srbStatusOf(status));
    return;
  }
  request.firstStatus = status;
  request.stage = "flush-after-write";
  sendFlush(extension, srb);
}

/** GET_ID came: the command that wanted it is translated again. */
function identified(extension: AdapterExtension, srb: Srb, status: number): void {
  const isAnswer = status === BlkStatus.Ok;
  const { serialStatus } = extension.behaviour;
  if (isAnswer || serialStatus === "ignored") extension.serial = srb.extension.readId();
  const facts = diskFacts(extension);
  // Without an answer the page is made without a serial number, this once.
  const known = { ...facts, serial: facts.serial ?? "" };
  carryOut(extension, srb, translateScsi(srb.cdb, srb.data ?? noBytes, srb.dataLength, known));
}

/** The configuration changed: capacity and write protection are read again, and told with the next command. */
export function configurationChanged(extension: AdapterExtension): void {
  const { behaviour, debug } = extension;
  if (behaviour.serialCache === "until-change") extension.serial = undefined;
  if (behaviour.configChange === "ignored") return;
  const before = extension.info;
  try {
    readConfiguration(extension);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    violated(extension, error);
    return;
  }
  const { info } = extension;
  if (info.capacity !== before.capacity) extension.attention = senseOf.capacityChanged;
  else if (info.isReadOnly !== before.isReadOnly) extension.attention = senseOf.writeProtected;
  else return;
  debug.print(TraceLevel.Warning, `the disk changed: ${info.capacity} sectors`);
  extension.port.busChangeDetected();
}
