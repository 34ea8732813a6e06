/**
 * Debian's Linux in v86 on our devices: every storage device over every register interface and both ring formats, all in one
 * PC, which boots once; then the small devices, and a snapshot of it all that goes on in another PC.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { Scatter } from "../../src/memory/index.js";
import type { V86Pc, V86Registers } from "../../src/platform/v86/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { featureSet, hasFeature, ringFeatures, type VirtioPciDevice } from "../../src/transport/index.js";
import {
  VirtioBalloonDevice,
  VirtioBlkDevice,
  VirtioConsoleDevice,
  VirtioEntropyDevice,
  VirtioScsiDevice,
} from "../../src/virtio/index.js";
import { checkExt4, formatExt4, whyNoExt4 } from "./v86-ext4.js";
import { bootLinux, GuestShell, linuxFiles, makePc, whyNoV86Linux } from "./v86-guest.js";

const skip = whyNoV86Linux();
const { INDIRECT_DESC, EVENT_IDX, RING_PACKED } = ringFeatures;
const split = featureSet(INDIRECT_DESC, EVENT_IDX);
const storageClass = 0x01_0000;
const others = 0x05_0000;
const diskSize = 12 << 20;
const blockSize = 4096;

interface Variant {
  readonly kind: "blk" | "scsi";
  readonly registers: V86Registers;
  readonly rings: bigint;
  /** Requests that the quick test makes, in thousands; an interrupt raised inside a memory access breaks the guest after 3240. */
  readonly thousands: number;
}

const variants: readonly Variant[] = (["blk", "scsi"] as const).flatMap((kind) => [
  { kind, registers: "legacy", rings: split, thousands: 1 },
  { kind, registers: "modern-io", rings: split, thousands: 1 },
  { kind, registers: "modern", rings: split, thousands: 4 },
  { kind, registers: "modern", rings: split | featureSet(RING_PACKED), thousands: 1 },
]);

const nameOf = ({ kind, registers, rings }: Variant) =>
  `virtio-${kind}, ${registers}, ${(rings & featureSet(RING_PACKED)) === 0n ? "split" : "packed"}`;

interface Machine {
  readonly pc: V86Pc;
  readonly stores: MemoryStore[];
  readonly devices: VirtioPciDevice[];
  readonly entropy: VirtioEntropyDevice;
  readonly balloon: VirtioBalloonDevice;
  readonly console: VirtioConsoleDevice;
  readonly inflated: Set<number>;
}

async function makeMachine(stores: MemoryStore[]): Promise<Machine> {
  const pc = await makePc(linuxFiles(["virtio_rng", "virtio_balloon", "virtio_console", "virtio_net"]));
  pc.onFailure = (error) => {
    throw error;
  };
  const devices = variants.map(({ kind, registers, rings }, index) => {
    const store = stores[index];
    const options = { classCode: storageClass, registers, ringFeatures: rings };
    if (kind === "blk") return pc.plugVirtio(new VirtioBlkDevice(store), options);
    const bus = new ScsiBus();
    bus.attach(0, 0, new Disk(store));
    return pc.plugVirtio(new VirtioScsiDevice(bus), options);
  });
  const inflated = new Set<number>();
  const entropy = new VirtioEntropyDevice();
  const balloon = new VirtioBalloonDevice({
    inflated: (page) => inflated.add(page),
    deflated: (page) => inflated.delete(page),
  });
  const console = new VirtioConsoleDevice();
  pc.plugVirtio(entropy, { classCode: others });
  pc.plugVirtio(balloon, { classCode: others, registers: "legacy" });
  pc.plugVirtio(console, { classCode: others, registers: "modern-io" });
  return { pc, stores, devices, entropy, balloon, console, inflated };
}

/** Sizes tell disks from each other in the guest. */
const sizeOf = (index: number) => diskSize + index * blockSize;

function patterned(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const words = new Uint32Array(bytes.buffer);
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + seed * 0x10001, 0x9e37_79b1);
  return bytes;
}

const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

let machine: Machine;
let shell: GuestShell;
/** Names of disks in the guest, by variant. */
let disks: string[] = [];

before(async () => {
  if (skip !== undefined) return;
  const stores = variants.map((_, index) => MemoryStore.of(patterned(sizeOf(index), index)));
  machine = await makeMachine(stores);
  shell = await bootLinux(machine.pc);
  const sizes = await shell.run("for d in /sys/block/[vs]d*; do echo $(basename $d) $(cat $d/size); done");
  const names = new Map(sizes.split("\n").map((line) => [Number(line.split(" ")[1]) * 512, line.split(" ")[0]]));
  disks = variants.map((_, index) => names.get(sizeOf(index)) ?? `no disk of ${sizeOf(index)} bytes in:\n${sizes}`);
});

after(async () => {
  await machine?.pc.emulator.destroy();
});

for (const [index, variant] of variants.entries()) {
  test(`${nameOf(variant)}: Linux reads and writes the whole disk, and ${variant.thousands}000 small requests pass`, {
    skip,
  }, async () => {
    const disk = disks[index];
    const size = sizeOf(index);
    const device = machine.devices[index];
    const packed = (variant.rings & featureSet(RING_PACKED)) !== 0n;
    assert.equal(hasFeature(device.core.driverFeatures, RING_PACKED), packed, "the ring that was asked for");
    assert.equal(hasFeature(device.core.driverFeatures, ringFeatures.VERSION_1), variant.registers !== "legacy");
    assert.match(await shell.run(`md5sum /dev/${disk}`), new RegExp(`^${md5(patterned(size, index))}`));
    await shell.run(
      `dd if=/dev/urandom of=/dev/${disk} bs=64k seek=${index + 3} count=16 oflag=direct conv=notrunc 2>/dev/null; sync`,
    );
    const changed = bytesOf(machine.stores[index]);
    assert.notEqual(md5(changed), md5(patterned(size, index)), "the guest's writes are in the store");
    await shell.run("echo 3 >/proc/sys/vm/drop_caches");
    assert.match(await shell.run(`md5sum /dev/${disk}`), new RegExp(`^${md5(changed)}`));
    const before = requestsOf(await shell.run(`cat /sys/block/${disk}/stat`));
    for (let round = 0; round < variant.thousands; round++) {
      await shell.run(`dd if=/dev/${disk} of=/dev/null bs=4k count=1000 iflag=direct 2>/dev/null`);
    }
    const done = requestsOf(await shell.run(`cat /sys/block/${disk}/stat`)) - before;
    assert.ok(done >= 1000 * variant.thousands, `${done} requests`);
    assert.deepEqual([...device.core.violations], []);
  });
}

/** All that a store holds. */
function bytesOf(store: MemoryStore): Uint8Array {
  const bytes = new Uint8Array(store.byteLength);
  store.read(0, Scatter.of(bytes), bytes.length);
  return bytes;
}

const requestsOf = (stat: string) => Number(stat.trim().split(/\s+/)[0]);

test("all disks at once: adapters that share an interrupt line lose none", { skip }, async () => {
  const reads = disks.map((disk) => `dd if=/dev/${disk} of=/dev/null bs=4k count=600 iflag=direct 2>/dev/null &`);
  await shell.run(`${reads.join(" ")} wait`);
  for (const { core } of machine.devices) assert.deepEqual([...core.violations], []);
});

for (const kind of ["blk", "scsi"] as const) {
  const why = skip ?? whyNoExt4();
  test(`virtio-${kind}: ext4 made here, written by Linux, is clean and holds its files`, { skip: why }, async () => {
    const index = variants.findIndex((variant) => variant.kind === kind && variant.registers === "modern");
    const store = machine.stores[index];
    const made = formatExt4(sizeOf(index));
    store.write(0, Scatter.of(made), made.length);
    const disk = disks[index];
    await shell.run("echo 3 >/proc/sys/vm/drop_caches");
    await shell.run(`blockdev --flushbufs /dev/${disk}; mount -t ext4 /dev/${disk} /mnt`);
    await shell.run("mkdir -p /mnt/a/b; cp /bin/busybox /mnt/a/b/busybox; seq 1 20000 >/mnt/numbers; sync");
    // The copy runs: code that was read from our disk by DMA.
    assert.equal(await shell.run("/mnt/a/b/busybox echo from the disk"), "from the disk");
    const sums = await shell.run("cd /mnt; md5sum a/b/busybox numbers; cd /");
    await shell.run("umount /mnt");
    checkExt4(bytesOf(store), sums);
  });
}

test("virtio-rng: Linux takes our device for its hardware generator", { skip }, async () => {
  assert.match(await shell.run("cat /sys/class/misc/hw_random/rng_current"), /^virtio_rng/);
  const before = machine.entropy.bytesGiven;
  await shell.run("dd if=/dev/hwrng of=/tmp/random bs=512 count=8 iflag=fullblock 2>/dev/null");
  assert.ok(machine.entropy.bytesGiven - before >= 2048, "bytes came from our device");
  const kinds = await shell.run("od -An -v -tx1 -w1 /tmp/random | sort | uniq | wc -l");
  assert.ok(Number(kinds) > 200, `${kinds} different bytes in 4096`);
});

test("virtio-balloon: pages go in and come back, and statistics are told", { skip }, async () => {
  const { balloon, inflated } = machine;
  const free = async () => Number(/MemFree:\s+(\d+)/.exec(await shell.run("cat /proc/meminfo"))?.[1]);
  const before = await free();
  balloon.setTarget(2048);
  await reaches(() => balloon.actual, 2048);
  assert.equal(balloon.pages, 2048);
  assert.equal(inflated.size, 2048);
  assert.ok(before - (await free()) > 6000, "8 MiB are missing in the guest");
  const statistics = await balloon.askStatistics();
  assert.ok(statistics.size > 5, `${statistics.size} numbers`);
  balloon.setTarget(0);
  await reaches(() => balloon.actual, 0);
  assert.equal(inflated.size, 0);
});

test("virtio-console: hvc0 carries bytes both ways", { skip }, async () => {
  const port = machine.console.port(0);
  let came = "";
  port.onData = (bytes) => {
    came += new TextDecoder().decode(bytes);
  };
  await shell.run("exec 3<>/dev/hvc0; stty raw -echo <&3; seq 1 2000 >&3");
  const expected = `${Array.from({ length: 2000 }, (_, index) => index + 1).join("\n")}\n`;
  await reaches(() => came.length, expected.length);
  assert.equal(came, expected);
  const line = shell.run("head -c 4000 <&3 | md5sum; exec 3>&-");
  const bytes = patterned(4000, 77);
  let sent = 0;
  while (sent < bytes.length) {
    sent += port.send(bytes.subarray(sent, sent + 500));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.match(await line, new RegExp(`^${md5(bytes)}`));
});

test("a snapshot goes on in another PC: disks, rings and interrupts are where they were", { skip }, async () => {
  await shell.run("echo kept >/tmp/mark; sync; echo 3 >/proc/sys/vm/drop_caches");
  const snapshot = await machine.pc.save();
  const stores = machine.stores.map((store) => MemoryStore.of(bytesOf(store)));
  const second = await makeMachine(stores);
  try {
    const started = Date.now();
    await second.pc.restore(snapshot);
    const other = new GuestShell(second.pc);
    await second.pc.emulator.run();
    assert.equal(await other.run("cat /tmp/mark"), "kept");
    assert.ok(Date.now() - started < 20_000);
    for (const [index, store] of stores.entries()) {
      assert.match(await other.run(`md5sum /dev/${disks[index]}`), new RegExp(`^${md5(bytesOf(store))}`));
      await other.run(`dd if=/dev/zero of=/dev/${disks[index]} bs=4k count=20 oflag=direct conv=notrunc 2>/dev/null`);
      assert.deepEqual(bytesOf(store).subarray(0, 20 * 4096), new Uint8Array(20 * 4096));
      assert.deepEqual([...second.devices[index].core.violations], []);
    }
    // The first one is not disturbed.
    assert.equal(await shell.run("cat /tmp/mark"), "kept");
  } finally {
    await second.pc.emulator.destroy();
  }
});

/** Waits for a number. */
async function reaches(value: () => number, expected: number): Promise<void> {
  for (const end = Date.now() + 60_000; value() !== expected; ) {
    if (Date.now() > end) assert.fail(`${value()} instead of ${expected}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
