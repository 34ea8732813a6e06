/** Scenarios of defects in bringing a device up, losing it, and what is remembered of it. */
import assert from "node:assert/strict";
import type { FaultHook } from "../../observe/index.js";
import { cdb } from "../../scsi/index.js";
import { type DefectScenario, diskPattern, inTime, loopScenario, plugStorportBay } from "../../testing/index.js";
import { noVector } from "../../transport/index.js";
import { BlkType } from "../../virtio/index.js";
import { behaviourWith } from "./behaviour.js";
import { CrashDump } from "./crash-dump.js";
import { openStorport } from "./open-storport.js";
import { storportProfiles } from "./profile.js";
import { SrbStatus } from "./srb.js";
import { sendSrb } from "./srb-sender.js";

const never: FaultHook = { blockRequest: () => ({ kind: "never" }) };

let identified = 0;
let failing = 0;
const identifyHook = {
  blockRequest: ({ type }: { type: number }) => {
    if (type !== BlkType.GetId) return undefined;
    identified++;
    return failing-- > 0 ? ({ kind: "status", status: 1 } as const) : undefined;
  },
};

async function serialOf(port: Parameters<typeof sendSrb>[0]): Promise<string> {
  const dataIn = new Uint8Array(64);
  const { length } = await sendSrb(port, { cdb: cdb.inquiry(64, 0x80), dataIn });
  return String.fromCharCode(...dataIn.subarray(4, length));
}

export const stateScenarios: readonly DefectScenario[] = [
  {
    number: 10,
    rule: "features that the device refuses are an error that names them",
    run: async (defects) => {
      const bay = plugStorportBay();
      const { core } = bay.function;
      const write = core.writeStatus.bind(core);
      core.writeStatus = (value, legacy) => write(value & ~8, legacy);
      await assert.rejects(openStorport(bay.machine, bay.adapter, { defects }), { code: "features-refused" });
      await bay.unplug();
      bay.dma?.assertNothingAllocated();
    },
  },
  {
    number: 20,
    rule: "a device that maps no configuration vector is driven by its line; ours says what it maps",
    run: async (defects) => {
      const flavour = "legacy";
      const bay = plugStorportBay({ flavour, plug: { vectors: 2 } });
      const { portSpace } = bay.machine;
      assert.ok(portSpace !== undefined);
      const base = bay.adapter.fn.bars[0].base;
      const vector = base + 0x14;
      const fault = { ...portSpace, read16: (at: number) => (at === vector ? noVector : portSpace.read16(at)) };
      const machine = { ...bay.machine, portSpace: fault };
      // The function handle reaches its registers through the machine it was found on.
      const fn = bay.adapter.fn;
      const bar = fn.bar.bind(fn);
      fn.bar = (index) => {
        const window = bar(index);
        if (index !== 0 || window === undefined) return window;
        return { ...window, read16: (at: number) => (at === 0x14 ? noVector : window.read16(at)) };
      };
      const disk = await openStorport(machine, bay.adapter, { defects });
      assert.equal(disk.port.interruptMode, "line");
      await disk.discover();
      await disk.write(0, diskPattern(512));
      await disk.close();
      fn.bar = bar;
      const own = await openStorport(bay.machine, bay.adapter, {});
      assert.equal(own.port.interruptMode, "messages");
      const device = own.port.extension.deviceBase;
      assert.equal(device?.setConfigVector(7), noVector);
      assert.equal(device?.setConfigVector(1), 1);
      await own.close();
      await bay.unplug();
    },
  },
  loopScenario(
    21,
    "a device that was pulled ends everything with NO_DEVICE",
    { faults: never, resetTimeout: 100 },
    async (loop) => {
      const { port } = loop.disk;
      const work = sendSrb(port, { cdb: cdb.read10(0, 1), dataIn: new Uint8Array(512), timeout: 60 });
      await Promise.resolve();
      loop.pull();
      assert.equal((await inTime(work, 1000)).status, SrbStatus.NoDevice);
      assert.equal((await sendSrb(port, { cdb: cdb.testUnitReady() })).status, SrbStatus.NoDevice);
    },
  ),
  {
    number: 22,
    rule: "a dump works without interrupts, on one queue, over what a crashed kernel left",
    run: async (defects) => {
      for (const [profile, flavour] of [
        ["seed", "legacy"],
        ["current", "modern"],
      ] as const) {
        const bay = plugStorportBay({ flavour, device: { queues: 2 } });
        // This kernel crashes.
        const crashed = await openStorport(bay.machine, bay.adapter, { profile });
        await crashed.discover();
        crashed.port.crash();
        const dump = await CrashDump.open(bay.machine, bay.adapter, {
          ...{ profile: storportProfiles[profile], behaviour: behaviourWith(defects), timeout: 200 },
        });
        const data = diskPattern(100_352);
        await dump.write(5, data);
        await dump.flush();
        assert.deepEqual(await bay.stored(5 * 512, data.length), data);
        await dump.close();
        await bay.unplug();
      }
    },
  },
  loopScenario(23, "a resize is seen, and told with the next command", {}, async ({ disk, device }) => {
    await disk.discover();
    device.resized(1 << 19);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const first = await sendSrb(disk.port, { cdb: cdb.testUnitReady() });
    assert.deepEqual([first.sense[2], first.sense[12], first.sense[13]], [6, 0x2a, 9]);
    assert.equal((await sendSrb(disk.port, { cdb: cdb.testUnitReady() })).status, SrbStatus.Success);
    assert.equal((await disk.discover()).blocks, 1024);
  }),
  loopScenario(26, "the serial number is asked for again after a reset", { faults: identifyHook }, async ({ disk }) => {
    [identified, failing] = [0, 0];
    for (let count = 0; count < 3; count++) assert.equal(await serialOf(disk.port), "ringside");
    assert.equal(identified, 1);
    await disk.port.resetBus();
    assert.equal(await serialOf(disk.port), "ringside");
    assert.equal(identified, 2);
  }),
  loopScenario(27, "a used id that is none puts the device out of use", { faults: never }, async (loop) => {
    const { port } = loop.disk;
    const work = sendSrb(port, { cdb: cdb.read10(0, 1), dataIn: new Uint8Array(512), timeout: 0 });
    await Promise.resolve();
    const { used } = loop.function.core.queues[0].addresses;
    loop.machine.memory.write(used + 4, Uint8Array.of(0xe7, 3, 0, 0));
    loop.machine.memory.write(used + 2, Uint8Array.of(1, 0));
    port.poll();
    assert.equal((await inTime(work)).status, SrbStatus.Error);
    assert.deepEqual([...port.extension.violations.keys()], ["used-id-out-of-range"]);
    assert.equal((await sendSrb(port, { cdb: cdb.testUnitReady() })).status, SrbStatus.NoDevice);
    assert.equal(await port.restart(), true);
    assert.equal((await sendSrb(port, { cdb: cdb.testUnitReady() })).status, SrbStatus.Success);
  }),
  loopScenario(28, "a failed GET_ID is no serial number", { faults: identifyHook }, async ({ disk }) => {
    [identified, failing] = [0, 1];
    assert.equal(await serialOf(disk.port), "");
    assert.equal(await serialOf(disk.port), "ringside");
  }),
];
