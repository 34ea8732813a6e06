/** Register moves: read, modify, write. */
import { Dstat, Reg } from "../registers.js";
import { AluOperator, IoOpcode } from "../scripts/instruction-set.js";
import { Outcome, type ScriptsEngine } from "./engine.js";

/** Operators that one source denies to real chips. */
const doubtful = (1 << AluOperator.Xor) | (1 << AluOperator.ShiftLeft) | (1 << AluOperator.ShiftRight);

/** Carries out opcodes 5 to 7 of class 1. */
export function registerMove(engine: ScriptsEngine, command: number, opcode: number): number {
  const { context } = engine;
  const operator = (command >>> 24) & 7;
  if (context.points.xorAndShifts === "illegal" && ((doubtful >>> operator) & 1) !== 0) {
    return engine.stopDma(Dstat.Iid);
  }
  // Numbers past the file's end read 0 and take nothing.
  const number = (command >>> 16) & 0x7f;
  const data = (command >>> 8) & 0xff;
  const source = opcode === IoOpcode.SfbrToRegister ? Reg.SFBR : number;
  // A move of an immediate byte reads nothing, and so has none of a read's effects.
  const value = operator === AluOperator.Move ? 0 : context.readRegister(source);
  const result = calculate(engine, operator, value, data);
  context.writeRegister(opcode === IoOpcode.RegisterToSfbr ? Reg.SFBR : number, result);
  return Outcome.Done;
}

function calculate(engine: ScriptsEngine, operator: number, value: number, data: number): number {
  switch (operator) {
    case AluOperator.Move:
      return data;
    case AluOperator.Or:
      return value | data;
    case AluOperator.Xor:
      return value ^ data;
    case AluOperator.And:
      return value & data;
    case AluOperator.ShiftLeft: {
      const shifted = (value << 1) | (engine.carry ? 1 : 0);
      engine.carry = (value & 0x80) !== 0;
      return shifted & 0xff;
    }
    case AluOperator.ShiftRight: {
      const shifted = (value >> 1) | (engine.carry ? 0x80 : 0);
      engine.carry = (value & 1) !== 0;
      return shifted;
    }
    default: {
      const carry = operator === AluOperator.AddWithCarry && engine.carry ? 1 : 0;
      const sum = value + data + carry;
      engine.carry = sum > 0xff;
      return sum & 0xff;
    }
  }
}
