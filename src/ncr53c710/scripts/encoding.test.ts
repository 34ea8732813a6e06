/** Every form of the reference's table of vectors, assembled and taken apart again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assemble, dialects, disassembleInstruction } from "../index.js";

/** Source, then the words; labels `x` at 40h, `addr` is 1234h. */
const vectors: readonly (readonly [source: string, ...words: number[]])[] = [
  ["MOVE 6, addr, WHEN CMD", 0x0a000006, 0x1234],
  ["MOVE 0x24, PTR addr, WHEN DATA_IN", 0x29000024, 0x1234],
  ["MOVE 1, addr, WITH STATUS", 0x03000001, 0x1234],
  ["MOVE FROM 0x0c, WHEN MSG_OUT", 0x1e00000c, 0x0000000c],
  ["SELECT ATN 0x40, addr", 0x41400000, 0x1234],
  ["SELECT 0x01, REL(x)", 0x44010000, 0x38],
  ["SELECT ATN FROM 0x10, REL(x)", 0x47000010, 0x38],
  ["RESELECT 0x02, addr", 0x40020000, 0x1234],
  ["RESELECT FROM 8, REL(x)", 0x46000008, 0x38],
  ["WAIT DISCONNECT", 0x48000000, 0],
  ["DISCONNECT", 0x48000000, 0],
  ["WAIT RESELECT addr", 0x50000000, 0x1234],
  ["WAIT RESELECT REL(x)", 0x54000000, 0x38],
  ["WAIT SELECT addr", 0x50000000, 0x1234],
  ["SET CARRY AND TARGET AND ACK AND ATN", 0x58000648, 0],
  ["CLEAR ACK", 0x60000040, 0],
  ["CLEAR ATN", 0x60000008, 0],
  ["CLEAR CARRY", 0x60000400, 0],
  ["MOVE 0x5a TO DWT", 0x783a5a00, 0],
  ["MOVE SCRATCH0 | 0x0f TO SCRATCH0", 0x7a340f00, 0],
  ["MOVE SCRATCH0 & 0xf0 TO SFBR", 0x7434f000, 0],
  ["MOVE SFBR + 1 TO SCRATCH1", 0x6e350100, 0],
  ["MOVE SCRATCH1 + 2 TO SCRATCH1 WITH CARRY", 0x7f350200, 0],
  ["MOVE SCRATCH1 - 1 TO SCRATCH1", 0x7e35ff00, 0],
  ["MOVE SCRATCH1 XOR 0xff TO SCRATCH1", 0x7b35ff00, 0],
  ["MOVE SCRATCH2 SHL TO SCRATCH2", 0x79360000, 0],
  ["MOVE SCRATCH2 SHR TO SFBR", 0x75360000, 0],
  ["MOVE SFBR TO SCRATCH3", 0x6a370000, 0],
  ["MOVE CTEST2 TO SFBR", 0x72160000, 0],
  ["MOVE LCRC TO SFBR", 0x72230000, 0],
  ["JUMP addr", 0x80080000, 0x1234],
  ["JUMP REL(x)", 0x80880000, 0x38],
  ["JUMP REL(x), WHEN NOT DATA_OUT", 0x80830000, 0x38],
  ["JUMP REL(x), IF DATA_IN AND 0x55", 0x818e0055, 0x38],
  ["JUMP REL(x), IF NOT DATA_IN OR 0x55, AND MASK 0x0f", 0x81860f55, 0x38],
  ["JUMP addr, IF ATN", 0x800a0000, 0x1234],
  ["JUMP addr, WHEN FALSE", 0x80010000, 0x1234],
  ["CALL addr, IF 0x12, AND MASK 0x80", 0x880c8012, 0x1234],
  ["CALL REL(x), IF 0x12, AND MASK 0x80", 0x888c8012, 0x38],
  ["RETURN", 0x90080000, 0],
  ["RETURN WHEN NOT MSG_IN", 0x97030000, 0],
  ["RETURN, WHEN NOT MSG_IN", 0x97030000, 0],
  ["INT 0xff00", 0x98080000, 0xff00],
  ["INT 0xff00, IF NOT 4", 0x98040004, 0xff00],
  ["NOP", 0x80000000, 0],
  ["JUMP addr, IF CARRY", 0x80280000, 0x1234],
  ["MOVE MEMORY 16, addr, 0x5678", 0xc0000010, 0x1234, 0x5678],
];

function words(line: string, dialect: keyof typeof dialects = "ringside", arch = "710"): number[] {
  const source = `ARCH ${arch}\nABSOLUTE addr = 0x1234\n${line}\n${"NOP\n".repeat(line.includes("MEMORY") ? 0 : 7)}x: NOP\n`;
  const { program, diagnostics } = assemble(source, { dialect: dialects[dialect] });
  assert.ok(program !== undefined, JSON.stringify(diagnostics));
  return [...program.words.subarray(0, program.lines[0].length)];
}

for (const [source, ...expected] of vectors) {
  test(`check 2: ${source} is ${expected.map((word) => word.toString(16).padStart(8, "0")).join(" ")}, both ways`, () => {
    assert.deepEqual(words(source), expected);
    const { text, length } = disassembleInstruction(expected, 0);
    assert.equal(length, expected.length);
    assert.doesNotMatch(text, /^WORD/);
    assert.deepEqual(words(text), expected);
  });
}

test("keywords have any case, symbols have their own", () => {
  assert.deepEqual(words("move 6, addr, when cmd"), [0x0a000006, 0x1234]);
  assert.equal(assemble("ABSOLUTE Addr = 1\nJUMP addr\n").program, undefined);
});

test("NOP as script_asm.pl writes it", () => assert.deepEqual(words("NOP", "script_asm"), [0x80880000, 0]));

test("a table move's offset is in DSPS only as script_asm.pl writes it", () => {
  assert.deepEqual(words("MOVE FROM 0x0c, WHEN CMD", "script_asm"), [0x1a000000, 0x0c]);
});

test("check 2: a negative relative offset has 24 or 32 bits, as the dialect says", () => {
  const source = "x: JUMP REL(x)\n";
  const second = (dialect: keyof typeof dialects) => assemble(source, { dialect: dialects[dialect] }).program?.words[1];
  assert.equal(second("ringside"), 0x00fffff8);
  assert.equal(second("script_asm"), 0x00fffff8);
  assert.equal(second("ncr53cxxx"), 0xfffffff8);
});

test("check 3: ncr53cxxx only: a count above 24 bits is or-ed into the opcode, an undefined symbol is a warning", () => {
  const compat = assemble("MOVE 0x1000006, 0, WHEN CMD\n", { dialect: dialects.ncr53cxxx });
  assert.equal(compat.program?.words[0], 0x0b000006);
  assert.equal(compat.diagnostics[0].severity, "warning");
  const undefinedName = assemble("INT nobody\n", { dialect: dialects.ncr53cxxx });
  assert.deepEqual([...(undefinedName.program?.words ?? [])], [0x98080000, 0]);
  assert.match(undefinedName.diagnostics[0].message, /"nobody" is not defined/);
  for (const source of ["MOVE 0x1000006, 0, WHEN CMD\n", "INT nobody\n"]) {
    const strict = assemble(source);
    assert.equal(strict.program, undefined);
    assert.equal(strict.diagnostics[0].line, 1);
  }
});

test("later chips: binary ids, registers of their own, INTFLY, LOAD and STORE", () => {
  assert.deepEqual(words("SELECT ATN 6, addr", "ringside", "810"), [0x41060000, 0x1234]);
  assert.deepEqual(words("MOVE GPREG | 0x10 TO GPREG", "ringside", "770"), [0x7a071000, 0]);
  assert.deepEqual(words("MOVE SFBR TO SCRATCHJ0", "ringside", "770"), [0x6a7c0000, 0]);
  assert.deepEqual(words("INTFLY 0", "ringside", "810"), [0x98180000, 0]);
  assert.deepEqual(words("LOAD SCRATCHA0, 4, FROM 8", "ringside", "825"), [0xf1340004, 8]);
  assert.deepEqual(words("STORE SCRATCHA0, 2, addr", "ringside", "825"), [0xe0340002, 0x1234]);
  for (const [arch, source] of [
    ["710", "INTFLY 0"],
    ["710", "LOAD SCRATCH0, 4, 0"],
    ["700", "MOVE MEMORY 4, 0, 0"],
    ["700", "MOVE FROM 0, WHEN CMD"],
    ["700", "MOVE 1 TO SCNTL0"],
    ["810", "SELECT 0x40, 0"],
  ]) {
    const { program, diagnostics } = assemble(`ARCH ${arch}\n${source}\n`);
    assert.equal(program, undefined, `${source} on the ${arch}`);
    assert.equal(diagnostics.length, 1);
  }
});
