/** Random legal scripts on two chips that differ in the length of their turns only. */
import assert from "node:assert/strict";
import { cdb } from "../../scsi/index.js";
import type { SeededRandom } from "../../testing/index.js";
import { assemble, placeProgram, Reg, wordsToBytes } from "../index.js";
import { blockSize, makeRig, prepareCommand, type Rig, scriptAt } from "../rig.test.js";

const instructionLimit = 2000;
const lines = 40;
/** Registers that move lines and FIFOs without SCRIPTS. */
const byHand = [
  ...[Reg.SCNTL0, Reg.SCNTL1, Reg.SODL, Reg.SOCL, Reg.SBCL, Reg.SBDL, Reg.SIDL, Reg.SSTAT1],
  ...[Reg.CTEST4, Reg.CTEST5, Reg.CTEST6, Reg.CTEST8],
] as const;

/** A script that mostly talks to a target in order, with anything in between. */
function script(random: SeededRandom): string {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const label = () => `l${random.below(lines)}`;
  const byte = () => random.below(256);
  const scratch = () => `SCRATCH${random.below(4)}`;
  const phase = () => pick(["DATA_OUT", "DATA_IN", "CMD", "STATUS", "MSG_OUT", "MSG_IN"]);
  const condition = () =>
    pick([
      "",
      "",
      `, IF ${byte()}`,
      `, IF NOT ${byte()}, AND MASK ${byte()}`,
      `, WHEN ${phase()}`,
      `, WHEN NOT ${phase()}`,
      `, IF ${phase()}`,
      ", IF CARRY",
    ]);
  const order = [
    "SELECT ATN FROM 0, REL(LABEL)",
    "MOVE FROM 4, WHEN MSG_OUT",
    "MOVE FROM 12, WHEN CMD",
    "MOVE FROM 36, WHEN DATA_IN",
    "MOVE FROM 36, WHEN DATA_OUT",
    "MOVE FROM 20, WHEN STATUS",
    "MOVE FROM 28, WHEN MSG_IN",
    "CLEAR ACK",
    "WAIT DISCONNECT",
  ];
  let next = 0;
  const other = () => {
    switch (random.below(10)) {
      case 0:
        return `MOVE ${byte()} TO ${pick([scratch(), "SFBR", "SXFER"])}`;
      case 1:
        return `MOVE ${scratch()} ${pick(["+", "-", "|", "&", "^", "SHL", "SHR"])} ${byte()} TO ${pick(["SFBR", "SAME"])}`.replace(
          /(SCRATCH\d)(.*)SAME/,
          "$1$2$1",
        );
      case 2:
        return `MOVE SFBR TO ${scratch()}`;
      case 3:
        return `JUMP REL(${label()})${condition()}`;
      case 4:
        return `CALL ${label()}${condition()}`;
      case 5:
        return pick(["RETURN", `INT ${byte()}`]) + condition();
      case 6:
        return `MOVE MEMORY ${1 + random.below(200)}, 0x${(0x5000 + 4 * random.below(64)).toString(16)}, 0x${(0x5000 + 4 * random.below(64)).toString(16)}`;
      case 7:
        return pick(["SET CARRY", "CLEAR CARRY", "SET ATN", "CLEAR ATN", "NOP"]);
      case 8:
        return `MOVE ${1 + random.below(64)}, ${pick(["", "PTR "])}0x5000, WHEN ${phase()}`;
      default:
        return pick([
          `WAIT RESELECT ${label()}`,
          `SELECT ATN 0x${pick(["40", "01", "20"])}, ${label()}`,
          "WAIT DISCONNECT",
          "CLEAR ACK",
        ]);
    }
  };
  const text: string[] = [];
  for (let line = 0; line < lines; line++) {
    const isOrdered = random.chance(0.7) && next < order.length;
    const body = isOrdered ? order[next++].replace("LABEL", label()) : other();
    text.push(`l${line}: ${body}`);
  }
  return `${text.join("\n")}\nINT 0xffff\n`;
}

/** Everything that a host could see, but for the FIFO that tests look into. */
function stateOf(rig: Rig): object {
  const { file, engine, causes, port } = rig.chip;
  return {
    registers: Buffer.from(file.bytes).toString("hex"),
    state: engine.state,
    carry: engine.carry,
    causes: [causes.dma, causes.scsi],
    lines: port.lines,
    memory: Buffer.from(rig.memory.read(scriptAt, 0x6000)).toString("base64"),
  };
}

/** A host that writes and reads any registers while SCRIPTS stand: both chips answer the same. */
function pokeBoth(random: SeededRandom, one: Rig, other: Rig, source: string): void {
  for (let left = 1 + random.below(6); left > 0; left--) {
    const register = random.chance(0.4) ? byHand[random.below(byHand.length)] : random.below(64);
    if (random.chance(0.5)) {
      assert.equal(other.read(register), one.read(register), `register ${register} after\n${source}`);
      continue;
    }
    const value = random.below(256);
    for (const rig of [one, other]) rig.write(register, value);
  }
}

/**
 * Runs one random script in turns of random lengths on one chip and all at once on another, with the same host. Throws
 * when they differ; returns how each stop looked.
 */
export function compareTurns(random: SeededRandom): string[] {
  const source = script(random);
  const { program, diagnostics } = assemble(source);
  assert.ok(program !== undefined, JSON.stringify(diagnostics));
  const target = {
    disconnect: random.chance(0.3) ? ("always" as const) : ("slow" as const),
    ...(random.chance(0.3) ? { disconnectEvery: 1 + random.below(600) } : {}),
  };
  const isWrite = random.chance(0.5);
  const identify = random.chance(0.5) ? 0xc0 : 0x80;
  const bytes = placeProgram(program, scriptAt);
  const rigs = [0, 1].map(() => {
    const rig = makeRig({ chip: { turns: "manual" }, target, memorySize: 0x8000 });
    rig.memory.write(scriptAt, wordsToBytes(bytes));
    rig.view.setUint32(0x5000, 0x5100);
    prepareCommand(rig, 6, isWrite ? cdb.write10(1, 2) : cdb.read10(1, 2), 2 * blockSize, identify);
    rig.start();
    return rig;
  });
  const [whole, cut] = rigs;
  const stops: string[] = [];
  // A host that resumes after each stop a few times.
  for (let stop = 0; stop < 4; stop++) {
    const before = whole.chip.engine.executed;
    whole.chip.run(instructionLimit);
    const count = whole.chip.engine.executed - before;
    for (let done = 0; done < count && cut.chip.engine.state === "running"; ) {
      const turn = Math.min(1 + random.below(7), count - done);
      done += cut.chip.run(turn);
    }
    // A wait is found by trying, also when no budget is left for it.
    if (cut.chip.engine.state === "running" && whole.chip.engine.state !== "running") cut.chip.run(1);
    assert.deepEqual(stateOf(cut), stateOf(whole), source);
    if (random.chance(0.3)) pokeBoth(random, whole, cut, source);
    const sigp = random.chance(0.5);
    for (const rig of rigs) {
      const { dstat, sstat0 } = rig.causes();
      if (rig === whole) stops.push(`${rig.chip.engine.state} ${dstat.toString(16)} ${sstat0.toString(16)}`);
      if (rig.chip.engine.state === "waiting" && sigp) rig.write(Reg.ISTAT, 0x20);
      else if (rig.chip.engine.state === "stopped") rig.write(Reg.DCNTL, 0x04);
    }
  }
  return stops;
}
