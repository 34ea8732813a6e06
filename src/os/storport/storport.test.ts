/** The face on our device halves: every profile, register interface and interrupt, in one process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { openStorportLoop as openLoop, diskPattern as pattern } from "../../testing/index.js";
import { PnpAction, SrbFunction, SrbStatus, sendSrb, TraceLevel } from "./index.js";

const places = [
  { profile: "seed", flavour: "legacy", interrupts: "line", mode: "line" },
  { profile: "seed", flavour: "legacy", interrupts: "messages", mode: "messages" },
  { profile: "seed", flavour: "transitional", interrupts: "messages", mode: "messages" },
  { profile: "scsiport", flavour: "legacy", interrupts: "line", mode: "line" },
  { profile: "current", flavour: "legacy", interrupts: "line", mode: "line" },
  { profile: "current", flavour: "legacy", interrupts: "messages", mode: "messages" },
  { profile: "current", flavour: "transitional", interrupts: "line", mode: "line" },
  { profile: "current", flavour: "modern", interrupts: "line", mode: "line" },
  { profile: "current", flavour: "modern", interrupts: "messages", mode: "messages" },
  { profile: "current", flavour: "modern", interrupts: "messages", messageLimit: 1, mode: "shared-message" },
  { profile: "current", flavour: "modern", interrupts: "messages", device: { queues: 4 }, mode: "messages" },
] as const;

for (const place of places) {
  const name = `${place.profile} on ${place.flavour} registers, ${place.mode}${"device" in place ? ", 4 queues" : ""}`;

  test(`${name}: discovers, writes, reads back, flushes, and gives all memory back`, async () => {
    const loop = await openLoop({ ...place });
    const { disk } = loop;
    assert.equal(disk.port.interruptMode, place.mode);
    const unit = await disk.discover();
    assert.equal(unit.inquiry.vendor, "Red Hat");
    assert.deepEqual([unit.blockSize, unit.blocks], [512, 2048]);
    const data = pattern(300 * 512);
    await disk.write(7, data);
    await disk.flush();
    assert.deepEqual(await disk.readBlocks(7, 300), data);
    assert.deepEqual(await loop.stored(7 * 512, data.length), data);
    if ("device" in place) assert.equal(disk.port.configuration.queues, 4);
    await loop.close();
  });

  test(`${name}: many at once, then a stop and a restart under load`, async () => {
    const loop = await openLoop({ ...place });
    const { disk } = loop;
    await disk.discover();
    const data = pattern(4096);
    const work = Array.from({ length: 200 }, (_, index) => disk.write((index * 8) % 2000, data));
    assert.equal(await disk.port.stop(), true);
    const during = disk.readBlocks(0, 8);
    assert.equal(await disk.port.restart(), true);
    await Promise.all(work);
    assert.deepEqual(await during, data);
    assert.deepEqual(await disk.readBlocks(1592, 8), data);
    assert.equal(disk.port.interruptMode, place.mode);
    await loop.close();
  });

  test(`${name}: a device that stopped answering is reset, and every request ends`, async () => {
    let silent = false;
    const loop = await openLoop({
      ...place,
      faults: { blockRequest: () => (silent ? { kind: "never" } : undefined) },
      timeout: 60,
    });
    const { disk } = loop;
    await disk.discover();
    silent = true;
    const work = Array.from({ length: 60 }, (_, index) => disk.write(index * 8, pattern(4096)));
    setTimeout(() => (silent = false), 30);
    await Promise.all(work);
    assert.ok(disk.port.resets >= 1);
    assert.deepEqual(await disk.readBlocks(59 * 8, 8), pattern(4096));
    await loop.close();
  });
}

test("paths, targets and units that are none, SRBs without a CDB or a list, unknown functions", async () => {
  const loop = await openLoop({ profile: "current", flavour: "modern" });
  const { port } = loop.disk;
  const status = async (request: Parameters<typeof sendSrb>[1]) => (await sendSrb(port, request)).status;
  assert.equal(await status({ cdb: cdb.testUnitReady(), lun: 1 }), SrbStatus.NoDevice);
  assert.equal(await status({ cdb: cdb.testUnitReady(), target: 1 }), SrbStatus.NoDevice);
  assert.equal(await status({ cdb: cdb.testUnitReady(), path: 1 }), SrbStatus.NoDevice);
  assert.equal(await status({}), SrbStatus.BadFunction);
  assert.equal(await status({ cdb: cdb.read10(0, 1) }), SrbStatus.BadFunction);
  assert.equal(await status({ cdb: cdb.read10(2048, 1), dataIn: new Uint8Array(512) }), SrbStatus.BadSrbBlockLength);
  assert.equal(await status({ cdb: cdb.read10(0, 2), dataIn: new Uint8Array(512) }), SrbStatus.BadSrbBlockLength);
  assert.equal(await status({ function: SrbFunction.Wmi }), SrbStatus.InvalidRequest);
  assert.equal(await status({ function: SrbFunction.IoControl }), SrbStatus.InvalidRequest);
  assert.equal(await status({ function: SrbFunction.Power }), SrbStatus.Success);
  assert.equal(await status({ function: SrbFunction.Flush }), SrbStatus.Success);
  assert.equal(await status({ function: SrbFunction.ResetLogicalUnit }), SrbStatus.Success);
  assert.equal(port.resets, 1);
  assert.equal(await status({ function: SrbFunction.Pnp, pnpAction: 0x55 }), SrbStatus.InvalidRequest);
  assert.equal(await status({ function: SrbFunction.Pnp, pnpAction: PnpAction.StopDevice }), SrbStatus.Success);
  assert.equal(await status({ cdb: cdb.testUnitReady() }), SrbStatus.Aborted);
  assert.equal(await port.stop(), true);
  assert.equal(await port.restart(), true);
  assert.equal(await status({ cdb: cdb.testUnitReady() }), SrbStatus.Success);
  assert.equal(await status({ function: SrbFunction.Pnp, pnpAction: PnpAction.SurpriseRemoval }), SrbStatus.Success);
  assert.equal(await status({ cdb: cdb.testUnitReady() }), SrbStatus.NoDevice);
  await loop.close();
});

test("debug prints have levels and go to COM1 as lines that end with CR LF", async () => {
  const printed = async (debugLevel: number) => {
    let text = "";
    const com1 = { write: (bytes: Uint8Array) => (text += String.fromCharCode(...bytes)) };
    const loop = await openLoop({ profile: "seed", flavour: "legacy", debugLevel, com1 });
    await loop.disk.port.resetBus();
    await loop.close();
    return text;
  };
  assert.equal(await printed(TraceLevel.None), "");
  assert.equal(await printed(TraceLevel.Warning), "bus reset\r\n");
  assert.match(await printed(TraceLevel.Information), /initialised: 1 queue\(s\), messages\r\nbus reset\r\n/);
});
