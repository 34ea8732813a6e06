/** The net driver half, unchanged, on QEMU's own virtio-net-pci, legacy and modern. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatMac, Packet, parseMac, UserNetwork } from "../../src/packet/index.js";
import { patternFrame } from "../../src/testing/index.js";
import { ringFeatures } from "../../src/transport/index.js";
import { netFeatures, RxCommand } from "../../src/virtio/index.js";
import { after, before, test } from "./limited-test.js";
import { type QemuNetCase, StreamPeer, until, untilFramesPass, whyNoQemu, withQemuNet } from "./net-qemu.js";

const skip = whyNoQemu();
const options = skip === undefined ? {} : { skip };
const other = parseMac("52:54:00:01:02:03");
let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-net-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

let sockets = 0;
async function withStream(
  how: Omit<QemuNetCase, "netdev">,
  work: (parts: {
    peer: StreamPeer;
    driver: Parameters<Parameters<typeof withQemuNet>[2]>[0];
    machine: Parameters<Parameters<typeof withQemuNet>[2]>[1];
  }) => Promise<void>,
): Promise<void> {
  const path = join(folder, `stream${sockets++}`);
  const peer = await StreamPeer.listen(path);
  try {
    const netdev = `stream,server=off,addr.type=unix,addr.path=${path}`;
    await withQemuNet(folder, { ...how, netdev }, (driver, machine) => work({ peer, driver, machine }));
  } finally {
    peer.close();
  }
}

const cases: readonly (Omit<QemuNetCase, "netdev"> & { name: string; kind: string })[] = [
  { name: "legacy, INTx", device: "disable-modern=on", prefer: "intx", registers: "legacy", kind: "pci-legacy" },
  { name: "legacy, MSI-X", device: "disable-modern=on", prefer: "msix", registers: "legacy", kind: "pci-legacy" },
  {
    name: "legacy, one buffer a packet",
    device: "disable-modern=on,mrg_rxbuf=off",
    registers: "legacy",
    kind: "pci-legacy",
  },
  { name: "modern, INTx", prefer: "intx", kind: "pci-modern" },
  { name: "modern, MSI-X", prefer: "msix", kind: "pci-modern" },
  { name: "modern, one buffer a packet", device: "mrg_rxbuf=off", kind: "pci-modern" },
  { name: "modern, small mergeable buffers", driver: { bufferSize: 128 }, kind: "pci-modern" },
  { name: "modern, packed", device: "packed=on", kind: "pci-modern" },
  {
    name: "modern, packed, INTx, direct, flags, one buffer a packet",
    device: "packed=on,event_idx=off,indirect_desc=off,mrg_rxbuf=off",
    prefer: "intx",
    kind: "pci-modern",
  },
];

for (const { name, kind, ...how } of cases) {
  test(`QEMU ${name}: frames of all lengths go both ways unchanged, the ring goes round`, options, async () => {
    await withStream(how, async ({ peer, driver, machine }) => {
      assert.equal(driver.link.transport.kind, kind);
      assert.equal(driver.link.has(ringFeatures.RING_PACKED), name.includes("packed"));
      assert.equal(formatMac(driver.mac), "52:54:00:aa:bb:cc");
      assert.ok(driver.isLinkUp);
      await untilFramesPass(machine, driver, peer);
      const got: Uint8Array[] = [];
      driver.onFrame((packet) => got.push(packet.toBytes()));
      const frames = Array.from({ length: 600 }, (_, index) =>
        patternFrame(other, driver.mac, 60 + ((index * 37) % 1455), index),
      );
      await Promise.all(frames.map((frame) => driver.send(frame)));
      await until(machine, () => peer.frames.length >= frames.length, "the last frame");
      assert.deepEqual(peer.frames, frames);
      const answers = frames.map((frame) => {
        const answer = frame.slice();
        answer.set(driver.mac);
        answer.set(other, 6);
        return answer;
      });
      for (let at = 0; at < answers.length; at += 50) {
        for (const answer of answers.slice(at, at + 50)) peer.send(answer);
        await until(machine, () => got.length >= Math.min(at + 50, answers.length), "the answers");
      }
      assert.deepEqual(got, answers);
      assert.deepEqual([...driver.violations], []);
    });
  });
}

for (const { name, device } of [
  { name: "split", device: "" },
  { name: "packed", device: "packed=on" },
  { name: "packed, flags", device: "packed=on,event_idx=off" },
]) {
  test(`QEMU modern, ${name}: a peer that reads nothing for a while stops packets for no longer`, options, async () => {
    await withStream({ device, driver: { timeout: 10_000 } }, async ({ peer, driver, machine }) => {
      await untilFramesPass(machine, driver, peer);
      const frames = Array.from({ length: 270 }, (_, index) => patternFrame(other, driver.mac, 1500, index));
      peer.pause();
      // Fewer than the ring has places and more than the socket holds: QEMU goes on with them when the peer reads again,
      // finds the ring's end, and its event (packed) stays behind. Each later one comes to a ring that is empty.
      let ended = 0;
      const first = frames.slice(0, 250);
      const sent = first.map((frame) => driver.send(frame).then(() => ended++));
      const all = Promise.all(sent);
      await until(machine, () => ended > 0, "the first packet's end");
      let before = 0;
      while (ended !== before) {
        before = ended;
        for (let turn = 0; turn < 10; turn++) await machine.idle(20);
      }
      assert.ok(ended < first.length, "the socket holds them all: nothing is tested");
      peer.resume();
      await all;
      for (const frame of frames.slice(first.length)) await driver.send(frame);
      await until(machine, () => peer.frames.length >= frames.length, "the last frame");
      assert.deepEqual(peer.frames, frames);
    });
  });
}

test("R-715 QEMU: query-rx-filter shows modes, addresses and VLANs as the driver set them", options, async () => {
  await withStream({}, async ({ driver, machine }) => {
    await driver.setMode(RxCommand.Promiscuous, false);
    await driver.setMode(RxCommand.AllMulticast, false);
    const unicast = [parseMac("52:54:00:00:00:01"), parseMac("52:54:00:00:00:02")];
    const multicast = [parseMac("01:00:5e:00:00:01")];
    await driver.setAddresses(unicast, multicast);
    for (const id of [7, 100, 4094]) await driver.addVlan(id);
    await driver.deleteVlan(100);
    const query = async () =>
      ((await machine.qmp.execute("query-rx-filter", { name: "nic" })) as Record<string, unknown>[])[0];
    const filter = await query();
    assert.equal(filter["promiscuous"], false);
    assert.equal(filter["multicast"], "normal");
    // QEMU lists what came last first.
    assert.deepEqual(sorted(filter["unicast-table"]), unicast.map(formatMac));
    assert.deepEqual(filter["multicast-table"], multicast.map(formatMac));
    assert.deepEqual(sorted(filter["vlan-table"]), [4094, 7]);
    await driver.setMac(parseMac("52:54:00:00:00:77"));
    await driver.setMode(RxCommand.AllMulticast, true);
    const changed = await query();
    assert.equal(changed["main-mac"], "52:54:00:00:00:77");
    assert.equal(changed["multicast"], "all");
    // Frozen and restored, the adapter is asked for all of it again.
    await driver.freeze();
    await driver.restore();
    const restored = await query();
    for (const key of ["promiscuous", "multicast", "unicast-table", "multicast-table", "vlan-table", "main-mac"]) {
      assert.deepEqual(restored[key], changed[key], key);
    }
  });
});

test("R-703 QEMU: set_link is seen, down and up", options, async () => {
  await withStream({}, async ({ driver, machine }) => {
    const seen: boolean[] = [];
    driver.onLink((isUp) => seen.push(isUp));
    await machine.qmp.execute("set_link", { name: "nic", up: false });
    await until(machine, () => seen.length === 1, "the link's going down");
    assert.equal(driver.isLinkUp, false);
    await machine.qmp.execute("set_link", { name: "nic", up: true });
    await until(machine, () => seen.length === 2, "the link's coming up");
    assert.deepEqual(seen, [false, true]);
  });
});

test(
  "R-717 R-718 QEMU: asked by announce-self, the driver announces first and acknowledges then",
  options,
  async () => {
    for (const device of ["disable-modern=on", ""]) {
      await withStream({ device }, async ({ peer, driver, machine }) => {
        assert.ok(driver.link.has(netFeatures.GUEST_ANNOUNCE));
        await untilFramesPass(machine, driver, peer);
        let asked = 0;
        const hello = patternFrame(other, driver.mac, 64, 5);
        driver.announceWith(() => {
          asked++;
          return [hello];
        });
        await machine.qmp.execute("announce-self", { initial: 50, max: 550, rounds: 3, step: 50 });
        const isHello = (frame: Uint8Array) => Buffer.compare(frame, hello) === 0;
        await until(machine, () => peer.frames.filter(isHello).length > 0, "the announcement");
        await until(machine, () => !driver.info.wantsAnnouncement || asked > 0, "the acknowledgement");
        // Acknowledged: the bit is gone, and the device can ask again.
        const bit = () => driver.link.transport.readConfig(6, 2) & 2;
        const rounds = asked;
        await until(machine, () => bit() === 0, "the bit's going");
        await machine.qmp.execute("announce-self", { initial: 50, max: 550, rounds: 1, step: 50 });
        await until(machine, () => asked > rounds, "a second announcement");
      });
    }
  },
);

function sorted(list: unknown): unknown[] {
  return [...(list as unknown[])].sort();
}

/** Puts a network of ours behind the driver: the machine answers as a host would. */
function answerAs(
  address: string,
  driver: Parameters<Parameters<typeof withQemuNet>[2]>[0],
  lose: () => boolean = () => false,
): UserNetwork {
  const network = new UserNetwork({ address, mac: formatMac(driver.mac), clientAddress: "10.0.2.2" });
  network.connect({
    receive(packet) {
      // Lost on the cable: nobody is told.
      if (lose()) return true;
      driver.send(packet).catch(() => {});
      return true;
    },
    resume: () => {},
  });
  driver.onFrame((packet) => {
    if (!lose()) network.deliver(packet);
  });
  return network;
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

for (const { what, total, lossEvery } of [
  { what: "10 MiB both ways", total: 10 << 20, lossEvery: 0 },
  { what: "1 MiB both ways although every 200th packet is lost", total: 1 << 20, lossEvery: 200 },
]) {
  test(`QEMU's user network: TCP of ours carries ${what} with its TCP`, options, async () => {
    const port = await freePort();
    const netdev = `user,restrict=on,hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:7`;
    await withQemuNet(folder, { netdev }, async (driver, machine) => {
      let packets = 0;
      const network = answerAs("10.0.2.15", driver, () => lossEvery > 0 && ++packets % lossEvery === 0);
      // A gratuitous answer: slirp learns where its guest is.
      await driver.send(arpAnnouncement(driver.mac));
      const sent = Buffer.alloc(total, 0);
      for (let at = 0; at < total; at += 4) sent.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
      const received: Buffer[] = [];
      let ended = false;
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.on("data", (data) => received.push(data));
      socket.on("end", () => {
        ended = true;
      });
      socket.end(sent);
      const deadline = Date.now() + 60_000;
      while (!ended && Date.now() < deadline) await machine.idle(5);
      assert.ok(Buffer.concat(received).equals(sent), "the echo differs");
      assert.deepEqual(network.counters.dropped["checksum"] ?? 0, 0);
      for (let turn = 0; turn < 100 && network.connections > 0; turn++) await machine.idle(5);
      assert.equal(network.connections, 0, "both ends closed it");
      network.close();
    });
  });
}

test("QEMU's user network: it answers our ping", options, async () => {
  await withQemuNet(folder, { netdev: "user,restrict=on" }, async (driver, machine) => {
    const replies: Uint8Array[] = [];
    driver.onFrame((packet) => replies.push(packet.toBytes()));
    const network = answerAs("10.0.2.15", driver);
    await driver.send(arpAnnouncement(driver.mac));
    await driver.send(pingFrame(driver.mac));
    const isReply = (frame: Uint8Array) => frame[12] === 8 && frame[13] === 0 && frame[23] === 1 && frame[34] === 0;
    await until(machine, () => replies.some(isReply), "an echo reply");
    const reply = replies.find(isReply) as Uint8Array;
    assert.deepEqual([...reply.subarray(26, 30)], [10, 0, 2, 2]);
    assert.equal(new TextDecoder().decode(reply.subarray(42, 50)), "ringside");
    network.close();
  });
});

function arpAnnouncement(mac: Uint8Array): Uint8Array {
  const frame = new Uint8Array(60);
  frame.fill(0xff, 0, 6);
  frame.set(mac, 6);
  frame.set([8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...mac, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2], 12);
  return frame;
}

/** An echo request to 10.0.2.2 with `ringside` in it, checksums worked out by hand. */
function pingFrame(mac: Uint8Array): Uint8Array {
  const frame = new Uint8Array(60);
  frame.set([0x52, 0x55, 10, 0, 2, 2, ...mac, 8, 0]);
  frame.set([0x45, 0, 0, 36, 0, 1, 0, 0, 64, 1, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2], 14);
  frame.set([8, 0, 0, 0, 0x12, 0x34, 0, 1, ...new TextEncoder().encode("ringside")], 34);
  const packet = new Packet(frame);
  const sum = (from: number, length: number) => {
    let total = 0;
    for (let at = from; at < from + length; at += 2) total += packet.view.getUint16(at);
    while (total > 0xffff) total = (total >>> 16) + (total & 0xffff);
    return total ^ 0xffff;
  };
  packet.view.setUint16(24, sum(14, 20));
  packet.view.setUint16(36, sum(34, 16));
  return frame;
}
