/** SELECT, RESELECT, WAIT, DISCONNECT, SET, CLEAR, and LOAD and STORE of later chips. */
import { SourceProblem } from "./diagnostics.js";
import { parseExpression } from "./expression.js";
import { SelectBits, SetBits } from "./instruction-set.js";
import type { Statement } from "./statements.js";
import { parseTarget } from "./statements-transfer.js";
import type { TokenReader } from "./token-reader.js";

/** `SELECT [ATN] id|FROM offset, address`; RESELECT has no ATN. */
export function select(reader: TokenReader, keyword: "SELECT" | "RESELECT"): Statement {
  const attention = keyword === "SELECT" && reader.accept("ATN");
  const isTable = reader.accept("FROM");
  const id = parseExpression(
    reader,
    isTable ? "a table offset" : keyword === "SELECT" ? "ATN, FROM or an id" : "FROM or an id",
  );
  reader.expect(",");
  const alternate = parseTarget(reader);
  reader.end();
  const bits =
    0x4000_0000 |
    (attention ? SelectBits.Attention : 0) |
    (isTable ? SelectBits.TableIndirect : 0) |
    (alternate.relative === "no" ? 0 : SelectBits.Relative);
  return {
    length: 2,
    encode: (encoder) => {
      const { chip } = encoder;
      let operand: number;
      if (isTable) {
        encoder.require(chip.tableIndirect, "table-indirect addressing", id.place);
        operand = encoder.field(id, 24, "a table offset", { signed: true });
      } else {
        operand = encoder.field(id, 8, "an id");
        if (operand > chip.maximumId && encoder.dialect.overflow === "error") {
          throw new SourceProblem(id.place, `expected an id of 0…${chip.maximumId} (${chip.ids}), found ${operand}`);
        }
        operand <<= 16;
      }
      encoder.emit(bits | operand, encoder.target(alternate));
    },
  };
}

/** `WAIT DISCONNECT`, `WAIT RESELECT address`, `WAIT SELECT address`. */
export function waitFor(reader: TokenReader): Statement {
  if (reader.accept("DISCONNECT")) return disconnect(reader);
  reader.expect("RESELECT", "SELECT", "DISCONNECT");
  const alternate = parseTarget(reader);
  reader.end();
  const bits = 0x5000_0000 | (alternate.relative === "no" ? 0 : SelectBits.Relative);
  return { length: 2, encode: (encoder) => encoder.emit(bits, encoder.target(alternate)) };
}

/** `DISCONNECT`. */
export function disconnect(reader: TokenReader): Statement {
  reader.end();
  return { length: 2, encode: (encoder) => encoder.emit(0x4800_0000, 0) };
}

const operands: Readonly<Record<string, number>> = {
  CARRY: SetBits.Carry,
  TARGET: SetBits.Target,
  ACK: SetBits.Ack,
  ATN: SetBits.Atn,
};

/** `SET ATN AND ACK`, `CLEAR ACK`. */
export function setClear(reader: TokenReader, opcode: number): Statement {
  let bits = 0;
  do {
    const operand = reader.next.kind === "name" ? operands[reader.next.upper] : undefined;
    if (operand === undefined) reader.fail("ATN, ACK, TARGET or CARRY");
    reader.take();
    bits |= operand;
  } while (reader.accept("AND", ","));
  reader.end();
  return { length: 2, encode: (encoder) => encoder.emit(opcode | bits, 0) };
}

/** `LOAD register, count, [FROM] address` and STORE. */
export function loadStore(reader: TokenReader, keyword: "LOAD" | "STORE"): Statement {
  const { line, column, upper } = reader.name("a register");
  reader.expect(",");
  const count = parseExpression(reader, "a count of 1 to 4");
  reader.expect(",");
  const isTable = reader.accept("FROM");
  const address = parseExpression(reader, "FROM or an address");
  reader.end();
  const opcode = (keyword === "LOAD" ? 0xe100_0000 : 0xe000_0000) | (isTable ? 0x1000_0000 : 0);
  return {
    length: 2,
    encode: (encoder) => {
      const { chip } = encoder;
      encoder.require(chip.loadStore, keyword, { line, column });
      const number = chip.registers.get(upper) ?? chip.registers.get(`${upper}0`);
      if (number === undefined) {
        throw new SourceProblem({ line, column }, `expected a register of the 53C${chip.name}, found "${upper}"`);
      }
      const bytes = encoder.field(count, 3, "a count");
      if (bytes < 1 || bytes > 4) throw new SourceProblem(count.place, `expected a count of 1 to 4, found ${bytes}`);
      encoder.emit(
        opcode | (number << 16) | bytes,
        isTable ? encoder.field(address, 24, "a table offset", { ahead: 1, signed: true }) : encoder.address(address),
      );
    },
  };
}
