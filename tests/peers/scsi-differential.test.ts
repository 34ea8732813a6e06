/**
 * Our units and QEMU's, asked the same through the same driver. Where the answers differ the difference is listed here,
 * by name, with what each says and why: a difference that is not in the list fails, and so does one that went away.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hexBytes } from "../../src/bytes/index.js";
import { boards, findVirtioAdapters, openAdapter, settle } from "../../src/machine/index.js";
import { findQemu, type QemuDisk, startQemuMachine } from "../../src/platform/qemu/index.js";
import { CdDrive, Disk, type LogicalUnit, parseSense, statusName, unitAddress } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { createLoopback } from "../../src/testing/index.js";
import { ScsiResponse, VirtioScsiDriver } from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";
import { cdCommands, diskCommands, type PeerCommand, unitCommands } from "./scsi-commands.js";
import { cdDifferences, type Difference, diskDifferences } from "./scsi-differences.js";

const imageSize = 8 << 20;
const skip = whyNoQemu();
let folder = "";
let image = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-differential-"));
  image = join(folder, "disk.img");
  writeFileSync(image, content());
});
after(() => rmSync(folder, { recursive: true, force: true }));

function content(): Uint8Array {
  return Uint8Array.from({ length: imageSize }, (_, index) => (index >>> 9) ^ index);
}

function whyNoQemu(): string | false {
  try {
    const { major, version } = findQemu(boards.pc);
    return major === 7 ? false : `the differences are listed for QEMU 7.2, this is ${version}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Every answer as `command: field` and text. */
type Answers = Map<string, string>;

async function ask(driver: VirtioScsiDriver, commands: readonly PeerCommand[]): Promise<Answers> {
  const unit = unitAddress(0, 0);
  const answers: Answers = new Map();
  for (let attention = true, turn = 0; attention && turn < 8; turn++) {
    attention = (await driver.execute(unit, new Uint8Array(6))).status !== 0;
  }
  for (const { name, cdb, dataOut, room = 0, fields } of commands) {
    assert.ok(!answers.has(name), `${name} comes twice`);
    const dataIn = new Uint8Array(room);
    const result = await driver.execute(unit, cdb, {
      ...(dataOut === undefined ? {} : { dataOut }),
      ...(room > 0 ? { dataIn } : {}),
    });
    const sense = parseSense(result.sense);
    const end = result.response === ScsiResponse.Ok ? statusName(result.status) : `response ${result.response}`;
    const place = [sense?.key, sense?.asc, sense?.ascq].map((code) => code?.toString(16).toUpperCase()).join("/");
    answers.set(name, sense === undefined ? end : place);
    if (result.status !== 0 || room === 0) continue;
    const data = dataIn.subarray(0, Math.max(0, room - result.residual));
    const told = fields === undefined ? { data: brief(data) } : (fields(data) ?? {});
    for (const [field, value] of Object.entries(told)) {
      answers.set(`${name}: ${field}`, typeof value === "string" ? value : text(value));
    }
  }
  return answers;
}

/** Bytes without the zeros at the end (QEMU fills up what was allocated), runs as `44 x512`. */
function brief(data: Uint8Array): string {
  return hexBytes(data)
    .replace(/( ?00)*$/, "")
    .replace(/\b([0-9a-f]{2})(?: \1){15,}/g, (run, byte) => `${byte} x${(run.length + 1) / 3}`);
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, part) => (typeof part === "bigint" ? part.toString() : part)) ?? "undefined";
}

async function askOurs(unit: LogicalUnit, commands: readonly PeerCommand[]): Promise<Answers> {
  const loop = await createLoopback({ units: [{ target: 0, lun: 0, unit }] });
  try {
    return await ask(loop.driver, commands);
  } finally {
    await loop.close();
  }
}

async function askQemu(disk: QemuDisk, commands: readonly PeerCommand[]): Promise<Answers> {
  const machine = await startQemuMachine({ board: boards.pc, adapters: [{ kind: "virtio-scsi", disks: [disk] }] });
  try {
    const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === 8);
    assert.ok(adapter !== undefined, "no adapter found");
    const driver = await settle(machine, VirtioScsiDriver.open(openAdapter(machine, adapter, { prefer: "msix" })));
    const answers = await settle(machine, ask(driver, commands));
    await settle(machine, driver.close());
    return answers;
  } finally {
    await machine.close();
  }
}

/** One line for each difference that is not listed as it is, and for each listed one that is not there. */
function compare(ours: Answers, theirs: Answers, listed: readonly Difference[]): readonly string[] {
  const problems: string[] = [];
  const expected = new Map(listed.map((difference) => [difference.of, difference]));
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) {
    const [mine, qemu] = [ours.get(name) ?? "-", theirs.get(name) ?? "-"];
    const known = expected.get(name);
    expected.delete(name);
    if (mine === qemu && known === undefined) continue;
    if (known !== undefined && mine === known.ours && qemu === known.qemu) continue;
    problems.push(`{ of: "${name}", ours: "${mine}", qemu: "${qemu}" }`);
  }
  for (const name of expected.keys()) problems.push(`"${name}" is listed and was not asked`);
  return problems;
}

test("a disk of ours and QEMU's scsi-hd differ as listed, and only so", { skip }, async () => {
  const commands = [...unitCommands, ...diskCommands(imageSize / 512)];
  const ours = await askOurs(new Disk(MemoryStore.of(content()), { serial: "A-7" }), commands);
  const theirs = await askQemu({ image, serial: "A-7" }, commands);
  assert.deepEqual(compare(ours, theirs, diskDifferences), []);
});

test("a drive of ours and QEMU's scsi-cd differ as listed, and only so", { skip }, async () => {
  const commands = [...unitCommands, ...cdCommands];
  const drive = new CdDrive(MemoryStore.of(content(), { isReadOnly: true }), { serial: "A-7" });
  const ours = await askOurs(drive, commands);
  const theirs = await askQemu({ image, kind: "cd", serial: "A-7" }, commands);
  assert.deepEqual(compare(ours, theirs, cdDifferences), []);
});
