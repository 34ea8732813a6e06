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
import { AdapterRequest, type RequestParts } from "./adapter-request.js";
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
  type HostAdapterOptions,
  systemAdapterClock,
} from "./options.js";
import { Recovery } from "./recovery.js";
import { AdapterScript } from "./script.js";
import { checkStage } from "./stages.js";
import { StopHandler } from "./stop-handler.js";

const usualTimeout = 30_000;
const usualGrace = 2000;
const usualSettle = 250;
const usualWatch = 100;
const usualTags = 32;
/** Time that SCSI RST is held, milliseconds; the standard wants 25 µs. */
const resetHold = 1;
/** Stops that one look at the chip takes care of. */
const stopsAtOnce = 64;
/** Looks in a row that find the chip stopped all the time, and no command has started, moved data or ended. */
const fruitlessLooks = 64;
/** Bus resets in a row without a command that was answered. */
const deadBusResets = 5;
const drainSize = 256;
const largestTransfer = 16 << 20;

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
  readonly #parts: RequestParts;
  readonly #sequencer: BusSequencer;
  readonly #stops: StopHandler;
  readonly #recovery: Recovery;
  readonly #live = new LiveRequests();
  readonly #pool: AdapterRequest[] = [];
  readonly #all: AdapterRequest[] = [];
  readonly #onTick = () => this.#tick();
  #detach: (() => void) | undefined;
  #stopWatch: (() => void) | undefined;
  #isPolling = false;
  #isHandling = false;
  #ended = 0;
  #fruitless = 0;
  #settled: Promise<void> = Promise.resolve();
  #lostInterrupts = 0;
  #busResets = 0;
  #resetsInARow = 0;
  #faults = 0;
  #lastFault: AdapterFault | undefined;
  #failure: Error | undefined;
  #isClosed = false;

  private constructor(platform: AdapterPlatform, board: FoundA4091, options: HostAdapterOptions) {
    const { dip } = board;
    const { dma } = platform;
    this.hostId = options.hostId ?? dip & DipSwitch.HostId;
    if (!Number.isInteger(this.hostId) || this.hostId < 0 || this.hostId > 7) {
      throw new RangeError(`a SCSI id is within 0…7, got ${this.hostId}`);
    }
    const { tags = usualTags } = options;
    if (!Number.isInteger(tags) || tags < 0 || tags > 256) throw new RangeError(`0 to 256 queue tags, got ${tags}`);
    this.board = board;
    this.stage = options.stage ?? "read-write";
    this.#platform = platform;
    this.#options = options;
    this.#clock = options.clock ?? systemAdapterClock;
    this.isPolled = options.completion === "poll" || platform.interrupts.attachZorro === undefined;
    const { hostId } = this;
    this.limits = {
      targets: [0, 1, 2, 3, 4, 5, 6, 7].filter((id) => id !== hostId),
      luns: options.luns ?? ((dip & DipSwitch.OneLun) !== 0 ? 1 : 8),
      largestTransfer,
    };
    const registers = subWindow(platform.memorySpace, board.base + a4091Layout.chip);
    const window = tracedWindow(registers, hostRegisters, "a4091", options.observer);
    this.#chip = new ChipControl(window, hostId, !this.isPolled);
    this.#script = new AdapterScript(dma);
    this.#drain = dma.allocate(2 * drainSize, 16);
    dma.toDevice?.(this.#drain.address, this.#drain.size);
    this.#parts = {
      dma,
      moved: this.#script.entries.moved,
      sink: this.#drain.address,
      source: this.#drain.address + drainSize,
      drainSize,
      timeout: options.timeout ?? usualTimeout,
    };
    const spare = this.#newRequest();
    const script = this.#script;
    const synchronous = options.synchronous ?? (dip & DipSwitch.Synchronous) !== 0;
    const sequencing: SequencerParts = {
      ...{ chip: this.#chip, script, hostId, spare, tags, synchronous },
      refresh: dma.fromDevice === undefined ? undefined : () => dma.fromDevice?.(script.end, script.saidSize),
      disconnect: options.disconnect ?? true,
      listener: {
        ended: (request) => this.#answered(request),
        noticed: (code, detail) => this.#note(code, detail),
        faulty: (code, detail) => {
          this.#note(code, detail);
          this.#resetBus(true);
        },
        busWasReset: () => this.#resetBus(false),
        dismissed: (succeeded) => this.#recovery.dismissed(succeeded),
      },
    };
    this.#sequencer = new BusSequencer(sequencing);
    this.#stops = new StopHandler(sequencing, this.#sequencer);
    this.#recovery = new Recovery({
      ...{ sequencer: this.#sequencer, spare, now: () => this.#clock.now(), grace: options.grace ?? usualGrace },
      fail: (request, error) => this.#fail(request, error),
      targetWasReset: (target) => this.#targetWasReset(target),
      resetBus: () => this.#resetBus(true),
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
      ...{ aborts, deviceResets, lostInterrupts: this.#lostInterrupts, busResets: this.#busResets },
      faults: this.#faults,
    };
  }

  /** What the driver makes use of, by name. */
  get features(): string[] {
    const { disconnect = true, tags = usualTags } = this.#options;
    return [
      ...(disconnect ? ["DISCONNECT"] : []),
      ...(this.#sequencer.negotiates ? ["SYNCHRONOUS"] : []),
      ...(tags > 0 ? ["QUEUE_TAGS"] : []),
      "AUTOSENSE",
    ];
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
    return this.#pool.pop() ?? this.#newRequest();
  }

  releaseRequest(request: AdapterCommand): void {
    const own = this.#own(request);
    own.state = "idle";
    own.onEnd = undefined;
    own.error = undefined;
    own.timeout = this.#parts.timeout;
    own.attribute = TaskAttribute.Simple;
    own.clearData();
    this.#pool.push(own);
  }

  submit(request: AdapterCommand): void {
    if (this.#failure !== undefined) throw this.#failure;
    const own = this.#own(request);
    if (own.unit !== undefined) throw new InternalError("a request is submitted that is under way");
    if (own.target === this.hostId) throw new RangeError(`SCSI id ${this.hostId} is the board's own`);
    const unit = this.#sequencer.unitAt(own.target, own.lun);
    own.unit = unit;
    own.state = "waiting";
    own.error = undefined;
    own.calledOff = undefined;
    own.deadline = own.timeout > 0 ? this.#clock.now() + own.timeout : 0;
    this.#live.add(own);
    if (own.attribute === TaskAttribute.HeadOfQueue) unit.waiting.pushFront(own);
    else unit.waiting.push(own);
    this.#watch();
    if (!this.#isHandling) this.#guarded(() => this.#sequencer.proceed());
    if (this.isPolled && !this.#isPolling) this.#keepPolling();
  }

  poll(): number {
    const before = this.#ended;
    this.#handle();
    return this.#ended - before;
  }

  callOff(request: AdapterCommand, reason = "called off"): void {
    const own = this.#own(request);
    if (own.unit === undefined) return;
    this.#guarded(() => this.#recovery.callOff(own, new RequestAborted(`${own.describe()}: ${reason}`)));
    this.#watch();
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
      this.#watch();
    });
  }

  resetBus(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#guarded(() => this.#resetBus(true));
    return this.#settled;
  }

  async close(reason: Error = new DeviceError("the driver was removed")): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#failure ??= reason;
    this.#detach?.();
    this.#stopWatch?.();
    try {
      this.#stopHardware();
    } finally {
      for (let request = this.#live.oldest; request !== undefined; request = this.#live.oldest) {
        this.#fail(request, this.#failure);
      }
      this.#sequencer.takeDown();
      this.#recovery.busWasReset();
      for (const request of this.#all) request.free();
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
      this.#handle();
    };
    if (!this.isPolled) this.#detach = this.#platform.interrupts.attachZorro?.("INT2", handler);
    if (this.#options.resetsBus ?? true) {
      this.#driveReset();
      await this.#settled;
    } else this.#sequencer.bringUp();
    if (this.#failure !== undefined) throw this.#failure;
    observer?.emit({ category: "scsi", source: "A4", name: "ready", fields: { stage: this.stage } });
  }

  #newRequest(): AdapterRequest {
    const request = new AdapterRequest(this.#parts);
    this.#all.push(request);
    return request;
  }

  #own(request: AdapterCommand): AdapterRequest {
    if (request instanceof AdapterRequest) return request;
    throw new InternalError("a request of another driver");
  }

  /** Carries work out; a machine whose registers cannot be reached any more is given up. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** Looks at the chip until it runs, a bounded number of times. Returns how often it had stopped. */
  #handle(): number {
    if (this.#isHandling || this.#isClosed) return 0;
    this.#isHandling = true;
    const { progress } = this.#sequencer;
    let stops = 0;
    try {
      while (stops < stopsAtOnce && this.#stops.handle()) stops++;
    } catch (error) {
      this.#giveUp(error);
    } finally {
      this.#isHandling = false;
    }
    if (stops < stopsAtOnce || this.#sequencer.progress !== progress) this.#fruitless = 0;
    else if (++this.#fruitless > fruitlessLooks) {
      this.#fruitless = 0;
      this.#note("endless-interrupt");
      this.#guarded(() => this.#resetBus(true));
    }
    return stops;
  }

  /** Without interrupts somebody has to look. */
  #keepPolling(): void {
    this.#isPolling = true;
    const look = () => {
      this.#handle();
      if (this.#isClosed || this.#live.count === 0) this.#isPolling = false;
      else this.#clock.after(0, look);
    };
    // Chips that are quick have ended already.
    queueMicrotask(look);
  }

  #watch(): void {
    if (this.#stopWatch !== undefined || this.#isClosed) return;
    this.#stopWatch = this.#clock.after(this.#options.watch ?? usualWatch, this.#onTick);
  }

  /** Finds interrupts that were lost and commands that are late. */
  #tick(): void {
    this.#stopWatch = undefined;
    if (this.#isClosed) return;
    if (this.#handle() > 0 && !this.isPolled) this.#lostInterrupts++;
    const now = this.#clock.now();
    this.#guarded(() => {
      for (let request = this.#live.oldest; request !== undefined; ) {
        // What is called off may be gone from the list.
        const { younger } = request;
        if (request.deadline > 0 && now >= request.deadline && request.calledOff === undefined) {
          this.#recovery.callOff(
            request,
            new RequestAborted(`${request.describe()}: no answer in ${request.timeout} ms`),
          );
        }
        request = younger;
      }
      this.#recovery.tick();
    });
    if (this.#live.count > 0 || this.#recovery.isActive) this.#watch();
  }

  #note(code: AdapterFaultCode, detail?: string): void {
    this.#faults++;
    this.#lastFault = new AdapterFault(code, detail);
    const fields = detail === undefined ? {} : { detail };
    this.#options.observer?.emit({ category: "violation", source: "a4091", name: code, fields });
  }

  #answered(request: AdapterRequest): void {
    this.#recovery.ended(request);
    if (request.response === ScsiResponse.Ok) this.#resetsInARow = 0;
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

  #targetWasReset(target: number): void {
    this.#sequencer.targets[target].forget(this.#sequencer.negotiates);
    this.#endStarted((request) => request.target === target);
  }

  /** Everything that was started is over; targets get their time. */
  #resetBus(drives: boolean): void {
    this.#busResets++;
    if (++this.#resetsInARow > deadBusResets) {
      this.#note("bus-dead", this.#lastFault?.message);
      this.#giveUp(this.#lastFault);
      return;
    }
    if (drives) {
      this.#chip.abort(true);
      this.#driveReset();
      this.#chip.abort(false);
    } else this.#settle();
    const started = this.#live.all().filter(({ state }) => state === "started");
    for (const request of started) this.#sequencer.forget(request);
    this.#sequencer.takeDown();
    this.#sequencer.forgetAgreements();
    for (const request of started) this.#endByReset(request);
    this.#recovery.busWasReset();
  }

  #driveReset(): void {
    this.#chip.driveBusReset(true);
    this.#settled = new Promise((resolve) => {
      this.#clock.after(resetHold, () => {
        if (!this.#isClosed) this.#guarded(() => this.#chip.driveBusReset(false));
        this.#whenSettled(resolve);
      });
    });
  }

  #settle(): void {
    this.#settled = new Promise((resolve) => this.#whenSettled(resolve));
  }

  #whenSettled(resolve: () => void): void {
    const resets = this.#busResets;
    this.#clock.after(this.#options.busSettle ?? usualSettle, () => {
      // After a later reset targets get their time again.
      if (!this.#isClosed && resets === this.#busResets) {
        this.#guarded(() => {
          this.#chip.clearFifos();
          this.#chip.takeCauses();
          this.#sequencer.bringUp();
          this.#sequencer.proceed();
        });
      }
      resolve();
    });
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
