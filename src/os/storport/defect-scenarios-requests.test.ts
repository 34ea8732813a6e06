/** Scenarios of defects in how requests are limited, named, kicked and ended. */
import assert from "node:assert/strict";
import type { FaultHook } from "../../observe/index.js";
import { cdb } from "../../scsi/index.js";
import { type DefectScenario, diskPattern, inTime, loopScenario, openStorportLoop } from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import { BlkType, blkFeatures } from "../../virtio/index.js";
import { SrbStatus } from "./srb.js";
import { sendSrb } from "./srb-sender.js";

const never: FaultHook = { blockRequest: () => ({ kind: "never" }) };
const statusOf = (type: number) => ({
  blockRequest: (point: { type: number }) =>
    point.type === type ? ({ kind: "status", status: 1 } as const) : undefined,
});

let discards = 0;
const discardCounter = {
  blockRequest: ({ type }: { type: number }) => {
    if (type === BlkType.Discard) discards++;
    return undefined;
  },
};

/** UNMAP without a list: only whether it is refused counts. */
const unmapCommand = Uint8Array.of(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0);
const unmapList = Uint8Array.of(0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0);

/** Reads `count` blocks, one request each, in one go. */
async function readEach(port: Parameters<typeof sendSrb>[0], count: number): Promise<Uint8Array[]> {
  const blocks = Array.from({ length: count }, () => new Uint8Array(512));
  const work = blocks.map((dataIn, index) => sendSrb(port, { cdb: cdb.read10(index, 1), dataIn, timeout: 0 }));
  for (const { status } of await inTime(Promise.all(work))) assert.equal(status, SrbStatus.Success);
  return blocks;
}

export const requestScenarios: readonly DefectScenario[] = [
  loopScenario(6, "a bus reset ends what a silent device keeps", { faults: never }, async ({ disk }) => {
    const work = sendSrb(disk.port, { cdb: cdb.read10(0, 1), dataIn: new Uint8Array(512), timeout: 60 });
    assert.equal((await inTime(work)).status, SrbStatus.BusReset);
    assert.equal((await sendSrb(disk.port, { cdb: cdb.testUnitReady() })).status, SrbStatus.Success);
  }),
  loopScenario(7, "no request ends while the device has its buffer", { faults: never }, async ({ disk, device }) => {
    const services = disk.port.extension.port;
    const ended = services.requestComplete;
    const owned: number[] = [];
    services.requestComplete = (srb) => {
      owned.push(device.running.size);
      ended(srb);
    };
    const work = sendSrb(disk.port, { cdb: cdb.read10(0, 1), dataIn: new Uint8Array(512), timeout: 0 });
    await Promise.resolve();
    assert.equal(device.running.size, 1);
    await disk.port.resetBus();
    assert.equal((await inTime(work)).status, SrbStatus.BusReset);
    assert.deepEqual(owned, [0]);
  }),
  loopScenario(8, "requests that are built together are told apart", {}, async ({ disk, store }) => {
    assert.ok(store.byteLength > 0);
    await disk.discover();
    await disk.write(0, diskPattern(10 * 512));
    const blocks = await readEach(disk.port, 10);
    assert.deepEqual(
      blocks,
      Array.from({ length: 10 }, (_, index) => diskPattern(5120).subarray(index * 512, index * 512 + 512)),
    );
  }),
  loopScenario(9, "the first of several requests is not left without a notification", {}, async ({ disk }) => {
    await readEach(disk.port, 3);
    await readEach(disk.port, 7);
  }),
  loopScenario(
    11,
    "a feature that was not accepted is not used",
    { unwantedFeatures: featureSet(blkFeatures.DISCARD), faults: discardCounter },
    async ({ disk }) => {
      discards = 0;
      const { status } = await sendSrb(disk.port, { cdb: unmapCommand, dataOut: unmapList });
      assert.equal(status, SrbStatus.Error);
      assert.equal(discards, 0);
    },
  ),
  loopScenario(12, "the first request needs no READ CAPACITY before it", {}, async ({ disk }) => {
    const { status } = await sendSrb(disk.port, { cdb: cdb.read10(0, 1), dataIn: new Uint8Array(512) });
    assert.equal(status, SrbStatus.Success);
  }),
  loopScenario(14, "a write with FUA that failed has failed", { faults: statusOf(BlkType.Out) }, async ({ disk }) => {
    const command = cdb.write10(0, 1, { forceUnitAccess: true });
    const { status } = await sendSrb(disk.port, { cdb: command, dataOut: new Uint8Array(512) });
    assert.equal(status, SrbStatus.Error);
  }),
  loopScenario(17, "the largest transfer may start inside a page", {}, async ({ disk }) => {
    await disk.discover();
    const { maximumTransferLength, physicalBreaks } = disk.port.configuration;
    assert.ok(maximumTransferLength / 4096 + 1 <= physicalBreaks);
    const data = diskPattern(maximumTransferLength);
    // Pages of a buffer that starts 512 bytes into one.
    const command = cdb.write10(0, maximumTransferLength / 512);
    const dataOut = data;
    const { status } = await sendSrb(disk.port, { cdb: command, dataOut, elementLength: 4080 });
    assert.equal(status, SrbStatus.Success);
  }),
  {
    number: 18,
    rule: "seg_max and size_max bound every request",
    run: async (defects) => {
      for (const device of [{ segMax: 4, sizeMax: 8192 }, { segMax: 1 }, { segMax: 200, sizeMax: 1536 }]) {
        for (const profile of ["seed", "current"] as const) {
          const flavour = profile === "seed" ? "legacy" : "modern";
          await loopScenario(18, "", { device, profile, flavour }, async ({ disk, stored }) => {
            await disk.discover();
            const data = diskPattern(200 * 512);
            await disk.write(3, data);
            assert.deepEqual(await stored(3 * 512, data.length), data);
          }).run(defects);
        }
      }
    },
  },
  loopScenario(
    19,
    "a list longer than the extension's table is refused",
    { device: { queueSize: 1024, segMax: 1000 } },
    async ({ disk }) => {
      const status = async (elements: number) => {
        const dataIn = new Uint8Array(elements * 512);
        return (await sendSrb(disk.port, { cdb: cdb.read10(0, elements), dataIn, elementLength: 512 })).status;
      };
      assert.equal(await status(513), SrbStatus.Success);
      assert.equal(await status(514), SrbStatus.BadSrbBlockLength);
    },
  ),
  {
    number: 29,
    rule: "a full ring loses nothing, and restarts start from fresh state",
    run: async (defects) => {
      const slow: FaultHook = { blockRequest: () => ({ kind: "delay", milliseconds: 5 }) };
      const loop = await openStorportLoop({ profile: "scsiport", flavour: "legacy", defects, faults: slow });
      try {
        const work = Array.from({ length: 40 }, () =>
          sendSrb(loop.disk.port, {
            ...{ cdb: cdb.read10(0, 128), dataIn: new Uint8Array(65536), timeout: 0 },
            elementLength: 4096,
          }),
        );
        for (const { status } of await inTime(Promise.all(work), 2000)) assert.equal(status, SrbStatus.Success);
      } finally {
        await loop.close().catch(() => {});
      }
      await loopScenario(29, "", { profile: "seed", flavour: "legacy" }, async ({ disk }) => {
        for (let count = 0; count < 3; count++) {
          await disk.port.stop();
          await disk.port.restart();
        }
        assert.equal(disk.port.interruptMode, "messages");
      }).run(defects);
    },
  },
];
