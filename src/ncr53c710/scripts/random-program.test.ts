/** Random sources with every form of instruction, for the round-trip tests and the soak. */
import type { SeededRandom } from "../../testing/index.js";
import { chips, phaseNames } from "../index.js";

/** A source of 1 to 40 instructions that assembles without problems. */
export function randomProgram(random: SeededRandom): string {
  const count = 1 + random.below(40);
  const lines = ["ARCH 710", "ABSOLUTE small = 5", "EXTERNAL far", "ENTRY l0"];
  for (let index = 0; index < count; index++) lines.push(`l${index}: ${instruction(random, count)}`);
  return `${lines.join("\n")}\n`;
}

function instruction(random: SeededRandom, labels: number): string {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const byte = () => `${random.below(256)}`;
  const address = () =>
    pick([`l${random.below(labels)}`, `0x${random.below(2 ** 32).toString(16)}`, "far + 4", "small"]);
  const target = () => (random.chance(0.5) ? `REL(l${random.below(labels)})` : address());
  const count = () => `${random.below(2 ** 24)}`;
  const offset = () => `0x${random.below(2 ** 24).toString(16)}`;
  const wait = () => pick(["WHEN", "WITH"]);
  const phase = () => pick(phaseNames);
  const register = () =>
    pick([...chips["710"].registers.keys()].filter((name) => name !== "SFBR" && name !== "CTEST9"));
  const condition = () => {
    if (random.chance(0.3)) return "";
    if (random.chance(0.1)) return `, ${pick(["IF", "WHEN"])} ${pick(["TRUE", "FALSE"])}`;
    const isNot = random.chance(0.5);
    const compares = [phase(), "CARRY", byte()].filter(() => random.chance(0.5));
    if (compares.length === 0) compares.push(phase());
    const hasData = /^\d/.test(compares[compares.length - 1]);
    const mask = hasData && random.chance(0.5) ? `, AND MASK ${byte()}` : "";
    return `, ${pick(["IF", "WHEN"])} ${isNot ? "NOT " : ""}${compares.join(isNot ? " OR " : " AND ")}${mask}`;
  };
  switch (random.below(17)) {
    case 0:
      return `MOVE ${count()}, ${address()}, ${wait()} ${phase()}`;
    case 1:
      return `MOVE ${count()}, PTR ${address()}, ${wait()} ${phase()}`;
    case 2:
      return `MOVE FROM ${offset()}, ${wait()} ${phase()}`;
    case 3:
      return `MOVE ${count()}, FROM ${offset()}, ${wait()} ${phase()}`;
    case 4:
      return `SELECT ${random.chance(0.5) ? "ATN " : ""}${byte()}, ${target()}`;
    case 5:
      return `SELECT ${random.chance(0.5) ? "ATN " : ""}FROM ${offset()}, ${target()}`;
    case 6:
      return `RESELECT ${byte()}, ${target()}`;
    case 7:
      return pick(["WAIT DISCONNECT", "DISCONNECT", `WAIT RESELECT ${target()}`, `WAIT SELECT ${target()}`, "NOP"]);
    case 8: {
      const operands = ["CARRY", "TARGET", "ACK", "ATN"].filter(() => random.chance(0.5));
      return `${pick(["SET", "CLEAR"])} ${(operands.length === 0 ? ["ACK"] : operands).join(pick([" AND ", ", "]))}`;
    }
    case 9:
      return `MOVE ${byte()} TO ${register()}`;
    case 10:
      return pick([`MOVE SFBR TO ${register()}`, `MOVE ${register()} TO SFBR`]);
    case 11: {
      const own = register();
      const [from, to] = pick([
        [own, own],
        ["SFBR", own],
        [own, "SFBR"],
        ["SFBR", "SFBR"],
      ]);
      const sign = pick(["|", "&", "^", "+", "-", "SHL", "SHR"]);
      const carry = (sign === "+" || sign === "-") && random.chance(0.4) ? " WITH CARRY" : "";
      return `MOVE ${from} ${sign} ${byte()} TO ${to}${carry}`;
    }
    case 12:
      return `JUMP ${target()}${condition()}`;
    case 13:
      return `CALL ${target()}${condition()}`;
    case 14:
      return `RETURN${condition()}`;
    case 15:
      return `INT ${address()}${condition()}`;
    default:
      return `MOVE MEMORY ${count()}, ${address()}, ${address()}`;
  }
}
