/**
 * The device half of virtio-scsi: requests, task management, asynchronous notifications and events of a {@link ScsiBus}
 * (virtio 1.2 §5.6; 0.9.5 appendix I). It knows rings as chains only, and nothing of PCI.
 */
import type { Endianness, SavedFields, SavedReader } from "../../bytes/index.js";
import { ProtocolError } from "../../errors/index.js";
import type { CommandFault, FaultHook, Observer } from "../../observe/index.js";
import {
  buildSense,
  decodeVirtioLun,
  describeCdb,
  encodeVirtioLun,
  type LogicalUnit,
  lunOf,
  Nexus,
  type ScsiBus,
  ScsiStatus,
  targetOf,
  unitAddress,
} from "../../scsi/index.js";
import { type DeviceHost, type DeviceType, featureSet } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { observeViolation, RunningRequests } from "../device-base/index.js";
import { tellBusEvent } from "./device-bus-events.js";
import { answerControl } from "./device-control.js";
import { DeviceRequest } from "./device-request.js";
import { readUnits, saveUnits } from "./device-state.js";
import { observeAnswer, observeCommand, unitName } from "./device-trace.js";
import { type EventLimit, EventQueue } from "./event-queue.js";
import {
  AsyncEvent,
  defaultCdbSize,
  defaultSenseSize,
  eventStructure,
  requestHeader,
  responseHeader,
  ScsiEvent,
  ScsiQueue,
  ScsiResponse,
  scsiConfig,
  scsiFeatures,
  virtioScsiId,
} from "./protocol.js";

/** What the device offers. */
export interface VirtioScsiOptions {
  /** Request queues. Default 1. */
  requestQueues?: number;
  /** Largest size of every queue. Default 256. */
  queueSize?: number;
  /** Data segments that a request may have. Default: queue size − 2. */
  segMax?: number;
  /** Sectors of 512 bytes a request may move. Default 65535. */
  maxSectors?: number;
  /** Commands that a unit takes at once. Default 128. */
  commandsPerUnit?: number;
  /** Offer INOUT: data in both directions in one command. Default false. */
  inout?: boolean;
  /** Offer HOTPLUG and CHANGE. Default true. */
  hotplug?: boolean;
  /** How many events may be reported. Default a burst of 64 and 1000 a second. */
  eventLimit?: EventLimit;
  /**
   * Asynchronous notifications (`AsyncEvent` bits) that every unit can be asked for. Default: those that units have,
   * which are media changes where the medium can be removed.
   */
  asyncEvents?: number;
  /**
   * Who the driver is to the units: reservations belong to this name, over restarts too. Adapters that share a unit need
   * different names. Default `virtio-scsi`.
   */
  initiatorName?: string;
  observer?: Observer | undefined;
  faults?: FaultHook | undefined;
}

/** Largest sizes that the driver may configure. */
const maxCdbSize = 260;
const maxSenseSize = 252;
/** Of what it keeps in a snapshot. */
const stateVersion = 1;

/** The device: give it to a transport. */
export class VirtioScsiDevice implements DeviceType {
  readonly deviceId = virtioScsiId;
  readonly name = "virtio-scsi";
  readonly featureTable = scsiFeatures;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly configSize = scsiConfig.size;
  readonly bus: ScsiBus;
  /** Requests that wait for a store, a fault or a task management function. */
  readonly running = new RunningRequests<DeviceRequest>();
  /** Notifications subscribed to, by unit address. */
  readonly subscriptions = new Map<number, number>();
  /** The driver, to units. */
  readonly nexus: Nexus;
  readonly #options: VirtioScsiOptions;
  #stopListening: () => void = () => {};
  #host!: DeviceHost;
  #events!: EventQueue;
  #senseSize = defaultSenseSize;
  #cdbSize = defaultCdbSize;

  constructor(bus: ScsiBus, options: VirtioScsiOptions = {}) {
    const { requestQueues = 1, queueSize = 256, hotplug = true, inout = false } = options;
    const { INOUT, HOTPLUG, CHANGE } = scsiFeatures;
    this.bus = bus;
    this.nexus = new Nexus(options.initiatorName ?? "virtio-scsi");
    this.features = (inout ? featureSet(INOUT) : 0n) | (hotplug ? featureSet(HOTPLUG, CHANGE) : 0n);
    this.queueSizes = new Array<number>(ScsiQueue.FirstRequest + requestQueues).fill(queueSize);
    this.#options = options;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    this.#stopListening = this.bus.onEvent((event) => tellBusEvent(this, this.#host, this.#events, event));
    this.#events = new EventQueue(host, this.#options.eventLimit ?? { burst: 64, perSecond: 1000 });
  }

  /** Stops listening to the bus. */
  close(): void {
    this.#stopListening();
    this.reset();
  }

  readConfig(view: DataView, endianness: Endianness): void {
    const { segMax = this.queueSizes[0] - 2, maxSectors = 0xffff, commandsPerUnit = 128 } = this.#options;
    scsiConfig.write(view, 0, endianness, {
      numQueues: this.queueSizes.length - ScsiQueue.FirstRequest,
      segMax,
      maxSectors,
      cmdPerLun: commandsPerUnit,
      eventInfoSize: eventStructure.size,
      senseSize: this.#senseSize,
      cdbSize: this.#cdbSize,
      maxChannel: 0,
      maxTarget: 255,
      maxLun: 16383,
    });
  }

  /** §5.6.4.1: the driver may write sense_size and cdb_size; what cannot be is not taken. */
  writeConfig(view: DataView, endianness: Endianness): void {
    const { senseSize, cdbSize } = scsiConfig.read(view, 0, endianness);
    if (senseSize <= maxSenseSize) this.#senseSize = senseSize;
    if (cdbSize > 0 && cdbSize <= maxCdbSize) this.#cdbSize = cdbSize;
  }

  notified(index: number): void {
    if (index === ScsiQueue.Event) this.#events.refill();
    else this.#serve(index);
  }

  reset(): void {
    this.running.cancel();
    this.subscriptions.clear();
    this.#events.reset();
    this.#senseSize = defaultSenseSize;
    this.#cdbSize = defaultCdbSize;
  }

  resetQueue(index: number): void {
    if (index === ScsiQueue.Event) this.#events.reset();
    else this.running.cancel(({ queue }) => queue.index === index);
  }

  keepsChains(index: number): boolean {
    return index === ScsiQueue.Event;
  }

  saveState(): SavedFields {
    const sizes = { senseSize: this.#senseSize, cdbSize: this.#cdbSize };
    return { version: stateVersion, ...sizes, eventsMissed: this.#events.missed, units: saveUnits(this) };
  }

  readState(saved: SavedReader): () => void {
    saved.version(stateVersion);
    const senseSize = saved.whole("senseSize", maxSenseSize);
    const cdbSize = saved.whole("cdbSize", maxCdbSize);
    if (cdbSize === 0) saved.refuse("cdbSize", "is 0");
    const missed = saved.flag("eventsMissed");
    const units = readUnits(saved, this);
    return () => {
      this.#senseSize = senseSize;
      this.#cdbSize = cdbSize;
      this.#events.missed = missed;
      units();
    };
  }

  /** The asynchronous notifications (`AsyncEvent` bits) that a unit has. */
  asyncEventsOf(unit: LogicalUnit): number {
    return this.#options.asyncEvents ?? (unit.hasRemovableMedium ? AsyncEvent.MediaChange : 0);
  }

  /** Tells the driver of an asynchronous notification (`AsyncEvent` bits), if it subscribed to it. */
  notifyAsync(target: number, lun: number, events: number): void {
    const address = unitAddress(target, lun);
    const wanted = (this.subscriptions.get(address) ?? 0) & events;
    if (wanted !== 0) this.#events.report(ScsiEvent.AsyncNotify, encodeVirtioLun(address), wanted);
  }

  /** Ends requests that wait, with a response; the driver sees them before anything that follows. */
  cancel(matches: (request: DeviceRequest) => boolean, response: number): void {
    this.running.cancel(matches, (request) => {
      this.#writeResponse(request, response, 0, ScsiStatus.Good);
      request.queue.retire(request.chain, responseHeader.size);
      this.#publish(request.queue);
    });
  }

  #serve(index: number): void {
    const queue = this.#host.queue(index);
    if (queue === undefined) return;
    try {
      do {
        queue.disableNotifications();
        for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
          if (index === ScsiQueue.Control) this.#control(queue, chain);
          else this.#request(queue, chain);
        }
      } while (!queue.enableNotifications());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#host.fail(error);
    }
    this.#publish(queue);
  }

  #publish(queue: QueueDevice): void {
    if (queue.publish()) this.#host.signal(queue.index);
  }

  #control(queue: QueueDevice, chain: Chain): void {
    try {
      queue.push(chain, answerControl(this, chain, this.#host.endianness));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(queue, chain, error);
    }
  }

  /** A request that no response can be written to: given back empty, counted. */
  #refuse(queue: QueueDevice, chain: Chain, error: ProtocolError): void {
    this.#host.count(error.code);
    if (this.#options.observer !== undefined) observeViolation(this.#options.observer, queue.index, error);
    queue.push(chain, 0);
  }

  #request(queue: QueueDevice, chain: Chain): void {
    const { readable, writable } = chain;
    const place = { queue: queue.index, head: chain.head };
    const headerLength = requestHeader.size + this.#cdbSize;
    const responseLength = responseHeader.size + this.#senseSize;
    if (readable.byteLength < headerLength) {
      const detail = `${readable.byteLength} of ${headerLength} bytes`;
      this.#refuse(queue, chain, new ProtocolError("request-header-short", { ...place, detail }));
      return;
    }
    if (writable.byteLength < responseLength) {
      const detail = `${writable.byteLength} of ${responseLength} bytes`;
      this.#refuse(queue, chain, new ProtocolError("response-space-short", { ...place, detail }));
      return;
    }
    const request = (chain.context ??= new DeviceRequest(chain)) as DeviceRequest;
    if (request.headerLength !== headerLength) {
      request.header.fill(0);
      request.headerLength = headerLength;
    }
    readable.copyHeader(request.headerView, request.header, headerLength);
    readable.dropFront(headerLength);
    request.response.clear();
    writable.splitFront(responseLength, request.response);
    request.queue = queue;
    request.dataLength = readable.byteLength + writable.byteLength;
    const response = this.#execute(request);
    if (response !== undefined) this.#respond(request, response);
  }

  /** The response, or undefined when it comes later. */
  #execute(request: DeviceRequest): number | undefined {
    const { task, chain, header } = request;
    const { readable, writable } = chain;
    const address = decodeVirtioLun(header, 0);
    task.begin(this.nexus, readable, writable);
    if (address === undefined) return ScsiResponse.BadTarget;
    request.address = address;
    const unit = this.bus.lookup(address);
    if (unit === undefined) return ScsiResponse.BadTarget;
    if (readable.byteLength > 0 && writable.byteLength > 0 && !this.#host.has(scsiFeatures.INOUT)) {
      return ScsiResponse.Failure;
    }
    const little = this.#host.endianness === "little";
    task.tagLow = request.headerView.getUint32(little ? 8 : 12, little);
    task.tagHigh = request.headerView.getUint32(little ? 12 : 8, little);
    task.attribute = header[requestHeader.offset.taskAttribute] & 7;
    unit.prepare(task);
    if (this.#options.observer !== undefined) observeCommand(this.#options.observer, request);
    if (task.expectedIn > writable.byteLength || task.expectedOut > readable.byteLength) {
      return ScsiResponse.Overrun;
    }
    if (this.#options.faults !== undefined) {
      const fault = this.#options.faults.command?.({ target: targetOf(address), lun: lunOf(address), cdb: task.cdb });
      if (fault !== undefined) return this.#fault(fault, request);
    }
    return this.#start(request, unit);
  }

  #start(request: DeviceRequest, unit: LogicalUnit): number | undefined {
    const answer = unit.execute(request.task);
    if (answer === undefined) return ScsiResponse.Ok;
    this.running.beginUntil(request, answer, () => this.#respondLate(request, ScsiResponse.Ok));
    return undefined;
  }

  #respond(request: DeviceRequest, response: number): void {
    const { task, chain, queue } = request;
    const ok = response === ScsiResponse.Ok;
    const moved = ok ? task.transferredIn + task.transferredOut : 0;
    this.#writeResponse(request, response, request.dataLength - moved, ok ? task.status : ScsiStatus.Good);
    request.state = "idle";
    if (this.#options.observer !== undefined) observeAnswer(this.#options.observer, request, response);
    queue.push(chain, request.response.byteLength + (ok ? task.transferredIn : 0));
  }

  #writeResponse(request: DeviceRequest, response: number, residual: number, status: number): void {
    const { task, responseView, responseBytes } = request;
    const little = this.#host.endianness === "little";
    const senseLength = Math.min(response === ScsiResponse.Ok ? task.senseLength : 0, this.#senseSize);
    const { offset } = responseHeader;
    responseView.setUint32(offset.senseLength, senseLength, little);
    responseView.setUint32(offset.residual, residual, little);
    responseView.setUint16(offset.statusQualifier, 0, little);
    responseView.setUint8(offset.status, status);
    responseView.setUint8(offset.response, response);
    for (let index = 0; index < senseLength; index++) responseBytes[responseHeader.size + index] = task.sense[index];
    request.response.copyIn(request.responsePages, 0, responseHeader.size + senseLength);
  }

  /** Carries out a fault. The response, or undefined when it comes later or never. */
  #fault(fault: CommandFault, request: DeviceRequest): number | undefined {
    const { task, address } = request;
    this.#options.observer?.emit({
      category: "fault",
      source: unitName(address),
      name: fault.kind,
      fields: { command: describeCdb(task.cdb) },
    });
    switch (fault.kind) {
      case "response":
        return fault.response;
      case "error":
        task.status = ScsiStatus.CheckCondition;
        task.senseLength = buildSense(task.sense, "fixed", fault);
        return ScsiResponse.Ok;
      case "never":
        this.running.begin(request);
        return undefined;
      case "delay": {
        const over = new Promise<void>((resolve) => setTimeout(resolve, fault.milliseconds));
        this.running.beginUntil(request, over, () => this.#startLate(request));
        return undefined;
      }
    }
  }

  #startLate(request: DeviceRequest): void {
    const unit = this.bus.lookup(request.address);
    const response = unit === undefined ? ScsiResponse.BadTarget : this.#start(request, unit);
    if (response !== undefined) this.#respondLate(request, response);
  }

  #respondLate(request: DeviceRequest, response: number): void {
    this.#respond(request, response);
    this.#publish(request.queue);
  }
}
