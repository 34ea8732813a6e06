/** MOVE: blocks, memory, registers. What comes after the keyword says which. */
import { expectPhase } from "./conditions.js";
import { SourceProblem } from "./diagnostics.js";
import { type Expression, parseExpression } from "./expression.js";
import type { ChipTraits } from "./family.js";
import { AluOperator, BlockMoveBits } from "./instruction-set.js";
import type { Statement } from "./statements.js";
import type { TokenReader } from "./token-reader.js";

/** Any MOVE. */
export function blockOrRegisterMove(reader: TokenReader, chip: ChipTraits): Statement {
  if (reader.is("MEMORY") && reader.peek(1).text !== "TO") return memoryMove(reader);
  if (reader.is("FROM")) return blockMove(reader, undefined);
  if (isRegister(reader, chip)) return registerMove(reader, chip);
  const first = parseExpression(reader, "FROM, MEMORY, a register, a count or a byte");
  if (reader.accept("TO")) return immediateMove(reader, chip, first);
  if (reader.is(",", "PTR", "FROM")) {
    reader.accept(",");
    return blockMove(reader, first);
  }
  return reader.fail("TO (a register move) or a comma (a block move)");
}

/** A register name, unless a symbol is meant: `MOVE TEMP0 TO …` against `MOVE Count, …`. */
function isRegister(reader: TokenReader, chip: ChipTraits): boolean {
  if (reader.next.kind !== "name" || !chip.registers.has(reader.next.upper)) return false;
  return reader.peek(1).text !== ",";
}

function blockMove(reader: TokenReader, count: Expression | undefined): Statement {
  const isTable = reader.accept("FROM");
  const isIndirect = !isTable && reader.accept("PTR");
  const address = parseExpression(reader, isTable ? "a table offset" : "FROM, PTR or an address");
  reader.accept(",");
  const when = reader.expect("WHEN", "WITH").upper === "WHEN" ? BlockMoveBits.When : 0;
  const phase = expectPhase(reader);
  reader.end();
  const mode = isTable ? BlockMoveBits.TableIndirect : isIndirect ? BlockMoveBits.Indirect : 0;
  const bits = mode | when | (phase << 24);
  return {
    length: 2,
    encode: (encoder) => {
      if (isTable) {
        encoder.require(encoder.chip.tableIndirect, "table-indirect addressing", address.place);
        const offset = encoder.field(address, 24, "a table offset", { ahead: 1, signed: true });
        const usual = encoder.dialect.tableOffset === "both" ? offset : 0;
        encoder.emit(bits | (count === undefined ? usual : encoder.field(count, 24, "a count")), offset);
        return;
      }
      const bytes = count === undefined ? 0 : encoder.field(count, 24, "a count");
      encoder.emit(bits | bytes, encoder.address(address));
    },
  };
}

/** `MOVE MEMORY count, source, destination`. */
function memoryMove(reader: TokenReader): Statement {
  const { line, column } = reader.take();
  const count = parseExpression(reader, "a count");
  reader.expect(",");
  const source = parseExpression(reader, "a source address");
  reader.expect(",");
  const destination = parseExpression(reader, "a destination address");
  reader.end();
  return {
    length: 3,
    encode: (encoder) => {
      encoder.require(encoder.chip.memoryMove, "memory move", { line, column });
      const bytes = encoder.field(count, 24, "a count");
      encoder.emit(0xc000_0000 | bytes, encoder.address(source, 1), encoder.address(destination, 2));
    },
  };
}

function takeRegister(reader: TokenReader, chip: ChipTraits): number {
  const number = reader.next.kind === "name" ? chip.registers.get(reader.next.upper) : undefined;
  if (number === undefined) return reader.fail(`a register of the 53C${chip.name}`);
  reader.take();
  return number;
}

/** `MOVE byte TO register`. */
function immediateMove(reader: TokenReader, chip: ChipTraits, byte: Expression): Statement {
  const { line, column } = reader.next;
  const number = takeRegister(reader, chip);
  reader.end();
  return {
    length: 2,
    encode: (encoder) => {
      encoder.require(chip.registerMove, "register moves", { line, column });
      const data = encoder.field(byte, 8, "a byte", { signed: true });
      encoder.emit(0x7800_0000 | (number << 16) | (data << 8), 0);
    },
  };
}

const operators: Readonly<Record<string, number>> = {
  "|": AluOperator.Or,
  OR: AluOperator.Or,
  "&": AluOperator.And,
  AND: AluOperator.And,
  "^": AluOperator.Xor,
  XOR: AluOperator.Xor,
  "+": AluOperator.Add,
  "-": AluOperator.Add,
  SHL: AluOperator.ShiftLeft,
  SHR: AluOperator.ShiftRight,
};

/** `MOVE register [operator byte] TO register [WITH CARRY]`, one of them SFBR or both the same. */
function registerMove(reader: TokenReader, chip: ChipTraits): Statement {
  const { line, column } = reader.next;
  const source = takeRegister(reader, chip);
  let operator: number = AluOperator.Or;
  let operand: Expression | undefined;
  let isDifference = false;
  if (!reader.is("TO")) {
    const sign = reader.next.kind === "end" ? "" : reader.next.upper;
    operator = operators[sign] ?? reader.fail("TO or one of | & ^ + - SHL SHR");
    reader.take();
    isDifference = sign === "-";
    const isShift = sign.startsWith("SH");
    if (!isShift || !reader.is("TO")) operand = parseExpression(reader, "a byte");
  }
  reader.expect("TO");
  const place = reader.next;
  const destination = takeRegister(reader, chip);
  if (reader.accept("WITH")) {
    reader.expect("CARRY");
    if (operator !== AluOperator.Add) reader.fail("+ or - with CARRY", place);
    operator = AluOperator.AddWithCarry;
  }
  reader.end();
  const sfbr = chip.registers.get("SFBR");
  let opcode = 0x7800_0000;
  let number = source;
  if (source === sfbr) {
    opcode = 0x6800_0000;
    number = destination;
  } else if (destination === sfbr) opcode = 0x7000_0000;
  else if (source !== destination) {
    throw new SourceProblem(place, "expected SFBR or the source register: a move between two others needs two MOVEs");
  }
  return {
    length: 2,
    encode: (encoder) => {
      encoder.require(chip.registerMove, "register moves", { line, column });
      let data = operand === undefined ? 0 : encoder.field(operand, 8, "a byte", { signed: true });
      if (isDifference) data = -data & 0xff;
      encoder.emit(opcode | (operator << 24) | (number << 16) | (data << 8), 0);
    },
  };
}
