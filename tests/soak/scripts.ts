/** Random SCRIPTS: through assembler and disassembler, and on two chips whose turns have different lengths. */
import assert from "node:assert/strict";
import { compareTurns } from "../../src/ncr53c710/chip/random-scripts.test.js";
import { assemble, disassemble } from "../../src/ncr53c710/index.js";
import { randomProgram } from "../../src/ncr53c710/scripts/random-program.test.js";
import { requireCounts, type Soak } from "./soak.js";

const programsPerRound = 16;

export const scriptsTools: Soak = {
  name: "scripts-tools",
  title: "random SCRIPTS sources through assembler, disassembler and assembler again",
  quickRounds: 60,
  start: () => (round) => {
    for (let count = 0; count < programsPerRound; count++) {
      const source = randomProgram(round.random);
      const first = assemble(source);
      assert.ok(first.program !== undefined, `${JSON.stringify(first.diagnostics)}\n${source}`);
      assert.deepEqual(assemble(disassemble(first.program.words)).program?.words, first.program.words, source);
      round.count("programs");
      round.count("instructions", first.program.lines.length);
    }
  },
};

export const scriptsTurns: Soak = {
  name: "scripts-turns",
  title: "random SCRIPTS on two chips in turns of different lengths",
  quickRounds: 300,
  start: () => (round) => {
    for (const stop of compareTurns(round.random)) round.count(stop);
  },
  goals(counts, rounds) {
    const stops = ["stopped 84 0", "stopped 81 0", "stopped 80 80", "stopped 80 20", "stopped 80 4", "waiting 80 0"];
    if (rounds >= 3000) requireCounts(counts, stops, 20);
  },
};
