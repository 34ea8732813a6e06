/** SELECT, RESELECT, WAIT, DISCONNECT, SET, CLEAR. */
import { Dcntl, Istat, Reg, Scntl0, Scntl1, Sstat0, Sstat1 } from "../registers.js";
import { IoOpcode, SelectBits, SetBits, signed24 } from "../scripts/instruction-set.js";
import { Outcome, type ScriptsEngine } from "./engine.js";

/** The id that a one-hot byte names: its highest bit, or undefined when there is none. */
export function idOf(oneHot: number): number | undefined {
  return oneHot === 0 ? undefined : 31 - Math.clz32(oneHot & 0xff);
}

/** Carries out opcodes 0 to 4 of class 1. */
export function executeIo(engine: ScriptsEngine, command: number, opcode: number): number {
  switch (opcode) {
    case IoOpcode.Select:
      return isTargetRole(engine) ? reselect(engine, command) : select(engine, command);
    case IoOpcode.WaitDisconnect:
      return isTargetRole(engine) ? disconnect(engine) : waitDisconnect(engine);
    case IoOpcode.WaitReselect:
      return isTargetRole(engine) ? waitSelect(engine, command) : waitReselect(engine, command);
    case IoOpcode.Set:
      return set(engine, command, true);
    default:
      return set(engine, command, false);
  }
}

function isTargetRole(engine: ScriptsEngine): boolean {
  return (engine.context.file.bytes[Reg.SCNTL0] & Scntl0.Trg) !== 0;
}

function takeAlternate(engine: ScriptsEngine, command: number): number {
  const { file } = engine.context;
  file.setLong(Reg.DSP, alternate(engine, command));
  return Outcome.Done;
}

function alternate(engine: ScriptsEngine, command: number): number {
  const { file } = engine.context;
  const address = file.long(Reg.DSPS);
  if ((command & SelectBits.Relative) === 0) return address;
  return (file.long(Reg.DSP) + signed24(address)) >>> 0;
}

/** The chip's own id: the highest bit of SCID. */
export function ownId(engine: ScriptsEngine): number {
  return idOf(engine.context.file.bytes[Reg.SCID]) ?? 7;
}

/** Loads SDID and SXFER. Done, or what reading the table came to. */
function loadDestination(engine: ScriptsEngine, command: number): number {
  const { file, bus } = engine.context;
  let id = (command >>> 16) & 0xff;
  if ((command & SelectBits.TableIndirect) !== 0) {
    const address = (file.long(Reg.DSA) + signed24(command)) >>> 0;
    const entry = bus.read32(address);
    if (entry < 0) return engine.unanswered(address);
    id = (entry >>> 16) & 0xff;
    file.bytes[Reg.SXFER] = (entry >>> 8) & 0xff;
  }
  file.bytes[Reg.SDID] = id;
  file.setLong(Reg.DNAD, alternate(engine, command));
  engine.hasBegun = true;
  return Outcome.Done;
}

function select(engine: ScriptsEngine, command: number): number {
  const { file, port } = engine.context;
  if (!engine.hasBegun) {
    const outcome = loadDestination(engine, command);
    if (outcome !== Outcome.Done) return outcome;
  }
  if (engine.selectionExpired) {
    engine.context.stopSelectionTimer();
    return engine.stopScsi(Sstat0.Sto);
  }
  // Who selects the chip, or had won the bus before, comes first.
  if (port.wasSelected || port.wasReselected || answerReselection(engine)) {
    port.arbitration = Sstat1.Loa;
    return takeAlternate(engine, command);
  }
  if (port.isConnected || port.isBusBusy) return Outcome.Wait;
  const attention = (command & SelectBits.Attention) !== 0;
  const id = idOf(file.bytes[Reg.SDID]);
  if (id !== undefined && port.select(id, ownId(engine), attention)) return Outcome.Done;
  // Nobody answers: the chip waits as long as it takes, which is for ever when the timer is off.
  if (!engine.context.startSelectionTimer()) return Outcome.Wait;
  return engine.stopScsi(Sstat0.Sto);
}

/** Lets a target that wants to reselect do so. */
export function answerReselection(engine: ScriptsEngine): boolean {
  const { file, port } = engine.context;
  if ((file.bytes[Reg.SCNTL1] & Scntl1.Esr) === 0 || port.isConnected) return false;
  const id = port.answerReselection();
  if (id === undefined) return false;
  showIds(engine, (1 << id) | (1 << ownId(engine)));
  return true;
}

/** The id bits that were on the bus: to LCRC, and to SFBR unless DCNTL.COM. */
function showIds(engine: ScriptsEngine, bits: number): void {
  const { file } = engine.context;
  file.bytes[Reg.LCRC] = bits;
  if ((file.bytes[Reg.DCNTL] & Dcntl.Com) === 0) file.bytes[Reg.SFBR] = bits;
}

function waitReselect(engine: ScriptsEngine, command: number): number {
  const { file, port } = engine.context;
  if (port.wasReselected || answerReselection(engine)) {
    port.wasReselected = false;
    return Outcome.Done;
  }
  if (port.wasSelected) return takeAlternate(engine, command);
  if ((file.bytes[Reg.ISTAT] & Istat.Sigp) !== 0) return takeAlternate(engine, command);
  return Outcome.Wait;
}

function waitDisconnect(engine: ScriptsEngine): number {
  const { port } = engine.context;
  if (port.target === undefined) return Outcome.Done;
  if (!port.isAbandoned) return Outcome.Wait;
  port.disconnect();
  return Outcome.Done;
}

function reselect(engine: ScriptsEngine, command: number): number {
  const { file, port } = engine.context;
  if (!engine.hasBegun) {
    const outcome = loadDestination(engine, command);
    if (outcome !== Outcome.Done) return outcome;
  }
  if (engine.selectionExpired) return engine.stopScsi(Sstat0.Sto);
  if (port.wasSelected || answerReselection(engine)) return takeAlternate(engine, command);
  if (port.isConnected || port.isBusBusy) return Outcome.Wait;
  const id = idOf(file.bytes[Reg.SDID]);
  if (id !== undefined && port.reselect(id, ownId(engine))) return Outcome.Done;
  if (!engine.context.startSelectionTimer()) return Outcome.Wait;
  return engine.stopScsi(Sstat0.Sto);
}

function waitSelect(engine: ScriptsEngine, command: number): number {
  const { file, port } = engine.context;
  if (port.wasSelected) {
    port.wasSelected = false;
    if (port.initiator !== undefined) showIds(engine, (1 << port.initiator.id) | (1 << ownId(engine)));
    return Outcome.Done;
  }
  if (port.wasReselected || answerReselection(engine)) return takeAlternate(engine, command);
  if ((file.bytes[Reg.ISTAT] & Istat.Sigp) !== 0) return takeAlternate(engine, command);
  return Outcome.Wait;
}

function disconnect(engine: ScriptsEngine): number {
  engine.context.port.disconnect();
  return Outcome.Done;
}

function set(engine: ScriptsEngine, command: number, value: boolean): number {
  const { file, port } = engine.context;
  if ((command & SetBits.Carry) !== 0) engine.carry = value;
  if ((command & SetBits.Target) !== 0) {
    if (value) file.bytes[Reg.SCNTL0] |= Scntl0.Trg;
    else file.bytes[Reg.SCNTL0] &= ~Scntl0.Trg;
  }
  if ((command & SetBits.Atn) !== 0) port.setAttention(value);
  // After ATN, so that a target sees it when the byte is acknowledged.
  if ((command & SetBits.Ack) !== 0) {
    if (value) port.holdAck();
    else port.releaseAck();
  }
  return Outcome.Done;
}
