/** The board `a4000`: found by AUTOCONFIG, driven by SCRIPTS of our own, with the units that virtio-scsi has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type RegisterWindow, subWindow } from "../../bytes/index.js";
import { a4000, findVirtioAdapters, openAdapter, pc } from "../../machine/index.js";
import { a4091Layout, assemble, placeProgram, Reg, wordsToBytes } from "../../ncr53c710/index.js";
import { commandScript } from "../../ncr53c710/rig.test.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { VirtioScsiDevice, VirtioScsiDriver } from "../../virtio/index.js";
import { configAreas, configureZorro } from "../../zorro/index.js";
import { EmbeddedMachine } from "./machine.js";

const doneVector = 0x600d;

function oneDisk(target: number, serial = "a4000"): ScsiBus {
  const bus = new ScsiBus();
  bus.attach(target, 0, new Disk(new MemoryStore(4 << 20), { powerOnAttention: false, serial }));
  return bus;
}

/** A host's driver for one command at a time: our script, a table, buffers in memory that the board can reach. */
function driver(machine: EmbeddedMachine, base: number) {
  const chip: RegisterWindow = subWindow(machine.memorySpace, base + a4091Layout.chip);
  const { program } = assemble(commandScript);
  assert.ok(program !== undefined);
  const block = machine.dma.allocate(0x4000, 4096);
  const { address } = block;
  const places = { table: address + 0x200, identify: address + 0x300, cdb: address + 0x310, status: address + 0x320 };
  const data = address + 0x1000;
  const { memory } = machine;
  memory.write(address, wordsToBytes(placeProgram(program, address)));
  const long = (at: number, value: number) => {
    const region = memory.find(at);
    assert.ok(region !== undefined);
    region.view.setUint32(at - region.base, value);
  };
  const entry = (offset: number, count: number, at: number) => {
    long(places.table + offset, count);
    long(places.table + offset + 4, at);
  };
  chip.write8(Reg.ISTAT ^ 3, 0x40);
  chip.write8(Reg.ISTAT ^ 3, 0);
  chip.write8(Reg.SCNTL0 ^ 3, 0xcc);
  chip.write8(Reg.SCNTL1 ^ 3, 0x20);
  chip.write8(Reg.SCID ^ 3, 1 << (machine.memorySpace.read8(base + a4091Layout.dip) & 7));
  chip.write8(Reg.DIEN ^ 3, 0x35);
  chip.write8(Reg.SIEN ^ 3, 0xaf);
  chip.write32(Reg.DSA, places.table);
  return {
    chip,
    data,
    memory,
    start(target: number, command: Uint8Array, bytes: number) {
      long(places.table, 0x1_0000 << target);
      memory.write(places.identify, Uint8Array.of(0x80));
      memory.write(places.cdb, command);
      entry(4, 1, places.identify);
      entry(12, command.length, places.cdb);
      entry(20, 1, places.status);
      entry(28, 1, places.status + 1);
      entry(36, bytes, data);
      chip.write32(Reg.DSP, address);
    },
    /** What the handler of INT2 does: both status registers in one read. */
    take() {
      const causes = chip.read32(0x0c);
      const end = { dstat: causes & 0x7f, sstat0: (causes >>> 8) & 0xff, vector: chip.read32(Reg.DSPS) };
      return { ...end, status: memory.find(places.status)?.bytes[places.status - a4000.ramBase] };
    },
  };
}

const good = { dstat: 0x04, sstat0: 0, vector: doneVector, status: 0 };

for (const [name, area] of Object.entries(configAreas)) {
  test(`a4000: AUTOCONFIG through the ${name} area, then INQUIRY, WRITE and READ by SCRIPTS, ended by INT2`, async () => {
    const machine = new EmbeddedMachine(a4000, { ramSize: 4 << 20 });
    machine.plugA4091(oneDisk(6));
    const found = configureZorro(machine.memorySpace, { area });
    assert.deepEqual(
      found.map(({ manufacturer, product, base, size }) => ({ manufacturer, product, base, size })),
      [{ manufacturer: 514, product: 84, base: 0x4000_0000, size: 16 << 20 }],
    );
    const host = driver(machine, 0x4000_0000);
    const seen: ReturnType<typeof host.take>[] = [];
    const { attachZorro } = machine.interrupts;
    assert.ok(attachZorro !== undefined);
    const detach = attachZorro("INT2", () => seen.push(host.take()));
    const command = async (bytes: Uint8Array, length: number) => {
      seen.length = 0;
      host.start(6, bytes, length);
      assert.deepEqual(seen, [], "never from inside a register access");
      await machine.idle(1000);
      assert.deepEqual(seen, [good]);
    };
    await command(cdb.inquiry(36), 36);
    const identity = machine.memory.read(host.data, 36);
    assert.equal(identity[0], 0);
    const written = new Uint8Array(2048).map((_, index) => (index * 11) & 0xff);
    machine.memory.write(host.data, written);
    await command(cdb.write10(100, 4), 2048);
    machine.memory.write(host.data, new Uint8Array(2048));
    await command(cdb.read10(100, 4), 2048);
    assert.deepEqual(machine.memory.read(host.data, 2048), written);
    detach();
    await machine.close();
  });
}

test("a4000: a disk written through the A4091 is read through virtio-scsi: the same unit on both", async () => {
  const bus = oneDisk(2);
  const amiga = new EmbeddedMachine(a4000, { ramSize: 4 << 20 });
  amiga.plugA4091(bus);
  const [{ base }] = configureZorro(amiga.memorySpace);
  assert.ok(base !== undefined);
  const host = driver(amiga, base);
  const written = new Uint8Array(4096).map((_, index) => (index * 13) & 0xff);
  amiga.memory.write(host.data, written);
  host.start(2, cdb.write10(8, 8), 4096);
  assert.deepEqual(host.take(), good);
  const machine = new EmbeddedMachine(pc, { ramSize: 16 << 20 });
  machine.plugVirtio(new VirtioScsiDevice(bus), { classCode: 0x010000 });
  const [adapter] = findVirtioAdapters(machine);
  const virtio = await VirtioScsiDriver.open(openAdapter(machine, adapter));
  const back = new Uint8Array(4096);
  const answer = await virtio.execute(unitAddress(2, 0), cdb.read10(8, 8), { dataIn: back });
  assert.deepEqual([answer.response, answer.status], [0, 0]);
  assert.deepEqual(back, written);
  await virtio.close();
  await machine.close();
  await amiga.close();
});

test("a4000: two A4091s share INT2, each with targets and an id of its own", async () => {
  const machine = new EmbeddedMachine(a4000, { ramSize: 4 << 20 });
  machine.plugA4091(oneDisk(0, "first"));
  machine.plugA4091(oneDisk(7, "second"), { hostId: 5 });
  const found = configureZorro(machine.memorySpace);
  const hosts = found.map(({ base }) => driver(machine, base ?? 0));
  assert.deepEqual(
    found.map(({ base }) => base),
    [0x4000_0000, 0x4100_0000],
  );
  const detach = machine.interrupts.attachZorro?.("INT2", () => {
    // A read of either board's status when it has nothing does no harm.
    for (const [index, host] of hosts.entries()) if (host.chip.read8(Reg.ISTAT ^ 3) & 3) ended[index] = host.take();
  });
  const ended: ReturnType<(typeof hosts)[0]["take"]>[] = [];
  hosts[0].start(0, cdb.inquiry(36), 36);
  hosts[1].start(7, cdb.inquiry(36), 36);
  await machine.idle(1000);
  assert.deepEqual(ended, [good, good]);
  detach?.();
  await machine.close();
});

test("a4000: slots come to an end, ids are checked, a board without Zorro says so", async () => {
  const machine = new EmbeddedMachine(a4000, { ramSize: 1 << 20 });
  assert.throws(() => machine.plugA4091(oneDisk(0), { hostId: 8 }), /0…7, got 8/);
  for (let slot = 0; slot < 4; slot++) machine.plugA4091(oneDisk(0));
  assert.throws(() => machine.plugA4091(oneDisk(0)), /a4000 has no free Zorro slot left/);
  assert.equal(configureZorro(machine.memorySpace).length, 4);
  const other = new EmbeddedMachine(pc, { ramSize: 1 << 20 });
  assert.throws(() => other.plugA4091(oneDisk(0)), /pc has no free Zorro slot left/);
  assert.equal(other.zorro, undefined);
  assert.equal(other.interrupts.attachZorro, undefined);
  await machine.close();
  await other.close();
});

test("a4000: no address of its space throws at any width, and where nobody is reads give ones", async () => {
  const machine = new EmbeddedMachine(a4000, { ramSize: 1 << 20 });
  machine.plugA4091(oneDisk(0), { chip: { turns: "manual" } });
  configureZorro(machine.memorySpace);
  const { memorySpace } = machine;
  const addresses = [
    0, 0xe8_0000, 0xe8_fffe, 0x1000_0000, 0x40ff_ffff, 0x4100_0000, 0xefff_fffe, 0xff00_0044, 0xffff_ffff,
  ];
  for (const address of addresses) {
    for (const width of [8, 16, 32] as const) {
      memorySpace[`write${width}`](address, 0);
      const value = memorySpace[`read${width}`](address);
      if (address < 0x4000_0000 || address >= 0x4100_0000) assert.equal(value, 2 ** width - 1, address.toString(16));
    }
  }
  await machine.close();
});
