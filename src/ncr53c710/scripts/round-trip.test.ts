/** Assemble, take apart, assemble: the same words, for programs of every form and for any words at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../testing/index.js";
import { assemble, chipNames, disassemble } from "../index.js";
import { randomProgram } from "./random-program.test.js";

const programs = 2000;

test(`check 2: ${programs} random programs keep their words through the disassembler`, () => {
  const random = seededRandom(1);
  let raw = 0;
  let lines = 0;
  for (let number = 0; number < programs; number++) {
    const source = randomProgram(random);
    const first = assemble(source);
    assert.ok(first.program !== undefined, `${JSON.stringify(first.diagnostics)}\n${source}`);
    const text = disassemble(first.program.words);
    const again = assemble(text);
    assert.deepEqual(again.diagnostics, [], text);
    assert.deepEqual(again.program?.words, first.program.words, text);
    raw += text.match(/\tWORD/g)?.length ?? 0;
    lines += first.program.lines.length;
  }
  assert.equal(raw, 0, `${raw} of ${lines} instructions had no text`);
});

test("any words keep their value, for every chip", () => {
  const random = seededRandom(2);
  for (const chip of chipNames) {
    const words = Uint32Array.from({ length: 4000 }, () => random.below(2 ** 32));
    // Half of them with the reserved bits clear, so that more of them mean something.
    for (let index = 0; index < words.length; index += 4)
      words[index] &= [0xff000fff, 0x7fff_ff00, 0x9fff_ffff, 0x3fff_ffff][random.below(4)];
    const again = assemble(disassemble(words, { chip }), { chip });
    assert.deepEqual(again.diagnostics, []);
    assert.deepEqual(again.program?.words, words);
  }
});

test("check 2: relative offsets keep their style: cut to 24 bits or extended to 32", () => {
  const words = Uint32Array.of(0x80000000, 0, 0x80880000, 0x00ffffe8, 0x80880000, 0xffffffe0, 0x80880000, 0x01000000);
  const text = disassemble(words);
  assert.match(text, /REL\(-0x8\)[\s\S]*REL32\(-0x8\)[\s\S]*WORD/);
  assert.deepEqual(assemble(text).program?.words, words);
});
