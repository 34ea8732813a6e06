/**
 * The driver half of virtio-scsi (virtio 1.2 §5.6). At ring level it is synchronous: `submit`, `flush`, `poll`, with
 * reusable requests and no allocation. Above that, {@link VirtioScsiDriver.execute} takes a command and gives a promise.
 */
import {
  type CommandAnswer,
  type CommandOptions,
  describeCdb,
  encodeVirtioLun,
  type InitiatorLimits,
  lunLimit,
  type ScsiInitiator,
  ScsiResponse,
  targetLimit,
  type UnitAddress,
} from "../../scsi/index.js";
import {
  type DriverLink,
  type DriverTransport,
  featureSet,
  modernRingFeatures,
  ringFeatures,
} from "../../transport/index.js";
import {
  type Lending,
  ReceiveQueue,
  type RequestAborted,
  RequestDriver,
  type RequestDriverOptions,
  type WantedOfDevice,
} from "../driver-base/index.js";
import { checkSameFormat, openScsiConfig, type ScsiConfig } from "./driver-config.js";
import { ControlQueue } from "./driver-control.js";
import { decodeEvent, eventBufferSize, type ScsiEventListener, type ScsiEventReport } from "./driver-events.js";
import { ScsiRequest, type ScsiRequestFormat } from "./driver-request.js";
import { ScsiQueue, scsiFeatures, TaskManagement } from "./protocol.js";
import { UnitLoad } from "./unit-load.js";

/** What the driver takes and how long it waits. `features` default to all that it knows, without INOUT. */
export interface ScsiDriverOptions extends RequestDriverOptions {
  /** Request queues to use, at most what the device has. Default 1. */
  readonly requestQueues?: number;
  /** Sense bytes and CDB bytes to configure; default: the device's defaults are left alone. */
  readonly senseSize?: number;
  readonly cdbSize?: number;
  /** Buffers on the event queue. Default 8; 0 leaves the event queue alone. */
  readonly eventBuffers?: number;
}

/** Data and patience of one command, see {@link ScsiInitiator}. */
export type { CommandOptions } from "../../scsi/index.js";

/** How a command ended. */
export type CommandResult = CommandAnswer;

/** A command did not end in time, or was called off. */
export { RequestAborted as CommandAborted } from "../driver-base/index.js";

/** Milliseconds that a device has to give an aborted command back. */
const abortGrace = 2000;

/** All features that the driver half knows; INOUT only when asked for. */
export const knownScsiFeatures = featureSet(
  scsiFeatures.HOTPLUG,
  scsiFeatures.CHANGE,
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
  ...modernRingFeatures,
);

/** The driver of one adapter. */
export class VirtioScsiDriver extends RequestDriver<ScsiRequest> implements ScsiInitiator {
  readonly #options: ScsiDriverOptions;
  readonly #control: ControlQueue;
  readonly #listeners = new Set<ScsiEventListener>();
  #config: ScsiConfig | undefined;
  #limits!: InitiatorLimits;
  #format!: ScsiRequestFormat;
  #unitLoad!: UnitLoad;
  #events: ReceiveQueue | undefined;
  #isRestored = false;

  private constructor(transport: DriverTransport, options: ScsiDriverOptions) {
    super(transport, options);
    this.#options = options;
    this.#control = new ControlQueue(transport);
  }

  /**
   * Brings the device up.
   * @throws ProtocolError when the device breaks the rules of initialisation.
   */
  static async open(transport: DriverTransport, options: ScsiDriverOptions = {}): Promise<VirtioScsiDriver> {
    const driver = new VirtioScsiDriver(transport, options);
    await driver.bringUp();
    return driver;
  }

  /** The configuration as it was read when the device was brought up last. */
  get config(): ScsiConfig {
    return this.#config as ScsiConfig;
  }

  /** What the configuration says about targets, LUNs and transfers. */
  get limits(): InitiatorLimits {
    return this.#limits;
  }

  /**
   * Listens to events of the device. After a restore comes one of kind `none` that says `missed`: what happened
   * meanwhile, nobody knows. Returns the way to stop.
   */
  onEvent(listener: ScsiEventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Points a request of the ring level at a unit. */
  address(request: ScsiRequest, address: UnitAddress): void {
    request.pointAt(address);
  }

  /**
   * Sends one command and waits for its end. A unit gets cmd_per_lun commands at a time, others wait.
   * @throws RequestAborted when it ran out of time or was called off; ProtocolError when the device broke a rule;
   * RangeError when CDB or data are more than the device takes.
   */
  async execute(address: UnitAddress, cdb: Uint8Array, options: CommandOptions = {}): Promise<CommandResult> {
    const { cdbSize } = this.config;
    if (cdb.length > cdbSize) throw new RangeError(`CDB of ${cdb.length} bytes, the device takes ${cdbSize}`);
    const request = this.acquireRequest();
    request.pointAt(address);
    request.cdb.fill(0);
    request.cdb.set(cdb);
    const { dataOut, dataIn, timeout, signal } = options;
    const data: Lending[] = [];
    if (dataOut !== undefined) data.push({ bytes: dataOut, direction: "to-device" });
    if (dataIn !== undefined) data.push({ bytes: dataIn, direction: "from-device" });
    const queue = Math.min(options.queue ?? 0, this.requestQueues - 1);
    const lent = this.lend(request, queue, data);
    const length = (dataOut?.length ?? 0) + (dataIn?.length ?? 0);
    return this.send(request, queue, {
      timeout,
      signal,
      describe: () => describeCdb(cdb),
      result: () => resultOf(request, length),
      onReturn: () => {
        this.#unitLoad.returned(request);
        this.unshare(lent);
      },
    });
  }

  /**
   * A task management function. `tag` is for ABORT TASK and QUERY TASK.
   * @returns the response code.
   */
  manageTasks(subtype: number, address: UnitAddress, tag = 0n): Promise<number> {
    return this.#control.manage(subtype, encodeVirtioLun(address), tag);
  }

  /**
   * Asks which of `events` (`AsyncEvent` bits) a unit can report, and subscribes to them unless `query`. A freeze ends the
   * subscription, as every reset does.
   */
  asyncNotifications(
    address: UnitAddress,
    events: number,
    query = false,
  ): Promise<{ eventActual: number; response: number }> {
    return this.#control.notifications(encodeVirtioLun(address), events, query);
  }

  /** Has the command aborted: it comes back over its ring. A device that keeps it, or does not answer, is given up. */
  protected callOff(request: ScsiRequest, error: RequestAborted): void {
    this.giveUpUnlessReturned(request, abortGrace, error);
    const { uses } = request;
    this.manageTasks(TaskManagement.AbortTask, request.address, request.tag).catch((failure: unknown) => {
      // A freeze that reset the device ended both.
      if (this.hasStill(request, uses)) this.giveUp(failure);
    });
  }

  protected override mayStart(request: ScsiRequest): boolean {
    return this.#unitLoad.hasRoom(request.address);
  }

  protected override wasSubmitted(request: ScsiRequest): void {
    this.#unitLoad.sent(request);
  }

  protected override isBusy(): boolean {
    return super.isBusy() || this.#control.inFlight > 0;
  }

  protected wanted(): WantedOfDevice {
    const { features = knownScsiFeatures, requestQueues = 1 } = this.#options;
    const queues = ScsiQueue.FirstRequest + Math.max(1, requestQueues);
    // QEMU (seen with 7.2 and 10.0) counts data that it read as written; the residual tells what was moved.
    return { features, queues, excessUsedLength: "cut", featureTable: scsiFeatures };
  }

  protected setUp(link: DriverLink): void {
    const { requestQueues = 1, eventBuffers = 8 } = this.#options;
    const config = openScsiConfig(link, this.#options);
    const { cdbSize, senseSize } = config;
    if (this.#config === undefined) {
      this.#format = { cdbSize, senseSize, isLittleEndian: this.transport.endianness === "little", nextTag: 1 };
    } else checkSameFormat(this.#config, config);
    this.#config = config;
    this.#limits = limitsOf(config);
    this.#unitLoad = new UnitLoad(config.cmdPerLun);
    this.#control.connect(link);
    this.own(ScsiQueue.Control, this.#control);
    if (eventBuffers > 0) {
      const bufferSize = eventBufferSize(config.eventInfoSize);
      const received = (bytes: Uint8Array) => this.#tell(decodeEvent(bytes, this.transport.endianness));
      this.#events = this.own(
        ScsiQueue.Event,
        new ReceiveQueue(link, ScsiQueue.Event, { buffers: eventBuffers, bufferSize, received }),
      );
    } else link.createQueue(ScsiQueue.Event);
    this.openRings(link, ScsiQueue.FirstRequest, Math.max(1, Math.min(requestQueues, config.numQueues)));
  }

  protected override started(): void {
    this.#events?.start();
    this.#control.start();
    super.started();
    if (this.#isRestored) this.#tell({ kind: "none", target: undefined, lun: undefined, reason: 0, missed: true });
    this.#isRestored = true;
  }

  protected override ended(error: Error): void {
    this.#control.end(error);
    super.ended(error);
  }

  protected createRequest(): ScsiRequest {
    const slot = this.transport.dma.allocate(ScsiRequest.slotSize(this.#format), 16);
    return new ScsiRequest(slot, this.#format);
  }

  #tell(event: ScsiEventReport | undefined): void {
    if (event !== undefined) for (const listener of this.#listeners) listener(event);
  }
}

function limitsOf({ maxTarget, maxLun, maxSectors }: ScsiConfig): InitiatorLimits {
  return {
    targets: Array.from({ length: Math.min(maxTarget, targetLimit - 1) + 1 }, (_, target) => target),
    luns: Math.min(maxLun, lunLimit - 1) + 1,
    largestTransfer: (maxSectors || 0xffff) * 512,
  };
}

function resultOf(request: ScsiRequest, length: number): CommandResult {
  const { response, status, senseLength } = request;
  return {
    response,
    status,
    sense: request.sense.slice(0, response === ScsiResponse.Ok ? senseLength : 0),
    residual: Math.min(request.residual, length),
  };
}
