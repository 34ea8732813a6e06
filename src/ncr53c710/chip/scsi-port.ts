/** The chip's side of the wire: whom it is connected to, ACK and ATN, and the phase last seen. */
import { Lines, Sstat1 } from "../registers.js";
import type { LoopbackTarget } from "./loopback-target.js";
import { busFree, noRequest, type ScsiWire, type WireInitiator, type WireTarget } from "./scsi-wire.js";

export class ScsiPort {
  readonly wire: ScsiWire;
  /** The target, while the chip is an initiator. */
  #target: WireTarget | undefined;
  /** The initiator, while the chip is a target. */
  #initiator: WireInitiator | undefined;
  #attention = false;
  #holdsAck = false;
  /** Stands in for the bus while the chip is in loopback. */
  #loop: LoopbackTarget | undefined;
  /** AIP, LOA and WOA as SSTAT1 shows them. */
  arbitration = 0;
  /** A byte came in since the chip was reset: SIDL and its parity mean something. */
  hasInput = false;
  /** Phase lines as last latched by REQ. */
  latchedPhase = 0;
  /** A reselection that WAIT RESELECT has not seen yet. */
  wasReselected = false;
  /** A selection by another initiator that no instruction has seen yet. */
  wasSelected = false;

  constructor(wire: ScsiWire) {
    this.wire = wire;
  }

  get isConnected(): boolean {
    return this.#target !== undefined || this.#initiator !== undefined;
  }

  /** Others have the bus. In loopback nobody has. */
  get isBusBusy(): boolean {
    return this.#loop === undefined && this.wire.owner !== undefined;
  }

  /** Leaves the bus for the target that a host plays by hand, or comes back to it. */
  setLoopback(loop: LoopbackTarget | undefined): void {
    if (loop === this.#loop) return;
    this.drop(true);
    this.#loop = loop;
  }

  get initiator(): WireInitiator | undefined {
    return this.#initiator;
  }

  get target(): WireTarget | undefined {
    return this.#target;
  }

  get attention(): boolean {
    return this.#initiator?.attention ?? this.#attention;
  }

  get holdsAck(): boolean {
    return this.#holdsAck;
  }

  /** The phase that the target asks for now; latches it. */
  phase(): number {
    if (this.#target === undefined || this.#holdsAck) return noRequest;
    const phase = this.#target.phase();
    if (phase >= 0) this.latchedPhase = phase;
    return phase;
  }

  /** The target left the bus, and the chip has not taken note yet. */
  get isAbandoned(): boolean {
    return this.#target !== undefined && !this.#holdsAck && this.#target.phase() === busFree;
  }

  /** The control lines as SBCL shows them. */
  get lines(): number {
    if (!this.isConnected) return 0;
    const request = this.#target !== undefined && this.phase() >= 0 ? Lines.Req : 0;
    const driven = (this.#holdsAck ? Lines.Ack : 0) | (this.attention ? Lines.Atn : 0);
    return request | Lines.Bsy | driven | this.latchedPhase;
  }

  /** Selects a target. False: nobody answers. */
  select(id: number, own: number, attention: boolean): boolean {
    const target = id === own ? undefined : (this.#loop ?? this.wire.target(id));
    this.#loop?.showIds((1 << id) | (1 << own));
    if (target === undefined || !target.selected(own, attention)) return false;
    this.#connect(target);
    this.#attention = attention;
    this.arbitration = Sstat1.Woa;
    return true;
  }

  /** A selection that waited for an answer is over: its ids leave the lines. */
  endSelection(): void {
    this.#loop?.showIds(0);
  }

  /** Answers a reselection that is waiting; returns the target's id. */
  answerReselection(): number | undefined {
    const id = this.#loop === undefined ? this.wire.acceptReselection() : undefined;
    if (id === undefined) return undefined;
    this.#connect(this.wire.target(id) as WireTarget);
    this.wasReselected = true;
    return id;
  }

  /** As a target: another initiator selected the chip. */
  selectedBy(initiator: WireInitiator): void {
    this.#initiator = initiator;
    this.wire.owner = initiator;
    this.wasSelected = true;
  }

  /** As a target: reselects an initiator. */
  reselect(id: number, own: number): boolean {
    const initiator = this.wire.initiator(id);
    if (initiator === undefined || !initiator.reselected(own)) return false;
    this.#initiator = initiator;
    this.wire.owner = initiator;
    return true;
  }

  setAttention(asserted: boolean): void {
    if (asserted === this.#attention) return;
    this.#attention = asserted;
    this.#target?.attention(asserted);
  }

  /** ACK stays after the last byte of a message. */
  holdAck(): void {
    this.#holdsAck = this.#target !== undefined;
  }

  releaseAck(): void {
    if (!this.#holdsAck) return;
    this.#holdsAck = false;
    this.#target?.acknowledged();
  }

  /** The connection has ended. */
  disconnect(): void {
    if (!this.isConnected) return;
    const initiator = this.#initiator;
    this.#forget();
    if (this.#loop !== undefined) return;
    this.wire.release();
    initiator?.disconnected();
    // Somebody may wait for the free bus.
    if (this.wire.hasReselection) this.wire.changed();
  }

  /** The chip was reset: lets go of the wires. `tell` says whether the target sees it. */
  drop(tell: boolean): void {
    const target = this.#target;
    const initiator = this.#initiator;
    if (target === undefined && initiator === undefined) return;
    this.#forget();
    if (!tell || this.#loop !== undefined) return;
    this.wire.release();
    target?.abandoned();
    initiator?.disconnected();
  }

  /** Drives SCSI RST; in loopback nobody outside sees it. */
  resetWire(): void {
    this.#forget();
    if (this.#loop === undefined) this.wire.reset();
  }

  #connect(target: WireTarget): void {
    this.#target = target;
    this.#attention = false;
    this.#holdsAck = false;
    this.#loop?.showIds(0);
    if (this.#loop === undefined) this.wire.owner = target;
  }

  #forget(): void {
    this.#target = undefined;
    this.#initiator = undefined;
    this.#attention = false;
    this.#holdsAck = false;
    this.arbitration = 0;
    this.#loop?.showIds(0);
    this.wasReselected = false;
    this.wasSelected = false;
  }
}
