/** The kernel's disk driver on our device half: the register trace of the reference, and every rule of the header. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { boards, type FoundMmioAdapter, findVirtioAdapters, mmioParts } from "../../machine/index.js";
import type { FaultHook, Observer, TraceEvent } from "../../observe/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { MemoryStore } from "../../storage/index.js";
import { mmioRegisters } from "../../transport/index.js";
import { BlkType, blkFeatures, VirtioBlkDevice, type VirtioBlkOptions } from "../../virtio/index.js";
import { BufferCache, Xv6Disk, Xv6Panic, type Xv6Profile, xv6Profiles } from "./index.js";

interface SetUp {
  readonly tolerant?: boolean;
  readonly blk?: VirtioBlkOptions;
  readonly observer?: Observer;
  readonly bytes?: number;
}

function plug({ tolerant = true, blk = {}, observer, bytes = 1 << 20 }: SetUp = {}) {
  const machine = new EmbeddedMachine(boards["riscv-virt"], { ramSize: 16 << 20, observer });
  const store = new MemoryStore(bytes);
  const device = machine.plugMmio(new VirtioBlkDevice(store, blk), { tolerant });
  const found = findVirtioAdapters(machine)[0] as FoundMmioAdapter;
  const hardware = mmioParts(machine, found, { observer });
  const { allocator } = machine.dma as unknown as { allocator: { allocatedBytes: number } };
  return { machine, store, device, hardware, allocated: () => allocator.allocatedBytes };
}

const strict = xv6Profiles.strict;
const extended = xv6Profiles.extended;
const block = (machine: EmbeddedMachine) => machine.dma.allocate(1024, 1024);
const bytesOf = (memory: ReturnType<typeof block>) =>
  memory.region.bytes.subarray(memory.offset, memory.offset + memory.size);

/** Accesses as `R 000` and `W 070=1`: offset and value. */
function recorder() {
  const lines: string[] = [];
  const offsets: Record<string, number> = {};
  for (const [name, { offset }] of Object.entries(mmioRegisters)) offsets[name] = offset;
  const emit = ({ category, name, fields }: TraceEvent) => {
    if (category !== "registers") return;
    const { register, value } = fields as { register: string; value: number };
    const at = offsets[register].toString(16).padStart(3, "0");
    lines.push(name === "read" ? `R ${at}` : `W ${at}=${value.toString(16)}`);
  };
  return { lines, observer: { emit } };
}

test("R-1501, R-1503: strict: the initialisation is the reference's, register for register", async () => {
  const { lines, observer } = recorder();
  const { hardware, machine } = plug({ observer, blk: { cache: "back", discard: false, writeZeroes: false } });
  const disk = await Xv6Disk.open(strict, hardware);
  const features = disk.features.toString(16);
  const golden = [
    // Magic, version, device id, vendor id.
    ...["R 000", "R 004", "R 008", "R 00c"],
    // Reset, ACKNOWLEDGE, DRIVER.
    ...["W 070=0", "W 070=1", "W 070=3"],
    // Features without a selector, FEATURES_OK, read back.
    ...["R 010", `W 020=${features}`, "W 070=b", "R 070"],
    // Queue 0: not ready, large enough, NUM entries.
    ...["W 030=0", "R 044", "R 034", "W 038=8"],
    // Three pages, ready, DRIVER_OK.
    ...["W 080=page", "W 084=0", "W 090=page", "W 094=0", "W 0a0=page", "W 0a4=0"],
    ...["W 044=1", "W 070=f"],
  ];
  // The first four are the discovery's, before the kernel starts.
  const own = lines.filter((_, index) => index >= lines.length - golden.length);
  assert.deepEqual(
    own.map((line) => line.replace(/=80[0-9a-f]{3}000$/, "=page")),
    golden,
  );
  lines.length = 0;
  const data = block(machine);
  await disk.transfer(3, data, false);
  // Notified whatever the device says; status read, acknowledged, and only then the ring is looked at.
  assert.deepEqual(lines, ["W 050=0", "R 060", "W 064=1"]);
  await disk.close();
});

test("R-1502: strict: registers outside the header are not touched", async () => {
  const { lines, observer } = recorder();
  const { hardware, machine } = plug({ observer });
  lines.length = 0;
  const disk = await Xv6Disk.open(strict, hardware);
  const data = block(machine);
  for (let index = 0; index < 10; index++) await disk.transfer(index, data, index % 2 === 0);
  const header = "000 004 008 00c 010 020 030 034 038 044 050 060 064 070 080 084 090 094 0a0 0a4".split(" ");
  const used = new Set(lines.map((line) => line.slice(2, 5)));
  assert.deepEqual([...used].sort(), header);
  await disk.close();
});

test("R-1504, R-1508: strict: every feature of word 0 that is not masked is accepted, VERSION_1 never", async () => {
  const { hardware, device } = plug({ blk: { geometry: { cylinders: 2, heads: 16, sectors: 63 } } });
  const offered = device.core.offered(false);
  const disk = await Xv6Disk.open(strict, hardware);
  const has = (set: bigint, bit: number) => ((set >> BigInt(bit)) & 1n) === 1n;
  const { FLUSH, SEG_MAX, GEOMETRY, TOPOLOGY, DISCARD, WRITE_ZEROES, CONFIG_WCE } = blkFeatures;
  for (const bit of [FLUSH, SEG_MAX, GEOMETRY, TOPOLOGY, DISCARD, WRITE_ZEROES]) {
    assert.ok(has(offered, bit) && has(device.core.driverFeatures, bit), `bit ${bit}`);
  }
  for (const bit of [CONFIG_WCE, 28, 29, 32]) {
    assert.ok(has(offered, bit) && !has(device.core.driverFeatures, bit), `bit ${bit}`);
  }
  assert.equal(device.core.driverFeatures, disk.features);
  for (const bit of [5, 7, 11, 12, 27, 28, 29]) assert.ok(has(strict.features, bit));
  await disk.close();
});

test("R-1509: strict: a strict device refuses FEATURES_OK, and the kernel stops as the reference does", async () => {
  const { hardware, allocated } = plug({ tolerant: false });
  await assert.rejects(Xv6Disk.open(strict, hardware), (error: Error) => {
    assert.ok(error instanceof Xv6Panic);
    assert.equal(error.message, "panic: virtio disk FEATURES_OK unset");
    return true;
  });
  assert.equal(allocated(), 0);
});

test("R-1509: extended: a strict device is driven with VERSION_1, and no rule is broken", async () => {
  const { hardware, device, machine, allocated } = plug({ tolerant: false });
  const disk = await Xv6Disk.open(extended, hardware);
  assert.equal((device.core.driverFeatures >> 32n) & 1n, 1n);
  assert.equal(disk.blocks, 1024);
  const data = block(machine);
  bytesOf(data).fill(0x77);
  await disk.transfer(1023, data, true);
  bytesOf(data).fill(0);
  await disk.transfer(1023, data, false);
  assert.ok(bytesOf(data).every((byte) => byte === 0x77));
  await disk.close();
  assert.deepEqual(Object.fromEntries(device.core.violations), {});
  assert.equal(allocated(), 1024);
});

test("R-1505, R-1506: NUM is 8: the ring has 8 entries, a request three descriptors, so two are under way at most", async () => {
  const chains: number[] = [];
  let most = 0;
  let running = 0;
  const observer: Observer = {
    emit({ category, name, fields }) {
      if (category !== "ring") return;
      if (name === "available") chains.push(Number(fields["descriptors"]));
      else if (name === "pop") most = Math.max(most, ++running);
      else if (name === "used") running--;
    },
  };
  for (const profile of [strict, { ...extended, flushes: false }]) {
    chains.length = 0;
    const faults: FaultHook = { blockRequest: () => ({ kind: "delay", milliseconds: 2 }) };
    const { hardware, machine, device } = plug({ observer, blk: { faults } });
    const disk = await Xv6Disk.open(profile, hardware);
    assert.equal(device.core.queues[0].size, 8);
    const data = Array.from({ length: 7 }, () => block(machine));
    await Promise.all(data.map((memory, index) => disk.transfer(index, memory, index % 2 === 1)));
    assert.deepEqual(chains, [3, 3, 3, 3, 3, 3, 3]);
    assert.equal(most, 2, "the others slept until descriptors were free");
    await disk.close();
  }
});

test("R-1507, R-1512: strict: version, kind, vendor and ring are checked as the reference checks them", async () => {
  const { machine, hardware } = plug();
  const { registers } = hardware;
  const lie = (offset: number, value: number) => ({
    ...hardware,
    registers: {
      ...registers,
      read32: (at: number) => (at === offset ? value : registers.read32(at)),
    },
  });
  const wrong: [number, number, string][] = [
    [0x000, 0, "could not find virtio disk"],
    [0x004, 1, "could not find virtio disk"],
    [0x008, 8, "could not find virtio disk"],
    [0x00c, 0x1af4, "could not find virtio disk"],
    [0x044, 1, "virtio disk should not be ready"],
    [0x034, 0, "virtio disk has no queue 0"],
    [0x034, 4, "virtio disk max queue too short"],
  ];
  for (const [offset, value, message] of wrong) {
    await assert.rejects(Xv6Disk.open(strict, lie(offset, value)), { message: `panic: ${message}` });
  }
  const short = plug({ blk: { queueSize: 4 } });
  await assert.rejects(Xv6Disk.open(strict, short.hardware), { message: "panic: virtio disk max queue too short" });
  await machine.close();
});

test("R-1510: strict: the status is not read after the reset; a device is served that resets at once", async () => {
  const { lines, observer } = recorder();
  const { hardware } = plug({ observer });
  lines.length = 0;
  const disk = await Xv6Disk.open(strict, hardware);
  const reset = lines.indexOf("W 070=0");
  assert.deepEqual(lines.slice(reset, reset + 3), ["W 070=0", "W 070=1", "W 070=3"]);
  await disk.close();
});

test("R-1511: strict: a request that fails ends the kernel; extended: it is an error and the next one works", async () => {
  const faults: FaultHook = {
    blockRequest: ({ sector }) => (sector === 8 ? { kind: "status", status: 1 } : undefined),
  };
  for (const profile of [strict, extended] as Xv6Profile[]) {
    const { hardware, machine } = plug({ blk: { faults } });
    const disk = await Xv6Disk.open(profile, hardware);
    const data = block(machine);
    await disk.transfer(3, data, false);
    const failure = profile === strict ? /: panic: virtio_disk_intr status$/ : /: block 4 failed: IoError$/;
    await assert.rejects(disk.transfer(4, data, false), failure);
    const next = disk.transfer(5, data, false);
    if (profile === strict) await assert.rejects(next, failure);
    else await next;
    await disk.close();
  }
});

test("R-1511: strict: interrupts are never suppressed", async () => {
  const { hardware, machine, device } = plug();
  const disk = await Xv6Disk.open(strict, hardware);
  const data = block(machine);
  const { available } = device.core.queues[0].addresses;
  for (let index = 0; index < 20; index++) {
    await disk.transfer(index, data, false);
    assert.equal(machine.memory.regions[0].view.getUint16(available - 0x8000_0000, true), 0);
  }
  await disk.close();
});

test("extended: a block past the end, a write to a read-only disk and a write with a cache (flushed) are known", async () => {
  const { hardware, machine } = plug({ tolerant: false, blk: { readOnly: true } });
  const disk = await Xv6Disk.open(extended, hardware);
  const data = block(machine);
  await assert.rejects(disk.transfer(1024, data, false), /block 1024 of 1024/);
  await assert.rejects(disk.transfer(0, data, true), /read-only/);
  await disk.close();
  const types: number[] = [];
  const faults: FaultHook = {
    blockRequest: ({ type }) => {
      types.push(type);
      return undefined;
    },
  };
  const other = plug({ tolerant: false, blk: { faults } });
  const cached = await Xv6Disk.open(extended, other.hardware);
  await cached.transfer(0, block(other.machine), true);
  assert.deepEqual(types, [BlkType.Out, BlkType.Flush]);
  await cached.close();
});

test("a disk that never answers is an error after the time limit, for everybody who waits; closing gives memory back", async () => {
  for (const profile of [strict, extended] as Xv6Profile[]) {
    const faults: FaultHook = { blockRequest: () => ({ kind: "never" }) };
    const { hardware, machine, allocated } = plug({ blk: { faults } });
    const disk = await Xv6Disk.open(profile, hardware, 30);
    const data = block(machine);
    const waiting = [1, 2, 3, 4].map((index) => disk.transfer(index, data, false));
    for (const outcome of await Promise.allSettled(waiting)) {
      assert.equal(outcome.status, "rejected");
      assert.match(`${(outcome as PromiseRejectedResult).reason}`, /did not answer within 30 ms/);
    }
    await assert.rejects(disk.transfer(1, data, false), /did not answer/);
    await disk.close();
    assert.equal(allocated(), 1024);
  }
});

test("more requests than an index counts, on both profiles", { timeout: 120_000 }, async () => {
  for (const profile of [strict, extended] as Xv6Profile[]) {
    const { hardware, machine, store } = plug();
    const disk = await Xv6Disk.open(profile, hardware);
    const data = [block(machine), block(machine)];
    for (let index = 0; index < 33_000; index++) {
      await Promise.all(data.map((memory, which) => disk.transfer((2 * index + which) % 1024, memory, false)));
    }
    assert.equal(store.byteLength, 1 << 20);
    await disk.close();
  }
});

test("the buffer cache: one read a block, least recently released goes first, one user at a time", async () => {
  const { hardware, machine, allocated } = plug();
  const disk = await Xv6Disk.open(extended, hardware);
  const cache = new BufferCache(disk, machine.dma, 3);
  const touch = async (number: number) => cache.release(await cache.read(number));
  for (const number of [1, 2, 3, 1]) await touch(number);
  assert.deepEqual(cache.counts, { hits: 1, reads: 3 });
  await touch(4);
  await touch(1);
  await touch(3);
  assert.deepEqual(cache.counts, { hits: 3, reads: 4 }, "block 2 went");
  const first = await cache.read(9);
  first.data.fill(0x42);
  let isSecond = false;
  const second = cache.read(9).then((buffer) => {
    isSecond = true;
    return buffer;
  });
  await cache.write(first);
  assert.equal(isSecond, false);
  cache.release(first);
  assert.equal((await second).data[1023], 0x42);
  cache.release(await second);
  assert.throws(() => cache.release(first), /panic: brelse/);
  await assert.rejects(cache.write(first), /panic: bwrite/);
  await disk.close();
  cache.free();
  assert.equal(allocated(), 0);
});

test("no free buffer: the strict kernel stops, the extended one waits for one", async () => {
  for (const profile of [strict, extended] as Xv6Profile[]) {
    const { hardware, machine } = plug();
    const disk = await Xv6Disk.open(profile, hardware);
    const cache = new BufferCache(disk, machine.dma, 2);
    const held = [await cache.read(1), await cache.read(2)];
    const third = cache.read(3);
    if (profile === strict) await assert.rejects(third, { message: "panic: bget: no buffers" });
    else {
      cache.release(held[0]);
      assert.equal((await third).block, 3);
    }
    await disk.close();
  }
});
