/** Reservations in a file: a server that is killed right after it answered has kept them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Disk, keyOf, Nexus } from "../../src/scsi/index.js";
import { DurableText } from "../../src/storage/file/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { after, test } from "./limited-test.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-kept-"));
after(() => rmSync(folder, { recursive: true }));

const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Registers with a new key again and again, and says each key after its command was answered. */
const server = `
const { buildReserveOut, Disk, Nexus, runCommand } = await import(${url("../../src/scsi/index.js")});
const { MemoryStore } = await import(${url("../../src/storage/index.js")});
const { DurableText } = await import(${url("../../src/storage/file/index.js")});
const disk = new Disk(new MemoryStore(512), { powerOnAttention: false, reservationKeeper: new DurableText(process.argv[1]) });
const nexus = new Nexus("killed");
for (let number = 1; ; number++) {
  const actionKey = number.toString(16).padStart(16, "0");
  const dataOut = buildReserveOut({ actionKey, flags: 1 });
  const { status } = await runCommand(disk, Uint8Array.of(0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0), { nexus, dataOut });
  if (status !== 0) process.exit(1);
  process.stdout.write(actionKey + "\\n");
  await new Promise(setImmediate);
}`;

function killedAfter(path: string, milliseconds: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", server, path], {
      cwd: fileURLToPath(new URL(".", import.meta.url)),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.on("data", (bytes) => {
      if (said === "") setTimeout(() => child.kill("SIGKILL"), milliseconds);
      said += bytes;
    });
    child.on("error", reject);
    child.on("close", (_code, signal) => {
      if (signal !== "SIGKILL") reject(new Error("the server ended by itself"));
      else resolve(said);
    });
  });
}

test("after SIGKILL at any moment the file holds the last key that was answered, or the one after it", async () => {
  const path = join(folder, "reservations.json");
  for (const milliseconds of [0, 3, 7, 12, 20]) {
    const said = (await killedAfter(path, milliseconds)).split("\n").filter((line) => line.length === 16);
    const answered = Number.parseInt(said.at(-1) ?? "", 16);
    assert.ok(answered > 0);
    const disk = new Disk(new MemoryStore(512), { reservationKeeper: new DurableText(path) });
    const kept = Number.parseInt(keyOf(disk.reservations.state, new Nexus("killed").initiatorPort) ?? "", 16);
    assert.ok(kept === answered || kept === answered + 1, `answered ${answered}, kept ${kept}`);
  }
});

test("a file that was cut short is refused by name, not taken for an empty one", () => {
  const path = join(folder, "reservations.json");
  const whole = readFileSync(path, "utf8");
  for (const length of [0, 1, whole.length >> 1, whole.length - 3]) {
    writeFileSync(path, whole.slice(0, length));
    const open = () => new Disk(new MemoryStore(512), { reservationKeeper: new DurableText(path) });
    assert.throws(open, (error: Error) => error.message.includes(path) && /cannot be read/.test(error.message));
  }
});
