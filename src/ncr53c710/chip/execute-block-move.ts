/** Block moves: as an initiator bytes go where the target's phase says; as a target the chip drives the phase. */
import type { WireFault } from "../../observe/index.js";
import { Ctest0, Dmode, Dstat, Phase, Reg, Scntl0, Sstat0 } from "../registers.js";
import { BlockMoveBits, signed24 } from "../scripts/instruction-set.js";
import { Outcome, type ScriptsEngine } from "./engine.js";
import { busFree, noRequest } from "./scsi-wire.js";

const offsetMask = 0x0f;

/** Carries a block move on until it is done, has to wait or stops. */
export function blockMove(engine: ScriptsEngine, command: number): number {
  const { file, port } = engine.context;
  const isInitiatorMove = (command & BlockMoveBits.When) !== 0;
  const isTarget = port.initiator !== undefined;
  if (!engine.hasBegun) {
    if (isInitiatorMove === isTarget) return engine.stopDma(Dstat.Iid);
    const outcome = begin(engine, command);
    if (outcome !== Outcome.Done) return outcome;
    if (file.count === 0) {
      return engine.context.points.zeroCount === "illegal" ? engine.stopDma(Dstat.Iid) : Outcome.Done;
    }
  }
  const phase = (command >>> 24) & 7;
  return isTarget ? moveAsTarget(engine, phase) : moveAsInitiator(engine, phase);
}

/** Finds count and address; from then on DBC and DNAD hold them. */
function begin(engine: ScriptsEngine, command: number): number {
  const { file, bus } = engine.context;
  let address = file.long(Reg.DSPS);
  if ((command & BlockMoveBits.TableIndirect) !== 0) {
    const entry = (file.long(Reg.DSA) + signed24(address)) >>> 0;
    const count = bus.read32(entry);
    if (count < 0) return engine.unanswered(entry);
    const pointer = bus.read32((entry + 4) >>> 0);
    if (pointer < 0) return engine.unanswered((entry + 4) >>> 0);
    file.count = count;
    address = pointer;
  } else if ((command & BlockMoveBits.Indirect) !== 0) {
    const pointer = bus.read32(address);
    if (pointer < 0) return engine.unanswered(address);
    address = pointer;
  }
  file.setLong(Reg.DNAD, address);
  engine.hasBegun = true;
  engine.hasFirstByte = false;
  return Outcome.Done;
}

function moveAsInitiator(engine: ScriptsEngine, expected: number): number {
  const { file, port, faults } = engine.context;
  let isFirst = true;
  const isSpoiled = engine.makesEvenParity;
  while (file.count > 0) {
    // The ACK of a message's byte falls before the next one comes.
    if (!isFirst) port.releaseAck();
    const phase = port.phase();
    if (phase === noRequest) return Outcome.Wait;
    if (phase === busFree) return engine.unexpectedDisconnect();
    if (phase !== expected) return engine.stopScsi(Sstat0.Ma);
    const isInput = (phase & 1) !== 0;
    let fault: WireFault | undefined;
    if (faults !== undefined && !isInput) fault = faults.wireTransfer?.({ phase, byteLength: file.count });
    if (!isInput && (isSpoiled || fault === "parity")) port.target?.parityWrong?.();
    const moved = isInput ? moveIn(engine, phase) : moveOut(engine, phase);
    if (moved < 0) return engine.unanswered(file.long(Reg.DNAD));
    // A target that asks and then moves nothing is busy.
    if (moved === 0) return Outcome.Wait;
    if (phase === Phase.MessageIn) port.holdAck();
    isFirst = false;
    if (faults !== undefined) {
      if (isInput) fault = faults.wireTransfer?.({ phase, byteLength: moved });
      const cause = faultOf(engine, fault, phase);
      if (cause !== 0) return engine.stopScsi(cause);
    }
  }
  return Outcome.Done;
}

/** The cause in SSTAT0 that a fault on the wire has; 0 when there is none, or the chip does not look. */
export function faultOf(engine: ScriptsEngine, fault: WireFault | undefined, phase: number): number {
  if (fault === undefined) return 0;
  const { file, port } = engine.context;
  if (fault === "gross") {
    const isSynchronous = phase <= Phase.DataIn && (file.bytes[Reg.SXFER] & offsetMask) !== 0;
    return isSynchronous ? Sstat0.Sge : 0;
  }
  // A target receives where an initiator sends.
  const isReceived = ((phase & 1) !== 0) === (port.initiator === undefined);
  if (!isReceived || (file.bytes[Reg.SCNTL0] & Scntl0.Epc) === 0) return 0;
  // Before ACK falls, so that the target sees it with this byte.
  if (port.initiator === undefined && (file.bytes[Reg.SCNTL0] & Scntl0.Aap) !== 0) port.setAttention(true);
  return Sstat0.Par;
}

/** Moves what one region takes. -1 when nobody answers at DNAD. */
function moveIn(engine: ScriptsEngine, phase: number): number {
  const { single } = engine;
  const { file, port, bus } = engine.context;
  const address = file.long(Reg.DNAD);
  const region = bus.region(address);
  const target = port.target;
  if (target === undefined) return 0;
  let bytes: Uint8Array = single;
  let at = 0;
  let length = 1;
  if (region !== undefined) {
    bytes = region.bytes;
    at = address - region.base;
    length = Math.min(file.count, region.size - at);
  } else if (bus.read8(address) < 0) return -1;
  if (isFixed(engine)) length = 1;
  const moved = target.receive(bytes, at, length);
  if (moved === 0) return 0;
  if (region === undefined) bus.write8(address, single[0]);
  file.bytes[Reg.SIDL] = bytes[at + moved - 1];
  port.hasInput = true;
  const isSynchronous = phase === Phase.DataIn && (file.bytes[Reg.SXFER] & offsetMask) !== 0;
  if (!engine.hasFirstByte && !isSynchronous) file.bytes[Reg.SFBR] = bytes[at];
  engine.hasFirstByte = true;
  file.bytes[Reg.CTEST0] |= Ctest0.Ddir;
  advance(engine, address, moved);
  return moved;
}

function moveOut(engine: ScriptsEngine, phase: number): number {
  const { single } = engine;
  const { file, port, bus, points } = engine.context;
  const address = file.long(Reg.DNAD);
  const region = bus.region(address);
  const target = port.target;
  if (target === undefined) return 0;
  let bytes: Uint8Array = single;
  let at = 0;
  let length = 1;
  if (region !== undefined) {
    bytes = region.bytes;
    at = address - region.base;
    length = Math.min(file.count, region.size - at);
  } else {
    const value = bus.read8(address);
    if (value < 0) return -1;
    single[0] = value;
  }
  if (isFixed(engine)) length = 1;
  if (phase === Phase.MessageOut) {
    if (file.count === 1) {
      if (points.messageOutAttention === "last-byte") port.setAttention(false);
    } else length = Math.min(length, file.count - 1);
  }
  const moved = target.send(bytes, at, length, region?.pages);
  if (moved === 0) return 0;
  file.bytes[Reg.SODL] = bytes[at + moved - 1];
  file.bytes[Reg.CTEST0] &= ~Ctest0.Ddir;
  advance(engine, address, moved);
  return moved;
}

function moveAsTarget(engine: ScriptsEngine, phase: number): number {
  const { file, port, bus, faults } = engine.context;
  const { single } = engine;
  const peer = port.initiator;
  if (peer === undefined) return Outcome.Wait;
  port.latchedPhase = phase;
  while (file.count > 0) {
    if (peer.attention && phase !== Phase.MessageOut) return engine.stopScsi(Sstat0.Ma);
    const address = file.long(Reg.DNAD);
    const region = bus.region(address);
    const value = region === undefined ? bus.read8(address) : 0;
    if (value < 0) return engine.unanswered(address);
    single[0] = value;
    const bytes = region?.bytes ?? single;
    const at = region === undefined ? 0 : address - region.base;
    const length = region === undefined || isFixed(engine) ? 1 : Math.min(file.count, region.size - at);
    const isInput = (phase & 1) !== 0;
    const moved = isInput ? peer.take(phase, bytes, at, length) : peer.give(phase, bytes, at, length);
    if (moved === 0) return Outcome.Wait;
    if (region === undefined && !isInput) bus.write8(address, single[0]);
    if (!isInput) file.bytes[Reg.SFBR] = bytes[at];
    advance(engine, address, moved);
    if (faults !== undefined) {
      const cause = faultOf(engine, faults.wireTransfer?.({ phase, byteLength: moved }), phase);
      if (cause !== 0) return engine.stopScsi(cause);
    }
  }
  return Outcome.Done;
}

function isFixed(engine: ScriptsEngine): boolean {
  return (engine.context.file.bytes[Reg.DMODE] & Dmode.Fam) !== 0;
}

function advance(engine: ScriptsEngine, address: number, moved: number): void {
  const { file } = engine.context;
  file.count -= moved;
  if (!isFixed(engine)) file.setLong(Reg.DNAD, (address + moved) >>> 0);
}
