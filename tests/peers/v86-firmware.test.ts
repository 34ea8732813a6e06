/** SeaBIOS in v86 boots from our disks with its own virtio drivers; what happens around the PC. */
import assert from "node:assert/strict";
import { probeV86, type V86Emulator, type V86Registers } from "../../src/platform/v86/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import type { DeviceType } from "../../src/transport/index.js";
import { VirtioBlkDevice, VirtioScsiDevice } from "../../src/virtio/index.js";
import { test } from "./limited-test.js";
import { bootDisk, replacedCodeDisk } from "./v86-boot-sector.js";
import { GuestShell, makePc, whyNoV86 } from "./v86-guest.js";

const skip = whyNoV86();
const classCode = 0x01_0000;
const patience = 60_000;

function disk(kind: "blk" | "scsi", text: string): DeviceType {
  const store = MemoryStore.of(bootDisk(text));
  if (kind === "blk") return new VirtioBlkDevice(store);
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(store));
  return new VirtioScsiDevice(bus);
}

for (const kind of ["blk", "scsi"] as const) {
  for (const registers of ["legacy", "modern-io", "modern"] as const satisfies V86Registers[]) {
    test(`SeaBIOS boots from virtio-${kind}, ${registers}, and again after a restart`, { skip }, async () => {
      const pc = await makePc();
      try {
        const text = `booted from ${kind} ${registers}\n`;
        const { core } = pc.plugVirtio(disk(kind, text), { classCode, registers });
        const line = new GuestShell(pc);
        let restarts = 0;
        pc.onRestart = () => {
          restarts++;
          assert.equal(core.status, 0, "the device is reset before the firmware runs");
        };
        await pc.emulator.run();
        await line.until(new RegExp(text), patience);
        assert.ok((core.status & 4) !== 0, "the firmware's driver is at work");
        pc.emulator.restart();
        await line.until(new RegExp(text), patience);
        assert.equal(restarts, 1);
        assert.deepEqual([...core.violations], []);
      } finally {
        await pc.emulator.destroy();
      }
    });
  }
}

test("the probe names what another version of v86 has not", { skip }, async () => {
  const pc = await makePc();
  const { v86 } = pc.emulator;
  const emulator: V86Emulator = pc.emulator;
  assert.equal(probeV86(emulator), v86.cpu);
  const changed = v86.cpu as unknown as Record<string, unknown>;
  changed["jit_dirty_cache"] = undefined;
  changed["mem8"] = {};
  (v86.cpu.devices.pci as unknown as Record<string, unknown>)["pci_query"] = 3;
  assert.throws(() => probeV86(emulator), {
    name: "UnsupportedError",
    message: /is not 0\.5\.462, it has no cpu\.jit_dirty_cache, cpu\.devices\.pci\.pci_query, cpu\.mem8\.byteOffset$/,
  });
  assert.throws(() => probeV86({}), /emulator\.run,.*cpu\.io/);
  await emulator.destroy();
});

test("slots: taken ones are refused, and there is an end of free ones", { skip }, async () => {
  const pc = await makePc();
  const plug = (slot?: number) =>
    pc.plugVirtio(disk("blk", "x"), { classCode, ...(slot === undefined ? {} : { slot }) });
  assert.throws(() => plug(1), /slot 1 is taken/);
  assert.throws(() => plug(32), /slot 32 is taken|no slot 32/);
  plug(20);
  assert.throws(() => plug(20), /slot 20 is taken/);
  assert.throws(() => {
    for (let count = 0; count < 40; count++) plug();
  }, /no free slot left/);
  await pc.emulator.destroy();
});

test("memory that v86 makes grow moves under a device that is at work: rings and buffers go with it", {
  skip,
}, async () => {
  const pc = await makePc();
  try {
    const text = "grown\n";
    pc.plugVirtio(disk("blk", text), { classCode });
    const line = new GuestShell(pc);
    const { cpu } = pc.emulator.v86;
    // The firmware has its ring by the time it reads the first sector; memory grows at every turn of the processor.
    const turn = pc.emulator.v86.do_tick;
    const buffers = new Set<ArrayBuffer>();
    pc.emulator.v86.do_tick = function (this: unknown) {
      turn.call(this);
      buffers.add(cpu.wasm_memory.buffer);
      if (buffers.size < 200) (cpu.wasm_memory as unknown as { grow(pages: number): number }).grow(1);
    };
    await pc.emulator.run();
    await line.until(/grown\n/, patience);
    assert.ok(buffers.size > 10, `memory moved ${buffers.size} times`);
  } finally {
    await pc.emulator.destroy();
  }
});

test("code that v86 compiled is forgotten when a disk's data take its place", { skip }, async () => {
  const pc = await makePc();
  try {
    pc.plugVirtio(new VirtioBlkDevice(MemoryStore.of(replacedCodeDisk())), { classCode });
    const line = new GuestShell(pc);
    await pc.emulator.run();
    const { match } = await line.until(/^([AB])\n/m, patience);
    assert.equal(match[1], "B");
  } finally {
    await pc.emulator.destroy();
  }
});
