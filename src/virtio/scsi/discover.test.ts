import assert from "node:assert/strict";
import { test } from "node:test";
import { boards, findVirtioAdapters, openAdapter } from "../../machine/index.js";
import { readPartitions } from "../../partition/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import {
  Disk,
  discoverUnits,
  ScsiBus,
  ScsiCommandError,
  sendCommand,
  UnitBlocks,
  unitAddress,
} from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { VirtioScsiDevice, type VirtioScsiOptions } from "./device.js";
import { VirtioScsiDriver } from "./driver.js";

async function withDriver(
  bus: ScsiBus,
  work: (driver: VirtioScsiDriver) => Promise<void>,
  options: VirtioScsiOptions = {},
): Promise<void> {
  const machine = new EmbeddedMachine(boards["pegasos2"], { ramSize: 32 << 20 });
  machine.plugVirtio(new VirtioScsiDevice(bus, options), { classCode: 0x010000 });
  const [adapter] = findVirtioAdapters(machine);
  const driver = await VirtioScsiDriver.open(openAdapter(machine, adapter));
  try {
    await work(driver);
  } finally {
    await driver.close();
    await machine.close();
  }
}

const disk = (blocks = 16, options = {}) => new Disk(new MemoryStore(blocks * 512), options);

test("every unit is found by target and LUN, with names, capacity and write protection", async () => {
  const bus = new ScsiBus();
  bus.attach(0, 0, disk(16, { serial: "S1", vendor: "ACME", product: "ONE" }));
  bus.attach(255, 16383, new Disk(new MemoryStore(3 * 2 ** 40), { physicalBlockSize: 4096 }));
  bus.attach(7, 3, new Disk(new MemoryStore(1 << 20), { blockSize: 4096, readOnly: true }));
  await withDriver(bus, async (driver) => {
    const units = await discoverUnits(driver);
    assert.deepEqual(
      units.map(({ target, lun, capacity, writeProtected }) => [
        ...[target, lun, capacity?.blocks, capacity?.blockSize, writeProtected],
      ]),
      [
        [0, 0, 16, 512, false],
        [7, 3, 256, 4096, true],
        [255, 16383, (3 * 2 ** 40) / 512, 512, false],
      ],
    );
    assert.deepEqual([units[0].inquiry.vendor, units[0].inquiry.product, units[0].serial], ["ACME", "ONE", "S1"]);
    assert.equal(units[2].capacity?.physicalExponent, 3);
  });
});

test("a LUN list longer than the first answer is asked for again", async () => {
  const bus = new ScsiBus();
  for (let lun = 0; lun < 700; lun++) bus.attach(4, lun * 3, disk(1));
  await withDriver(bus, async (driver) => {
    const units = await discoverUnits(driver, { targets: [3, 4] });
    assert.deepEqual(
      units.map(({ lun }) => lun),
      Array.from({ length: 700 }, (_, index) => index * 3),
    );
  });
});

test("an adapter without units has none, and the limit of targets is the device's", async () => {
  await withDriver(new ScsiBus(), async (driver) => assert.deepEqual(await discoverUnits(driver), []));
});

test("the work stops when the check throws", async () => {
  await withDriver(new ScsiBus(), async (driver) => {
    const check = () => {
      throw new Error("stop");
    };
    await assert.rejects(discoverUnits(driver, { check }), /stop/);
  });
});

test("a failing unit is an error that names unit, command and sense", async () => {
  const bus = new ScsiBus();
  bus.attach(2, 0, disk());
  const faults = {
    command: ({ cdb }: { cdb: Uint8Array }) =>
      cdb[0] === 0x25 ? ({ kind: "error", key: 4, asc: 0x44, ascq: 0 } as const) : undefined,
  };
  const work = (driver: VirtioScsiDriver) => discoverUnits(driver).then(() => {});
  const expected = /target 2 lun 0: READ CAPACITY\(10\).*: CHECK CONDITION, HARDWARE ERROR 44h\/00h/;
  await assert.rejects(withDriver(bus, work, { faults }), expected);
});

test("unit attentions and BUSY are repeated, but not for ever", async () => {
  const bus = new ScsiBus();
  bus.attach(0, 0, disk());
  let busy = 3;
  const faults = {
    command: ({ cdb }: { cdb: Uint8Array }) => {
      if (cdb[0] === 0x00) return busy-- > 0 ? ({ kind: "response", response: 5 } as const) : undefined;
      return cdb[0] === 0x1b ? ({ kind: "error", key: 6, asc: 0x28, ascq: 0 } as const) : undefined;
    },
  };
  await withDriver(
    bus,
    async (driver) => {
      const result = await sendCommand(driver, unitAddress(0, 0), Uint8Array.of(0, 0, 0, 0, 0, 0));
      assert.equal(result.status, 0);
      const endless = sendCommand(driver, unitAddress(0, 0), Uint8Array.of(0x1b, 0, 0, 0, 1, 0));
      await assert.rejects(endless, (error) => error instanceof ScsiCommandError && error.sense?.key === 6);
    },
    { faults },
  );
});

test("blocks of a unit are read and written in commands that the unit takes, and serve partition readers", async () => {
  const bus = new ScsiBus();
  bus.attach(0, 0, disk(8192, { maximumTransferBlocks: 100 }));
  await withDriver(bus, async (driver) => {
    const [found] = await discoverUnits(driver);
    const unit = new UnitBlocks(driver, found);
    assert.equal(unit.commandBlocks, 100);
    const data = new Uint8Array(1001 * 512).map((_, index) => index * 7);
    await unit.write(7, data);
    await unit.flush();
    assert.deepEqual(await unit.readBlocks(7, 1001), data);
    assert.equal((await readPartitions(unit)).scheme, "none");
    await assert.rejects(unit.readBlocks(8192, 1), RangeError);
    await assert.rejects(unit.read(0, new Uint8Array(100)), RangeError);
  });
});
