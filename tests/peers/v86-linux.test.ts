/**
 * Debian's Linux in v86 on our devices: every storage device over every register interface and both ring formats, all in one
 * PC, which boots once; then the small devices, and a snapshot of it all that goes on in another PC.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Scatter } from "../../src/memory/index.js";
import { parseMac, UserNetwork } from "../../src/packet/index.js";
import type { V86Pc } from "../../src/platform/v86/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { hasFeature, ringFeatures, type VirtioPciDevice } from "../../src/transport/index.js";
import {
  VirtioBalloonDevice,
  VirtioConsoleDevice,
  VirtioEntropyDevice,
  VirtioNetDevice,
} from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";
import { checkExt4, formatExt4, whyNoExt4 } from "./v86-ext4.js";
import { bootLinux, GuestShell, linuxFiles, makePc, reaches, whyNoV86Linux } from "./v86-guest.js";
import { bytesOf, diskNames, md5, nameOf, patterned, plugStorage, ringsOf, sizeOf, variants } from "./v86-storage.js";

const skip = whyNoV86Linux();
const others = 0x05_0000;
/** Network adapters, each with a network of its own: the others are tested with disks. */
const adapters = [
  { registers: "modern", network: "10.0.2", mebibytes: 10 },
  { registers: "legacy", network: "10.0.3", mebibytes: 2 },
] as const;

interface Machine {
  readonly pc: V86Pc;
  readonly stores: MemoryStore[];
  readonly devices: VirtioPciDevice[];
  readonly entropy: VirtioEntropyDevice;
  readonly balloon: VirtioBalloonDevice;
  readonly console: VirtioConsoleDevice;
  readonly inflated: Set<number>;
  /** One for each adapter. */
  readonly networks: UserNetwork[];
}

async function makeMachine(stores: MemoryStore[]): Promise<Machine> {
  const pc = await makePc(linuxFiles(["virtio_rng", "virtio_balloon", "virtio_console", "virtio_net"]));
  pc.onFailure = (error) => {
    throw error;
  };
  const devices = plugStorage(pc, stores);
  const inflated = new Set<number>();
  const entropy = new VirtioEntropyDevice();
  const balloon = new VirtioBalloonDevice({
    inflated: (page) => inflated.add(page),
    deflated: (page) => inflated.delete(page),
  });
  const console = new VirtioConsoleDevice();
  const networks = adapters.map(({ registers, network }, index) => {
    const peer = new UserNetwork({ address: `${network}.2`, clientAddress: `${network}.15` });
    const device = new VirtioNetDevice(peer, { mac: parseMac(`52:54:00:00:00:0${index}`) });
    pc.plugVirtio(device, { classCode: 0x02_0000, registers });
    return peer;
  });
  pc.plugVirtio(entropy, { classCode: others });
  pc.plugVirtio(balloon, { classCode: others, registers: "legacy" });
  pc.plugVirtio(console, { classCode: others, registers: "modern-io" });
  return { pc, stores, devices, entropy, balloon, console, inflated, networks };
}

let machine: Machine;
let shell: GuestShell;
/** Names of disks in the guest, by variant. */
let disks: string[] = [];

before(async () => {
  if (skip !== undefined) return;
  const stores = variants.map((_, index) => MemoryStore.of(patterned(sizeOf(index), index)));
  machine = await makeMachine(stores);
  shell = await bootLinux(machine.pc);
  disks = await diskNames(shell);
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
    const packed = ringsOf(variant) === "packed";
    assert.equal(
      hasFeature(device.core.driverFeatures, ringFeatures.RING_PACKED),
      packed,
      "the ring that was asked for",
    );
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

for (const [index, { registers, network, mebibytes }] of adapters.entries()) {
  test(`virtio-net, ${registers}: ping, and ${mebibytes} MiB each way over TCP between Linux and our network`, {
    skip,
  }, async () => {
    const peer = machine.networks[index];
    const name = (await shell.run(`cd /sys/class/net; grep -l 52:54:00:00:00:0${index} */address; cd /`)).split("/")[0];
    await shell.run(`ip link set ${name} up; ip addr add ${network}.15/24 dev ${name}`);
    assert.match(await shell.run(`ping -c 3 -i 0.2 -s 1400 ${network}.2`), /3 packets received/);
    const taken = createHash("md5");
    let bytes = 0;
    const closed = new Promise((resolve) => {
      peer.listen(5000, (connection) => {
        connection.onData = (data) => {
          taken.update(data);
          bytes += data.length;
        };
        connection.onEnd = () => connection.end();
        connection.onClose = resolve;
      });
    });
    await shell.run(`dd if=/dev/urandom of=/tmp/data bs=1M count=${mebibytes} 2>/dev/null`);
    await shell.run(`nc ${network}.2 5000 </tmp/data`);
    assert.equal(await closed, true, "both ends had sent everything");
    assert.equal(bytes, mebibytes << 20);
    assert.match(await shell.run("md5sum /tmp/data; rm /tmp/data"), new RegExp(`^${taken.digest("hex")}`));
    const given = patterned(mebibytes << 20, 5);
    peer.listen(5001, (connection) => {
      let sent = 0;
      const push = () => {
        while (sent < given.length) {
          const step = connection.write(given.subarray(sent, sent + 65_536));
          if (step === 0) return;
          sent += step;
        }
        connection.end();
      };
      connection.onDrain = push;
      push();
    });
    assert.match(await shell.run(`nc ${network}.2 5001 </dev/null | md5sum`), new RegExp(`^${md5(given)}`));
  });
}

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
