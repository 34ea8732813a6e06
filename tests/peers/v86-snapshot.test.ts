/**
 * A snapshot in the middle of work: Linux has ports open, a balloon that grows, a ping and a slow source of random bytes under
 * way, has changed how its disks cache, and goes on with all of it in another PC. What is damaged, or of another version, is
 * refused before anything changes.
 */
import assert from "node:assert/strict";
import type { SavedFields } from "../../src/bytes/index.js";
import { parseMac, UserNetwork } from "../../src/packet/index.js";
import type { V86Pc, V86Snapshot } from "../../src/platform/v86/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import type { DeviceCoreState, VirtioPciDevice } from "../../src/transport/index.js";
import {
  VirtioBalloonDevice,
  VirtioBlkDevice,
  VirtioConsoleDevice,
  VirtioEntropyDevice,
  VirtioNetDevice,
  VirtioScsiDevice,
} from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";
import { bootLinux, GuestShell, linuxFiles, makePc, reaches, whyNoV86Linux } from "./v86-guest.js";
import { md5, patterned } from "./v86-storage.js";

const skip = whyNoV86Linux();
/** More than the guest takes into its own 64 buffers of 4096 bytes, in pieces that do not end where these do. */
const unread = patterned(300_000, 9);
const pieceSize = 60_000;
const randomBytes = 6400;
/** The cache modes of both disks, as the guest's drivers have them. */
const caches = "/sys/block/vda/cache_type /sys/class/scsi_disk/*/cache_type";

class Machine {
  readonly pc: V86Pc;
  readonly console = new VirtioConsoleDevice({
    ports: [{}, { isConsole: true }, { name: "org.ringside.log" }],
    maxPorts: 5,
    size: { columns: 80, rows: 25 },
  });
  readonly inflated = new Set<number>();
  readonly balloon = new VirtioBalloonDevice({
    inflated: (page) => this.inflated.add(page),
    deflated: (page) => this.inflated.delete(page),
  });
  readonly entropy = new VirtioEntropyDevice({ rate: { bytes: 128, milliseconds: 100 } });
  readonly net = new VirtioNetDevice(new UserNetwork(), { mac: parseMac("52:54:00:00:00:01") });
  readonly blk = new VirtioBlkDevice(new MemoryStore(1 << 20));
  readonly disk = new Disk(new MemoryStore(1 << 20));
  readonly plugged: readonly VirtioPciDevice[];

  constructor(pc: V86Pc) {
    this.pc = pc;
    pc.onFailure = (error) => {
      throw error;
    };
    const bus = new ScsiBus();
    bus.attach(0, 0, this.disk);
    this.plugged = [
      pc.plugVirtio(this.console, { classCode: 0x07_8000 }),
      pc.plugVirtio(this.balloon, { classCode: 0x05_0000, registers: "legacy" }),
      pc.plugVirtio(this.entropy, { classCode: 0x05_0000, registers: "modern-io" }),
      pc.plugVirtio(this.net, { classCode: 0x02_0000 }),
      pc.plugVirtio(this.blk, { classCode: 0x01_0000 }),
      pc.plugVirtio(new VirtioScsiDevice(bus), { classCode: 0x01_0000, registers: "legacy" }),
    ];
  }

  static async make(): Promise<Machine> {
    const modules = [
      "virtio_console",
      "virtio_balloon",
      "virtio_rng",
      "virtio_net",
      "virtio_blk",
      "virtio_scsi",
      "sd_mod",
    ];
    return new Machine(await makePc(linuxFiles(modules, [], ["virtio_pci"])));
  }
}

let first: Machine;
let second: Machine;
let snapshot: V86Snapshot;

before(async () => {
  if (skip !== undefined) return;
  first = await Machine.make();
  second = await Machine.make();
  const shell = await bootLinux(first.pc);
  const { console, balloon } = first;
  console.addPort({ name: "late" });
  console.resize({ columns: 132, rows: 43 });
  await shell.run("for try in $(seq 50); do [ -c /dev/vport0p3 ] && break; sleep 0.1; done");
  await shell.run("exec 3<>/dev/hvc1 4<>/dev/vport0p2 5<>/dev/vport0p3");
  for (let at = 0; at < unread.length; at += pieceSize) {
    assert.equal(console.port(2).send(unread.subarray(at, at + pieceSize)), pieceSize);
  }
  await shell.run("ip link set eth0 address 52:54:00:aa:bb:cc; ip link set eth0 allmulticast on; ip link set eth0 up");
  await shell.run("ip addr add 10.0.2.15/24 dev eth0");
  await shell.run(`for try in $(seq 50); do ls ${caches} && break; sleep 0.1; done`);
  await shell.run(`for cache in ${caches}; do echo write through >$cache; done`);
  balloon.setTarget(1024);
  await reaches(() => balloon.actual, 1024);
  await shell.run(`dd if=/dev/hwrng of=/tmp/random bs=64 count=${randomBytes / 64} iflag=fullblock 2>/dev/null & true`);
  await shell.run("ping -c 30 -i 0.2 10.0.2.2 >/tmp/ping & sleep 1");
  balloon.setTarget(6000);
  // What can be stored anywhere: a copy without any object of ours.
  snapshot = structuredClone(await first.pc.save());
  const waiting = console.port(2).buffered;
  assert.ok(waiting > 0 && waiting % pieceSize !== 0, `${waiting} bytes wait on our side, a piece of them cut`);
});

after(async () => {
  await first?.pc.emulator.destroy();
  await second?.pc.emulator.destroy();
});

/** A snapshot in which one device is another one. */
function changed(index: number, change: (core: DeviceCoreState) => Partial<DeviceCoreState>): V86Snapshot {
  const devices = snapshot.devices.map((device, at) =>
    at === index ? { ...device, core: { ...device.core, ...change(device.core) } } : device,
  );
  return { ...snapshot, devices };
}

const typed = (index: number, fields: SavedFields) =>
  changed(index, ({ type }) => ({ type: { ...type, ...fields } as SavedFields }));

test("snapshot: what is damaged, of another PC or of another version is refused in one line, and nothing changes", {
  skip,
}, async () => {
  const { devices } = snapshot;
  const cut = { ...snapshot, emulator: snapshot.emulator.slice(0, 4096) };
  const wrong: [bad: V86Snapshot, name: string, message: RegExp][] = [
    [
      { ...snapshot, version: 1 },
      "UnsupportedError",
      /^the saved state of the PC cannot be used: version is 1, this knows 2$/,
    ],
    [{ ...snapshot, memory: 64 << 20 }, "RangeError", /memory is 67108864 bytes, this PC has 201326592$/],
    [{ ...snapshot, devices: devices.slice(1) }, "RangeError", /devices are 5, this PC has 6$/],
    [{ ...snapshot, devices: [...devices].reverse() }, "RangeError", /has one in slot \d+, this PC in slot 2$/],
    [
      typed(0, { version: 7 }),
      "UnsupportedError",
      /^the saved state of virtio-console cannot be used: type.version is 7, this knows 1$/,
    ],
    [
      typed(1, { actual: -1 }),
      "RangeError",
      /^the saved state of virtio-balloon cannot be used: type.actual is -1, not 0 to 4294967295$/,
    ],
    [typed(2, { left: "x" }), "RangeError", /^the saved state of virtio-entropy cannot be used: type.left is string, /],
    [
      typed(4, { writeback: 2 }),
      "RangeError",
      /^the saved state of virtio-blk cannot be used: type.writeback is number, /,
    ],
    [
      typed(5, { units: [] }),
      "RangeError",
      /^the saved state of virtio-scsi cannot be used: type.units are 0, here are 1$/,
    ],
    [typed(3, { filter: 5 }), "RangeError", /^the saved state of virtio-net cannot be used: type.filter is missing$/],
    [changed(3, () => ({ name: "virtio-blk" })), "RangeError", /name is virtio-blk: here is a virtio-net$/],
    [cut, "RangeError", /^v86 does not take its part of the snapshot: /],
  ];
  const before = second.plugged.map((device) => device.save());
  for (const [bad, name, message] of wrong) {
    await assert.rejects(second.pc.restore(bad), { name, message });
    assert.deepEqual(
      second.plugged.map((device) => device.save()),
      before,
    );
  }
});

test("snapshot: in another PC Linux goes on with consoles, ports, balloon, random bytes, network and disks", {
  skip,
}, async () => {
  const { pc, console, balloon, entropy, net, inflated } = second;
  await pc.restore(snapshot);
  const pagesThen = balloon.pages;
  assert.ok(pagesThen >= 1024 && pagesThen < 6000, `${pagesThen} pages: it was growing`);
  assert.equal(inflated.size, pagesThen, "who owns the memory was told");
  assert.ok(balloon.actual >= 1024 && balloon.target === 6000);
  assert.deepEqual(
    console.ports.map(({ id, name, guestIsOpen }) => [id, name, guestIsOpen]),
    [
      [0, undefined, true],
      [1, undefined, true],
      [2, "org.ringside.log", true],
      [3, "late", true],
    ],
  );
  assert.deepEqual(console.size, { columns: 132, rows: 43 });
  assert.deepEqual(net.filter.save(), first.net.filter.save());
  assert.deepEqual(net.filter.mac, parseMac("52:54:00:aa:bb:cc"));
  assert.equal(second.disk.hasWriteCache, false);
  const heard = new Map<number, string>();
  for (const port of console.ports) {
    port.onData = (bytes) => heard.set(port.id, (heard.get(port.id) ?? "") + new TextDecoder().decode(bytes));
  }
  const shell = new GuestShell(pc);
  await pc.emulator.run();
  await shell.run("echo by the second console >&3; echo by name >&4; echo by the late one >&5");
  await reaches(
    () => [1, 2, 3].map((id) => heard.get(id)?.trimEnd()),
    ["by the second console", "by name", "by the late one"],
  );
  // Of one disk the driver asks the device each time, of the other when it is told to look again.
  await shell.run("for disk in /sys/class/scsi_disk/*; do echo 1 >$disk/device/rescan; done");
  assert.equal(await shell.run(`cat ${caches}`), "write through\nwrite through");
  assert.equal(await shell.run("stty size <&3"), "43 132");
  assert.match(await shell.run(`head -c ${unread.length} <&4 | md5sum`), new RegExp(`^${md5(unread)}`));
  console.removePort(3);
  await shell.run("for try in $(seq 50); do [ ! -c /dev/vport0p3 ] && break; sleep 0.1; done; [ ! -c /dev/vport0p3 ]");
  await reaches(() => balloon.actual, 6000);
  assert.equal(balloon.pages, 6000);
  assert.ok((await balloon.askStatistics()).size > 5);
  balloon.setTarget(0);
  await reaches(() => balloon.pages, 0);
  assert.equal(inflated.size, 0);
  await shell.run("wait");
  assert.match(await shell.run("cat /tmp/ping"), /30 packets transmitted, 30 packets received/);
  assert.match(await shell.run("ping -c 2 -i 0.2 10.0.2.2"), /2 packets received/);
  assert.equal(await shell.run("wc -c </tmp/random"), String(randomBytes));
  assert.ok(entropy.bytesGiven > 0, "and they came from here");
  for (const { core } of second.plugged) assert.deepEqual([...core.violations], []);
});
