/** What our disk says of itself, read by the decoders of sg3-utils, which need no device for that. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hexBytes } from "../../src/bytes/index.js";
import { CdDrive, cdb, Disk, type LogicalUnit, Nexus, runCommand } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { after, test } from "./limited-test.js";

const skip = spawnSync("sg_vpd", ["-V"]).status === 0 ? false : "sg3-utils is not installed";
const folder = mkdtempSync(join(tmpdir(), "ringside-sg3-"));
after(() => rmSync(folder, { recursive: true }));

const disk = new Disk(new MemoryStore(1 << 20), { serial: "A-7", powerOnAttention: false });
const nexus = new Nexus("sg3");

/** What `tool` reads out of the data that a unit gives to a command. */
async function decoded(unit: LogicalUnit, tool: string, option: string, command: Uint8Array): Promise<string> {
  const { status, data } = await runCommand(unit, command, { nexus });
  assert.equal(status, 0);
  const path = join(folder, "data.hex");
  writeFileSync(path, `${hexBytes(data)}\n`);
  const run = spawnSync(tool, [`${option}=${path}`, ...(tool === "sg_inq" ? ["--descriptors"] : [])], {
    encoding: "utf8",
  });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout;
}

async function expectLines(unit: LogicalUnit, tool: string, option: string, command: Uint8Array, lines: RegExp[]) {
  const text = await decoded(unit, tool, option, command);
  for (const line of lines) assert.match(text, line);
}

test("standard INQUIRY data, of a disk and of a drive", { skip }, async () => {
  const inquiry = cdb.inquiry(255);
  await expectLines(disk, "sg_inq", "--inhex", inquiry, [/PDT=0/, /RMB=0/, /version=0x06/, /CmdQue=1/, /SBC-3/]);
  const drive = new CdDrive();
  await expectLines(drive, "sg_inq", "--inhex", inquiry, [/PDT=5/, /RMB=1/, /cd\/dvd/i, /MMC-5/]);
});

for (const [page, ...lines] of [
  [0x00, /Unit serial number/, /Block limits/, /Logical block provisioning/],
  [0x80, /Unit serial number: A-7/],
  [0x83, /vendor id: RINGSIDE/, /designator type: NAA/],
  [0x86, /ORDSUP=0 SIMPSUP=1/, /V_SUP=1/, /maximum supported sense data length=252/i],
  [0xb0, /\(WSNZ\): 1/, /compare and write length: 255/, /unmap LBA count: 8388608/, /write same length: 0x10000/],
  [0xb1, /Non-rotating medium/],
  [0xb2, /\(LBPU\): 1/, /\(LBPWS\): 1/, /\(LBPWS10\): 1/, /\(LBPRZ\): 1/, /type: 2 \(thin provisioned\)/],
] as const) {
  test(`vital product data page ${page.toString(16)}h`, { skip }, () =>
    expectLines(disk, "sg_vpd", "--inhex", cdb.inquiry(255, page), [...lines]),
  );
}

test("log pages", { skip }, async () => {
  const log = (page: number) => Uint8Array.of(0x4d, 0, 0x40 | page, 0, 0, 0, 0, 0, 255, 0);
  await expectLines(disk, "sg_logs", "--in", log(0x00), [/Solid state media/i, /Informational exceptions/i]);
  await expectLines(disk, "sg_logs", "--in", log(0x11), [/Percentage used endurance indicator: 0 ?%/]);
  await expectLines(disk, "sg_logs", "--in", log(0x2f), [/IE asc = 0x0, ascq = 0x0/]);
});

test("GET LBA STATUS", { skip }, async () => {
  const status = Uint8Array.of(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0);
  await expectLines(disk, "sg_get_lba_status", "--inhex", status, [/LBA: 0x0+ +blocks: +2048 +deallocated/]);
});

test("sense of a miscompare", { skip }, async () => {
  const command = Uint8Array.of(0x2f, 2, 0, 0, 0, 0, 0, 0, 1, 0);
  const { sense } = await runCommand(disk, command, { nexus, dataOut: new Uint8Array(512).fill(1, 7) });
  const run = spawnSync("sg_decode_sense", hexBytes(sense).split(" "), { encoding: "utf8" });
  assert.match(run.stdout, /Miscompare/);
  assert.match(run.stdout, /Miscompare during verify operation/);
  assert.match(run.stdout, /Info fld=0x7 /);
});
