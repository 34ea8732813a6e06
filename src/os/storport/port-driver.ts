/**
 * The port driver: loads a miniport, and is the only way in for SRBs. It queues by depth, calls BuildIo and StartIo, takes
 * completions, minds time limits and resets the bus, stops and restarts, as Storport (or ScsiPort) does.
 */
import { DeviceError, type ProtocolError, UnsupportedError } from "../../errors/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { AdapterControl, virtIoAdapterControl } from "./adapter-control.js";
import {
  type AdapterExtension,
  newAdapterExtension,
  type PortConfiguration,
  type PortServices,
} from "./adapter-extension.js";
import { rightBehaviour } from "./behaviour.js";
import { virtIoBuildIo } from "./build-io.js";
import { DebugPrint, TraceLevel } from "./debug-print.js";
import { beginBatch, endBatch } from "./do-read-write.js";
import { virtIoFindAdapter } from "./find-adapter.js";
import { virtIoHwInitialize } from "./hw-initialize.js";
import { drainAll, isGone, virtIoInterrupt, virtIoMessageInterrupt } from "./interrupt.js";
import { PortInterrupts } from "./port-interrupts.js";
import type { PortOptions } from "./port-options.js";
import { putOutOfUse, rhelShutDown, virtIoResetBus } from "./reset.js";
import { Srb, SrbStatus } from "./srb.js";
import { SrbExtension } from "./srb-extension.js";
import { SrbQueue } from "./srb-queue.js";
import { isResetByFunction, virtIoStartIo } from "./start-io.js";
import type { StorportAdapter, StorportMachine } from "./storport-machine.js";

/** How often time limits are looked at, milliseconds. */
const timerPeriod = 50;

/** A loaded miniport. */
export class PortDriver {
  readonly extension: AdapterExtension;
  readonly #machine: StorportMachine;
  readonly #options: PortOptions;
  readonly #interrupts: PortInterrupts;
  readonly #blocks: DmaBlock[] = [];
  readonly #free: Srb[] = [];
  readonly #waiting = new SrbQueue();
  /** Every SRB that was made. */
  readonly #all: Srb[] = [];
  #outstanding = 0;
  #depth = 1;
  /** Completions to wait for before the next request. */
  #busy = 0;
  #isHeld = false;
  #isPumping = false;
  #isRecovering = false;
  #memoryLost = false;
  #isClosed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #whenIdle: (() => void)[] = [];
  #resets = 0;
  #processor = 0;

  private constructor(machine: StorportMachine, { fn }: StorportAdapter, options: PortOptions) {
    this.#machine = machine;
    this.#options = options;
    const { profile, behaviour = rightBehaviour, debug = new DebugPrint() } = options;
    this.#interrupts = new PortInterrupts(machine, fn, {
      line: () => this.#interrupted(-1),
      message: (id) => this.#interrupted(id),
    });
    const port: PortServices = {
      fn,
      memory: machine.memory,
      dma: machine.dma,
      registers: { endianness: machine.board.endianness, messagesOn: () => this.#interrupts.messages > 0 },
      observer: options.observer,
      processors: options.processors ?? 4,
      resetTimeout: options.resetTimeout ?? 5000,
      unwanted: options.unwantedFeatures ?? 0n,
      getUncachedExtension: (size) => this.#allocate(size, 4096),
      deviceFailed: (error) => this.#deviceFailed(error),
      messageCount: () => this.#interrupts.messages,
      requestComplete: (srb) => this.#completed(srb),
      busy: (completions) => {
        this.#busy = Math.min(completions, Math.max(0, this.#outstanding - 1));
      },
      nextRequest: () => {},
      setQueueDepth: (depth) => {
        this.#depth = depth;
      },
      busChangeDetected: () => debug.print(TraceLevel.Information, "bus change"),
    };
    this.extension = newAdapterExtension({ profile, behaviour, port, debug, dumpMode: false });
  }

  /**
   * Loads the driver on an adapter: FindAdapter, messages, HwInitialize.
   * @throws UnsupportedError when the driver is not for it, DeviceError when it cannot be initialised, ProtocolError
   */
  static async load(machine: StorportMachine, adapter: StorportAdapter, options: PortOptions): Promise<PortDriver> {
    const port = new PortDriver(machine, adapter, options);
    try {
      const found = await virtIoFindAdapter(port.extension);
      if (found !== "found") {
        throw new UnsupportedError(
          `${adapter.fn.place}: the ${options.profile.title} finds no adapter here (${found})`,
        );
      }
      port.#initialise();
    } catch (error) {
      port.#release();
      throw error;
    }
    return port;
  }

  /** What FindAdapter reported. */
  get configuration(): PortConfiguration {
    return this.extension.configuration as PortConfiguration;
  }

  /** How interrupts come. */
  get interruptMode(): "messages" | "shared-message" | "line" | "none" {
    const { mode } = this.#interrupts;
    return mode === "messages" && this.extension.sharedMessage ? "shared-message" : mode;
  }

  /** SRBs that the miniport has. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Bus resets so far. */
  get resets(): number {
    return this.#resets;
  }

  /** An SRB with its extension. Give it back with `releaseSrb`. */
  acquireSrb(): Srb {
    const srb = this.#free.pop();
    if (srb !== undefined) return srb;
    const endianness = this.extension.deviceBase?.endianness ?? "little";
    const made = new Srb(new SrbExtension(this.#allocate(SrbExtension.size, 16), endianness));
    this.#all.push(made);
    return made;
  }

  /** An SRB whose memory the device may still write to is not used again. */
  releaseSrb(srb: Srb): void {
    srb.clear();
    if (!srb.memoryLost) this.#free.push(srb);
  }

  /** Sends an SRB; `onComplete` is called when it has ended. */
  submit(srb: Srb): void {
    srb.status = SrbStatus.Pending;
    srb.processor = this.#processor++;
    if (this.#isClosed) {
      srb.status = SrbStatus.NoDevice;
      srb.onComplete?.(srb);
      return;
    }
    this.#waiting.push(srb);
    if (this.#isPumping || this.#isScheduled) return;
    // What is submitted in one go goes down, and is kicked, together.
    this.#isScheduled = true;
    queueMicrotask(this.#flush);
  }

  /** Gives what was submitted to the miniport now instead of a moment later. */
  flush(): void {
    this.#pump();
  }

  /** Looks at the rings, where no interrupt tells. */
  poll(): void {
    this.#isPumping = true;
    drainAll(this.extension);
    this.#isPumping = false;
    this.#pump();
  }

  /** Resets the bus: every request ends with BUS_RESET, then the adapter works again. */
  async resetBus(): Promise<boolean> {
    this.#resets++;
    this.#isHeld = true;
    const isUp = await virtIoResetBus(this.extension, 0);
    this.#matchInterrupts();
    this.#isHeld = false;
    this.#busy = 0;
    this.#pump();
    return isUp;
  }

  /** Stops the adapter (sleep): requests wait; those that the device has end first, or are ended by a reset. */
  async stop(patience = 2000): Promise<boolean> {
    this.#isHeld = true;
    if (!(await this.#idle(patience))) {
      this.#resets++;
      await virtIoResetBus(this.extension, 0);
    }
    return (await virtIoAdapterControl(this.extension, AdapterControl.Stop)) === "success";
  }

  /** Restarts the adapter; what waited goes on. */
  async restart(): Promise<boolean> {
    const isUp = (await virtIoAdapterControl(this.extension, AdapterControl.Restart)) === "success";
    this.#matchInterrupts();
    this.#isHeld = false;
    this.#busy = 0;
    this.#pump();
    return isUp;
  }

  /** The kernel crashed: from here on nothing is done any more, and everything stays as it is, the device at work too. */
  crash(): void {
    this.#isClosed = true;
    this.#isHeld = true;
    clearTimeout(this.#timer);
  }

  /** Unloads: reset, then everything ends, then memory goes back. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const { extension } = this;
    const isReset = await rhelShutDown(extension);
    for (let srb = this.#waiting.shift(); srb !== undefined; srb = this.#waiting.shift()) {
      srb.status = SrbStatus.Aborted;
      srb.onComplete?.(srb);
    }
    if (!isReset && !extension.removed) {
      this.#interrupts.disconnect();
      throw new DeviceError("the device does not reset: it keeps the memory that it was lent");
    }
    this.#release();
  }

  #initialise(): void {
    const { interrupts = "messages", messageLimit, profile } = this.#options;
    const limit = Math.min(profile.install.messageLimit, messageLimit ?? 257);
    if (interrupts === "messages") this.#interrupts.connectMessages(limit);
    if (!virtIoHwInitialize(this.extension)) throw new DeviceError("the adapter cannot be initialised");
    this.#matchInterrupts();
  }

  /** Where the miniport took no message, the line is connected. */
  #matchInterrupts(): void {
    if (this.#options.interrupts === "none" || this.extension.queues.length === 0) return;
    const mode = this.#interrupts.mode;
    if (!this.extension.usesMessages && mode !== "line") this.#interrupts.connectLine();
  }

  #interrupted(message: number): void {
    if (this.#isClosed) return;
    // What completions submit waits for the end, and is kicked together.
    this.#isPumping = true;
    if (message < 0) virtIoInterrupt(this.extension);
    else virtIoMessageInterrupt(this.extension, message);
    this.#isPumping = false;
    this.#pump();
  }

  /** Gives waiting SRBs to the miniport, as many as its depth allows, and kicks them together. */
  #pump(): void {
    if (this.#isPumping || this.#isHeld || this.#waiting.length === 0) return;
    this.#isPumping = true;
    const { extension } = this;
    const batches = extension.profile.generation === "2026";
    if (batches) beginBatch(extension);
    const batch: Srb[] = this.#batch;
    let count = 0;
    // BuildIo needs no lock: it is called for everything that goes down before the first StartIo.
    while (this.#outstanding < this.#depth && this.#busy <= 0 && !this.#isHeld) {
      const srb = this.#waiting.shift();
      if (srb === undefined) break;
      this.#begin(srb);
      if (isResetByFunction(extension, srb)) this.#resetFor(srb);
      else if (!extension.profile.buildIo || virtIoBuildIo(extension, srb)) batch[count++] = srb;
      if (!batches || count === batch.length) count = this.#start(count);
    }
    this.#start(count);
    if (batches) endBatch(extension);
    this.#isPumping = false;
    // What ended at once made room.
    if (this.#waiting.length > 0 && this.#outstanding === 0) queueMicrotask(this.#flush);
  }

  readonly #batch = new Array<Srb>(64);
  #isScheduled = false;
  readonly #flush = () => {
    this.#isScheduled = false;
    this.#pump();
  };

  /** StartIo for the batch. Once the miniport is busy, the rest waits. */
  #start(count: number): 0 {
    for (let index = 0; index < count; index++) virtIoStartIo(this.extension, this.#batch[index]);
    return 0;
  }

  #begin(srb: Srb): void {
    this.#outstanding++;
    srb.isOutstanding = true;
    srb.deadline = srb.timeout > 0 ? performance.now() + srb.timeout : Number.POSITIVE_INFINITY;
    this.#timer ??= setTimeout(() => this.#tick(), timerPeriod);
  }

  #completed(srb: Srb): void {
    if (!srb.isOutstanding) return;
    this.#takeBack(srb);
    const isRefused = srb.status === SrbStatus.Busy || srb.status === SrbStatus.Aborted;
    if (this.#busy > 0 && !isRefused) this.#busy--;
    if (srb.memoryLost) this.#memoryLost = true;
    if (this.#outstanding === 0) {
      this.#busy = 0;
      for (const wake of this.#whenIdle.splice(0)) wake();
    }
    // With nothing else outstanding it would be refused for ever.
    if (srb.status === SrbStatus.Busy && !this.#isClosed && this.#outstanding > 0) this.#waiting.unshift(srb);
    else srb.onComplete?.(srb);
  }

  #takeBack(srb: Srb): void {
    this.#outstanding--;
    srb.isOutstanding = false;
  }

  #tick(): void {
    this.#timer = undefined;
    if (this.#isClosed || this.#outstanding === 0) return;
    this.#timer = setTimeout(() => this.#tick(), timerPeriod);
    const now = performance.now();
    let late: Srb | undefined;
    for (const srb of this.#all) if (srb.isOutstanding && srb.deadline <= now) late ??= srb;
    if (late === undefined || this.#isRecovering) return;
    // Perhaps only an interrupt was lost; perhaps nobody is there any more.
    if (!this.#isHeld) this.poll();
    if (late.isOutstanding) this.#recover(late);
  }

  /** A request ran out of time. */
  #recover(late: Srb): void {
    const { extension } = this;
    const isRemoved = isGone(extension);
    extension.debug.print(TraceLevel.Error, isRemoved ? "removed" : "a request ran out of time");
    this.#isRecovering = true;
    const work = isRemoved ? putOutOfUse(extension) : this.resetBus();
    const ended = () => {
      this.#isRecovering = false;
      // A reset that ended nothing is tried again after the same time.
      if (late.isOutstanding) late.deadline = performance.now() + late.timeout;
      this.#pump();
    };
    work.then(ended, ended);
  }

  #resetFor(srb: Srb): void {
    this.#takeBack(srb);
    const ended = (isUp: boolean) => {
      srb.status = isUp ? SrbStatus.Success : SrbStatus.Error;
      srb.onComplete?.(srb);
    };
    this.resetBus().then(ended, () => ended(false));
  }

  #deviceFailed(error: ProtocolError): void {
    this.#options.debug?.print(TraceLevel.Fatal, `out of use: ${error.code}`);
    this.#isRecovering = true;
    const ended = () => {
      this.#isRecovering = false;
      this.#pump();
    };
    putOutOfUse(this.extension).then(ended, ended);
  }

  /** True when nothing is outstanding in time. */
  #idle(patience: number): Promise<boolean> {
    if (this.#outstanding === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), patience);
      this.#whenIdle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  #allocate(size: number, alignment: number): DmaBlock {
    const block = this.#machine.dma.allocate(size, alignment);
    this.#blocks.push(block);
    return block;
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#interrupts.disconnect();
    if (!this.#memoryLost) for (const block of this.#blocks.splice(0)) this.#machine.dma.free(block);
  }
}
