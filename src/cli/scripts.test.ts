/** `ringside scripts` as a process: what it prints, and how it ends. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const folder = mkdtempSync(join(tmpdir(), "ringside-scripts-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const main = fileURLToPath(new URL("./main.js", import.meta.url));

function scripts(args: readonly string[], input = "") {
  const done = spawnSync(process.execPath, [main, "scripts", ...args], { input, encoding: "utf8", timeout: 60_000 });
  return { status: done.status, out: done.stdout, err: done.stderr };
}

const countdown = `
ENTRY begin
begin: MOVE 3 TO SCRATCH0
again: MOVE SCRATCH0 - 1 TO SCRATCH0
  MOVE SCRATCH0 TO SFBR
  JUMP REL(again), IF NOT 0
  MOVE MEMORY 8, begin, 0x5000
  INT 0x1234
`;

test("assemble prints one instruction a line as hexadecimal words, which disassemble reads", () => {
  const { status, out, err } = scripts(["assemble", "-"], countdown);
  assert.deepEqual([status, err], [0, ""]);
  assert.equal(out.split("\n")[0], "78340300 00000000");
  assert.equal(out.split("\n")[4], "c0000008 00000000 00005000");
  const back = scripts(["disassemble", "-"], out);
  assert.equal(back.status, 0);
  assert.equal(scripts(["assemble", "-"], back.out).out, out);
});

test("assemble -o writes a file in each format; a listing goes beside it", () => {
  const [made, list] = [join(folder, "out"), join(folder, "list")];
  for (const format of ["c", "ts", "binary", "hex"]) {
    assert.equal(scripts(["assemble", "-", "--format", format, "-o", made, "--listing", list], countdown).status, 0);
    assert.match(scripts(["disassemble", made]).out, /MOVE SCRATCH0 \+ 0xff TO SCRATCH0[\s\S]*INT 0x1234/, format);
  }
  assert.match(readFileSync(list, "utf8"), /7e34ff00 00000000 +again: MOVE/);
});

test("problems are lines with places, then one line, and status 1", () => {
  const { status, out, err } = scripts(["assemble", "-"], "JUMP 0, IF\nINT x\n");
  assert.deepEqual([status, out], [1, ""]);
  assert.match(
    err,
    /^standard input:1:11: error: .*\nstandard input:2:5: error: .*\nringside: standard input was not assembled: 2 errors\n$/,
  );
});

test("run prints how a script ended, registers and memory", () => {
  const { status, out } = scripts(["run", "-", "--show", "0x5000,8"], countdown);
  assert.equal(status, 0);
  assert.match(out, /^INT 0x1234; 12 instructions\nDSP=.*SCRATCH=0x0[\s\S]*0x5000 {2}78 34 03 00 00 00 00 00\n$/);
});

test("run holds at a break, steps with the registers that changed, and traces to standard error", () => {
  const held = scripts(["run", "-", "--break", "again"], countdown);
  assert.match(held.out, /^held before 0x1008; 1 instructions\n[\s\S]*next: MOVE SCRATCH0 \+ 0xff TO SCRATCH0\n$/);
  const stepped = scripts(["run", "-", "--step", "2"], countdown);
  assert.match(stepped.out, /again: MOVE .*\n {4}.*SCRATCH=0x2/);
  const traced = scripts(["run", "-", "--trace"], countdown);
  assert.equal(traced.err.trim().split("\n").length, 12);
});

test("run reads a disk: 512 bytes of an image by a script that names everything itself", () => {
  const image = join(folder, "disk.img");
  const bytes = new Uint8Array(1 << 20).map((_, index) => (index >> 9) + index);
  writeFileSync(image, bytes);
  const source = `
    SELECT ATN 0x08, 0
    MOVE 1, identify, WHEN MSG_OUT
    MOVE 10, command, WHEN CMD
    MOVE 512, 0x8000, WHEN DATA_IN
    MOVE 1, 0x9000, WHEN STATUS
    MOVE 1, 0x9001, WHEN MSG_IN
    CLEAR ACK
    WAIT DISCONNECT
    INT 1
    identify: WORD 0x80000000
    command: WORD 0x28000000, 0x00050000, 0x01000000`;
  const { status, out } = scripts(
    ["run", "-", "--image", `${image},target=3`, "--show", "0x8000,4", "--show", "0x9000,2"],
    source,
  );
  assert.equal(status, 0, out);
  const start = [...bytes.subarray(5 * 512, 5 * 512 + 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  assert.ok(out.includes(`0x8000  ${start}\n0x9000  00 00\n`), out);
  assert.deepEqual(readFileSync(image), Buffer.from(bytes));
});

test("an image that looks like another format is refused, and taken with --format raw", () => {
  const image = join(folder, "disk.qcow2");
  const bytes = new Uint8Array(65536);
  bytes.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]);
  writeFileSync(image, bytes);
  const refused = scripts(["run", "-", "--image", image], countdown);
  assert.equal(refused.status, 2);
  assert.match(refused.err, /is a qcow2 file.*--format raw\n$/);
  assert.equal(scripts(["run", "-", "--image", image, "--format", "raw"], countdown).status, 0);
});

test("an end without INT, a script without end, and one that waits are status 1 and one line", () => {
  for (const [source, text, ...more] of [
    ["SELECT ATN 0x08, 0\n", "selection timeout"],
    ["x: JUMP x\n", "gave up after 1000 instructions", "--limit", "1000"],
    ["WAIT RESELECT 0\n", "waiting", "--timeout", "0"],
    ["JUMP 0x7000000\n", "bus fault"],
  ]) {
    const { status, err } = scripts(["run", "-", ...more], source);
    assert.equal(status, 1);
    assert.match(err, new RegExp(`^ringside: the script ended without INT: .*${text}.*\n$`));
  }
});

test("a call that is wrong is status 2 and says what to write", () => {
  for (const [args, text] of [
    [["assemble", join(folder, "nothing")], "cannot be read"],
    [["run", "-", "--at", "0x1001"], "multiple of 4"],
    [["run", "-", "--entry", "nowhere"], "a label of the program"],
    [["run", "-", "--set", "0x2000=zz"], "ADDRESS=HEX"],
    [["run", "-", "--set", "0x2000"], "ADDRESS=HEX"],
    [["run", "-", "--external", "x="], "NAME=VALUE"],
    [["run", "-", "--external", "x=1"], "the program has no external x"],
    [["run", "-", "--show", "0x4000"], "ADDRESS,BYTES"],
    [["run", "-", "--show", "0x7000000,4"], "outside of memory"],
    [["run", "-", "--memory", "10"], "--memory takes"],
  ] as const) {
    const { status, err } = scripts(args, countdown);
    assert.equal(status, 2, args.join(" "));
    assert.ok(err.includes(text) && err.trim().split("\n").length === 1, err);
  }
});

test("--json is one object with the end, registers and memory", () => {
  const { status, out } = scripts(["run", "-", "--json", "--show", "0x5000,2"], countdown);
  assert.equal(status, 0);
  const report = JSON.parse(out) as { end: string; registers: Record<string, number>; memory: unknown[] };
  assert.equal(report.end, "INT 0x1234");
  assert.equal(report.registers["DSPS"], 0x1234);
  assert.deepEqual(report.memory, [{ address: 0x5000, bytes: "78 34" }]);
});
