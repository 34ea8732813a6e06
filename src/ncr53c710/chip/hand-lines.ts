/**
 * The SCSI lines by hand, without SCRIPTS: arbitration and selection that SCNTL0.START or SOCL begin, bytes that a host
 * moves with SODL, SOCL.ACK and SBDL, and what SBCL, SBDL and SSTAT1 show. As an initiator; in loopback as the target.
 */
import { Ctest4, Lines, Reg, Scntl0, Scntl1, Sstat0, Sstat1 } from "../registers.js";
import type { Ncr53c710 } from "./chip.js";
import { faultOf } from "./execute-block-move.js";
import { idOf, ownId } from "./execute-io.js";
import { isOdd } from "./fifos.js";
import { LoopbackTarget } from "./loopback-target.js";

/**
 * What the chip does about a connection by hand: nothing; waits for a free bus; holds the bus with BSY after simple
 * arbitration; selects by itself after full arbitration; holds the bus with the host's SEL.
 */
type HandState = "idle" | "waiting" | "arbitrated" | "selecting" | "driven";

/** Lines that an initiator drives; the others only the target role does. */
const initiatorLines = Lines.Ack | Lines.Bsy | Lines.Sel | Lines.Atn;

export class HandLines {
  readonly #chip: Ncr53c710;
  readonly #loop = new LoopbackTarget();
  readonly #byte = new Uint8Array(1);
  #state: HandState = "idle";
  /** SSTAT1.ILF and OLF: bytes by hand only, since SCRIPTS leave nothing on the way. */
  #latches = 0;

  constructor(chip: Ncr53c710) {
    this.#chip = chip;
  }

  reset(): void {
    this.giveUp();
    this.#chip.port.setLoopback(undefined);
    this.#loop.drive(0, 0);
    this.#latches = 0;
  }

  /** CTEST8.CLF, or SCRIPTS begin: latches are empty. */
  emptyLatches(): void {
    this.#latches = 0;
  }

  /** SCNTL0.START as it reads. */
  get isStarting(): boolean {
    return this.#state !== "idle" && this.#state !== "driven";
  }

  /** The chip selects by itself and waits for an answer. */
  get isSelecting(): boolean {
    return this.#state === "selecting";
  }

  /** SCNTL1.CON besides a connection: simple arbitration was won. */
  get hasBus(): boolean {
    return this.#state === "arbitrated" || this.#state === "driven";
  }

  /** SCNTL0.START was written. SCRIPTS that run have it for themselves. */
  startWritten(isSet: boolean): void {
    const { port, engine } = this.#chip;
    if (isSet) {
      if (this.#state !== "idle" || port.isConnected || engine.state !== "stopped") return;
      port.arbitration = 0;
      this.#state = "waiting";
      this.#arbitrate();
    } else if (this.#state === "arbitrated" && (this.#control & Lines.Sel) !== 0) {
      // BSY of the arbitration falls; SEL holds the bus.
      this.#state = "driven";
      this.#selectByLines();
    } else if (this.isStarting) this.giveUp();
  }

  /** Lets go of a bus that is held without a connection. */
  giveUp(): void {
    const { port } = this.#chip;
    const held = this.#state;
    if (held === "idle") return;
    this.#state = "idle";
    port.arbitration = 0;
    this.#chip.stopSelectionTimer();
    if (port.wire.owner !== this.#chip) return;
    port.wire.release();
    if (port.wire.hasReselection) port.wire.changed();
  }

  /** Something changed on the bus. */
  busChanged(): void {
    if (this.#state === "waiting") this.#arbitrate();
    else if (this.#state === "selecting") this.#select();
  }

  /** Nobody answered a selection in time. */
  timedOut(): void {
    this.giveUp();
    this.#chip.causes.addScsi(Sstat0.Sto);
  }

  /** CTEST4 was written. */
  loopbackWritten(): void {
    if (this.#isLooped) this.giveUp();
    this.#chip.port.setLoopback(this.#isLooped ? this.#loop : undefined);
    this.linesWritten();
  }

  /** SODL was written, not into the FIFO. */
  dataWritten(): void {
    this.#latches |= Sstat1.Olf;
    this.linesWritten();
  }

  /** SOCL, SODL or SCNTL1.ADB was written. */
  linesWritten(): void {
    if (this.#isLooped) {
      this.#loop.drive(this.#control, this.#drivenData);
      if (this.#chip.engine.state === "waiting" || this.isSelecting) this.#chip.wireChanged();
    } else if (!this.#chip.port.isConnected) this.#selectByLines();
  }

  /** SOCL was written. */
  controlWritten(): void {
    const { port, engine, causes } = this.#chip;
    this.linesWritten();
    if (this.#isLooped || port.target === undefined) return;
    const lines = this.#control;
    port.setAttention((lines & Lines.Atn) !== 0);
    if ((lines & Lines.Ack) !== 0) {
      if (engine.state === "stopped" && !port.holdsAck) this.#handshake();
      return;
    }
    if (!port.holdsAck) return;
    port.releaseAck();
    // Without SCRIPTS no disconnection is an expected one.
    if (engine.state === "stopped" && port.isAbandoned) {
      port.disconnect();
      causes.addScsi(Sstat0.Udc);
    }
  }

  /** SIDL is read. */
  readInput(): number {
    this.#latches &= ~Sstat1.Ilf;
    return this.#chip.file.bytes[Reg.SIDL];
  }

  /** SOCL as it reads: ACK and ATN of a connection are live. */
  get output(): number {
    const { port } = this.#chip;
    const live = Lines.Ack | Lines.Atn;
    return port.isConnected && !this.#isLooped ? (this.#control & ~live) | (port.lines & live) : this.#control;
  }

  /** The control lines: SBCL. */
  get control(): number {
    const { port, file } = this.#chip;
    if (this.#isLooped) return this.#control | this.#loop.control | (port.lines & (Lines.Ack | Lines.Atn));
    const isTarget = (file.bytes[Reg.SCNTL0] & Scntl0.Trg) !== 0;
    if (port.isConnected) {
      // No target goes on before SEL has fallen.
      const select = this.#control & Lines.Sel;
      return (port.lines & (select === 0 ? 0xff : ~Lines.Req)) | select;
    }
    const others = port.wire.owner !== undefined && port.wire.owner !== this.#chip ? Lines.Bsy : 0;
    const own = this.#state === "arbitrated" ? Lines.Bsy : this.#state === "selecting" ? Lines.Sel : 0;
    return (this.#control & (isTarget ? 0xff : initiatorLines)) | others | own;
  }

  /** The data lines: SBDL. */
  get data(): number {
    return Math.max(this.#liveData, 0);
  }

  /** SSTAT1 but for RST. */
  get status(): number {
    const data = this.#liveData;
    const { bytes } = this.#chip.file;
    // Whoever drives the lines makes parity odd; the chip can be told to make it even.
    const isEven = (bytes[Reg.SCNTL1] & Scntl1.Aesp) !== 0 && (bytes[Reg.SCNTL1] & Scntl1.Adb) !== 0;
    const parity = data >= 0 && isOdd(data) === isEven ? Sstat1.Sdp : 0;
    return this.#chip.port.arbitration | this.#latches | parity;
  }

  get #isLooped(): boolean {
    return (this.#chip.file.bytes[Reg.CTEST4] & Ctest4.Slbe) !== 0;
  }

  get #control(): number {
    return this.#chip.file.bytes[Reg.SOCL];
  }

  get #isDriving(): boolean {
    return (this.#chip.file.bytes[Reg.SCNTL1] & Scntl1.Adb) !== 0;
  }

  get #drivenData(): number {
    return this.#isDriving ? this.#chip.file.bytes[Reg.SODL] : 0;
  }

  /** What is on the data lines; -1 when nobody drives them. */
  get #liveData(): number {
    const { port, file } = this.#chip;
    if (this.#isLooped) return this.#loop.data === 0 && !this.#isDriving ? -1 : this.#loop.data;
    if (this.#state === "arbitrated") return file.bytes[Reg.SCID];
    if (this.#state === "selecting") return file.bytes[Reg.SCID] | file.bytes[Reg.SDID];
    // Latches the phase, too.
    const isRequested = port.phase() >= 0;
    const isInput = port.target !== undefined && (port.latchedPhase & 1) !== 0;
    if (!isInput) return this.#isDriving ? file.bytes[Reg.SODL] : -1;
    // In input phases the target drives them, whatever ADB says.
    if (isRequested) return port.target?.peek?.() ?? -1;
    return port.holdsAck ? file.bytes[Reg.SIDL] : -1;
  }

  #arbitrate(): void {
    const chip = this.#chip;
    const { port, file } = chip;
    if (port.isBusBusy) return;
    if (chip.answerReselection()) {
      this.#state = "idle";
      port.arbitration = Sstat1.Loa;
      return;
    }
    const isFull = (file.bytes[Reg.SCNTL0] & Scntl0.Arbitration) === Scntl0.Arbitration;
    port.arbitration = isFull ? Sstat1.Woa : Sstat1.Aip;
    this.#state = isFull ? "selecting" : "arbitrated";
    if (!this.#isLooped) port.wire.owner = chip;
    if (isFull) this.#select();
  }

  #select(): void {
    const { port, file, engine, causes } = this.#chip;
    const id = idOf(file.bytes[Reg.SDID]);
    const attention = (file.bytes[Reg.SCNTL0] & Scntl0.Watn) !== 0;
    if (id !== undefined && port.select(id, ownId(engine), attention)) {
      this.#state = "idle";
      this.#chip.stopSelectionTimer();
      causes.addScsi(Sstat0.Fcmp);
    } else if (this.#chip.startSelectionTimer()) this.timedOut();
  }

  /** Selection by the host's own lines: SEL without BSY, id bits on the data lines. */
  #selectByLines(): void {
    const { port, file, engine } = this.#chip;
    const isSelecting = (this.#control & (Lines.Sel | Lines.Bsy)) === Lines.Sel;
    if (this.#state === "driven" && !isSelecting) {
      this.giveUp();
      return;
    }
    if (!isSelecting || engine.state !== "stopped") return;
    if (this.#state === "idle") {
      if (port.isBusBusy) return;
      this.#state = "driven";
      port.wire.owner = this.#chip;
    }
    if (this.#state !== "driven") return;
    const id = idOf(this.#drivenData & ~file.bytes[Reg.SCID]);
    if (id === undefined) return;
    const { arbitration } = port;
    if (!port.select(id, ownId(engine), (this.#control & Lines.Atn) !== 0)) return;
    // Only full arbitration is won by the chip itself.
    port.arbitration = arbitration;
    this.#state = "idle";
  }

  /** The host asserts ACK: one byte moves. */
  #handshake(): void {
    const { port, file, engine, causes } = this.#chip;
    const { target } = port;
    const phase = port.phase();
    if (target === undefined || phase < 0) return;
    const isInput = (phase & 1) !== 0;
    const { faults } = engine.context;
    const fault = isInput ? undefined : faults?.wireTransfer?.({ phase, byteLength: 1 });
    if (isInput) {
      if (target.receive(this.#byte, 0, 1) === 0) return;
      file.bytes[Reg.SIDL] = this.#byte[0];
      port.hasInput = true;
      this.#latches |= Sstat1.Ilf;
    } else {
      this.#byte[0] = this.#drivenData;
      // Lines that nobody drives are 0, and so is the one of parity, which is wrong.
      if (!this.#isDriving || fault === "parity" || engine.makesEvenParity) target.parityWrong?.();
      if (target.send(this.#byte, 0, 1) === 0) return;
      this.#latches &= ~Sstat1.Olf;
    }
    port.holdAck();
    if (isInput && faults !== undefined)
      causes.addScsi(faultOf(engine, faults.wireTransfer?.({ phase, byteLength: 1 }), phase));
  }
}
