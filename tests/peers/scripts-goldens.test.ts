/**
 * Programs in the wild against the SHA-256 of the words that their own assemblers made. The sources are other people's
 * and not here: RINGSIDE_GOLDENS names a folder that has them, at any depth. `sha256sum` of
 * `ringside scripts assemble --dialect ncr53cxxx --format binary FILE` gives the same.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  type AssembledProgram,
  assemble,
  type ChipName,
  type DialectName,
  dialects,
  disassemble,
  wordsToBytes,
} from "../../src/ncr53c710/index.js";
import { test } from "./limited-test.js";

interface Golden {
  readonly file: string;
  readonly dialect: DialectName;
  readonly chip: ChipName;
  readonly instructions: number;
  readonly sha256: string;
  readonly entries?: Readonly<Record<string, number>>;
}

const goldens: readonly Golden[] = [
  {
    file: "inq.ss",
    dialect: "ncr53cxxx",
    chip: "710",
    instructions: 17,
    sha256: "23453a6b589297b068cf008ee70d7929140dfc53d7d80bab1c96ca7a875e556d",
  },
  {
    file: "inq-wr.ss",
    dialect: "ncr53cxxx",
    chip: "710",
    instructions: 22,
    sha256: "3952c8d8a36516cc5166b0cf0f5dde2e9a57948cc543fb83b31c9d5302dc9470",
  },
  {
    file: "siop_script.ss",
    dialect: "ncr53cxxx",
    chip: "710",
    instructions: 103,
    sha256: "baf97d16cc7e5fdea088a1fa91f144f0fe589c361b1b5667c5881cb505f5bbad",
    entries: { scripts: 0, switch: 8, clear_ack: 0xa0, wait_reselect: 0x158, dataout: 0x1e0, datain: 0x270 },
  },
  {
    file: "siop2_script.ss",
    dialect: "ncr53cxxx",
    chip: "770",
    instructions: 105,
    sha256: "b863ef00db691d09025cc4fb13489a1a476fe8e6ad9863996d7074cce53bf6ab",
  },
  {
    file: "osiop.ss",
    dialect: "ncr53cxxx",
    chip: "710",
    instructions: 130,
    sha256: "3f6e1237826fcba6a2a279338cac948b5239cd5edcfc80306015e1948a2d11a9",
    entries: { scripts: 0, switch: 8, clear_ack: 0x78, wait_reselect: 0x130, dataout: 0x1b8, datain: 0x2c8 },
  },
  {
    file: "53c700.scr",
    dialect: "script_asm",
    chip: "700",
    instructions: 149,
    sha256: "dbfcca38da37692ecb5d2edc1544b301abc7f51c7954ae844e1466c2c58bede3",
  },
];

const folder = process.env["RINGSIDE_GOLDENS"];

function paths(): ReadonlyMap<string, string> {
  if (folder === undefined) return new Map();
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return new Map(all.map((path) => [basename(path), join(folder, path)]));
}

const found = paths();

function skipReason(file: string): string | false {
  if (folder === undefined) return "RINGSIDE_GOLDENS names no folder with other people's sources";
  return found.has(file) ? false : `no ${file} in ${folder}`;
}

function program(file: string, dialect: DialectName, chip: ChipName): AssembledProgram {
  const source = readFileSync(found.get(file) ?? "", "latin1");
  const { program: made, diagnostics } = assemble(source, { chip, dialect: dialects[dialect] });
  assert.ok(made !== undefined, JSON.stringify(diagnostics));
  return made;
}

function comesBack(made: AssembledProgram): void {
  const chip = made.chip.name;
  assert.deepEqual(assemble(disassemble(made.words, { chip }), { chip }).program?.words, made.words);
}

for (const { file, dialect, chip, instructions, sha256, entries } of goldens) {
  test(`check 1: ${file} assembles to the words that are known, and comes back from the disassembler`, {
    skip: skipReason(file),
  }, () => {
    const made = program(file, dialect, chip);
    assert.equal(made.lines.length, instructions);
    assert.equal(createHash("sha256").update(wordsToBytes(made.words)).digest("hex"), sha256);
    for (const [name, offset] of Object.entries(entries ?? {})) assert.equal(made.entries.get(name), offset, name);
    comesBack(made);
  });
}

/** Arrays that are shipped beside their sources, as ncr53cxxx writes them. */
for (const name of ["inq", "inq-wr", "osiop"]) {
  test(`check 1: ${name}.ss assembles to the array, the names and the entries that are shipped in ${name}.out`, {
    skip: skipReason(`${name}.ss`) || skipReason(`${name}.out`),
  }, () => {
    const made = program(`${name}.ss`, "ncr53cxxx", "710");
    const shipped = readFileSync(found.get(`${name}.out`) ?? "", "latin1").replace(/\/\*[\s\S]*?\*\//g, " ");
    const body = /\{([^}]*)\}/.exec(shipped)?.[1] ?? "";
    const words = [...body.matchAll(/0x([0-9a-f]{8})/gi)].map((match) => Number.parseInt(match[1], 16));
    assert.deepEqual([...made.words], words);
    const values = new Map(made.symbols.map((symbol) => [symbol.name, symbol.value]));
    const names = [...shipped.matchAll(/#define\s+(A|Ent)_(\w+)\s+0x([0-9a-f]+)/gi)];
    assert.ok(names.length > 0);
    for (const [, kind, symbol, value] of names) {
      const has = kind === "A" ? values.get(symbol) : made.entries.get(symbol);
      assert.equal(has, Number.parseInt(value, 16), `${kind}_${symbol}`);
    }
    comesBack(made);
  });
}
