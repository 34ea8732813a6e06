/** What device types keep in a snapshot: another device takes all of it over, or none of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLink, Packet } from "../packet/index.js";
import { type Fields, moved, plug, refusal, saved, withType } from "../testing/saved-device.js";
import {
  commonRegisters,
  type DeviceCoreState,
  legacyRegisters,
  noVector,
  type VirtioPciDevice,
  type VirtioPciState,
} from "../transport/index.js";
import {
  FillBudget,
  netFeatures,
  RxCommand,
  VirtioBalloonDevice,
  VirtioConsoleDevice,
  VirtioEntropyDevice,
  VirtioNetDevice,
} from "./index.js";

const bits = (...numbers: number[]) => numbers.reduce((set, bit) => set | (1n << BigInt(bit)), 0n);

test("console: size, ports with their ends and what waits on them go over; ports that are the same stay the same objects", () => {
  const first = new VirtioConsoleDevice({ ports: [{}, { name: "a" }, { name: "b", isOpen: false }], maxPorts: 6 });
  const state = saved(plug(first));
  first.resize({ columns: 132, rows: 43 });
  first.setOpen(1, false);
  first.addPort({ name: "late", bufferLimit: 10 });
  first.port(3).send(Uint8Array.of(1, 2, 3));
  first.port(3).send(Uint8Array.of(4));
  first.port(2).setGuestOpen(true);
  first.removePort(1);
  const messages = [{ bytes: Uint8Array.of(1, 0, 0, 0, 1, 0, 1, 0) }];
  const full = withType(state, { ...structuredClone(first.saveState()), messages });
  const second = new VirtioConsoleDevice({ ports: [{}, { name: "a" }, { name: "b" }], maxPorts: 6 });
  const told: boolean[] = [];
  const { [0]: port0, [2]: port2 } = second.ports;
  port2.onGuestOpen = (isOpen) => told.push(isOpen);
  const taken = moved(full, plug(second));
  assert.deepEqual(taken.core.type, full.core.type);
  assert.deepEqual([second.port(0) === port0, second.port(2) === port2], [true, true]);
  assert.deepEqual(told, [true]);
  assert.deepEqual(
    second.ports.map(({ id, name, isOpen, buffered }) => [id, name, isOpen, buffered]),
    [
      [0, undefined, true, 0],
      [2, "b", false, 0],
      [3, "late", true, 4],
    ],
  );
  assert.deepEqual(second.size, { columns: 132, rows: 43 });
  assert.equal(second.port(3).send(new Uint8Array(20)), 6, "the bound on what waits is the same");
});

test("balloon: what was asked for, what the driver told, and every page go over; the owner is told of the pages", () => {
  const told: number[] = [];
  const second = new VirtioBalloonDevice({ pageLimit: 100, inflated: (page) => told.push(page) });
  const state = saved(plug(new VirtioBalloonDevice({ pageLimit: 100 })));
  const full = withType(state, { target: 7, actual: 5, pages: Uint8Array.of(0b1000_0001, 0, 0b10) });
  assert.deepEqual(moved(full, plug(second)), full);
  assert.deepEqual([second.target, second.actual, second.pages, told], [7, 5, 3, [0, 7, 17]]);
  assert.deepEqual(
    [6, 7, 16, 17, 18].filter((page) => second.holds(page)),
    [7, 17],
  );
});

test("net: address, modes, tables, VLANs, pairs, offloads, link and an announcement that is not answered go over", () => {
  const make = () => new VirtioNetDevice(createLink()[0], { queuePairs: 2 });
  const second = make();
  const plugged = plug(second);
  const vlans = new Uint8Array(4096);
  vlans[5] = 1;
  const filter = {
    mac: Uint8Array.of(2, 0, 0, 0, 0, 9),
    modes: bits(RxCommand.AllMulticast, RxCommand.NoBroadcast),
    unicast: { overflowed: false, addresses: Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2) },
    multicast: { overflowed: true, addresses: new Uint8Array(0) },
    vlans,
  };
  const offloads = bits(netFeatures.GUEST_CSUM);
  const full = withType(saved(plug(make())), { filter, pairs: 2, offloads, linkUp: false, announcing: true });
  assert.deepEqual(moved(full, plugged), full);
  assert.deepEqual([second.pairsInUse, second.isLinkUp, second.isAnnouncing], [2, false, true]);
  assert.deepEqual([second.filter.vlans, second.filter.multicast.overflowed], [[5], true]);
  const to = (...mac: number[]) => second.filter.passes(new Packet(Uint8Array.from([...mac, ...new Uint8Array(54)])));
  assert.deepEqual(
    [
      to(2, 0, 0, 0, 0, 9),
      to(2, 0, 0, 0, 0, 2),
      to(2, 0, 0, 0, 0, 3),
      to(255, 255, 255, 255, 255, 255),
      to(1, 0, 0, 0, 0, 1),
    ],
    [true, true, false, false, true],
  );
});

test("entropy: what is left of the rate goes over: a snapshot gives no more bytes than going on does", () => {
  let now = 1000;
  const rate = { bytes: 16, milliseconds: 100 };
  const first = new FillBudget(rate, () => now);
  assert.equal(first.take(10), 10);
  now += 30;
  const { left, period } = first.save();
  assert.deepEqual([left, period], [6, 70]);
  now = 5;
  const second = new FillBudget(rate, () => now);
  second.restore(left, period);
  assert.deepEqual([second.take(10), second.take(1), second.wait], [6, 0, 70]);
  now += 70;
  assert.equal(second.take(100), 16);
  second.restore(1000, 10_000);
  assert.deepEqual([second.take(100), second.wait], [16, 100], "no more than the rate of this one");
});

test("a state with anything in it that cannot be is refused in one line, and the device stays as it was", () => {
  const console = plug(new VirtioConsoleDevice({ ports: [{}, {}], maxPorts: 3 }));
  const net = plug(new VirtioNetDevice(createLink()[0]));
  const balloon = plug(new VirtioBalloonDevice({ pageLimit: 100 }));
  const entropy = plug(new VirtioEntropyDevice({ rate: { bytes: 1, milliseconds: 1 } }));
  const port = { id: 0, isConsole: true, isOpen: true, guestOpen: true, limit: 10, waiting: new Uint8Array(0) };
  const filter = saved(net).core.type["filter"] as Fields;
  const wrong: [device: VirtioPciDevice, fields: Fields, why: string][] = [
    [console, { version: 2 }, "type.version is 2, this knows 1"],
    [console, { version: undefined }, "type.version is undefined, not 0 to 9007199254740991"],
    [console, { columns: 65_536 }, "type.columns is 65536, not 0 to 65535"],
    [console, { rows: 1.5 }, "type.rows is 1.5, no whole number"],
    [console, { isReady: 1 }, "type.isReady is number, not true or false"],
    [console, { messages: "none" }, "type.messages is string, no list"],
    [console, { messages: [{ bytes: [1] }] }, "type.messages 0.bytes is object, no bytes"],
    [console, { ports: [port, port] }, "type.ports has a port twice"],
    [console, { ports: [{ ...port, id: 3 }] }, "type.ports has port 3: there are 3"],
    [console, { ports: [1] }, "type.ports 0 is missing"],
    [console, { ports: [{ ...port, name: 5 }] }, "type.ports 0.name is number, no text"],
    [console, { ports: new Array(4).fill(port) }, "type.ports has 4 entries, at most 3 fit"],
    [
      console,
      { ports: [{ ...port, waiting: new Uint8Array(11) }] },
      "type.ports 0.waiting has 11 bytes, at most 10 fit",
    ],
    [balloon, { target: 2 ** 32 }, "type.target is 4294967296, not 0 to 4294967295"],
    [balloon, { pages: new Uint8Array(14) }, "type.pages has 14 bytes, at most 13 fit"],
    [balloon, { pages: new Uint8Array(13).fill(16, 12) }, "type.pages has pages past the 100 that there are"],
    [entropy, { left: -1 }, "type.left is -1, not 0 to 9007199254740991"],
    [entropy, { period: Number.NaN }, "type.period is NaN, not 0 to 1.7976931348623157e+308"],
    [net, { pairs: 0 }, "type.pairs is 0"],
    [net, { pairs: 2 }, "type.pairs is 2, not 0 to 1"],
    [net, { offloads: 1 }, "type.offloads is number, no set of bits"],
    [net, { offloads: 1n }, "type.offloads is 0x1, more than the 0x782 that there can be"],
    [net, { filter: { ...filter, mac: new Uint8Array(5) } }, "type.filter.mac has 5 bytes of 6"],
    [net, { filter: { ...filter, modes: 64n } }, "type.filter.modes is 0x40, more than the 0x3f that there can be"],
    [net, { filter: { ...filter, vlans: new Uint8Array(1) } }, "type.filter.vlans has 1 of 4096"],
    [
      net,
      { filter: { ...filter, unicast: { overflowed: false, addresses: new Uint8Array(7) } } },
      "type.filter.unicast.addresses has 7 bytes: six for each",
    ],
  ];
  for (const [device, fields, why] of wrong) {
    const { name } = device.core.type;
    assert.equal(refusal(device, withType(saved(device), fields)), `the saved state of ${name} cannot be used: ${why}`);
  }
});

test("a state of another device, or with registers that cannot be, is refused, and the device stays as it was", () => {
  const device = plug(new VirtioEntropyDevice());
  const state = saved(device);
  const core = (change: Partial<DeviceCoreState>) => ({ ...state, core: { ...state.core, ...change } });
  const [queue] = state.core.queues;
  const wrong: [state: VirtioPciState, why: string][] = [
    [saved(plug(new VirtioBalloonDevice())), "config is that of another device"],
    [{ ...state, config: state.config.subarray(1) }, "config has 255 bytes of 256"],
    [{ ...state, isr: 4 }, "isr is 4, not 0 to 3"],
    [{ ...state, selected: { ...state.selected, queue: 65_536 } }, "selected.queue is 65536, not 0 to 65535"],
    [
      { ...state, selected: { ...state.selected, driverFeatures: -1 } },
      "selected.driverFeatures is -1, not 0 to 4294967295",
    ],
    [{ ...state, selected: undefined } as unknown as VirtioPciState, "selected is missing"],
    [core({ name: "virtio-net" }), "name is virtio-net: here is a virtio-entropy"],
    [
      core({ status: 8, features: bits(60) }),
      /^features is 0x1000000000000000, more than the 0x\w+ that there can be$/.source,
    ],
    [core({ queues: [] }), "queues are 0, not 1"],
    [core({ queues: [queue, queue] }), "queues has 2 entries, at most 1 fit"],
    [core({ queues: [{ ...queue, size: 16 }] }), "queues has a queue 0 larger than the 8 that fit"],
    [core({ queues: [{ ...queue, available: 65_536, used: 0 }] }), "queues 0.available is 65536, not 0 to 65535"],
    [core({ queues: [{ ...queue, available: 5 }] }), "queues 0.used is undefined, not 0 to 65535"],
  ];
  for (const [bad, why] of wrong) {
    const message = refusal(device, bad);
    const start = "the saved state of virtio-entropy cannot be used: ";
    if (why.startsWith("^")) assert.match(message.slice(start.length), new RegExp(why));
    else assert.equal(message, start + why);
  }
});

test("§4.1.4.3: what a driver had just selected goes over, in every register face: its next access is to the same", () => {
  const registers = (device: VirtioPciDevice, bar: number) => {
    const { window } = device.function.bars.find(({ index }) => index === bar) ?? {};
    assert.ok(window !== undefined);
    return window;
  };
  const modern = plug(new VirtioConsoleDevice({ ports: [{}, {}] }));
  const { deviceFeatureSelect, driverFeatureSelect, driverFeature, queueSelect, queueVector } = commonRegisters;
  const common = registers(modern, 4);
  common.write32(deviceFeatureSelect.offset, 1);
  common.write32(driverFeatureSelect.offset, 1);
  common.write16(queueSelect.offset, 3);
  const other = plug(new VirtioConsoleDevice({ ports: [{}, {}] }));
  assert.deepEqual(moved(saved(modern), other), saved(modern));
  const there = registers(other, 4);
  assert.deepEqual([there.read32(deviceFeatureSelect.offset), there.read16(queueSelect.offset)], [1, 3]);
  there.write32(driverFeature.offset, 1);
  there.write16(queueVector.offset, 0);
  assert.equal(other.core.driverFeatures, bits(32));
  assert.deepEqual(
    other.core.queues.map(({ vector }) => vector),
    other.core.queues.map((_, index) => (index === 3 ? 0 : noVector)),
  );
  const legacy = plug(new VirtioConsoleDevice({ ports: [{}, {}] }), "legacy");
  registers(legacy, 0).write16(legacyRegisters.queueSelect.offset, 3);
  const moving = plug(new VirtioConsoleDevice({ ports: [{}, {}] }), "legacy");
  assert.equal(moved(saved(legacy), moving).selected.queue, 3);
  registers(moving, 0).write32(legacyRegisters.queueAddress.offset, 5);
  assert.deepEqual(
    moving.core.queues.map(({ enabled }) => enabled),
    moving.core.queues.map((_, index) => index === 3),
  );
});
