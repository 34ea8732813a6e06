/** Ctrl-C where a command waits or computes without end: status 130, nothing said, nothing left behind. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { writeNoise } from "./cli-images.js";
import { CliFolder, type CliRun } from "./cli-process.js";

/** One that is not ended would go on for ever. */
const timeout = 60_000;
const noPipes = process.platform === "win32" ? "no named pipes on Windows" : false;

/** Opens a pipe's other end as soon as the run has opened its own. */
async function meet(path: string, { child }: CliRun): Promise<number> {
  for (;;) {
    try {
      return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (child.exitCode !== null || (error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
      await sleep(20);
    }
  }
}

for (const words of [
  ["scripts", "assemble", "pipe"],
  ["scripts", "disassemble", "pipe"],
  ["scripts", "run", "pipe"],
  ["scsi", "a.img", "--data-out", "pipe", "--", "2a 00 00 00 00 00 00 00 01 00"],
]) {
  test(`Ctrl-C at ${words.slice(0, 2).join(" ")} while its input is a pipe that says nothing`, {
    skip: noPipes,
    timeout,
  }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 65536);
    execFileSync("mkfifo", [folder.file("pipe")]);
    const run = folder.start(words);
    const writer = await meet(folder.file("pipe"), run);
    t.after(() => closeSync(writer));
    run.child.kill("SIGINT");
    const { status, stdout, stderr } = await run.ended;
    assert.deepEqual([status, stdout, stderr], [130, "", ""]);
    assert.deepEqual(folder.leftovers(), []);
  });
}

test("Ctrl-C at scripts run ends a script that never would", { timeout }, async (t) => {
  const folder = new CliFolder(t);
  writeFileSync(folder.file("loop.ss"), "ENTRY begin\nbegin:\n  NOP\n  JUMP REL(begin)\n");
  const run = folder.start(["scripts", "run", "loop.ss", "--limit", "1000000000000", "--trace"]);
  await new Promise((resolve) => run.child.stderr?.once("data", resolve));
  run.child.kill("SIGINT");
  const { status, stdout } = await run.ended;
  assert.deepEqual([status, stdout], [130, ""]);
});

test("Ctrl-C at bench ends it at once, with its servers, and its folders go", { skip: noPipes, timeout }, async (t) => {
  const folder = new CliFolder(t);
  const run = folder.start(["bench", "idle"]);
  await new Promise((resolve) => run.child.stdout?.once("data", resolve));
  run.child.kill("SIGINT");
  const { status, stderr } = await run.ended;
  assert.deepEqual([status, stderr], [130, ""]);
  assert.deepEqual(folder.leftovers(), []);
});
