/**
 * The extended machinery: our own virtio-scsi driver below the units. Requests that take too long are aborted by task
 * management, and a controller that does not answer to that is reset and brought up again.
 */
import { DeviceError } from "../../../errors/index.js";
import type { Observer } from "../../../observe/index.js";
import { discoverUnits, sendCommand, unitAddress } from "../../../scsi/index.js";
import type { DriverLink, DriverTransport, InterruptMode } from "../../../transport/index.js";
import {
  type ScsiEventReport,
  ScsiQueue,
  type ScsiRequest,
  TaskManagement,
  VirtioScsiDriver,
} from "../../../virtio/index.js";
import { IoError } from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import type { ControllerIo, FoundUnit, IoCounters } from "./controller-io.js";
import type { PipelineSlot } from "./pipeline-slot.js";
import { Poller } from "./poller.js";
import type { SlotOwner } from "./slot-owner.js";

/** What the controller is opened with. */
export interface DriverIoOptions {
  readonly profile: AmigaProfile;
  /** Opens the transport: at the start, and again after a reset. */
  readonly openTransport: () => DriverTransport;
  readonly idle: (milliseconds: number) => Promise<void>;
  /** Milliseconds until a request is aborted. */
  readonly timeout: number;
  readonly features?: bigint | undefined;
  readonly startIndex?: number | undefined;
  /** An event of the device: hotplug, media. */
  readonly onEvent: (event: ScsiEventReport) => void;
  readonly debug: (text: string) => void;
  readonly observer?: Observer | undefined;
}

/** Milliseconds that the device has to give an aborted request back. */
const grace = 1000;
/** Resets without a completion in between, before the controller is given up. */
const mostResets = 3;
const peripheralTypes: readonly number[] = [0x00, 0x05];

export class DriverIo implements ControllerIo {
  readonly counters: IoCounters;
  memoryLost = false;
  failure: Error | undefined;
  readonly #options: DriverIoOptions;
  readonly #units = new Set<SlotOwner>();
  readonly #poller: Poller;
  /** Requests that wait for room on the ring, or for the controller to come back. */
  readonly #blocked: PipelineSlot[] = [];
  readonly #inFlight = new Set<PipelineSlot>();
  #driver: VirtioScsiDriver;
  /** The driver's, which it does not show any more once it has failed. */
  #link: DriverLink;
  #sweep: ReturnType<typeof setInterval> | undefined;
  #recovery: Promise<void> | undefined;
  #resets = 0;
  /** Commands of the driver's own that are under way. */
  #asking = 0;
  #isClosing = false;

  private constructor(options: DriverIoOptions, driver: VirtioScsiDriver, counters: IoCounters) {
    this.#options = options;
    this.counters = counters;
    this.#driver = driver;
    this.#link = driver.link;
    this.#poller = new Poller(
      options.idle,
      () => this.#driver.inFlight > 0 || this.#asking > 0,
      () => {
        const { completions } = this.counters;
        this.#poll();
        return this.counters.completions !== completions;
      },
    );
    this.#adopt(driver);
  }

  /** Brings the controller up. @throws ProtocolError, UnsupportedError */
  static async open(options: DriverIoOptions): Promise<DriverIo> {
    const counters: IoCounters = { notifies: 0, interrupts: 0, completions: 0 };
    return new DriverIo(options, await openDriver(options, counters), counters);
  }

  get kind(): ControllerIo["kind"] {
    return this.#link.transport.isLegacy ? "pci-legacy" : "pci-modern";
  }

  get interruptMode(): InterruptMode {
    return this.#link.interruptMode;
  }

  get features(): bigint {
    return this.#link.features;
  }

  get limits(): { segments: number; bytes: number } {
    const { segMax, maxSectors } = this.#driver.config;
    const room = this.#driver.queueSize() - 2;
    return {
      segments: Math.max(1, Math.min(segMax || room, room)),
      bytes: Math.max(512, Math.min(maxSectors || 0xffff, 0xffff_ffff) * 512),
    };
  }

  newRequest(): ScsiRequest {
    const request = this.#driver.acquireRequest();
    request.onEnd = undefined;
    return request;
  }

  freeRequest(request: ScsiRequest): void {
    if (this.#driver.failure === undefined) this.#driver.releaseRequest(request);
  }

  addUnit(unit: SlotOwner): void {
    this.#units.add(unit);
  }

  removeUnit(unit: SlotOwner): void {
    this.#units.delete(unit);
  }

  submit(slot: PipelineSlot): boolean {
    slot.inFlight = true;
    this.#start(slot);
    return true;
  }

  kick(): void {
    if (this.#driver.failure !== undefined) return;
    this.#driver.flush();
    if (this.interruptMode === "none") this.#poller.wake();
  }

  harvest(): void {
    // Interrupts end requests by themselves; a task that is awake anyway is often there before them.
    if (this.#inFlight.size > 0) this.#poll();
  }

  send(slot: PipelineSlot): Promise<number> {
    return new Promise((resolve) => {
      slot.onAnswer = resolve;
      this.#start(slot);
      this.kick();
    });
  }

  abort(slot: PipelineSlot, ioError: number): boolean {
    slot.endWith ||= ioError;
    const blocked = this.#blocked.indexOf(slot);
    if (blocked >= 0) {
      this.#blocked.splice(blocked, 1);
      slot.scsi.outcome = "failed";
      this.#end(slot);
      return true;
    }
    const driver = this.#driver;
    const { scsi } = slot;
    const { uses } = scsi;
    if (!this.#inFlight.has(slot) || driver.failure !== undefined) return true;
    this.#while(driver.manageTasks(TaskManagement.AbortTask, scsi.address, scsi.tag)).catch(() => {});
    setTimeout(() => {
      if (this.#driver !== driver || scsi.outcome !== "in-flight" || scsi.uses !== uses) return;
      this.#recover(new DeviceError("an aborted request did not come back"));
    }, grace);
    return true;
  }

  async scan(found: (unit: FoundUnit) => Promise<boolean>): Promise<void> {
    const { targets, luns } = this.#options.profile;
    const { maxTarget } = this.#driver.config;
    const wanted = Array.from({ length: Math.min(targets, maxTarget + 1) }, (_, target) => target);
    const units = await this.#while(discoverUnits(this.#driver, { targets: wanted }));
    for (const { target, lun, inquiry } of units) {
      if (lun >= luns || !peripheralTypes.includes(inquiry.deviceType)) continue;
      if (!(await found({ target, lun, peripheralType: inquiry.deviceType }))) return;
    }
  }

  /** A command of the driver's own. Undefined when it fails. */
  async ask(target: number, lun: number, command: Uint8Array, room: number): Promise<Uint8Array | undefined> {
    const dataIn = new Uint8Array(room);
    try {
      const sent = sendCommand(this.#driver, unitAddress(target, lun), command, { dataIn });
      const { residual } = await this.#while(sent);
      return dataIn.subarray(0, room - residual);
    } catch {
      return undefined;
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#poller.stop();
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    await this.#recovery;
    await this.#closeDriver(new DeviceError("the device was taken out of use"));
    this.failure ??= new DeviceError("the device was taken out of use");
    this.#failAll();
  }

  #adopt(driver: VirtioScsiDriver): void {
    this.#driver = driver;
    this.#link = driver.link;
    driver.onEvent((event) => this.#options.onEvent(event));
    driver.onFailure((error) => this.#recover(error));
    if (this.#options.timeout > 0) {
      this.#sweep ??= setInterval(() => this.#abortLate(), Math.max(5, this.#options.timeout / 4));
      // A timer that only looks for late requests must not hold a program up; browsers have no such thing.
      (this.#sweep as { unref?: () => void }).unref?.();
    }
  }

  #start(slot: PipelineSlot): void {
    const { scsi } = slot;
    scsi.onEnd ??= this.#endOf(slot);
    scsi.seal();
    if (this.failure !== undefined) {
      scsi.outcome = "failed";
      queueMicrotask(() => this.#end(slot));
      return;
    }
    if (!this.#put(slot)) this.#blocked.push(slot);
  }

  #put(slot: PipelineSlot): boolean {
    if (this.#recovery !== undefined || this.#driver.failure !== undefined) return false;
    if (!this.#driver.submit(slot.scsi)) return false;
    slot.startedAt = Date.now();
    this.#inFlight.add(slot);
    return true;
  }

  /** One closure for each slot and request, kept. */
  #endOf(slot: PipelineSlot): () => void {
    return () => {
      this.#inFlight.delete(slot);
      if (slot.scsi.outcome === "done") {
        this.counters.completions++;
        this.#resets = 0;
      } else if (this.#recovery !== undefined) {
        slot.mustRestart = true;
        return;
      }
      this.#end(slot);
      if (this.#blocked.length > 0) this.#unblock();
    };
  }

  #end(slot: PipelineSlot): void {
    const { onAnswer } = slot;
    if (onAnswer !== undefined) {
      slot.onAnswer = undefined;
      onAnswer(slot.endWith || (slot.scsi.outcome === "done" ? 0 : IoError.NotSpecified));
    } else {
      slot.inFlight = false;
      slot.unit.transferEnded(slot);
    }
  }

  #unblock(): void {
    let count = 0;
    while (count < this.#blocked.length && this.#put(this.#blocked[count])) count++;
    if (count === 0) return;
    this.#blocked.splice(0, count);
    this.kick();
  }

  /** Commands of the driver's own end by interrupts; without them somebody has to look. */
  async #while<T>(work: Promise<T>): Promise<T> {
    this.#asking++;
    if (this.interruptMode === "none") this.#poller.wake();
    try {
      return await work;
    } finally {
      this.#asking--;
    }
  }

  #poll(): void {
    const driver = this.#driver;
    try {
      driver.poll();
      if (this.interruptMode !== "none") return;
      driver.interrupt(ScsiQueue.Control);
      driver.interrupt(ScsiQueue.Event);
    } catch (error) {
      this.#recover(error instanceof Error ? error : new DeviceError(String(error)));
    }
  }

  #abortLate(): void {
    // Events come without a request of ours.
    if (this.interruptMode === "none") this.#poll();
    const oldest = Date.now() - this.#options.timeout;
    for (const slot of this.#inFlight) {
      if (slot.startedAt > oldest || slot.endWith !== 0) continue;
      // Perhaps only the interrupt was lost.
      this.#poll();
      if (!this.#inFlight.has(slot)) continue;
      this.#options.debug(`a request is late: aborting it`);
      this.abort(slot, IoError.SelfTest);
    }
  }

  /** Resets the controller and starts again what others had on it. */
  #recover(error: Error): void {
    if (this.#recovery !== undefined || this.#isClosing || this.failure !== undefined) return;
    this.#options.debug(`resetting the controller: ${error.message}`);
    this.#recovery = this.#restart(error).finally(() => {
      this.#recovery = undefined;
      this.#unblock();
    });
  }

  async #restart(error: Error): Promise<void> {
    const had = [...this.#inFlight];
    await this.#closeDriver(error);
    if (!this.memoryLost && ++this.#resets <= mostResets && !this.#isClosing) {
      try {
        this.#adopt(await openDriver(this.#options, this.counters));
      } catch (failure) {
        this.failure = failure instanceof Error ? failure : new DeviceError(String(failure));
      }
    } else this.failure = error;
    if (this.failure !== undefined) {
      this.#options.debug(`the controller is out of use: ${this.failure.message}`);
      for (const slot of had) if (slot.mustRestart) this.#end(slot);
      this.#failAll();
      return;
    }
    for (const unit of this.#units) unit.renewRequests?.();
    for (const slot of had) {
      if (!slot.mustRestart) continue;
      // The synchronous path starts again by itself; what was to be aborted anyway has ended.
      if (slot.onAnswer !== undefined || slot.endWith !== 0) this.#end(slot);
      else {
        slot.inFlight = false;
        slot.unit.transferInterrupted?.(slot);
      }
    }
  }

  async #closeDriver(error: Error): Promise<void> {
    await this.#driver.close(error).catch(() => {
      this.memoryLost = true;
    });
  }

  #failAll(): void {
    for (const slot of this.#blocked.splice(0)) {
      slot.scsi.outcome = "failed";
      this.#end(slot);
    }
  }
}

async function openDriver(options: DriverIoOptions, counters: IoCounters): Promise<VirtioScsiDriver> {
  const { profile, features, startIndex, observer } = options;
  return VirtioScsiDriver.open(counted(options.openTransport(), counters), {
    ...(features === undefined ? {} : { features }),
    ...(startIndex === undefined ? {} : { startIndex }),
    observer,
    timeout: options.timeout,
    eventBuffers: profile.behaviour.events === "followed" ? 8 : 0,
  });
}

/** Counts notifications and interrupts of the request queue. */
function counted(transport: DriverTransport, counters: IoCounters): DriverTransport {
  const notify = transport.notify.bind(transport);
  const openInterrupts = transport.openInterrupts.bind(transport);
  transport.notify = (queue) => {
    if (queue === ScsiQueue.FirstRequest) counters.notifies++;
    notify(queue);
  };
  transport.openInterrupts = (queues, handlers) =>
    openInterrupts(queues, {
      config: () => handlers.config(),
      queue(queue) {
        if (queue === ScsiQueue.FirstRequest) counters.interrupts++;
        handlers.queue(queue);
      },
    });
  return transport;
}
