/** `ringside serve` on a terminal: the last line is what it does just now. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { test } from "node:test";
import { PseudoTerminal } from "../../src/linux/index.js";
import { writeNoise } from "./cli-images.js";
import { CliFolder, cliMain } from "./cli-process.js";

const isPossible = process.platform === "linux" && existsSync("/dev/ptmx");

test("live rates on a terminal: nobody there, then reads by the second, then the line goes; messages have lines of their own", {
  skip: !isPossible && "there are no pseudo-terminals here",
  timeout: 60_000,
}, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 1 << 20);
  const terminal = new PseudoTerminal();
  const screen = openSync(terminal.path, constants.O_RDWR | constants.O_NOCTTY);
  // What the program prints and its live line come to the same screen.
  const server = spawn(process.execPath, [cliMain, "serve", "a.img", "--socket", "s"], {
    cwd: folder.path,
    stdio: ["ignore", screen, screen],
  });
  closeSync(screen);
  terminal.leaveOtherEnd();
  const ended = new Promise<number | null>((resolve) => server.once("exit", resolve));
  t.after(() => {
    server.kill("SIGKILL");
    terminal.close();
  });
  let shown = "";
  const piece = new Uint8Array(4096);
  const reads = async (pattern: RegExp) => {
    // The line is written again from its start.
    for (const deadline = Date.now() + 20_000; !pattern.test(shown.replaceAll("\r\u001b[K", "AGAIN ")); ) {
      const count = terminal.receive(piece, 10);
      if (count > 0) shown += Buffer.from(piece.subarray(0, count)).toString();
      assert.ok(count !== 0 && Date.now() < deadline, `${pattern} does not come: ${JSON.stringify(shown)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await reads(/Ctrl-C ends it\.\n/);
  await reads(/AGAIN no front end/);
  const bench = folder.run(["attach", "--socket", "s", "bench", "--seconds", "2.5"]);
  await reads(/AGAIN front end connected\n/);
  await reads(/AGAIN read [1-9]\d* IOPS [\d.]+ \wi?B\/s {3}write 0 IOPS/);
  assert.equal((await bench).status, 0);
  await reads(/front end gone\n/);
  server.kill("SIGTERM");
  await reads(/AGAIN served \d+ reads [^\n]*\n/);
  assert.equal(await ended, 0);
});
