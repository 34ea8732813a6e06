/**
 * The driver of an A4091 (a 53C710 on Zorro III). At its lower level it is synchronous: `submit`, `poll`, with requests
 * that are kept and no allocation. Above that, {@link NcrHostAdapter.execute} takes a command and gives a promise.
 */
import { subWindow } from "../../bytes/index.js";
import { DeviceError, InternalError, RequestAborted } from "../../errors/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { tracedWindow } from "../../observe/index.js";
import {
  type CommandAnswer,
  type CommandOptions,
  type InitiatorLimits,
  lunOf,
  ScsiResponse,
  TaskAttribute,
  targetOf,
  type UnitAddress,
} from "../../scsi/index.js";
import { a4091Layout, DipSwitch } from "../a4091/board.js";
import { hostRegisters } from "../registers.js";
import { featuresOf, limitsOf } from "./adapter-limits.js";
import type { AdapterRequest } from "./adapter-request.js";
import { Attention } from "./attention.js";
import { BusReset } from "./bus-reset.js";
import { BusSequencer, type SequencerParts } from "./bus-sequencer.js";
import { ChipControl } from "./chip-control.js";
import { sendOne } from "./command-sender.js";
import type { AdapterCommand, AdapterCounters, HostAdapter, SyncAgreement } from "./contract.js";
import { AdapterFault, type AdapterFaultCode } from "./faults.js";
import { type FoundA4091, findA4091s, validateBoard } from "./find-boards.js";
import { LiveRequests } from "./live-requests.js";
import {
  type AdapterClock,
  type AdapterPlatform,
  type AdapterStage,
  checkOptions,
  type HostAdapterOptions,
  systemAdapterClock,
  usual,
} from "./options.js";
import { Recovery } from "./recovery.js";
import { RequestPool } from "./request-pool.js";
import { AdapterScript } from "./script.js";
import { checkStage } from "./stages.js";
import { StopHandler } from "./stop-handler.js";

const drainSize = 256;

/** The driver. */
export class NcrHostAdapter implements HostAdapter {
  readonly hostId: number;
  readonly limits: InitiatorLimits;
  readonly board: FoundA4091;
  readonly stage: AdapterStage;
  /** Whether ends of commands are looked for, since nothing tells of them. */
  readonly isPolled: boolean;
  readonly #platform: AdapterPlatform;
  readonly #options: HostAdapterOptions;
  readonly #clock: AdapterClock;
  readonly #chip: ChipControl;
  readonly #script: AdapterScript;
  readonly #drain: DmaBlock;
  readonly #pool: RequestPool;
  readonly #sequencer: BusSequencer;
  readonly #recovery: Recovery;
  readonly #attention: Attention;
  readonly #reset: BusReset;
  readonly #live = new LiveRequests();
  #detach: (() => void) | undefined;
  #ended = 0;
  #faults = 0;
  #lastFault: AdapterFault | undefined;
  #failure: Error | undefined;
  #isClosed = false;

  private constructor(platform: AdapterPlatform, board: FoundA4091, options: HostAdapterOptions) {
    const { dip } = board;
    const { dma } = platform;
    this.hostId = options.hostId ?? dip & DipSwitch.HostId;
    checkOptions(options);
    const { tags = usual.tags } = options;
    this.board = board;
    this.stage = options.stage ?? "read-write";
    this.#platform = platform;
    this.#options = options;
    this.#clock = options.clock ?? systemAdapterClock;
    this.isPolled = options.completion === "poll" || platform.interrupts.attachZorro === undefined;
    this.limits = limitsOf(this.hostId, dip, options);
    const registers = subWindow(platform.memorySpace, board.base + a4091Layout.chip);
    const window = tracedWindow(registers, hostRegisters, "a4091", options.observer);
    this.#chip = new ChipControl(window, this.hostId, !this.isPolled);
    this.#script = new AdapterScript(dma);
    this.#drain = dma.allocate(2 * drainSize, 16);
    dma.toDevice?.(this.#drain.address, this.#drain.size);
    this.#pool = new RequestPool({
      dma,
      moved: this.#script.entries.moved,
      sink: this.#drain.address,
      source: this.#drain.address + drainSize,
      drainSize,
      timeout: options.timeout ?? usual.timeout,
    });
    const spare = this.#pool.take();
    const script = this.#script;
    const synchronous = options.synchronous ?? (dip & DipSwitch.Synchronous) !== 0;
    const sequencing: SequencerParts = {
      ...{ chip: this.#chip, script, hostId: this.hostId, spare, tags, synchronous },
      refresh: dma.fromDevice === undefined ? undefined : () => dma.fromDevice?.(script.end, script.saidSize),
      disconnect: options.disconnect ?? true,
      listener: {
        ended: (request) => this.#answered(request),
        noticed: (code, detail) => this.#note(code, detail),
        faulty: (code, detail) => {
          this.#note(code, detail);
          this.#reset.reset(true);
        },
        busWasReset: () => this.#reset.reset(false),
        dismissed: (succeeded, isHeld) => this.#recovery.dismissed(succeeded, isHeld),
      },
    };
    this.#sequencer = new BusSequencer(sequencing);
    this.#recovery = new Recovery({
      ...{ sequencer: this.#sequencer, spare },
      deadline: () => this.#attention.deadline(options.grace ?? usual.grace),
      fail: (request, error) => this.#fail(request, error),
      endStarted: (concerns) => this.#endStarted(concerns),
      resetBus: () => this.#reset.reset(true),
    });
    this.#reset = new BusReset({
      ...{ chip: this.#chip, sequencer: this.#sequencer, live: this.#live, clock: this.#clock },
      settleTime: options.busSettle ?? usual.busSettle,
      isClosed: () => this.#isClosed,
      endByReset: (request) => this.#endByReset(request),
      done: () => this.#recovery.busWasReset(),
      dead: () => {
        this.#note("bus-dead", this.#lastFault?.message);
        this.#giveUp(this.#lastFault);
      },
      failed: (error) => this.#giveUp(error),
    });
    this.#attention = new Attention({
      stops: new StopHandler(sequencing, this.#sequencer),
      ...{ sequencer: this.#sequencer, recovery: this.#recovery, live: this.#live, clock: this.#clock },
      ...{ isPolled: this.isPolled, interval: options.watch ?? usual.watch },
      endless: () => {
        this.#note("endless-interrupt");
        this.#guarded(() => this.#reset.reset(true));
      },
      failed: (error) => this.#giveUp(error),
    });
  }

  /**
   * Checks a board, resets and sets up its chip, and resets its bus.
   * @throws AdapterFault when the board does not work, RangeError when an option makes no sense or memory runs out.
   */
  static async open(
    platform: AdapterPlatform,
    board: FoundA4091,
    options: HostAdapterOptions = {},
  ): Promise<NcrHostAdapter> {
    validateBoard(subWindow(platform.memorySpace, board.base + a4091Layout.chip));
    const adapter = new NcrHostAdapter(platform, board, options);
    try {
      await adapter.#bringUp();
      return adapter;
    } catch (error) {
      await adapter.close();
      throw error;
    }
  }

  /** Finds the machine's first A4091 and opens it. @throws DeviceError when there is none; what {@link NcrHostAdapter.open} throws */
  static openFirst(platform: AdapterPlatform, options: HostAdapterOptions = {}): Promise<NcrHostAdapter> {
    const [board] = findA4091s(platform);
    if (board === undefined) throw new DeviceError(`no A4091 was found on ${platform.board.name}`);
    return NcrHostAdapter.open(platform, board, options);
  }

  get inFlight(): number {
    return this.#live.count;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Register accesses so far. */
  get accesses(): number {
    return this.#chip.accesses;
  }

  get counters(): AdapterCounters {
    const { aborts, deviceResets } = this.#recovery;
    return {
      ...this.#sequencer.counters,
      ...{ aborts, deviceResets, lostInterrupts: this.#attention.lostInterrupts, busResets: this.#reset.count },
      faults: this.#faults,
    };
  }

  /** What the driver makes use of, by name. */
  get features(): string[] {
    return featuresOf(this.#options, this.#sequencer.negotiates);
  }

  agreement(target: number): SyncAgreement | undefined {
    return this.#sequencer.targets[target]?.agreement;
  }

  /** Says whether a unit takes queue tags; {@link NcrHostAdapter.execute} learns that from INQUIRY by itself. */
  setQueueing(address: UnitAddress, queues: boolean): void {
    this.#sequencer.unitAt(targetOf(address), lunOf(address)).queues = queues;
  }

  // Without promises

  acquireRequest(): AdapterRequest {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#pool.take();
  }

  releaseRequest(request: AdapterCommand): void {
    this.#pool.give(request);
  }

  submit(request: AdapterCommand): void {
    if (this.#failure !== undefined) throw this.#failure;
    const own = this.#pool.own(request);
    if (own.unit !== undefined) throw new InternalError("a request is submitted that is under way");
    if (own.target === this.hostId) throw new RangeError(`SCSI id ${this.hostId} is the board's own`);
    const unit = this.#sequencer.unitAt(own.target, own.lun);
    own.unit = unit;
    own.state = "waiting";
    own.error = undefined;
    own.calledOff = undefined;
    this.#live.add(own);
    own.deadline = this.#attention.wake(own.timeout);
    if (own.attribute === TaskAttribute.HeadOfQueue) unit.waiting.pushFront(own);
    else unit.waiting.push(own);
    try {
      if (!this.#attention.isLooking) this.#sequencer.proceed();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  poll(): number {
    const before = this.#ended;
    this.#attention.look();
    return this.#ended - before;
  }

  callOff(request: AdapterCommand, reason = "called off"): void {
    const own = this.#pool.own(request);
    if (own.unit === undefined) return;
    this.#guarded(() => this.#recovery.callOff(own, new RequestAborted(`${own.describe()}: ${reason}`)));
    this.#attention.wake();
  }

  // With promises

  execute(address: UnitAddress, cdb: Uint8Array, options: CommandOptions = {}): Promise<CommandAnswer> {
    checkStage(this.stage, cdb, (options.dataOut?.length ?? 0) > 0);
    return sendOne(this, this.#platform.dma, { address, cdb, options });
  }

  resetTarget(target: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve) => {
      this.#guarded(() => this.#recovery.resetTarget(target, resolve));
      this.#attention.wake();
    });
  }

  resetBus(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#guarded(() => this.#reset.reset(true));
    return this.#reset.settled;
  }

  async close(reason: Error = new DeviceError("the driver was removed")): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#failure ??= reason;
    this.#detach?.();
    this.#attention.close();
    try {
      this.#stopHardware();
    } finally {
      for (let request = this.#live.oldest; request !== undefined; request = this.#live.oldest) {
        this.#fail(request, this.#failure);
      }
      this.#sequencer.takeDown();
      this.#recovery.busWasReset();
      this.#pool.close();
      this.#platform.dma.free(this.#drain);
      this.#platform.dma.free(this.#script.block);
    }
  }

  // Inside

  async #bringUp(): Promise<void> {
    const { observer } = this.#options;
    const { base, dip } = this.board;
    observer?.emit({ category: "scsi", source: "A4", name: "board", fields: { base, dip, id: this.hostId } });
    this.#chip.setUp();
    const handler = () => {
      this.#attention.look();
    };
    if (!this.isPolled) this.#detach = this.#platform.interrupts.attachZorro?.("INT2", handler);
    if (this.#options.resetsBus ?? true) {
      this.#reset.begin();
      await this.#reset.settled;
    } else this.#sequencer.bringUp();
    if (this.#failure !== undefined) throw this.#failure;
    observer?.emit({ category: "scsi", source: "A4", name: "ready", fields: { stage: this.stage } });
  }

  /** Carries work out; a machine whose registers cannot be reached any more is given up. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #note(code: AdapterFaultCode, detail?: string): void {
    this.#faults++;
    this.#lastFault = new AdapterFault(code, detail);
    const fields = detail === undefined ? {} : { detail };
    this.#options.observer?.emit({ category: "violation", source: "a4091", name: code, fields });
  }

  #answered(request: AdapterRequest): void {
    this.#recovery.ended(request);
    if (request.response === ScsiResponse.Ok) this.#reset.answered();
    const { calledOff } = request;
    const isLost = calledOff !== undefined && request.response !== ScsiResponse.Ok;
    request.state = isLost ? "failed" : "done";
    request.error = isLost ? calledOff : undefined;
    this.#over(request);
  }

  #fail(request: AdapterRequest, error: Error): void {
    this.#sequencer.forget(request);
    request.state = "failed";
    request.error = error;
    this.#over(request);
  }

  #over(request: AdapterRequest): void {
    this.#live.remove(request);
    this.#ended++;
    request.onEnd?.();
  }

  /** A command that a reset ended. */
  #endByReset(request: AdapterRequest): void {
    if (request.calledOff !== undefined) {
      this.#fail(request, request.calledOff);
      return;
    }
    this.#sequencer.forget(request);
    request.response = ScsiResponse.Reset;
    request.residual = request.data.left;
    request.senseLength = 0;
    request.state = "done";
    this.#over(request);
  }

  #endStarted(concerns: (request: AdapterRequest) => boolean): void {
    for (const request of this.#live.all()) {
      if (request.state === "started" && concerns(request)) this.#endByReset(request);
    }
  }

  #giveUp(cause: unknown): void {
    if (this.#isClosed) return;
    this.#failure ??= cause instanceof Error ? cause : new DeviceError(String(cause));
    this.close(this.#failure).catch(() => {});
  }

  /** After this the chip touches no memory. */
  #stopHardware(): void {
    if (this.#live.count > 0) {
      this.#chip.abort(true);
      this.#chip.driveBusReset(true);
      this.#chip.abort(false);
      this.#chip.driveBusReset(false);
    }
    this.#chip.reset();
  }
}
