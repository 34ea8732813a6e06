/**
 * What goes on on the bus: which command is connected, which ones are away, what starts next. The chip runs the script
 * until it has something to tell; {@link BusSequencer.handleStop} does what that asks for and starts the chip again.
 */
import { ScsiResponse, ScsiStatus } from "../../scsi/index.js";
import { Dstat, Istat, Phase, Sstat0 } from "../registers.js";
import { Message } from "../target/messages.js";
import { type AdapterRequest, noStatus, senseRoom } from "./adapter-request.js";
import type { ChipControl } from "./chip-control.js";
import type { AdapterFaultCode } from "./faults.js";
import { MessageTalk } from "./message-talk.js";
import type { AdapterScript } from "./script.js";
import { Vector } from "./script-source.js";
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
  /** The last message to a target was taken, or could not be brought. */
  dismissed(succeeded: boolean): void;
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

/** Targets may come back for nothing this often before the bus is reset. */
const mostStrangers = 16;

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
  readonly #talk: MessageTalk;
  /** Units with a command ever: whose turn it is goes round. */
  readonly #units: UnitState[] = [];
  #turn = 0;
  /** Commands that fetch their sense data. */
  readonly #urgent = new RequestQueue();
  /** A last message is to be sent before anything else, or is being sent: the spare request has it. */
  #killing: "no" | "due" | "under-way" = "no";
  #isAborting = false;
  /** Grows when a command starts, moves data or ends. */
  progress = 0;
  /** Targets that came back for nothing since a command ended. */
  #strangers = 0;

  constructor(parts: SequencerParts) {
    this.#parts = parts;
    this.targets = Array.from({ length: 8 }, (_, id) => new TargetState(id));
    this.#talk = new MessageTalk(parts, this.counters);
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
    else if (this.state === "waiting" && (this.#killing === "due" || this.#hasStartable)) {
      this.state = "signalled";
      this.#parts.chip.signal();
    }
  }

  /** Has a last message sent to a target by the spare request, whose messages are set. Told by `dismissed`. */
  kill(): void {
    this.#killing = "due";
    this.proceed();
  }

  /** The last message is not needed any more. False: it is on its way already. */
  cancelKill(): boolean {
    if (this.#killing === "under-way") return false;
    this.#killing = "no";
    return true;
  }

  /** Stops the script, so that the command on the bus can be sent a last message: `listener.dismissed` follows. */
  breakIn(): void {
    this.#isAborting = true;
    this.#parts.chip.abort(true);
  }

  /** Takes the bus for a reset: nothing is under way any more. */
  takeDown(): void {
    this.state = "down";
    this.current = undefined;
    this.away = 0;
    this.#killing = "no";
    this.#isAborting = false;
    while (this.#urgent.shift() !== undefined);
  }

  /** The bus may be used. */
  bringUp(): void {
    this.state = "idle";
  }

  /** Looks whether the chip has stopped, and if so does what that asks for. False: it has not. */
  handleStop(): boolean {
    const { chip } = this.#parts;
    if ((chip.interruptStatus() & (Istat.Sip | Istat.Dip)) === 0) return false;
    this.counters.stops++;
    const wasAborted = this.#isAborting;
    if (wasAborted) {
      this.#isAborting = false;
      chip.abort(false);
    }
    const causes = chip.takeCauses();
    if (this.state === "down") return true;
    const scsi = causes >>> 8;
    if (scsi !== 0) this.#stoppedByBus(scsi, wasAborted);
    else if ((causes & Dstat.Sir) !== 0) this.#told(chip.vector());
    else if ((causes & Dstat.Abrt) !== 0) this.#brokenIn(wasAborted);
    else if (causes !== 0) this.#stoppedByChip(causes);
    return true;
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

  #fault(code: AdapterFaultCode, detail?: string): void {
    this.#parts.listener.faulty(code, detail);
  }

  // Starting

  #startNext(): void {
    const { chip, script } = this.#parts;
    if (this.#killing === "due") {
      const { spare } = this.#parts;
      this.#killing = "under-way";
      this.state = "connected";
      chip.time(this.targets[spare.target].timing, true);
      chip.point(spare.table, spare.chain.next);
      chip.start(script.entries.kill);
      return;
    }
    const request = this.#urgent.shift() ?? this.#nextWaiting();
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
    this.#talk.greet(request, unit);
    request.prepare((0x1_0000 << target.id) | (target.timing.sxfer << 8));
    chip.time(target.timing, true);
    chip.point(request.table, request.chain.next);
    chip.start(script.entries.start);
  }

  /** The target that was to be selected came after another one, which has the bus now. */
  #putBack(request: AdapterRequest): void {
    const unit = request.unit as UnitState;
    this.current = undefined;
    this.#talk.unsaid(request, unit);
    if (request.isSensing) {
      unit.sensing = undefined;
      this.#urgent.pushFront(request);
      return;
    }
    unit.leave(request);
    request.state = "waiting";
    unit.waiting.pushFront(request);
  }

  // Stops

  #told(vector: number): void {
    const request = this.current;
    if (vector === Vector.Woken && this.state !== "connected") {
      this.state = "idle";
      this.#startNext();
    } else if (vector === Vector.Dismissed) this.#dismissed();
    else if (vector === Vector.Back || vector === Vector.BackTagged || vector === Vector.BackMessage)
      this.#back(vector);
    else if (request === undefined) this.#fault("unknown-vector", `0x${vector.toString(16)} without a command`);
    else this.#toldOf(request, vector);
  }

  #toldOf(request: AdapterRequest, vector: number): void {
    const { chip, script } = this.#parts;
    const { chain } = request;
    switch (vector) {
      case Vector.DoneWhole:
        chain.left = 0;
        this.#complete(request);
        return;
      case Vector.DonePart:
        if (chain.total === 0 || this.#takeChain(request)) this.#complete(request);
        return;
      case Vector.Away:
      case Vector.AwaySaved:
        if (!this.#takeChain(request)) return;
        if (vector === Vector.AwaySaved) chain.save();
        this.#leave(request);
        return;
      case Vector.Saved:
        if (!this.#takeChain(request)) return;
        chain.save();
        chip.start(script.entries.switch);
        return;
      case Vector.MessageAfterSave:
        if (!this.#takeChain(request)) return;
        chain.save();
        chip.start(script.entries.received);
        return;
      case Vector.Message:
      case Vector.ExtendedLength:
      case Vector.Extended:
        this.#talk.heard(request, request.unit as UnitState, vector);
        return;
      case Vector.Extra:
        request.hadExtra = true;
        chain.left = 0;
        this.#drain(chip.phase());
        return;
      case Vector.OddPhase:
        this.#fault("odd-phase");
        return;
      default:
        this.#fault("unknown-vector", `0x${vector.toString(16)}`);
    }
  }

  #takeChain({ chain }: AdapterRequest): boolean {
    const temp = this.#parts.chip.chain();
    if (chain.reached(temp)) return true;
    this.#fault("script-lost", `the chain of data is at 0x${temp.toString(16)}`);
    return false;
  }

  #drain(phase: number): void {
    const { chip, script } = this.#parts;
    const { drain_in, drain_out, switch: anywhere } = script.entries;
    chip.start(phase === Phase.DataIn ? drain_in : phase === Phase.DataOut ? drain_out : anywhere);
  }

  #leave(request: AdapterRequest): void {
    this.counters.disconnections++;
    if (request.unit !== undefined) this.#talk.over(request, request.unit);
    request.isAway = true;
    this.away++;
    this.current = undefined;
    this.state = "idle";
    this.#startNext();
  }

  #stoppedByBus(causes: number, wasAborted: boolean): void {
    if ((causes & Sstat0.Rst) !== 0) this.#parts.listener.busWasReset();
    else if ((causes & Sstat0.Sge) !== 0) this.#fault("gross-error");
    else if ((causes & Sstat0.Sto) !== 0) this.#nobodyThere();
    else if ((causes & Sstat0.Udc) !== 0) this.#targetLeft();
    else if (wasAborted) this.#brokenIn(true);
    else if ((causes & Sstat0.Par) !== 0) this.#parityError();
    else if ((causes & Sstat0.Ma) !== 0) this.#mismatch();
  }

  #stoppedByChip(causes: number): void {
    if ((causes & Dstat.Iid) !== 0) this.#fault("illegal-instruction");
    else if ((causes & Dstat.Bf) !== 0) this.#fault("bus-fault");
    else this.#fault((causes & Dstat.Wtd) !== 0 ? "watchdog" : "single-step");
  }

  #brokenIn(wasAsked: boolean): void {
    const { chip, script, listener } = this.#parts;
    const request = this.current;
    if (!wasAsked) this.#fault("unknown-vector", "an abort that nobody asked for");
    else if (request === undefined) listener.dismissed(false);
    else chip.start(script.entries.dismiss);
  }

  #nobodyThere(): void {
    const request = this.current;
    if (this.#killing === "under-way") this.#killed(false);
    else if (request === undefined) this.#next();
    else if (request.isSensing) this.#finish(request, request.response);
    else this.#finish(request, ScsiResponse.BadTarget);
  }

  #targetLeft(): void {
    const { chip } = this.#parts;
    if (this.#isReselection(chip.stoppedBehind() - 8)) {
      this.#yield();
      this.#next();
      return;
    }
    const request = this.current;
    if (this.#killing === "under-way") {
      this.#killed(false);
      return;
    }
    if (request === undefined) {
      this.#next();
      return;
    }
    const unit = request.unit as UnitState;
    unit.target.forget(this.#parts.synchronous);
    if (request.isSensing) this.#finish(request, request.response);
    else this.#finish(request, request.hadParityError ? ScsiResponse.TransportFailure : ScsiResponse.Busy);
  }

  /** A move ended with bytes left, since the target asked for another phase. */
  #mismatch(): void {
    this.counters.phaseMismatches++;
    const { chip, script } = this.#parts;
    const at = chip.stoppedBehind() - 8;
    if (this.#isReselection(at)) {
      this.#yield();
      this.#fault("reselect-identify", "another phase");
      return;
    }
    const request = this.current;
    if (this.#killing === "under-way") {
      this.#killed(false);
      return;
    }
    if (request === undefined) {
      this.#fault("phase-order");
      return;
    }
    const { chain } = request;
    const index = chain.indexOf(at);
    if (index < 0) {
      if (at < script.start || at >= script.end) {
        this.#fault("script-lost", `it stopped at 0x${at.toString(16)}`);
        return;
      }
      if (at === script.entries.greet) this.#talk.cut(request, request.unit as UnitState, chip.remaining());
      chip.start(script.entries.switch);
      return;
    }
    const given = chain.lengthOf(index);
    const remaining = chip.remaining();
    if (!chain.stoppedAt(index, remaining)) {
      this.#fault("odd-residue", `${remaining} of ${given} bytes`);
      return;
    }
    if (remaining < given) this.progress++;
    request.chainToDevice();
    chip.pointChain(chain.next);
    const phase = chip.phase();
    if (remaining === given && phase <= Phase.DataIn) {
      // The other direction: nothing of it is wanted.
      request.hadExtra = true;
      this.#drain(phase);
    } else chip.start(script.entries.switch);
  }

  /** What came is wrong: the target is told so, and the command cannot succeed. */
  #parityError(): void {
    const { chip, script } = this.#parts;
    const at = chip.stoppedBehind() - 8;
    if (this.#isReselection(at)) {
      this.#yield();
      this.#fault("reselect-identify", "a parity error");
      return;
    }
    const request = this.current;
    if (request === undefined || this.#killing === "under-way") {
      this.#fault("phase-order", "a parity error");
      return;
    }
    const { chain } = request;
    const index = chain.indexOf(at);
    const remaining = index < 0 ? 0 : chip.remaining();
    if (index >= 0 && !chain.stoppedAt(index, remaining)) {
      this.#fault("odd-residue", `${remaining} bytes`);
      return;
    }
    const isStatus = at === script.entries.status || at === script.entries.ending;
    const isMessage = index < 0 && !isStatus;
    if (index >= 0) chip.pointChain(chain.next);
    if (!isMessage) request.hadParityError = true;
    request.setReply(isMessage ? Message.ParityError : Message.InitiatorDetectedError);
    request.chainToDevice();
    chip.start(isStatus ? script.entries.complain : script.entries.refuse);
  }

  /** A last message was taken, and the target left. */
  #dismissed(): void {
    const wasStranger = this.current === undefined && this.#killing !== "under-way";
    if (wasStranger) this.#next();
    else this.#killed(true);
  }

  /** The last message was sent, or could not be. */
  #killed(succeeded: boolean): void {
    this.#killing = "no";
    this.#parts.listener.dismissed(succeeded);
    this.#next();
  }

  /** The bus is free. */
  #next(): void {
    if (this.state === "down") return;
    this.state = "idle";
    this.#startNext();
  }

  // Ends

  #complete(request: AdapterRequest): void {
    request.fromDevice("answer");
    const status = request.lastStatus;
    const unit = request.unit as UnitState;
    if (request.isSensing) {
      if (status === ScsiStatus.Good) {
        request.fromDevice("sense");
        request.senseLength = senseRoom - request.chain.left;
      }
      this.#finish(request, request.response);
      return;
    }
    request.status = status;
    request.residual = request.chain.left;
    request.senseLength = 0;
    if (status === noStatus) this.#finish(request, ScsiResponse.TargetFailure);
    else if (status === ScsiStatus.CheckCondition) this.#fetchSense(request, unit);
    else if (status === ScsiStatus.TaskSetFull && unit.started > 1) this.#tryLater(request, unit);
    else this.#finish(request, responseOf(request));
  }

  #fetchSense(request: AdapterRequest, unit: UnitState): void {
    request.response = responseOf(request);
    unit.beginSensing(request);
    request.isSensing = true;
    this.#urgent.push(request);
    this.current = undefined;
    this.#next();
  }

  /** The unit has as many commands as it takes: this one waits for one of them. */
  #tryLater(request: AdapterRequest, unit: UnitState): void {
    unit.leave(request);
    unit.limit = Math.max(1, Math.min(unit.limit, unit.started));
    request.state = "waiting";
    unit.waiting.pushFront(request);
    this.current = undefined;
    this.#next();
  }

  #finish(request: AdapterRequest, response: number): void {
    request.response = response;
    if (response !== ScsiResponse.Ok && response !== ScsiResponse.Overrun) request.residual = request.data.left;
    this.counters.commands++;
    this.progress++;
    this.#strangers = 0;
    if (request.unit !== undefined) this.#talk.over(request, request.unit);
    this.forget(request);
    this.state = "idle";
    this.#parts.listener.ended(request);
    if (this.state === "idle") this.#startNext();
  }

  // Reselection

  /** Whether an instruction is among those that find out who came back. */
  #isReselection(at: number): boolean {
    const { script } = this.#parts;
    return at >= script.entries.wait && at < script.end;
  }

  /** Somebody came back while a target was to be selected: that has to wait. */
  #yield(): void {
    const pending = this.current;
    if (pending !== undefined) this.#putBack(pending);
    if (this.#killing === "under-way") this.#killing = "due";
  }

  #back(vector: number): void {
    const { chip, script, hostId, refresh } = this.#parts;
    this.#yield();
    this.state = "connected";
    const bits = chip.reselectionIds() & ~(1 << hostId);
    if (bits === 0 || (bits & (bits - 1)) !== 0) {
      this.#fault("reselect-ids", `0x${bits.toString(16)} besides ours`);
      return;
    }
    refresh?.();
    const identify = script.said("back_identify");
    if (identify < Message.Identify) {
      this.#fault("reselect-identify", `0x${identify.toString(16)}`);
      return;
    }
    const target = this.targets[31 - Math.clz32(bits)];
    const tag = vector === Vector.BackTagged ? script.said("back_number") : -1;
    const request = target.units[identify & 7]?.find(tag);
    if (request === undefined || !request.isAway) {
      this.#sendAway(tag, `target ${target.id} LUN ${identify & 7} tag ${tag}`);
      return;
    }
    this.counters.reselections++;
    this.away--;
    request.isAway = false;
    this.current = request;
    chip.time(target.timing, false);
    chip.point(request.table, request.chain.next);
    if (vector === Vector.BackMessage) {
      request.lastMessage = script.said("back_tag");
      request.toDevice();
      chip.start(script.entries.received);
    } else chip.start(vector === Vector.Back ? script.entries.switch : script.entries.accept);
  }

  /** A target came back with a command that nobody knows: it shall forget it. */
  #sendAway(tag: number, detail: string): void {
    const { chip, script, spare, listener } = this.#parts;
    if (++this.#strangers > mostStrangers) {
      listener.faulty("reselect-unknown", detail);
      return;
    }
    listener.noticed("reselect-unknown", detail);
    spare.setReply(tag < 0 ? Message.Abort : Message.AbortTag);
    spare.toDevice();
    chip.point(spare.table, spare.chain.next);
    chip.start(script.entries.dismiss);
  }
}

function responseOf({ hadExtra, hadParityError }: AdapterRequest): number {
  if (hadParityError) return ScsiResponse.TransportFailure;
  return hadExtra ? ScsiResponse.Overrun : ScsiResponse.Ok;
}
