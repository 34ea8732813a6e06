/** A unit: what is known of it, its task, and the synchronous path (chapters 3 and 5 of the reference). */
import { parseSense, ScsiStatus, SenseKey } from "../../../scsi/index.js";
import { learnCapacity } from "../commands/capacity.js";
import {
  ctrlCSignal,
  ExecList,
  type ExecMemory,
  ExecTask,
  execPageSize,
  IoError,
  MessagePort,
  replyRequest,
} from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import type { UnitRequest } from "./command-entry.js";
import type { ControllerIo } from "./controller-io.js";
import { Pipeline } from "./pipeline.js";
import type { PipelineSlot } from "./pipeline-slot.js";
import type { SlotOwner } from "./slot-owner.js";
import type { OpenDataPath } from "./slot-transfer.js";
import { type StartMessage, sharedMessage, startTask } from "./start-task.js";
import { sendSynchronously, transferSynchronously } from "./synchronous-path.js";
import type { Capacity, CdbCommand, CdbOutcome, DeviceAccess, UnitAccess } from "./unit.js";

/** What a unit is made of. */
export interface UnitOptions {
  readonly device: DeviceAccess;
  readonly io: ControllerIo;
  readonly openDataPath: OpenDataPath;
  readonly number: number;
  readonly controller: number;
  readonly target: number;
  readonly lun: number;
  readonly peripheralType: number;
  /** Milliseconds that a close waits for the device. */
  readonly timeout: number;
}

/** A unit while somebody has it open: its task and all that goes with it. */
export interface Running {
  readonly task: ExecTask;
  readonly port: MessagePort;
  readonly interrupt: number;
  readonly slotFree: number;
  readonly pipeline: Pipeline;
  readonly scratch: number;
  /** Resolves when the task has ended. */
  readonly ended: Promise<void>;
}

/** Additional sense codes that speak of the medium. */
const SenseCode = { mediumChanged: 0x28, mediumAbsent: 0x3a } as const;

const taskPriority = 5;
/** Bytes of the memory for answers. */
const scratchBytes = 4 * execPageSize;

export class AmigaUnit implements UnitAccess, SlotOwner {
  readonly device: DeviceAccess;
  readonly number: number;
  readonly controller: number;
  readonly target: number;
  readonly lun: number;
  readonly peripheralType: number;
  blockSize = 512;
  capacity: Capacity | undefined;
  changeCount = 0;
  isMediumPresent = true;
  readonly heldChangeInterrupts: UnitRequest[] = [];
  readonly heldRemoves: UnitRequest[] = [];
  waitsFor: PipelineSlot | undefined;
  /** Times that it is open. */
  openCount = 0;
  /** Tasks that were started for it. */
  workers = 0;
  readonly #options: UnitOptions;
  readonly #io: ControllerIo;
  #running: Running | undefined;
  #waitsForSlot = false;
  /** Commands that take time, where they run beside transfers. */
  readonly #slow = new ExecList();
  #slowRunning: Promise<void> | undefined;
  /** The program's request whose handler uses the synchronous path now. */
  #current: UnitRequest | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: UnitOptions) {
    const { device, number, controller, target, lun, peripheralType, io } = options;
    this.device = device;
    this.number = number;
    this.controller = controller;
    this.target = target;
    this.lun = lun;
    this.peripheralType = peripheralType;
    this.#options = options;
    this.#io = io;
  }

  get profile(): AmigaProfile {
    return this.device.profile;
  }

  get memory(): ExecMemory {
    return this.device.memory;
  }

  get isOpen(): boolean {
    return this.#running !== undefined;
  }

  get limits(): UnitAccess["limits"] {
    return this.#io.limits;
  }

  get scratch(): number {
    return this.#mustRun().scratch;
  }

  get io(): ControllerIo {
    return this.#io;
  }

  /** Transfers that the unit's task started and that have not ended. */
  get transfersInFlight(): number {
    return this.#running?.pipeline.busy ?? 0;
  }

  /** First open: task, port and memory. @throws RangeError when memory is short. */
  start(): void {
    const task = new ExecTask(`virtioscsi unit ${this.number}`, taskPriority);
    const port = new MessagePort(task);
    const interrupt = task.allocateSignal();
    const slotFree = task.allocateSignal();
    const scratch = this.memory.allocate(scratchBytes, "contiguous");
    try {
      const path = this.#options.openDataPath(this, this.profile.slots + 1);
      const pipeline = new Pipeline(this, this.#io, path);
      const parts = { task, port, interrupt, slotFree, scratch, pipeline };
      const running = { ...parts, ended: Promise.resolve() };
      this.#running = running;
      this.#io.addUnit(this);
      this.workers++;
      const isOwn = this.profile.behaviour.startMessage === "own";
      const message: StartMessage = isOwn ? { unit: this, running } : sharedMessage;
      message.unit = this;
      message.running = running;
      running.ended = startTask(message).catch((error: unknown) => {
        this.device.debug(`${task.name} ended: ${error instanceof Error ? error.message : String(error)}`);
      });
    } catch (error) {
      this.memory.free(scratch);
      throw error;
    }
  }

  /** Last close: stops the task; everything that it had is answered before this resolves. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    if (this.profile.behaviour.memoryFreed === "before-task") this.#free(running, false);
    running.task.signal(ctrlCSignal);
    await running.ended;
    this.#io.removeUnit(this);
    this.#running = undefined;
    running.port.close();
  }

  /** Puts a request on the unit's port. False when nobody would serve it. */
  enqueue(request: UnitRequest): boolean {
    if (this.#running === undefined) return false;
    request.state = "sent";
    this.#running.port.put(request);
    return true;
  }

  /** AbortIO. @returns 0 or an {@link IoError}. */
  abort(request: UnitRequest): number {
    const running = this.#running;
    if (running === undefined) return IoError.NoCommand;
    if (running.port.remove(request) || this.#slow.remove(request)) {
      this.#answer(request, IoError.Aborted);
      return 0;
    }
    if (this.profile.behaviour.abort === "queued-only") return IoError.NoCommand;
    for (const held of [this.heldChangeInterrupts, this.heldRemoves]) {
      const at = held.indexOf(request);
      if (at < 0) continue;
      held.splice(at, 1);
      this.#answer(request, IoError.Aborted);
      return 0;
    }
    const slot = this.#current === request ? running.pipeline.synchronous : running.pipeline.find(request);
    if (slot === undefined || !this.#io.abort(slot, IoError.Aborted)) return IoError.NoCommand;
    return 0;
  }

  /** The medium was changed, taken out or put in: what is known of it is forgotten, held requests are answered. */
  mediumChanged(isPresent: boolean): void {
    this.isMediumPresent = isPresent;
    this.changeCount++;
    this.capacity = undefined;
    for (const request of this.heldChangeInterrupts.splice(0)) this.#answer(request, 0);
    if (!isPresent) for (const request of this.heldRemoves.splice(0)) this.#answer(request, 0);
  }

  /** An answer that speaks of the medium is news like an event: devices do not report every change by themselves. */
  noteAnswer({ outcome, status, sense, senseLength }: PipelineSlot["scsi"]): void {
    if (status !== ScsiStatus.CheckCondition || outcome !== "done") return;
    if (this.profile.behaviour.events === "ignored") return;
    const found = parseSense(sense.subarray(0, senseLength));
    if (found?.asc === SenseCode.mediumAbsent && this.isMediumPresent) this.mediumChanged(false);
    else if (found?.key === SenseKey.UnitAttention && found.asc === SenseCode.mediumChanged) this.mediumChanged(true);
  }

  reply(request: UnitRequest): void {
    replyRequest(request);
  }

  drained(): Promise<void> {
    return this.#mustRun().pipeline.drained();
  }

  signalInterrupt(): void {
    this.#running?.task.signal(this.#running.interrupt);
  }

  waitForInterrupt(): Promise<number> {
    const { task, interrupt } = this.#mustRun();
    return task.wait(interrupt);
  }

  transferEnded(slot: PipelineSlot): void {
    this.#running?.pipeline.ended(slot);
  }

  renewRequests(): void {
    this.#running?.pipeline.renew();
  }

  transferInterrupted(slot: PipelineSlot): void {
    this.#running?.pipeline.restart(slot);
  }

  /** A slot is free: the task may wait for one. */
  slotIsFree(): void {
    if (!this.#waitsForSlot || this.#running === undefined) return;
    this.#waitsForSlot = false;
    this.#running.task.signal(this.#running.slotFree);
  }

  sendCdb(command: CdbCommand): Promise<CdbOutcome> {
    return sendSynchronously(this, this.#mustRun().pipeline, command);
  }

  #mustRun(): Running {
    if (this.#running === undefined) throw new RangeError(`unit ${this.number} is not open`);
    return this.#running;
  }

  #answer(request: UnitRequest, error: number): void {
    request.ioError = error;
    this.reply(request);
  }

  /** The task: completions first, then everything on the port, then one notification. */
  async runTask(running: Running): Promise<void> {
    const { task, port, interrupt, slotFree } = running;
    const looksAgain = this.profile.behaviour.machinery === "driver";
    const signals = (port.signal | interrupt | slotFree | ctrlCSignal) >>> 0;
    for (;;) {
      const received = await task.wait(signals);
      if ((received & ctrlCSignal) !== 0) break;
      const harvested = this.#io.harvest();
      if (harvested !== undefined) await harvested;
      await this.#drainPort(running);
      this.#io.kick();
      // A quick device has answered by now: looking once costs less than the interrupt.
      if (looksAgain) this.#io.harvest();
    }
    await this.#shutDown(running);
  }

  async #drainPort(running: Running): Promise<void> {
    const { port, pipeline } = running;
    const { commands, behaviour } = this.profile;
    for (
      let request = port.first as UnitRequest | undefined;
      request !== undefined;
      request = port.first as UnitRequest
    ) {
      const entry = this.device.commands.get(request.ioCommand);
      if (entry?.kind === "transfer") {
        if (commands.blockSizeKnown === "before-transfers" && this.capacity === undefined) {
          const error = await this.#inTurn(() => learnCapacity(this));
          // It may have been aborted meanwhile.
          if (error !== 0 && port.remove(request)) this.#fail(request, error);
          continue;
        }
        if (pipeline.hasFreeSlot) {
          port.get();
          pipeline.start(request, entry);
        } else if (behaviour.overflow === "synchronous") {
          port.get();
          await transferSynchronously(this, pipeline, request, entry);
          this.reply(request);
        } else {
          this.#waitsForSlot = true;
          return;
        }
      } else {
        port.get();
        if (entry?.kind !== "queued") this.#fail(request, IoError.NoCommand);
        else if (behaviour.slowCommands === "in-turn") await this.#runQueued(request);
        else this.#startSlow(request);
      }
    }
  }

  #fail(request: UnitRequest, error: number): void {
    request.ioActual = 0;
    this.#answer(request, error);
  }

  async #runQueued(request: UnitRequest): Promise<void> {
    const entry = this.device.commands.get(request.ioCommand);
    this.#current = request;
    try {
      if (entry?.kind === "queued") await entry.run(this, request);
    } catch (error) {
      // A handler's mistake must not cost the program its answer.
      this.device.debug(`command ${request.ioCommand}: ${error instanceof Error ? error.message : String(error)}`);
      request.ioError = IoError.NotSpecified;
    } finally {
      this.#current = undefined;
    }
    this.reply(request);
  }

  #startSlow(request: UnitRequest): void {
    this.#slow.addTail(request);
    this.#slowRunning ??= this.#runSlow().finally(() => {
      this.#slowRunning = undefined;
    });
  }

  async #runSlow(): Promise<void> {
    for (let next = this.#slow.removeHead(); next !== undefined; next = this.#slow.removeHead()) {
      const request = next as UnitRequest;
      await this.#inTurn(() => this.#runQueued(request));
    }
  }

  /** One user of the synchronous path after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #shutDown(running: Running): Promise<void> {
    const { task, port, interrupt, slotFree, pipeline } = running;
    const { behaviour } = this.profile;
    for (let next = port.get(); next !== undefined; next = port.get()) this.#fail(next as UnitRequest, IoError.Aborted);
    for (let next = this.#slow.removeHead(); next !== undefined; next = this.#slow.removeHead()) {
      this.#fail(next as UnitRequest, IoError.Aborted);
    }
    let isDrained = true;
    if (behaviour.shutdown === "waits") {
      for (const slot of pipeline.slots) if (slot.request !== undefined) this.#io.abort(slot, IoError.Aborted);
      if (this.#slowRunning !== undefined) {
        this.#io.abort(pipeline.synchronous, IoError.Aborted);
        await this.#slowRunning;
      }
      const timer = setTimeout(() => task.signal(ctrlCSignal), this.#options.timeout);
      while (pipeline.busy > 0 && isDrained) {
        this.#waitsForSlot = true;
        isDrained = ((await task.wait((interrupt | slotFree | ctrlCSignal) >>> 0)) & ctrlCSignal) === 0;
        await this.#io.harvest();
      }
      clearTimeout(timer);
    }
    if (pipeline.busy > 0) pipeline.abandon(IoError.Aborted);
    if (behaviour.heldAtClose === "answered") {
      for (const held of [this.heldChangeInterrupts, this.heldRemoves]) {
        for (const request of held.splice(0)) this.#answer(request, IoError.Aborted);
      }
    }
    if (behaviour.memoryFreed === "after-task") {
      this.#free(running, this.#io.memoryLost || (!isDrained && behaviour.shutdown === "waits"));
    }
  }

  #free({ pipeline, scratch }: Running, keepsMemory: boolean): void {
    pipeline.close(keepsMemory);
    if (!keepsMemory) this.memory.free(scratch);
  }
}
