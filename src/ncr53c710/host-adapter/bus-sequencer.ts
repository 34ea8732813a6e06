/**
 * What goes on on the bus: which command is connected, which ones are away, what starts next. The chip runs the script
 * until it has something to tell; {@link StopHandler} does what that asks for.
 */
import { ScsiResponse, ScsiStatus } from "../../scsi/index.js";
import { type AdapterRequest, noStatus, senseRoom } from "./adapter-request.js";
import type { ChipControl } from "./chip-control.js";
import type { AdapterFaultCode } from "./faults.js";
import { MessageTalk } from "./message-talk.js";
import type { AdapterScript } from "./script.js";
import { RequestQueue, TargetState, UnitState } from "./target-state.js";

/** Who is told of what the sequencer cannot decide. */
export interface SequencerListener {
  /** A command has its answer. */
  ended(request: AdapterRequest): void;
  /** Something makes no sense, and was put right. */
  noticed(code: AdapterFaultCode, detail: string): void;
  /** Something makes no sense: the bus has to be reset. */
  faulty(code: AdapterFaultCode, detail?: string): void;
  /** Somebody reset the bus. */
  busWasReset(): void;
  /** The last message to a target was taken, or could not be brought; `isHeld` says that the target holds the bus. */
  dismissed(succeeded: boolean, isHeld: boolean): void;
}

/** What the sequencer works with. */
export interface SequencerParts {
  readonly chip: ChipControl;
  readonly script: AdapterScript;
  readonly hostId: number;
  /** Fetches bytes that the chip wrote to the script's own memory; undefined where they are there. */
  readonly refresh: (() => void) | undefined;
  readonly disconnect: boolean;
  readonly synchronous: boolean;
  readonly tags: number;
  /** For messages that belong to no command. */
  readonly spare: AdapterRequest;
  readonly listener: SequencerListener;
}

/** What the chip does. */
export type BusState = "idle" | "connected" | "waiting" | "signalled" | "down";

/** Things that were counted. */
export class SequencerCounters {
  commands = 0;
  stops = 0;
  disconnections = 0;
  reselections = 0;
  phaseMismatches = 0;
  messages = 0;
}

export class BusSequencer {
  readonly counters = new SequencerCounters();
  readonly targets: readonly TargetState[];
  state: BusState = "down";
  /** The command that is connected, or for which a target is selected. */
  current: AdapterRequest | undefined;
  /** Commands that are off the bus. */
  away = 0;
  readonly #parts: SequencerParts;
  readonly talk: MessageTalk;
  /** Units with a command ever: whose turn it is goes round. */
  readonly #units: UnitState[] = [];
  #turn = 0;
  /** Commands that fetch their sense data. */
  readonly #urgent = new RequestQueue();
  /** A last message is to be sent before anything but REQUEST SENSE, or is being sent: the spare request has it. */
  killing: "no" | "due" | "under-way" = "no";
  /** The script was told to stop. */
  isAborting = false;
  /** Grows when a command starts, moves data or ends. */
  progress = 0;
  /** Targets that came back for nothing since a command ended. */
  strangers = 0;

  constructor(parts: SequencerParts) {
    this.#parts = parts;
    this.targets = Array.from({ length: 8 }, (_, id) => new TargetState(id));
    this.talk = new MessageTalk(parts, this.counters);
    this.forgetAgreements();
  }

  /** Whether targets are asked for synchronous transfers. */
  get negotiates(): boolean {
    return this.#parts.synchronous;
  }

  /** What is known of a unit. */
  unitAt(id: number, lun: number): UnitState {
    const target = this.targets[id];
    let unit = target.units[lun];
    if (unit === undefined) {
      unit = new UnitState(target, lun, this.#parts.tags);
      target.units[lun] = unit;
      this.#units.push(unit);
    }
    return unit;
  }

  /** Every target has to be asked anew. */
  forgetAgreements(): void {
    for (const target of this.targets) target.forget(this.#parts.synchronous);
  }

  /** Starts what may be started, or makes room for it. */
  proceed(): void {
    if (this.state === "idle") this.#startNext();
    else if (this.state === "waiting" && (this.killing === "due" || this.#hasStartable)) {
      this.state = "signalled";
      this.#parts.chip.signal();
    }
  }

  /** Has a last message sent to a target by the spare request, whose messages are set. Told by `dismissed`. */
  kill(): void {
    this.killing = "due";
    this.proceed();
  }

  /** The last message is not needed any more. False: it is on its way already. */
  cancelKill(): boolean {
    if (this.killing === "under-way") return false;
    this.killing = "no";
    return true;
  }

  /** Stops the script, so that the command on the bus can be sent a last message: `listener.dismissed` follows. */
  breakIn(): void {
    this.isAborting = true;
    this.#parts.chip.abort(true);
  }

  /** Takes the bus for a reset: nothing is under way any more. */
  takeDown(): void {
    this.state = "down";
    this.current = undefined;
    this.away = 0;
    this.killing = "no";
    this.isAborting = false;
    while (this.#urgent.shift() !== undefined);
  }

  /** The bus may be used. */
  bringUp(): void {
    this.state = "idle";
  }

  /** Takes a command that ended off everything that the sequencer keeps. */
  forget(request: AdapterRequest): void {
    const { unit } = request;
    if (unit === undefined) return;
    if (request.state === "started") {
      if (request.isAway) this.away--;
      unit.leave(request);
    } else unit.waiting.remove(request);
    if (request.isSensing) this.#urgent.remove(request);
    if (this.current === request) this.current = undefined;
    request.unit = undefined;
    request.isAway = false;
    request.isSensing = false;
  }

  get #hasStartable(): boolean {
    if (this.#urgent.first !== undefined) return true;
    for (const unit of this.#units) if (unit.mayStart) return true;
    return false;
  }

  /** Something makes no sense: the bus is reset. */
  fault(code: AdapterFaultCode, detail?: string): void {
    this.#parts.listener.faulty(code, detail);
  }

  // Starting

  #startNext(): void {
    const { chip, script } = this.#parts;
    const urgent = this.#urgent.shift();
    if (urgent === undefined && this.killing === "due") {
      const { spare } = this.#parts;
      this.killing = "under-way";
      this.state = "connected";
      chip.time(this.targets[spare.target].timing, true);
      chip.point(spare.table, spare.chain.next);
      chip.start(script.entries.kill);
      return;
    }
    const request = urgent ?? this.#nextWaiting();
    if (request !== undefined) this.#start(request);
    else if (this.away > 0) {
      this.state = "waiting";
      chip.start(script.entries.wait);
    } else this.state = "idle";
  }

  /** The next command of the units in turn, with its place there. */
  #nextWaiting(): AdapterRequest | undefined {
    const units = this.#units;
    for (let step = 0; step < units.length; step++) {
      const index = (this.#turn + step) % units.length;
      const unit = units[index];
      if (!unit.mayStart) continue;
      this.#turn = (index + 1) % units.length;
      const request = unit.waiting.shift() as AdapterRequest;
      request.state = "started";
      unit.enter(request);
      return request;
    }
    return undefined;
  }

  #start(request: AdapterRequest): void {
    const { chip, script } = this.#parts;
    const unit = request.unit as UnitState;
    const { target } = unit;
    if (request.isSensing) unit.sensing = request;
    this.state = "connected";
    this.current = request;
    this.progress++;
    this.talk.greet(request, unit);
    request.prepare((0x1_0000 << target.id) | (target.timing.sxfer << 8));
    chip.time(target.timing, true);
    chip.point(request.table, request.chain.next);
    chip.start(script.entries.start);
  }

  /** The target that was to be selected came after another one, which has the bus now. */
  #putBack(request: AdapterRequest): void {
    const unit = request.unit as UnitState;
    this.current = undefined;
    this.talk.unsaid(request, unit);
    if (request.isSensing) {
      unit.sensing = undefined;
      this.#urgent.pushFront(request);
      return;
    }
    unit.leave(request);
    request.state = "waiting";
    unit.waiting.pushFront(request);
  }

  /** The target left the bus and will come back with the command. */
  leave(request: AdapterRequest): void {
    this.counters.disconnections++;
    if (request.unit !== undefined) this.talk.over(request, request.unit);
    request.isAway = true;
    this.away++;
    this.current = undefined;
    this.state = "idle";
    this.#startNext();
  }

  /** The last message was sent, or could not be. */
  killed(succeeded: boolean, isHeld = false): void {
    this.killing = "no";
    this.#parts.listener.dismissed(succeeded, isHeld);
    this.next();
  }

  /** The bus is free. */
  next(): void {
    if (this.state === "down") return;
    this.state = "idle";
    this.#startNext();
  }

  /** Somebody came back while a target was to be selected: that has to wait. */
  yieldBus(): void {
    const pending = this.current;
    if (pending !== undefined) this.#putBack(pending);
    if (this.killing === "under-way") this.killing = "due";
  }

  // Ends

  /** The target ended the command with a status. */
  complete(request: AdapterRequest): void {
    request.fromDevice("answer");
    const status = request.lastStatus;
    const unit = request.unit as UnitState;
    if (request.isSensing) {
      if (status === ScsiStatus.Good) {
        request.fromDevice("sense");
        request.senseLength = senseRoom - request.chain.left;
      }
      this.finish(request, request.response);
      return;
    }
    request.status = status;
    request.residual = request.chain.left;
    request.senseLength = 0;
    if (status === noStatus) this.finish(request, ScsiResponse.TargetFailure);
    else if (status === ScsiStatus.CheckCondition) this.#fetchSense(request, unit);
    else if (status === ScsiStatus.TaskSetFull && unit.started > 1) this.#tryLater(request, unit);
    else {
      if (status === ScsiStatus.Good) unit.endedWell();
      this.finish(request, responseOf(request));
    }
  }

  /**
   * The unit gets no other command of ours before REQUEST SENSE, which has no tag (SCSI-2 §7.6), and must not bring
   * back one that it has. If it did, and that one has sense data as well, what was kept for the older one is gone: it
   * ends without any rather than with that of another.
   */
  #fetchSense(request: AdapterRequest, unit: UnitState): void {
    const older = this.#urgent.find(unit);
    request.response = responseOf(request);
    unit.beginSensing(request);
    request.isSensing = true;
    this.#urgent.push(request);
    this.current = undefined;
    if (older === undefined) this.next();
    else {
      this.#parts.listener.noticed("sense-lost", older.describe());
      this.finish(older, older.response);
    }
  }

  /** The unit has as many commands as it takes: this one waits for one of them. */
  #tryLater(request: AdapterRequest, unit: UnitState): void {
    unit.leave(request);
    unit.isFull();
    request.state = "waiting";
    unit.waiting.pushFront(request);
    this.current = undefined;
    this.next();
  }

  /** The command is over, with this response. */
  finish(request: AdapterRequest, response: number): void {
    request.response = response;
    if (response !== ScsiResponse.Ok && response !== ScsiResponse.Overrun) request.residual = request.data.left;
    this.counters.commands++;
    this.progress++;
    this.strangers = 0;
    if (request.unit !== undefined) this.talk.over(request, request.unit);
    this.forget(request);
    this.state = "idle";
    this.#parts.listener.ended(request);
    if (this.state === "idle") this.#startNext();
  }
}

function responseOf({ hadExtra, hadParityError }: AdapterRequest): number {
  if (hadParityError) return ScsiResponse.TransportFailure;
  return hadExtra ? ScsiResponse.Overrun : ScsiResponse.Ok;
}
