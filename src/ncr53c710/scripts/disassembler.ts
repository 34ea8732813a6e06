/**
 * Disassembler: text that assembles to the same words. What has no canonical text becomes `WORD`, so that this holds
 * for any words at all.
 */
import { type ChipName, type ChipTraits, chips, registerNameOf } from "./family.js";
import {
  AluOperator,
  BlockMoveBits,
  classOf,
  InstructionClass,
  IoOpcode,
  instructionLength,
  MemoryBits,
  phaseNames,
  SelectBits,
  SetBits,
  setBitsAll,
  signed24,
  TransferBits,
  TransferOpcode,
} from "./instruction-set.js";

/** How addresses are printed. */
export interface DisassembleOptions {
  /** Default the 53C710. */
  readonly chip?: ChipName;
  /** The address that the words are at: REL is printed as the address meant. Default 0. */
  readonly address?: number;
  /** A name for an address, where there is one. */
  readonly nameOf?: (address: number) => string | undefined;
}

/** One instruction as text, and how many words it has. Words that are not there read as 0. */
export function disassembleInstruction(
  words: ArrayLike<number>,
  index: number,
  options: DisassembleOptions = {},
): { readonly text: string; readonly length: number } {
  const command = words[index] >>> 0;
  const length = Math.min(instructionLength(command), words.length - index);
  const reader: Decoding = {
    chip: chips[options.chip ?? "710"],
    command,
    dsps: (words[index + 1] ?? 0) >>> 0,
    third: (words[index + 2] ?? 0) >>> 0,
    next: ((options.address ?? 0) + length * 4) >>> 0,
    nameOf: options.nameOf ?? (() => undefined),
  };
  const text = length < instructionLength(command) ? undefined : decode(reader);
  if (text !== undefined) return { text, length };
  const raw = Array.from({ length }, (_, at) => hex(words[index + at] >>> 0, 8));
  return { text: `WORD ${raw.join(", ")}`, length };
}

/** What a program is in text: a line for each instruction, labels for its own addresses. */
export function disassemble(words: Uint32Array, options: Omit<DisassembleOptions, "nameOf" | "address"> = {}): string {
  const starts = new Set<number>();
  for (let index = 0; index < words.length; index += instructionLength(words[index])) starts.add(index * 4);
  const labels = new Set<number>();
  const collect = (address: number): undefined => {
    if (starts.has(address)) labels.add(address);
    return undefined;
  };
  const each = (nameOf: (address: number) => string | undefined, tell: (text: string, offset: number) => void) => {
    for (let index = 0; index < words.length; ) {
      const { text, length } = disassembleInstruction(words, index, { ...options, address: index * 4, nameOf });
      tell(text, index * 4);
      index += length;
    }
  };
  each(collect, () => {});
  const lines = [`\tARCH ${options.chip ?? "710"}`];
  each(
    (address) => (labels.has(address) ? labelName(address) : undefined),
    (text, offset) => {
      if (labels.has(offset)) lines.push(`${labelName(offset)}:`);
      lines.push(`\t${text}`);
    },
  );
  return `${lines.join("\n")}\n`;
}

function labelName(address: number): string {
  return `L${address.toString(16).padStart(4, "0")}`;
}

interface Decoding {
  readonly chip: ChipTraits;
  readonly command: number;
  readonly dsps: number;
  readonly third: number;
  /** Address of the next instruction. */
  readonly next: number;
  readonly nameOf: (address: number) => string | undefined;
}

function hex(value: number, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** A place that a relative operand means: a label's name, or the address as a number. */
function relative({ dsps, next, nameOf }: Decoding): string | undefined {
  const offset = signed24(dsps);
  const isMasked = dsps >>> 24 === 0;
  const isExtended = offset >>> 0 === dsps;
  if (!isMasked && !isExtended) return undefined;
  const address = next + offset;
  const place = nameOf(address) ?? (address < 0 ? `-${hex(-address)}` : hex(address));
  // Non-negative offsets look the same in both styles.
  return isMasked ? `REL(${place})` : `REL32(${place})`;
}

function decode(d: Decoding): string | undefined {
  switch (classOf(d.command)) {
    case InstructionClass.BlockMove:
      return decodeBlockMove(d);
    case InstructionClass.IoOrRegister: {
      const opcode = (d.command >>> 27) & 7;
      if (opcode === IoOpcode.Select) return decodeSelect(d);
      return opcode >= IoOpcode.SfbrToRegister ? decodeRegisterMove(d, opcode) : decodeIo(d, opcode);
    }
    case InstructionClass.Transfer:
      return decodeTransfer(d);
    default:
      return decodeMemory(d);
  }
}

function decodeBlockMove({ command, dsps, chip }: Decoding): string | undefined {
  const wait = (command & BlockMoveBits.When) !== 0 ? "WHEN" : "WITH";
  const phase = `${wait} ${phaseNames[(command >>> 24) & 7]}`;
  const count = command & 0xff_ffff;
  const isTable = (command & BlockMoveBits.TableIndirect) !== 0;
  const isIndirect = (command & BlockMoveBits.Indirect) !== 0;
  if (!isTable) return `MOVE ${hex(count)}, ${isIndirect ? "PTR " : ""}${hex(dsps)}, ${phase}`;
  if (isIndirect || dsps >>> 24 !== 0 || !chip.tableIndirect) return undefined;
  const explicit = count === dsps ? "" : `${hex(count)}, `;
  return `MOVE ${explicit}FROM ${hex(dsps)}, ${phase}`;
}

function decodeSelect(d: Decoding): string | undefined {
  const { command, dsps, chip } = d;
  const alternate = (command & SelectBits.Relative) === 0 ? hex(dsps) : relative(d);
  if (alternate === undefined) return undefined;
  const attention = (command & SelectBits.Attention) === 0 ? "" : "ATN ";
  if ((command & SelectBits.TableIndirect) !== 0) {
    return chip.tableIndirect ? `SELECT ${attention}FROM ${hex(command & 0xff_ffff)}, ${alternate}` : undefined;
  }
  const id = (command >>> 16) & 0xff;
  if ((command & 0xffff) !== 0 || id > chip.maximumId) return undefined;
  return `SELECT ${attention}${hex(id, 2)}, ${alternate}`;
}

const setNames = [
  ["CARRY", SetBits.Carry],
  ["TARGET", SetBits.Target],
  ["ACK", SetBits.Ack],
  ["ATN", SetBits.Atn],
] as const;

function decodeIo(d: Decoding, opcode: number): string | undefined {
  const { command, dsps } = d;
  if (opcode === IoOpcode.WaitReselect) {
    if ((command & 0x03ff_ffff) !== 0) return undefined;
    const alternate = (command & SelectBits.Relative) === 0 ? hex(dsps) : relative(d);
    return alternate === undefined ? undefined : `WAIT RESELECT ${alternate}`;
  }
  if (dsps !== 0) return undefined;
  if (opcode === IoOpcode.WaitDisconnect) return (command & 0x07ff_ffff) === 0 ? "WAIT DISCONNECT" : undefined;
  const operands = command & 0x07ff_ffff;
  if (operands === 0 || (operands & ~setBitsAll) !== 0) return undefined;
  const names = setNames.flatMap(([name, bit]) => ((operands & bit) === 0 ? [] : [name]));
  return `${opcode === IoOpcode.Set ? "SET" : "CLEAR"} ${names.join(" AND ")}`;
}

const operatorTexts: Readonly<Record<number, string>> = {
  [AluOperator.ShiftLeft]: "SHL",
  [AluOperator.Or]: "|",
  [AluOperator.Xor]: "^",
  [AluOperator.And]: "&",
  [AluOperator.ShiftRight]: "SHR",
  [AluOperator.Add]: "+",
  [AluOperator.AddWithCarry]: "+",
};

function decodeRegisterMove({ command, dsps, chip }: Decoding, opcode: number): string | undefined {
  const number = (command >>> 16) & 0x7f;
  const register = registerNameOf(chip, number);
  if (dsps !== 0 || (command & 0x0080_00ff) !== 0 || register === undefined || !chip.registerMove) return undefined;
  const operator = (command >>> 24) & 7;
  const data = hex((command >>> 8) & 0xff, 2);
  const isSfbr = register === "SFBR";
  if (operator === AluOperator.Move) {
    return opcode === IoOpcode.ReadModifyWrite ? `MOVE ${data} TO ${register}` : undefined;
  }
  // With SFBR on both sides the text stands for the first of three encodings.
  if (isSfbr && opcode !== IoOpcode.SfbrToRegister) return undefined;
  const from = opcode === IoOpcode.SfbrToRegister ? "SFBR" : register;
  const to = opcode === IoOpcode.RegisterToSfbr ? "SFBR" : register;
  const isPlain = operator === AluOperator.Or && data === "0x00" && from !== to;
  const operation = isPlain ? "" : ` ${operatorTexts[operator]} ${data}`;
  return `MOVE ${from}${operation} TO ${to}${operator === AluOperator.AddWithCarry ? " WITH CARRY" : ""}`;
}

const transferNames: Readonly<Record<number, string>> = {
  [TransferOpcode.Jump]: "JUMP",
  [TransferOpcode.Call]: "CALL",
  [TransferOpcode.Return]: "RETURN",
  [TransferOpcode.Interrupt]: "INT",
};

function decodeTransfer(d: Decoding): string | undefined {
  const { command, dsps, chip } = d;
  const opcode = (command >>> 27) & 7;
  let name = transferNames[opcode];
  if (name === undefined || (command & (1 << 22)) !== 0) return undefined;
  const isRelative = (command & TransferBits.Relative) !== 0;
  if ((command & TransferBits.OnTheFly) !== 0) {
    if (opcode !== TransferOpcode.Interrupt || !chip.interruptOnTheFly) return undefined;
    name = "INTFLY";
  }
  const condition = decodeCondition(command);
  if (condition === undefined) return undefined;
  if (opcode === TransferOpcode.Return) return dsps === 0 && !isRelative ? `RETURN${condition}` : undefined;
  if (opcode === TransferOpcode.Interrupt) return isRelative ? undefined : `${name} ${hex(dsps)}${condition}`;
  if (command === 0x8000_0000 && dsps === 0) return "NOP";
  const target = isRelative ? relative(d) : hex(dsps);
  return target === undefined ? undefined : `${name} ${target}${condition}`;
}

function decodeCondition(command: number): string | undefined {
  const has = (bit: number) => (command & bit) !== 0;
  const isTrue = has(TransferBits.True);
  const phase = (command >>> 24) & 7;
  const mask = (command >>> 8) & 0xff;
  const data = command & 0xff;
  if (!has(TransferBits.Phase) && phase !== 0) return undefined;
  if (!has(TransferBits.Data) && (mask !== 0 || data !== 0)) return undefined;
  const wait = has(TransferBits.When) ? "WHEN" : "IF";
  const compares: string[] = [];
  if (has(TransferBits.Phase)) compares.push(phaseNames[phase]);
  if (has(TransferBits.Carry)) compares.push("CARRY");
  if (has(TransferBits.Data)) compares.push(hex(data, 2));
  if (compares.length === 0) {
    if (isTrue) return has(TransferBits.When) ? ", WHEN TRUE" : "";
    return `, ${wait} FALSE`;
  }
  const masked = has(TransferBits.Data) && mask !== 0 ? `, AND MASK ${hex(mask, 2)}` : "";
  return `, ${wait} ${isTrue ? "" : "NOT "}${compares.join(isTrue ? " AND " : " OR ")}${masked}`;
}

function decodeMemory({ command, dsps, third, chip }: Decoding): string | undefined {
  if ((command & MemoryBits.LoadStore) === 0) {
    if ((command & 0x1f00_0000) !== 0 || !chip.memoryMove) return undefined;
    return `MOVE MEMORY ${hex(command & 0xff_ffff)}, ${hex(dsps)}, ${hex(third)}`;
  }
  const number = (command >>> 16) & 0x7f;
  const count = command & 7;
  const register = registerNameOf(chip, number);
  const reserved = command & 0x0e80_fff8;
  if (!chip.loadStore || register === undefined || reserved !== 0 || count < 1 || count > 4) return undefined;
  const isTable = (command & MemoryBits.DsaRelative) !== 0;
  if (isTable && dsps >>> 24 !== 0) return undefined;
  const name = (command & MemoryBits.Load) === 0 ? "STORE" : "LOAD";
  return `${name} ${register}, ${count}, ${isTable ? "FROM " : ""}${hex(dsps)}`;
}
