/** Transfer control: JUMP, CALL, RETURN, INT. */
import { Dstat, Phase, Reg } from "../registers.js";
import { signed24, TransferBits, TransferOpcode } from "../scripts/instruction-set.js";
import { Outcome, type ScriptsEngine } from "./engine.js";
import { busFree, noRequest } from "./scsi-wire.js";

/** Carries out class 2. */
export function transferControl(engine: ScriptsEngine, command: number, opcode: number): number {
  const { file, port, points } = engine.context;
  if (opcode > TransferOpcode.Interrupt) return engine.stopDma(Dstat.Iid);
  if ((command & TransferBits.OnTheFly) !== 0 && points.interruptOnTheFly === "illegal") {
    return engine.stopDma(Dstat.Iid);
  }
  // As a target the chip drives the phase, so there is no REQ to wait for.
  if ((command & TransferBits.When) !== 0 && port.initiator === undefined) {
    const phase = port.phase();
    if (phase === noRequest) return Outcome.Wait;
    if (phase === busFree) return engine.unexpectedDisconnect();
  } else port.phase();
  if (!isTaken(engine, command)) return Outcome.Done;
  const operand = file.long(Reg.DSPS);
  const next = file.long(Reg.DSP);
  const target = (command & TransferBits.Relative) === 0 ? operand : (next + signed24(operand)) >>> 0;
  switch (opcode) {
    case TransferOpcode.Jump:
      file.setLong(Reg.DSP, target);
      return Outcome.Done;
    case TransferOpcode.Call:
      file.setLong(Reg.TEMP, next);
      file.setLong(Reg.DSP, target);
      return Outcome.Done;
    case TransferOpcode.Return:
      file.setLong(Reg.DSP, file.long(Reg.TEMP));
      return Outcome.Done;
    default:
      return engine.stopDma(Dstat.Sir);
  }
}

/** The action is taken when every selected compare has the value of bit 19; with none, when that bit is 1. */
function isTaken(engine: ScriptsEngine, command: number): boolean {
  const { file, port } = engine.context;
  const wanted = (command & TransferBits.True) !== 0;
  let taken = true;
  if ((command & TransferBits.Carry) !== 0) taken &&= engine.carry === wanted;
  if ((command & TransferBits.Phase) !== 0) {
    const phase = (command >>> 24) & 7;
    const isAttention = port.initiator !== undefined && phase === Phase.DataOut;
    taken &&= (isAttention ? port.attention : port.latchedPhase === phase) === wanted;
  }
  if ((command & TransferBits.Data) !== 0) {
    const compared = ~(command >>> 8) & 0xff;
    taken &&= (((file.bytes[Reg.SFBR] ^ command) & compared) === 0) === wanted;
  }
  const compares = TransferBits.Carry | TransferBits.Phase | TransferBits.Data;
  return (command & compares) === 0 ? wanted : taken;
}
