/**
 * The SCRIPTS engine: fetches, carries out, waits, stops. An instruction that has to wait is kept and tried again when
 * the wire changed; what it did so far is in DBC and DNAD, so where it is interrupted makes no difference.
 */

import type { FaultHook } from "../../observe/index.js";
import { Dcntl, Dstat, Reg, Scntl0, Scntl1, Sstat0 } from "../registers.js";
import { classOf, InstructionClass, IoOpcode, instructionLength } from "../scripts/instruction-set.js";
import { blockMove } from "./execute-block-move.js";
import { executeIo } from "./execute-io.js";
import { memoryMove } from "./execute-memory.js";
import { registerMove } from "./execute-registers.js";
import { transferControl } from "./execute-transfer.js";
import type { HostBus } from "./host-bus.js";
import type { InterruptCauses } from "./interrupt-causes.js";
import type { OpenPoints } from "./options.js";
import type { RegisterFile } from "./register-file.js";
import type { ScsiPort } from "./scsi-port.js";

/** How far an instruction came. */
export const Outcome = { Done: 0, Wait: 1, Stop: 2 } as const;

/** What the engine is doing. */
export type EngineState = "stopped" | "running" | "waiting";

/** Whoever looks at SCRIPTS while they run. */
export interface EngineInspector {
  /** Asked before an instruction is fetched; true stops before it. */
  stopBefore?(address: number): boolean;
  /** Told before an instruction is carried out; its words are in the registers, and the third one here. */
  executing?(address: number, command: number, dsps: number, third: number): void;
}

/** What the engine needs of the chip around it. */
export interface EngineContext {
  readonly file: RegisterFile;
  readonly causes: InterruptCauses;
  readonly port: ScsiPort;
  readonly bus: HostBus;
  readonly points: OpenPoints;
  readonly faults: FaultHook | undefined;
  /** Registers with their side effects, by the chip's numbers; SCRIPTS may write SFBR. */
  readRegister(number: number): number;
  writeRegister(number: number, value: number): void;
  /** Starts the time that a selection takes; `expired` is true afterwards. Returns whether it has passed at once. */
  startSelectionTimer(): boolean;
  stopSelectionTimer(): void;
}

/** The engine of one chip. */
export class ScriptsEngine {
  readonly context: EngineContext;
  /** What a memory move has read and not written: overlapping moves read so far ahead. */
  readonly fifo = new Uint8Array(64);
  /** For windows, which take bytes one by one. */
  readonly single = new Uint8Array(1);
  state: EngineState = "stopped";
  /** The carry flag. */
  carry = false;
  /** Third word of the instruction at hand. */
  third = 0;
  /** The instruction at hand began: operands were resolved. */
  hasBegun = false;
  /** The block move at hand has had its first byte, which is in SFBR. */
  hasFirstByte = false;
  /** The selection at hand timed out. */
  selectionExpired = false;
  /** Instructions carried out since the chip was made. */
  executed = 0;
  inspector: EngineInspector | undefined;
  /** Stopped by the inspector, not by anything that a host could see. */
  isHeld = false;
  /** An instruction is fetched and not done. */
  #isFetched = false;
  #wireChanged = false;
  #isInTurn = false;
  #passOnce = false;

  constructor(context: EngineContext) {
    this.context = context;
  }

  get isInTurn(): boolean {
    return this.#isInTurn;
  }

  /** An instruction is at hand and waits. */
  get isFetched(): boolean {
    return this.#isFetched;
  }

  /** Starts at DSP. A script that waits is given up; one that runs goes on there. */
  start(): void {
    if (!this.#isInTurn || this.state !== "running") this.#abandonInstruction();
    this.state = "running";
    this.isHeld = false;
  }

  /** Goes on after the inspector stopped it, over the place where it stopped. */
  resume(): void {
    if (this.isHeld && this.state === "stopped") this.state = "running";
    this.isHeld = false;
    this.#passOnce = true;
  }

  /** Stops, leaving registers as they are. */
  halt(): void {
    this.state = "stopped";
    this.#abandonInstruction();
    const { file } = this.context;
    // What is in flight is always delivered: drivers compute 0 from this.
    file.bytes[Reg.DFIFO] = file.count & 0x7f;
  }

  /** Something changed at the wire; returns whether the engine can go on. */
  wireChanged(): boolean {
    if (this.#isInTurn) {
      this.#wireChanged = true;
      return false;
    }
    if (this.state !== "waiting") return false;
    this.state = "running";
    return true;
  }

  /** Carries out at most `limit` instructions; returns how many. */
  run(limit: number): number {
    if (this.#isInTurn) return 0;
    this.#isInTurn = true;
    let count = 0;
    try {
      while (count < limit && this.state === "running") {
        if (!this.#isFetched && !this.#fetch()) break;
        this.#wireChanged = false;
        const outcome = this.#execute();
        if (outcome === Outcome.Wait) {
          if (!this.#wireChanged && this.state === "running") this.state = "waiting";
          // A peer that signals changes without end must not keep this turn.
          else count++;
          continue;
        }
        count++;
        if (outcome === Outcome.Done) this.#finish();
      }
    } finally {
      this.#isInTurn = false;
    }
    this.executed += count;
    return count;
  }

  /** SCNTL0.EPG with SCNTL1.AESP: every byte goes out with wrong parity. */
  get makesEvenParity(): boolean {
    const { bytes } = this.context.file;
    return (bytes[Reg.SCNTL1] & Scntl1.Aesp) !== 0 && (bytes[Reg.SCNTL0] & Scntl0.Epg) !== 0;
  }

  /** Ends the instruction with causes in DSTAT. */
  stopDma(causes: number): typeof Outcome.Stop {
    this.halt();
    this.context.causes.addDma(causes);
    return Outcome.Stop;
  }

  /** Ends the instruction with causes in SSTAT0. */
  stopScsi(causes: number): typeof Outcome.Stop {
    this.halt();
    this.context.causes.addScsi(causes);
    return Outcome.Stop;
  }

  /** Nobody answers at an address. */
  unanswered(address: number): typeof Outcome.Stop | typeof Outcome.Wait {
    const { file, points } = this.context;
    file.setLong(Reg.DNAD, address);
    if (points.unansweredAddress === "bus-error") return this.stopDma(Dstat.Bf);
    if (file.bytes[Reg.DWT] !== 0) return this.stopDma(Dstat.Wtd);
    return Outcome.Wait;
  }

  #abandonInstruction(): void {
    this.#isFetched = false;
    this.hasBegun = false;
    this.selectionExpired = false;
    this.context.stopSelectionTimer();
  }

  /** False when the instruction could not be had, or shall not be. */
  #fetch(): boolean {
    const { file, bus } = this.context;
    const dsp = file.long(Reg.DSP);
    const pass = this.#passOnce;
    this.#passOnce = false;
    if (!pass && this.inspector?.stopBefore?.(dsp) === true) {
      this.state = "stopped";
      this.isHeld = true;
      return false;
    }
    // The bus takes longwords at multiples of 4 only.
    const address = (dsp & ~3) >>> 0;
    const region = bus.region(address);
    let command: number;
    let dsps: number;
    let length: number;
    if (region !== undefined && address + 12 <= region.end) {
      const at = address - region.base;
      command = region.view.getUint32(at);
      dsps = region.view.getUint32(at + 4);
      length = instructionLength(command);
      this.third = length === 3 ? region.view.getUint32(at + 8) : 0;
    } else {
      command = bus.read32(address);
      dsps = command < 0 ? -1 : bus.read32((address + 4) >>> 0);
      length = command < 0 ? 2 : instructionLength(command);
      this.third = length === 3 && dsps >= 0 ? bus.read32((address + 8) >>> 0) : 0;
      if (command < 0 || dsps < 0 || this.third < 0) return this.#fetchFailed(address);
    }
    file.setLong(Reg.DBC, command);
    file.setLong(Reg.DSPS, dsps);
    file.setLong(Reg.DSP, (address + length * 4) >>> 0);
    this.#isFetched = true;
    this.hasBegun = false;
    this.inspector?.executing?.(address, command, dsps, this.third);
    return true;
  }

  #fetchFailed(address: number): false {
    if (this.unanswered(address) === Outcome.Wait) this.state = "waiting";
    return false;
  }

  #execute(): number {
    const { file, port } = this.context;
    // Signed: a word with its highest bit set would be a number on the heap otherwise.
    const command = (file.bytes[Reg.DCMD] << 24) | file.count;
    const kind = classOf(command);
    const opcode = (command >>> 27) & 7;
    // Only WAIT DISCONNECT expects that the target has left.
    if (port.isAbandoned && !(kind === InstructionClass.IoOrRegister && opcode === IoOpcode.WaitDisconnect)) {
      return this.unexpectedDisconnect();
    }
    switch (kind) {
      case InstructionClass.BlockMove:
        return blockMove(this, command);
      case InstructionClass.IoOrRegister:
        if (opcode >= IoOpcode.SfbrToRegister) return registerMove(this, command, opcode);
        return executeIo(this, command, opcode);
      case InstructionClass.Transfer:
        return transferControl(this, command, opcode);
      default:
        return memoryMove(this, command);
    }
  }

  /** The target left while something else was expected. */
  unexpectedDisconnect(): typeof Outcome.Stop {
    this.context.port.disconnect();
    return this.stopScsi(Sstat0.Udc);
  }

  #finish(): void {
    if (this.state !== "running") return;
    this.#isFetched = false;
    this.hasBegun = false;
    if ((this.context.file.bytes[Reg.DCNTL] & Dcntl.Ssm) !== 0) this.stopDma(Dstat.Ssi);
  }
}
