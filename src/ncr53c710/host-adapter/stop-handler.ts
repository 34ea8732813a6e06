/**
 * Why the chip stopped, and what that asks for: vectors of the script, targets that left, changed the phase, sent wrong
 * parity or came back.
 */
import { ScsiResponse } from "../../scsi/index.js";
import { Dstat, Istat, Phase, Sstat0 } from "../registers.js";
import { Message } from "../target/messages.js";
import type { AdapterRequest } from "./adapter-request.js";
import type { BusSequencer, SequencerParts } from "./bus-sequencer.js";
import { Vector } from "./script-source.js";
import type { UnitState } from "./target-state.js";

/** Targets may come back for nothing this often before the bus is reset. */
const mostStrangers = 16;

export class StopHandler {
  readonly #parts: SequencerParts;
  readonly #sequencer: BusSequencer;

  constructor(parts: SequencerParts, sequencer: BusSequencer) {
    this.#parts = parts;
    this.#sequencer = sequencer;
  }

  /** Looks whether the chip has stopped, and if so does what that asks for. False: it has not. */
  handle(): boolean {
    const { chip } = this.#parts;
    if ((chip.interruptStatus() & (Istat.Sip | Istat.Dip)) === 0) return false;
    this.#sequencer.counters.stops++;
    const wasAborted = this.#sequencer.isAborting;
    if (wasAborted) {
      this.#sequencer.isAborting = false;
      chip.abort(false);
    }
    const causes = chip.takeCauses();
    if (this.#sequencer.state === "down") return true;
    const scsi = causes >>> 8;
    if (scsi !== 0) this.#stoppedByBus(scsi, wasAborted);
    else if ((causes & Dstat.Sir) !== 0) this.#told(chip.vector());
    else if ((causes & Dstat.Abrt) !== 0) this.#brokenIn(wasAborted);
    else if (causes !== 0) this.#stoppedByChip(causes);
    return true;
  }

  // Stops

  #told(vector: number): void {
    const request = this.#sequencer.current;
    if (vector === Vector.Woken && this.#sequencer.state !== "connected") {
      this.#sequencer.next();
    } else if (vector === Vector.Dismissed) this.#dismissed();
    else if (vector === Vector.Back || vector === Vector.BackTagged || vector === Vector.BackMessage)
      this.#back(vector);
    else if (request === undefined)
      this.#sequencer.fault("unknown-vector", `0x${vector.toString(16)} without a command`);
    else this.#toldOf(request, vector);
  }

  #toldOf(request: AdapterRequest, vector: number): void {
    const { chip, script } = this.#parts;
    const { chain } = request;
    switch (vector) {
      case Vector.DoneWhole:
        chain.left = 0;
        this.#sequencer.complete(request);
        return;
      case Vector.DonePart:
        if (chain.total === 0 || this.#takeChain(request)) this.#sequencer.complete(request);
        return;
      case Vector.Away:
      case Vector.AwaySaved:
        if (!this.#takeChain(request)) return;
        if (vector === Vector.AwaySaved) chain.save();
        this.#sequencer.leave(request);
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
        this.#sequencer.talk.heard(request, request.unit as UnitState, vector);
        return;
      case Vector.Extra:
        request.hadExtra = true;
        chain.left = 0;
        this.#drain(chip.phase());
        return;
      case Vector.OddPhase:
        this.#sequencer.fault("odd-phase");
        return;
      default:
        this.#sequencer.fault("unknown-vector", `0x${vector.toString(16)}`);
    }
  }

  #takeChain({ chain }: AdapterRequest): boolean {
    const temp = this.#parts.chip.chain();
    if (chain.reached(temp)) return true;
    this.#sequencer.fault("script-lost", `the chain of data is at 0x${temp.toString(16)}`);
    return false;
  }

  #drain(phase: number): void {
    const { chip, script } = this.#parts;
    const { drain_in, drain_out, switch: anywhere } = script.entries;
    chip.start(phase === Phase.DataIn ? drain_in : phase === Phase.DataOut ? drain_out : anywhere);
  }

  #stoppedByBus(causes: number, wasAborted: boolean): void {
    if ((causes & Sstat0.Rst) !== 0) this.#parts.listener.busWasReset();
    else if ((causes & Sstat0.Sge) !== 0) this.#sequencer.fault("gross-error");
    else if ((causes & Sstat0.Sto) !== 0) this.#nobodyThere();
    else if ((causes & Sstat0.Udc) !== 0) this.#targetLeft();
    else if (wasAborted) this.#brokenIn(true);
    else if ((causes & Sstat0.Par) !== 0) this.#parityError();
    else if ((causes & Sstat0.Ma) !== 0) this.#mismatch();
  }

  #stoppedByChip(causes: number): void {
    if ((causes & Dstat.Iid) !== 0) this.#sequencer.fault("illegal-instruction");
    else if ((causes & Dstat.Bf) !== 0) this.#sequencer.fault("bus-fault");
    else this.#sequencer.fault((causes & Dstat.Wtd) !== 0 ? "watchdog" : "single-step");
  }

  #brokenIn(wasAsked: boolean): void {
    const { chip, script, listener } = this.#parts;
    const request = this.#sequencer.current;
    if (!wasAsked) this.#sequencer.fault("unknown-vector", "an abort that nobody asked for");
    else if (request === undefined) listener.dismissed(false, true);
    else chip.start(script.entries.dismiss);
  }

  #nobodyThere(): void {
    const request = this.#sequencer.current;
    if (this.#sequencer.killing === "under-way") this.#sequencer.killed(false);
    else if (request === undefined) this.#sequencer.next();
    else if (request.isSensing) this.#sequencer.finish(request, request.response);
    else this.#sequencer.finish(request, ScsiResponse.BadTarget);
  }

  #targetLeft(): void {
    const { chip } = this.#parts;
    if (this.#isReselection(chip.stoppedBehind() - 8)) {
      this.#sequencer.yieldBus();
      this.#sequencer.next();
      return;
    }
    const request = this.#sequencer.current;
    if (this.#sequencer.killing === "under-way") {
      this.#sequencer.killed(false);
      return;
    }
    if (request === undefined) {
      this.#sequencer.next();
      return;
    }
    const unit = request.unit as UnitState;
    unit.target.forget(this.#parts.synchronous);
    if (request.isSensing) this.#sequencer.finish(request, request.response);
    else this.#sequencer.finish(request, request.hadParityError ? ScsiResponse.TransportFailure : ScsiResponse.Busy);
  }

  /** A move ended with bytes left, since the target asked for another phase. */
  #mismatch(): void {
    this.#sequencer.counters.phaseMismatches++;
    const { chip, script } = this.#parts;
    const at = chip.stoppedBehind() - 8;
    if (this.#isReselection(at)) {
      this.#sequencer.yieldBus();
      this.#sequencer.fault("reselect-identify", "another phase");
      return;
    }
    const request = this.#sequencer.current;
    if (this.#sequencer.killing === "under-way") {
      this.#sequencer.killed(false, true);
      return;
    }
    if (request === undefined) {
      this.#sequencer.fault("phase-order");
      return;
    }
    const { chain } = request;
    const index = chain.indexOf(at);
    if (index < 0) {
      if (at < script.start || at >= script.end) {
        this.#sequencer.fault("script-lost", `it stopped at 0x${at.toString(16)}`);
        return;
      }
      if (at === script.entries.greet) this.#sequencer.talk.cut(request, request.unit as UnitState, chip.remaining());
      chip.start(script.entries.switch);
      return;
    }
    const given = chain.lengthOf(index);
    const remaining = chip.remaining();
    if (!chain.stoppedAt(index, remaining)) {
      this.#sequencer.fault("odd-residue", `${remaining} of ${given} bytes`);
      return;
    }
    if (remaining < given) this.#sequencer.progress++;
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
      this.#sequencer.yieldBus();
      this.#sequencer.fault("reselect-identify", "a parity error");
      return;
    }
    const request = this.#sequencer.current;
    if (request === undefined || this.#sequencer.killing === "under-way") {
      this.#sequencer.fault("phase-order", "a parity error");
      return;
    }
    const { chain } = request;
    const index = chain.indexOf(at);
    const remaining = index < 0 ? 0 : chip.remaining();
    if (index >= 0 && !chain.stoppedAt(index, remaining)) {
      this.#sequencer.fault("odd-residue", `${remaining} bytes`);
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
    const wasStranger = this.#sequencer.current === undefined && this.#sequencer.killing !== "under-way";
    if (wasStranger) this.#sequencer.next();
    else this.#sequencer.killed(true);
  }

  // Reselection

  /** Whether an instruction is among those that find out who came back. */
  #isReselection(at: number): boolean {
    const { script } = this.#parts;
    return at >= script.entries.wait && at < script.end;
  }

  #back(vector: number): void {
    const { chip, script, hostId, refresh } = this.#parts;
    this.#sequencer.yieldBus();
    this.#sequencer.state = "connected";
    const bits = chip.reselectionIds() & ~(1 << hostId);
    if (bits === 0 || (bits & (bits - 1)) !== 0) {
      this.#sequencer.fault("reselect-ids", `0x${bits.toString(16)} besides ours`);
      return;
    }
    refresh?.();
    const identify = script.said("back_identify");
    if (identify < Message.Identify) {
      this.#sequencer.fault("reselect-identify", `0x${identify.toString(16)}`);
      return;
    }
    const target = this.#sequencer.targets[31 - Math.clz32(bits)];
    const tag = vector === Vector.BackTagged ? script.said("back_number") : -1;
    const request = target.units[identify & 7]?.find(tag);
    if (request === undefined || !request.isAway) {
      this.#sendAway(tag, `target ${target.id} LUN ${identify & 7} tag ${tag}`);
      return;
    }
    this.#sequencer.counters.reselections++;
    this.#sequencer.away--;
    request.isAway = false;
    this.#sequencer.current = request;
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
    if (++this.#sequencer.strangers > mostStrangers) {
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
