/** The language: directives, expressions, names, and what is said about bad sources. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assemble, formatDiagnostic, listing, placeProgram, programText, readWords, wordsToBytes } from "../index.js";

function program(source: string) {
  const result = assemble(source);
  assert.ok(result.program !== undefined, JSON.stringify(result.diagnostics));
  return result.program;
}

function problems(source: string): string[] {
  const { program: none, diagnostics } = assemble(source);
  assert.equal(none, undefined);
  return diagnostics.map((diagnostic) => formatDiagnostic(diagnostic, "f"));
}

test("ABSOLUTE takes several definitions and expressions of earlier ones", () => {
  const { symbols } = program(
    "ABSOLUTE a = 1 + 2 * 3, b = (a << 4) | 0x0f\nABSOLUTE c = b - a, d = 017, e = 0b101, f = -1\n",
  );
  const values = Object.fromEntries(symbols.map(({ name, value }) => [name, value]));
  assert.deepEqual(values, { a: 7, b: 0x7f, c: 0x78, d: 15, e: 5, f: 0xffff_ffff });
});

test("names are noted with the words that use them", () => {
  const { symbols, labelPatches, entries } = program(`
    ABSOLUTE count = 6
    RELATIVE buffer offset = 8, other = 12
    EXTERNAL table
    ENTRY begin, end
    begin: MOVE count, table + 4, WHEN CMD
    MOVE 1, offset, WHEN STATUS
    JUMP end
    end: INT table`);
  const uses = Object.fromEntries(symbols.map(({ name, uses: own }) => [name, own]));
  assert.deepEqual(uses, { count: [0], offset: [3], other: [], table: [1, 7] });
  assert.deepEqual(labelPatches, [5]);
  assert.deepEqual(
    [...entries],
    [
      ["begin", 0],
      ["end", 24],
    ],
  );
});

test("a placed program has labels and externals added", () => {
  const made = program("EXTERN buf\nx: JUMP x + 8\nMOVE MEMORY 4, buf + 4, x\n");
  assert.deepEqual([...placeProgram(made, 0x1000, { buf: 0x8000 })], [0x80080000, 0x1008, 0xc0000004, 0x8004, 0x1000]);
});

test("several labels, label differences, WORD, PASS and PROC", () => {
  const made = program(`PROC first:\na: b: NOP\nc: WORD c - a, 0xffffffff, a\nPASS(extern int x;)\n PASS "y"`);
  assert.deepEqual([...made.words], [0x80000000, 0, 8, 0xffffffff, 0]);
  assert.deepEqual(made.labelPatches, [4]);
  assert.deepEqual(made.passed, ["extern int x;", "y"]);
  assert.deepEqual(made.procedures, [{ name: "first", offset: 0 }]);
});

test("check 3: problems say file, line, column and what was expected, many in one run, in order", () => {
  assert.deepEqual(
    problems("  JUMP 0, IF\n MOVE 3 TO FOO\n  RETURN nowhere\nNONSENSE 1\n MOVE 1, 2\nx: INT y\nx: NOP\n WAIT\n"),
    [
      "f:1:13: error: expected a phase, ATN, CARRY, TRUE, FALSE or a data byte, found the end of the line",
      'f:2:12: error: expected a register of the 53C710, found "FOO"',
      'f:3:10: error: expected the end of the line, found "nowhere"',
      'f:4:1: error: expected a label with a colon, a directive or an instruction, found "NONSENSE"',
      "f:5:11: error: expected WHEN or WITH, found the end of the line",
      'f:6:8: error: expected a name that is defined, "y" is not',
      'f:7:1: error: expected a new name, "x" is a label in line 6',
      "f:8:6: error: expected RESELECT or SELECT or DISCONNECT, found the end of the line",
    ],
  );
});

test("check 3: values that do not fit, and what is no address, are named", () => {
  assert.match(problems("MOVE 0x1000000, 0, WHEN CMD")[0], /f:1:6: error: expected a count within 0…0xffffff/);
  assert.match(problems("MOVE 256 TO DWT")[0], /expected a byte within -128…0xff, found 256/);
  assert.match(problems("SELECT 0x100, 0")[0], /expected an id/);
  assert.match(problems("x: INT x + x")[0], /expected an address: one label/);
  assert.match(problems("x: MOVE x, 0, WHEN CMD")[0], /expected a constant as a count/);
  assert.match(problems("ABSOLUTE a = x\nx: NOP")[0], /"x" is not/);
  assert.match(problems("ABSOLUTE a = 1 / 0")[0], /divisor other than 0/);
  assert.match(problems("INT 0x100000000")[0], /at most 32 bits/);
  assert.match(problems("EXTERN e\nJUMP REL(e)")[0], /a place in this program/);
  assert.match(problems("ENTRY nowhere")[0], /a label named "nowhere"/);
  assert.match(problems("MOVE SCRATCH0 + 1 TO SCRATCH1")[0], /SFBR or the source register/);
  assert.match(problems("JUMP 0, IF NOT DATA_IN AND 4")[0], /expected OR/);
});

test("problems are bounded, and so are words, nesting and the length of a line", () => {
  const many = assemble("FOO\n".repeat(10_000), { problemLimit: 20 });
  assert.equal(many.diagnostics.length, 21);
  assert.match(many.diagnostics[20].message, /more than 20 problems/);
  assert.match(assemble("NOP\n".repeat(100), { wordLimit: 50 }).diagnostics[0].message, /at most 50 words/);
  assert.match(problems(`INT ${"(".repeat(5000)}`)[0], /at most 1000|parentheses/);
  assert.match(problems(`INT ${"(".repeat(500)}1`)[0], /parentheses no deeper/);
  assert.match(problems(`INT 1${" + 1".repeat(5000)}`)[0], /at most 1000 words and signs/);
});

test("whatever a source holds, the answer is a program or problems with places", () => {
  const words = [
    "MOVE",
    "JUMP",
    "FROM",
    "WHEN",
    "IF",
    "NOT",
    "REL(",
    ")",
    ",",
    "a",
    "a:",
    "0x10",
    "ABSOLUTE",
    "=",
    "SELECT",
    "ATN",
    "TO",
    "SFBR",
    "+",
    "-",
    "MEMORY",
    "INT",
    "ENTRY",
    "EXTERN",
    "WORD",
    "\n",
    "\n",
    "AND",
    "MASK",
    "ARCH",
    "810",
    "WAIT",
    "CLEAR",
    "ACK",
    "DATA_IN",
    "PASS",
    ";",
    "(",
    "~",
    "\u0000",
    "é",
    "99999999999",
  ];
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.array(fc.constantFrom(...words), { maxLength: 60 }).map((list) => list.join(" ")),
  );
  fc.assert(
    fc.property(text, (source) => {
      const { program: made, diagnostics } = assemble(source);
      const errors = diagnostics.filter(({ severity }) => severity === "error");
      assert.equal(made === undefined, errors.length > 0);
      for (const { line, column } of diagnostics) assert.ok(line >= 1 && column >= 1);
    }),
    { numRuns: 2000, seed: 1 },
  );
});

const sample = `ABSOLUTE ok = 0xff00
EXTERNAL where
ENTRY begin
PROC tiny:
begin: MOVE MEMORY 4, where, begin ; comment
  INT ok
`;

test("hexadecimal output is one instruction a line, and every text form reads back as the same words", () => {
  const made = program(sample);
  assert.equal(programText(made, "hex"), "c0000004 00000000 00000000\n98080000 0000ff00\n");
  for (const format of ["hex", "ts", "c"] as const) {
    const text = programText(made, format, "sample.ss */ x");
    assert.deepEqual(readWords(new TextEncoder().encode(text)), made.words, format);
  }
  assert.deepEqual(readWords(wordsToBytes(made.words)), made.words);
  assert.match(
    programText(made, "c"),
    /const uint32_t tiny\[\] = \{[\s\S]*#define A_ok\t0x0000ff00[\s\S]*E_where_Used\[\] = \{ 0x1 \}[\s\S]*Ent_begin\t0x00000000[\s\S]*LABELPATCHES\[\] = \{ 0x2 \}/,
  );
  assert.match(programText(made, "ts"), /export const tiny = Uint32Array.of\([\s\S]*ok: 0xff00,[\s\S]*begin: 0x0,/);
});

test("a listing has offsets and words beside the source, and the names", () => {
  const text = listing(program(sample));
  assert.match(text, /^00000 {2}c0000004 00000000 00000000 +begin: MOVE MEMORY/m);
  assert.match(text, /^0000c {2}98080000 0000ff00 +INT ok$/m);
  assert.match(text, /absolute ok +0000ff00 {2}words 4/);
  assert.match(text, /2 instructions, 20 bytes, 1 label patches/);
});
