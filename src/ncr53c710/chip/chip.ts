/**
 * The NCR 53C710, device half: registers with their side effects, the SCRIPTS engine and its turns, interrupts as a
 * level. Hosts reach the registers through {@link Ncr53c710.window}; time passes only through the clock and the turns.
 */
import type { RegisterWindow } from "../../bytes/index.js";
import { Dmode, Dstat, hostOffset, Istat, Reg, Scntl1, Sstat0 } from "../registers.js";
import { ScriptsEngine } from "./engine.js";
import { answerReselection } from "./execute-io.js";
import { HandLines } from "./hand-lines.js";
import type { HostBus } from "./host-bus.js";
import { hostWindow } from "./host-window.js";
import { InterruptCauses } from "./interrupt-causes.js";
import { type ChipOptions, type Clock, defaultOpenPoints, type OpenPoints, systemClock } from "./options.js";
import { RegisterAccess } from "./register-access.js";
import { RegisterFile } from "./register-file.js";
import { ScsiPort } from "./scsi-port.js";
import type { ScsiWire, WireHost, WireInitiator } from "./scsi-wire.js";

const defaultTurn = 4096;
const defaultSelectionTimeout = 250;

/** A chip on a host bus and a SCSI wire. It holds no timer while it stands still; {@link Ncr53c710.close} ends it. */
export class Ncr53c710 implements WireHost {
  /** The 64 registers as a big-endian host sees them; offsets are taken modulo 64. */
  readonly window: RegisterWindow;
  readonly port: ScsiPort;
  readonly engine: ScriptsEngine;
  readonly points: OpenPoints;
  readonly file = new RegisterFile();
  readonly causes = new InterruptCauses(this.file);
  readonly bus: HostBus;
  /** What a host does with the lines, without SCRIPTS. */
  readonly hand: HandLines;
  readonly #registers: RegisterAccess;
  readonly #turns: NonNullable<ChipOptions["turns"]>;
  readonly #instructionsPerTurn: number;
  readonly #schedule: (turn: () => void) => void;
  readonly #selectionTimeout: number;
  readonly #clock: Clock;
  #isScheduled = false;
  #isClosed = false;
  #stopTimer: (() => void) | undefined;

  /** @throws RangeError when an option is out of range. */
  constructor(bus: HostBus, wire: ScsiWire, options: ChipOptions = {}) {
    const { revision = 2, instructionsPerTurn = defaultTurn } = options;
    if (!Number.isInteger(revision) || revision < 0 || revision > 15) {
      throw new RangeError(`a revision is within 0…15, got ${revision}`);
    }
    if (!Number.isInteger(instructionsPerTurn) || instructionsPerTurn < 1) {
      throw new RangeError(`a turn has at least one instruction, got ${instructionsPerTurn}`);
    }
    this.bus = bus;
    this.points = { ...defaultOpenPoints, ...options.openPoints };
    this.port = new ScsiPort(wire);
    this.#turns = options.turns ?? "in-access";
    this.#instructionsPerTurn = instructionsPerTurn;
    this.#schedule = options.schedule ?? ((turn) => void setTimeout(turn, 0));
    this.#selectionTimeout = options.selectionTimeout ?? defaultSelectionTimeout;
    this.#clock = options.clock ?? systemClock;
    const { file, causes, port, points } = this;
    this.engine = new ScriptsEngine({
      file,
      causes,
      port,
      bus,
      points,
      faults: options.faults,
      readRegister: (number) => this.#registers.read(number),
      writeRegister: (number, value) => this.#registers.writeFromScripts(number, value),
      startSelectionTimer: () => this.startSelectionTimer(),
      stopSelectionTimer: () => this.stopSelectionTimer(),
    });
    this.hand = new HandLines(this);
    this.#registers = new RegisterAccess(this, revision);
    this.window = hostWindow(this.#registers, options.observer);
    file.reset(points.scidReset);
    wire.attachHost(this);
  }

  /** The interrupt pin. */
  get interruptLevel(): boolean {
    return this.causes.level;
  }

  /** Listens to the interrupt pin; one listener at a time. */
  onInterrupt(listener: ((level: boolean) => void) | undefined): void {
    this.causes.listener = listener;
  }

  /** A register of 8 bits by the chip's number, with its side effects. */
  readRegister(number: number): number {
    return this.window.read8(hostOffset(number));
  }

  /** Writes a register of 8 bits by the chip's number. */
  writeRegister(number: number, value: number): void {
    this.window.write8(hostOffset(number), value);
  }

  /** Carries out at most `limit` instructions now; returns how many. */
  run(limit: number): number {
    const count = this.engine.run(limit);
    this.#tellReselection();
    return count;
  }

  /** Goes on after an inspector held SCRIPTS, over the place where they were held. */
  resume(): void {
    this.engine.resume();
    if (this.engine.state === "running") this.#beginTurns();
  }

  /** The reset pin: as after power came on. */
  powerOn(): void {
    this.file.bytes[Reg.ISTAT] = 0;
    this.reset();
  }

  /** Starts SCRIPTS at DSP, as a write to DSP or DCNTL.STD does. */
  start(): void {
    const wasInTurn = this.engine.isInTurn;
    if (!wasInTurn) {
      this.hand.giveUp();
      this.hand.emptyLatches();
    }
    this.engine.start();
    if (!wasInTurn) this.#beginTurns();
  }

  /** DSP was written: starts, unless DMODE.MAN says that DCNTL.STD does. */
  instructionAddressWritten(): void {
    if ((this.file.bytes[Reg.DMODE] & Dmode.Man) === 0 && !this.isInReset) this.start();
  }

  /** DCNTL.STD was written. */
  startWritten(): void {
    if (this.engine.state === "stopped" && !this.isInReset) this.start();
  }

  /** ISTAT was written: `changed` are the bits that differ from before. */
  statusWritten(changed: number): void {
    const value = this.file.bytes[Reg.ISTAT];
    if ((changed & value & Istat.Rst) !== 0) this.reset();
    if ((value & Istat.Abrt) !== 0 && (value & Istat.Rst) === 0) this.abort();
    // SIGP ends a WAIT RESELECT.
    if ((changed & value & Istat.Sigp) !== 0) this.wireChanged();
  }

  /** SCNTL1.RST changed. */
  scsiResetWritten(asserted: boolean): void {
    if (!asserted) return;
    this.hand.giveUp();
    this.port.resetWire();
    if (this.engine.state !== "stopped") this.engine.halt();
    this.causes.addScsi(Sstat0.Rst);
  }

  /** ISTAT.RST holds the chip. */
  get isInReset(): boolean {
    return (this.file.bytes[Reg.ISTAT] & Istat.Rst) !== 0;
  }

  /** What ISTAT.ABRT does. */
  abort(): void {
    if (this.engine.state !== "stopped") this.engine.halt();
    this.causes.addDma(Dstat.Abrt);
  }

  /** What ISTAT.RST does: every register but ISTAT has its reset value. */
  reset(): void {
    const istat = this.file.bytes[Reg.ISTAT] & (Istat.Abrt | Istat.Rst);
    this.engine.halt();
    this.engine.carry = false;
    this.hand.reset();
    this.#registers.reset();
    this.file.reset(this.points.scidReset);
    this.file.bytes[Reg.ISTAT] = istat;
    this.causes.clear();
    this.port.drop(this.points.resetWhileConnected === "released");
    this.port.latchedPhase = 0;
    this.port.hasInput = false;
  }

  wireChanged(): void {
    if (this.#isClosed) return;
    this.hand.busChanged();
    this.#tellReselection();
    if (this.engine.wireChanged()) this.#beginTurns();
  }

  /** A target that wants to reselect wins against a selection by hand; true when one did. */
  answerReselection(): boolean {
    if (!answerReselection(this.engine)) return false;
    this.#tellSelection();
    return true;
  }

  /** Another initiator selects the chip. False: it does not respond, since ESR is 0, it is busy or has another id. */
  selectedBy(initiator: WireInitiator, id: number): boolean {
    const { file, port } = this;
    const responds = (file.bytes[Reg.SCNTL1] & Scntl1.Esr) !== 0 && ((file.bytes[Reg.SCID] >>> id) & 1) === 1;
    if (!responds || port.isConnected || port.isBusBusy || this.isInReset) return false;
    port.selectedBy(initiator);
    this.#tellSelection();
    if (this.engine.wireChanged()) this.#beginTurns();
    return true;
  }

  /** Stops everything and never goes on. */
  close(): void {
    this.#isClosed = true;
    this.stopSelectionTimer();
    this.engine.halt();
  }

  /** SSTAT0.SEL: somebody (re)selects while no instruction waits for it. It is not latched while it is disabled. */
  #tellReselection(): void {
    const { port, engine, file } = this;
    if (!port.wire.hasReselection || port.isConnected || engine.state !== "stopped") return;
    if ((file.bytes[Reg.SCNTL1] & Scntl1.Esr) !== 0) this.#tellSelection();
  }

  #tellSelection(): void {
    if (this.engine.state === "stopped" && (this.file.bytes[Reg.SIEN] & Sstat0.Sel) !== 0)
      this.causes.addScsi(Sstat0.Sel);
  }

  #beginTurns(): void {
    if (this.#turns === "in-access") this.#turn();
    else if (this.#turns === "scheduled") this.#scheduleTurn();
  }

  #turn(): void {
    if (this.#isClosed) return;
    this.run(this.#instructionsPerTurn);
    if (this.engine.state === "running") this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      this.#turn();
    });
  }

  /** Begins a selection's time. True when it has passed already; else the engine is told when it has. */
  startSelectionTimer(): boolean {
    if (this.#registers.isSelectionTimerOff) return false;
    if (this.#selectionTimeout === 0) return true;
    if (this.#stopTimer !== undefined) return false;
    this.#stopTimer = this.#clock.after(this.#selectionTimeout, () => {
      this.#stopTimer = undefined;
      if (this.#isClosed) return;
      if (this.hand.isSelecting) this.hand.timedOut();
      else this.engine.selectionExpired = true;
      if (this.engine.wireChanged()) this.#beginTurns();
    });
    return false;
  }

  /** The selection was answered, or is given up. */
  stopSelectionTimer(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.port.endSelection();
  }
}
