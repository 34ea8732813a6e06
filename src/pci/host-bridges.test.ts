import assert from "node:assert/strict";
import { test } from "node:test";
import { windowOf } from "../bytes/index.js";
import { amigaone, type Board, pciBoards, pegasos2 } from "../machine/index.js";
import {
  enumeratePci,
  functionAddress,
  makeHostBridges,
  openConfigAccess,
  PciDeviceFunction,
  type PciFunctionHandle,
  ProcessorDecoder,
} from "./index.js";

/** Remembers what was written and tells it apart by offset: an adapter with all kinds of BARs. */
function adapter(interruptPin = 1): { fn: PciDeviceFunction; writes: [string, number, number, number][] } {
  const writes: [string, number, number, number][] = [];
  const window = (name: string) =>
    windowOf(
      (offset, width) => (0x1122_3344 + offset) % 2 ** (8 * width),
      (offset, width, value) => writes.push([name, offset, width, value]),
    );
  const fn = new PciDeviceFunction({
    ...{ vendorId: 0x1af4, deviceId: 0x1004, classCode: 0x010000, interruptPin },
    bars: [
      { kind: "io", size: 64, window: window("io") },
      { kind: "memory32", size: 4096, window: window("memory32") },
      undefined,
      undefined,
      { kind: "memory64", prefetchable: true, size: 0x4000, window: window("memory64") },
    ],
  });
  return { fn, writes };
}

function plugged(board: Board) {
  const made = makeHostBridges(board.bridges);
  const spaces = new ProcessorDecoder(made.chips);
  const place = board.adapters;
  assert.ok(place !== undefined);
  const bus = made.buses[place.bridge].bus;
  const { fn, writes } = adapter();
  bus.plug(place.slots[0], 0, fn);
  return { ...made, spaces, bus, fn, writes, slot: place.slots[0], bridge: place.bridge };
}

const find = (all: PciFunctionHandle[]) => all.find((handle) => handle.vendorId === 0x1af4) as PciFunctionHandle;

for (const board of pciBoards) {
  test(`${board.name}: enumeration finds every function and reaches every BAR`, () => {
    const { spaces, slot, bridge, writes, fn } = plugged(board);
    const all = enumeratePci(spaces, board.bridges);
    const onboard = board.bridges.flatMap((description, index) =>
      description.onboard.map(
        (known) => `${index} ${known.slot}.${known.function} ${known.vendorId}:${known.deviceId}`,
      ),
    );
    const found = all.map((h) => `${h.bridgeIndex} ${h.slot}.${h.function} ${h.vendorId}:${h.deviceId}`);
    assert.deepEqual(found.sort(), [...onboard, `${bridge} ${slot}.0 ${0x1af4}:${0x1004}`].sort());
    assert.deepEqual(
      all.flatMap((handle) => handle.problems),
      [],
    );
    const handle = find(all);
    assert.equal(handle.command, 0, "enumeration turns nothing on");
    assert.equal(handle.bar(0)?.read32(0), 0xffff_ffff);
    handle.enable({ io: true, memory: true, busMaster: true });
    assert.equal(fn.busMaster, true);
    for (const index of [0, 1, 4]) {
      const bar = handle.bar(index);
      assert.ok(bar !== undefined, `BAR ${index}`);
      assert.equal(bar.read32(8), 0x1122_334c);
      assert.equal(bar.read16(2), 0x3346);
      assert.equal(bar.read8(3), 0x47);
      bar.write32(4, 0xdead_beef);
      bar.write16(6, 0xcafe);
      bar.write8(1, 0x5a);
    }
    assert.deepEqual(
      writes,
      ["io", "memory32", "memory64"].flatMap((name) => [
        [name, 4, 4, 0xdead_beef],
        [name, 6, 2, 0xcafe],
        [name, 1, 1, 0x5a],
      ]),
    );
    assert.equal(handle.bar(2), undefined);
  });

  test(`${board.name}: no two BARs overlap, and what is assigned stays on a second enumeration`, () => {
    const { spaces } = plugged(board);
    const ranges = (all: PciFunctionHandle[]) =>
      all.flatMap((handle) =>
        handle.bars
          .filter((bar) => bar.base !== 0)
          .map((bar) => ({ ...bar, place: `${handle.bridgeIndex} ${handle.place}` })),
      );
    const first = ranges(enumeratePci(spaces, board.bridges));
    for (const [index, a] of first.entries()) {
      assert.equal(a.base % a.size, 0, "aligned to its size");
      for (const b of first.slice(index + 1)) {
        if (a.space !== b.space || a.place[0] !== b.place[0]) continue;
        assert.ok(a.base + a.size <= b.base || b.base + b.size <= a.base, `${a.place} and ${b.place}`);
      }
    }
    assert.deepEqual(ranges(enumeratePci(spaces, board.bridges)), first);
  });

  test(`${board.name}: an INTx pin arrives on the line that its slot gives, wired OR`, () => {
    const { bus, fn, slot } = plugged(board);
    const changes: [number, boolean][] = [];
    bus.listener = { lineChanged: (line, level) => changes.push([line, level]) };
    const routing = board.bridges[board.adapters?.bridge ?? 0].interrupts;
    const line = (slot + routing.offset) % routing.lines;
    const second = adapter();
    bus.plug(slot + routing.lines * 3 > 31 ? 31 : slot + routing.lines, 0, second.fn);
    fn.setInterruptLevel(true);
    second.fn.setInterruptLevel(true);
    fn.setInterruptLevel(false);
    assert.equal(bus.lineLevel(line), true);
    bus.unplug(slot + routing.lines, 0);
    assert.deepEqual(changes, [
      [line, true],
      [line, false],
    ]);
  });
}

test("mv64361: PCI memory is out of reach until the window is on, and stays where firmware put it", () => {
  const { spaces } = plugged(pegasos2);
  assert.equal(spaces.memorySpace.claims(0x8000_0000), false);
  assert.equal(spaces.memorySpace.claims(0xfe00_1000), true, "the I/O window of the second unit is on at power-on");
  enumeratePci(spaces, pegasos2.bridges);
  assert.equal(spaces.memorySpace.claims(0x8000_0000), true);
  const registers = 0xf100_0000;
  // Firmware that moves the window: 0x90000000 in the processor's space, still 0x80000000 on the bus.
  spaces.memorySpace.write32(registers + 0x278, 0xfffff & ~(1 << 14));
  spaces.memorySpace.write32(registers + 0x000, 0x0a80_00ff);
  spaces.memorySpace.write32(registers + 0x0a0, 0x0100_9000);
  spaces.memorySpace.write32(registers + 0x0a8, 0x0fff);
  spaces.memorySpace.write32(registers + 0x278, 0xfffff & ~(1 << 14) & ~(1 << 15));
  assert.equal(spaces.memorySpace.claims(0x8000_0000), false);
  const config = openConfigAccess(spaces, pegasos2.bridges[1].config);
  const base = config.read(functionAddress(0, 1, 0), 0x20, 4) & ~0xf;
  config.write(functionAddress(0, 1, 0), 4, 2, 2);
  assert.equal(spaces.memorySpace.read32(0x9000_0000 + ((base >>> 0) - 0x8000_0000)), 0x1122_3344);
});

test("an unplugged function is gone from every space, and another one may take its place", () => {
  const { spaces, bus, slot } = plugged(amigaone);
  const handle = find(enumeratePci(spaces, amigaone.bridges));
  handle.enable({ io: true, memory: true });
  assert.equal(handle.present, true);
  bus.unplug(slot, 0);
  assert.equal(handle.present, false);
  assert.equal(handle.bar(4)?.read32(0), 0xffff_ffff);
  assert.throws(() => bus.plug(slot, 8, adapter().fn), RangeError);
  bus.plug(slot, 0, adapter().fn);
  assert.throws(() => bus.plug(slot, 0, adapter().fn), RangeError);
  assert.equal(find(enumeratePci(spaces, amigaone.bridges)).command, 0);
});

test("mv64361: a raised line is seen on its general-purpose pin", () => {
  const { spaces, fn } = plugged(pegasos2);
  assert.equal(spaces.memorySpace.read32(0xf100_f104), 0);
  fn.setInterruptLevel(true);
  assert.equal(spaces.memorySpace.read32(0xf100_f104), 0x2000, "slot 1, pin A: line 1, as QEMU shows it");
});

test("mv64361: reset puts the windows back", () => {
  const { spaces, chips } = plugged(pegasos2);
  enumeratePci(spaces, pegasos2.bridges);
  chips[0].reset();
  assert.equal(spaces.memorySpace.claims(0x8000_0000), false);
  assert.equal(spaces.memorySpace.read32(0xf100_0278), 0xfbfff);
});

test("articia: a 64-bit BAR whose upper half firmware left at all ones is repaired, not moved", () => {
  const { spaces, slot } = plugged(amigaone);
  const config = openConfigAccess(spaces, amigaone.bridges[0].config);
  const self = functionAddress(0, slot, 0);
  config.write(self, 0x20, 4, 0x8420_4000);
  config.write(self, 0x24, 4, 0xffff_ffff);
  config.write(self, 0x04, 2, 2);
  assert.equal(spaces.memorySpace.read32(0x8420_4000), 0xffff_ffff, "outside the decoded window");
  const handle = find(enumeratePci(spaces, amigaone.bridges));
  assert.equal(config.read(self, 0x24, 4), 0);
  assert.equal(handle.bars.find((bar) => bar.index === 4)?.base, 0x8420_4000);
  assert.equal(spaces.memorySpace.read32(0x8420_4000), 0x1122_3344);
});

test("configuration mechanism #1: any width in the data register, whole words in the address register", () => {
  const { spaces, slot } = plugged(amigaone);
  const { addressRegister, dataRegister } = amigaone.bridges[0].config;
  const memory = spaces.memorySpace;
  assert.equal(memory.read32(dataRegister), 0xffff_ffff, "not enabled");
  memory.write32(addressRegister, (0x8000_0000 | functionAddress(0, slot, 0)) >>> 0);
  assert.equal(memory.read32(dataRegister), 0x10041af4);
  assert.equal(memory.read16(dataRegister + 2), 0x1004);
  assert.equal(memory.read8(dataRegister + 1), 0x1a);
  memory.write8(addressRegister, 0x3c);
  assert.equal(memory.read32(dataRegister), 0x10041af4);
  memory.write32(addressRegister, (0x8000_0000 | functionAddress(1, slot, 0)) >>> 0);
  assert.equal(memory.read32(dataRegister), 0xffff_ffff, "another bus");
  memory.write32(addressRegister, (0x8000_0000 | functionAddress(0, 30, 0)) >>> 0);
  assert.equal(memory.read16(dataRegister), 0xffff, "an empty slot");
});
