/**
 * `ringside serve` under QEMU's vhost-user devices, driven by our drivers over QEMU's registers; and `ringside attach` on
 * QEMU's storage daemon.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { boards, findVirtioAdapters, openAdapter, settle } from "../../src/machine/index.js";
import { findQemu, startQemuMachine } from "../../src/platform/qemu/index.js";
import { unitAddress } from "../../src/scsi/index.js";
import { VirtioBlkDriver, VirtioScsiDriver } from "../../src/virtio/index.js";
import { missing, sha256Of, writeNoise } from "../quick/cli-images.js";
import { CliFolder } from "../quick/cli-process.js";
import { CliServer, control } from "../quick/cli-server.js";
import { idleFirmware } from "./idle-processor.js";
import { test } from "./limited-test.js";
import { startStorageDaemon } from "./vhost-processes.js";

const mebibyte = 1 << 20;
const noLinux = process.platform === "linux" ? false : "vhost-user needs Linux";

function lacking(board: string): string | false {
  try {
    findQemu(boards[board]);
    return noLinux;
  } catch (error) {
    return (error as Error).message;
  }
}

const cases = {
  pc: { device: "vhost-user-blk-pci,disable-legacy=on,addr=5", kind: "blk" },
  pegasos2: { device: "vhost-user-scsi-pci-non-transitional,bus=pci.1,addr=1", kind: "scsi" },
} as const;

for (const [board, { device, kind }] of Object.entries(cases)) {
  test(`serve is the virtio-${kind} disk of QEMU's ${board}, which our driver works`, {
    skip: lacking(board),
  }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 4 * mebibyte);
    writeNoise(folder.file("b.img"), 2 * mebibyte, 2);
    writeNoise(folder.file("in"), mebibyte, 3);
    // A vhost-user device starts only in a machine that runs.
    writeFileSync(folder.file("firmware"), idleFirmware(board as keyof typeof boards));
    const scsi = kind === "scsi" ? ["--device", "scsi", "--control", "c"] : [];
    const server = await CliServer.start(folder, "a.img", "--socket", "s", ...scsi);
    const args = ["-bios", folder.file("firmware"), "-chardev", `socket,id=peer,path=${folder.file("s")}`];
    const machine = await startQemuMachine({
      board: boards[board],
      extraArguments: [...args, "-device", `${device},chardev=peer`],
    });
    const data = new Uint8Array(mebibyte).map((_, index) => (index * 13 + (index >>> 9)) & 0xff);
    const back = new Uint8Array(mebibyte);
    try {
      await machine.qmp.execute("cont");
      const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === (kind === "blk" ? 2 : 8));
      assert.ok(adapter !== undefined);
      const transport = openAdapter(machine, adapter);
      if (kind === "blk") {
        const driver = await settle(machine, VirtioBlkDriver.open(transport));
        await settle(machine, driver.writeSectors(2048, data));
        await settle(machine, driver.flushCache());
        await settle(machine, driver.readSectors(2048, back));
        await settle(machine, driver.close());
      } else {
        const driver = await settle(machine, VirtioScsiDriver.open(transport));
        const unit = unitAddress(0, 0);
        const command = (code: number) => Uint8Array.from([code, 0, 0, 0, 8, 0, 0, 8, 0, 0]);
        await settle(machine, driver.execute(unit, new Uint8Array(6)));
        const written = await settle(machine, driver.execute(unit, command(0x2a), { dataOut: data }));
        assert.deepEqual([written.response, written.status], [0, 0]);
        await settle(machine, driver.execute(unit, command(0x28), { dataIn: back }));
        // A unit that comes while the machine runs.
        const [added] = await control(folder.file("c"), { add: "b.img,target=6" });
        assert.equal(added["ok"], true);
        const inquiry = new Uint8Array(36);
        const found = await settle(
          machine,
          driver.execute(unitAddress(6, 0), Uint8Array.from([0x12, 0, 0, 0, 36, 0]), { dataIn: inquiry }),
        );
        assert.deepEqual(
          [found.response, found.status, Buffer.from(inquiry).toString("latin1", 8, 16)],
          [0, 0, "RINGSIDE"],
        );
        await settle(machine, driver.close());
      }
    } finally {
      await machine.close();
    }
    assert.equal(Buffer.compare(back, data), 0);
    const { status, stderr } = await server.stop();
    assert.deepEqual([status, stderr], [0, ""]);
    assert.equal((await folder.run(["run", "--machine", "pc", "a.img"])).status, 0, "the image is free again");
  });
}

test("attach works on QEMU's storage daemon: info, write, read, verify, bench", {
  skip: noLinux || missing("qemu-storage-daemon"),
}, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("disk"), 4 * mebibyte);
  writeNoise(folder.file("in"), mebibyte, 2);
  const daemon = await startStorageDaemon(folder.file("s"), folder.file("disk"));
  t.after(() => daemon.stop());
  const attach = (...words: string[]) => folder.run(["attach", "--socket", "s", ...words]);
  const info = JSON.parse((await attach("info", "--json")).stdout);
  assert.deepEqual([info.blocks, info.blockSize, info.readOnly], [8192, 512, false]);
  const written = await attach("write", "-i", "in", "--offset", "2M");
  assert.deepEqual([written.status, written.stderr], [0, ""]);
  const read = await attach("read", "--offset", "2M", "--length", "1M", "-o", "out");
  assert.deepEqual([read.status, read.stderr], [0, ""]);
  assert.equal(sha256Of(folder.file("out")), sha256Of(folder.file("in")));
  const verified = await attach("verify", "--write");
  assert.deepEqual([verified.status, verified.stderr], [0, ""]);
  const bench = await attach("bench", "--seconds", "0.5", "--json");
  assert.deepEqual([bench.status, bench.stderr], [0, ""]);
  const report = JSON.parse(bench.stdout);
  assert.ok(report.iops > 50 && report.errors === 0);
});
