import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { UnixListener } from "../../linux/index.js";
import { QemuError, QtestClient } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-qtest-"));
test.after(() => rmSync(folder, { recursive: true }));
let number = 0;

/** A peer in another process that answers each command by the JavaScript expression `answer` of `line` and `n`. */
function peer(answer: string, options: { timeout?: number; lastWords?: () => string } = {}) {
  const path = join(folder, `socket${number++}`);
  const listener = new UnixListener(path);
  const script = `
    const socket = require("net").connect(process.argv[1]); let text = "", n = 0;
    socket.on("error", () => process.exit());
    socket.on("data", (data) => { text += data;
      for (let end; (end = text.indexOf("\\n")) >= 0; n++) { const line = text.slice(0, end); text = text.slice(end + 1);
        if (n === 0) socket.write("OK little\\n"); else { ${answer} } } });
    socket.on("close", () => process.exit());`;
  const child = spawn(process.execPath, ["-e", script, path], { stdio: "ignore" });
  child.unref();
  const socket = listener.accept(10_000);
  listener.close();
  assert.ok(socket);
  return new QtestClient(socket, { timeout: 5000, ...options });
}

const fails = (part: RegExp) => (error: unknown) => error instanceof QemuError && part.test(error.message);

test("interrupt lines before, between and after answers are kept and do not disturb them", () => {
  const client = peer(
    `socket.write("IRQ raise 5\\nIRQ lower 5\\nIRQ raise 11\\nOK 0x12\\nIRQ low"); setTimeout(() => socket.write("er 11\\n"), 20);`,
  );
  assert.equal(client.portSpace().read8(1), 0x12);
  assert.equal(client.lineLevel(5), false);
  assert.equal(client.takeRaised(5), true);
  assert.equal(client.takeRaised(5), false);
  assert.equal(client.lineLevel(11), true);
  const end = performance.now() + 5000;
  while (client.lineLevel(11) && performance.now() < end) client.poll();
  assert.equal(client.lineLevel(11), false);
  client.close();
});

test("an interrupt that comes in one piece with an answer is seen without another one coming", () => {
  const client = peer(`socket.write("OK 0x1\\nIRQ raise 9\\n")`);
  client.command("inb 0x1");
  client.poll();
  assert.equal(client.takeRaised(9), true);
  client.close();
});

test("a peer that does not answer is an error within the time limit, and every later access fails at once", () => {
  const client = peer("", { timeout: 100, lastWords: () => "stuck" });
  const start = performance.now();
  assert.throws(
    () => client.portSpace().read8(0x60),
    fails(/did not answer "inb 0x60" within 100 ms; its last words: stuck$/),
  );
  assert.throws(() => client.portSpace().read8(0x60), fails(/did not answer "inb 0x60"/));
  assert.throws(() => client.poll(), fails(/did not answer/));
  assert.ok(performance.now() - start < 2000);
  client.close();
});

test("a peer that only sends interrupts does not keep an access waiting for ever", () => {
  const client = peer(`setInterval(() => socket.write("IRQ raise 1\\n"), 5);`, { timeout: 150 });
  assert.throws(() => client.command("inb 0x1"), fails(/did not answer/));
  client.close();
});

test("a peer that goes away, refuses, or talks nonsense gives an error that says so", () => {
  const gone = peer("socket.end()", { lastWords: () => "out of memory" });
  assert.throws(() => gone.command("inb 0x1"), fails(/^QEMU ended; its last words: out of memory$/));
  gone.close();
  const refusing = peer(`socket.write(n === 1 ? "FAIL Unknown command 'dance'\\n" : "OK 7\\n")`);
  assert.throws(() => refusing.command("dance"), fails(/refused "dance": FAIL Unknown command/));
  assert.equal(refusing.command("inb 0x1"), "7");
  refusing.close();
  const nonsense = peer(`socket.write("OK banana\\n")`);
  assert.throws(() => nonsense.memorySpace().read32(0), fails(/answered "banana" to "readl 0x0"/));
  nonsense.close();
  const endless = peer(`const part = "x".repeat(65536); setInterval(() => socket.write(part), 0)`);
  assert.throws(() => endless.command("inb 0x1"), fails(/line without end/));
  endless.close();
  const short = peer(`socket.write("OK 0x1122\\n")`);
  assert.throws(() => short.readBytes(0, 4), fails(/2 bytes where 4 were read/));
  short.close();
});

test("after close every access says that the machine is closed", () => {
  const client = peer(`socket.write("OK\\n")`);
  client.close();
  client.close();
  assert.throws(() => client.command("inb 0x1"), fails(/the machine is closed/));
});
