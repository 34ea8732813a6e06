/** rpmsg, both halves against each other, and against vectors of 0.9.5's appendix H. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError } from "../../errors/index.js";
import { type LoopbackMachineOptions, loopDevice } from "../../testing/index.js";
import {
  firstDynamicAddress,
  nameServiceAddress,
  nameServiceMessage,
  RpmsgBus,
  type RpmsgCarrier,
  type RpmsgDriverOptions,
  type RpmsgMessage,
  rpmsgBufferSize,
  rpmsgHeader,
  rpmsgPayloadSize,
  VirtioRpmsgDevice,
  VirtioRpmsgDriver,
  type VirtioRpmsgOptions,
} from "./index.js";

interface Setting extends LoopbackMachineOptions {
  readonly device?: VirtioRpmsgOptions;
  readonly driver?: RpmsgDriverOptions;
}

async function loop({ device, driver, ...machine }: Setting = {}) {
  const half = new VirtioRpmsgDevice(device);
  const open = loopDevice(half, (transport) => VirtioRpmsgDriver.open(transport, driver), machine);
  const found = await open;
  return { ...found, device: half };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (words: string) => new TextEncoder().encode(words);

/** A bus whose messages are kept. */
function lonelyBus(endianness: "little" | "big", hasNameService = true) {
  const sent: Uint8Array[] = [];
  const bus = new RpmsgBus();
  const carrier: RpmsgCarrier = {
    endianness,
    payloadSize: rpmsgPayloadSize,
    hasNameService,
    send: async (message) => void sent.push(message),
  };
  bus.carry(carrier);
  return { bus, sent };
}

/** A whole message. */
function message(source: number, destination: number, data: Uint8Array, length = data.length): Uint8Array {
  const bytes = new Uint8Array(rpmsgHeader.size + data.length);
  const header = { source, destination, reserved: 0, length, flags: 0 };
  rpmsgHeader.write(new DataView(bytes.buffer), 0, "little", header);
  bytes.set(data, rpmsgHeader.size);
  return bytes;
}

function announcement(name: string, address: number, flags: number): Uint8Array {
  const data = new Uint8Array(nameServiceMessage.size);
  nameServiceMessage.write(new DataView(data.buffer), 0, "little", { name, address, flags });
  return message(address, nameServiceAddress, data);
}

test("R-1201: two queues, the name service as feature 0, no configuration", () => {
  const device = new VirtioRpmsgDevice();
  assert.deepEqual([device.deviceId, device.queueSizes.length, device.configSize, device.features], [7, 2, 0, 1n]);
  assert.equal(new VirtioRpmsgDevice({ nameService: false }).features, 0n);
});

test("R-1202: the driver fills the receive queue with buffers of 512 bytes", async () => {
  const { adapter, close } = await loop({ device: { queueSize: 32 } });
  const queue = adapter.core.queue(0);
  let buffers = 0;
  for (let chain = queue?.pop(); chain !== undefined; chain = queue?.pop()) {
    assert.deepEqual([chain.readable.byteLength, chain.writable.byteLength], [0, rpmsgBufferSize]);
    buffers++;
  }
  assert.equal(buffers, 32);
  await close();
});

test("R-1203: the header is source, destination, reserved, length of the payload, flags: 16 packed bytes", async () => {
  assert.equal(rpmsgHeader.size, 16);
  const data = bytesOf("abc");
  for (const [endianness, hex] of [
    ["little", "00040000350000000000000003000000616263"],
    ["big", "00000400000000350000000000030000616263"],
  ] as const) {
    const { bus, sent } = lonelyBus(endianness);
    await bus.send(0x400, 53, data);
    assert.equal(Buffer.from(sent[0]).toString("hex"), hex);
  }
});

test("R-1204: a message that says it is longer than its buffer is refused, on both sides", async () => {
  const { device, driver, adapter, close, until } = await loop();
  const heard: string[] = [];
  device.bus.createEndpoint({ address: 7, onMessage: ({ data }) => heard.push(text(data)) });
  driver.bus.createEndpoint({ address: 8, onMessage: ({ data }) => heard.push(text(data)) });
  for (const [length, fault] of [
    [4, undefined],
    [3, undefined],
    [5, "longer than its buffer"],
    [0xffff, "longer than its buffer"],
  ] as const) {
    for (const [bus, destination] of [
      [device.bus, 7],
      [driver.bus, 8],
    ] as const) {
      assert.equal(bus.received(message(1, destination, bytesOf("four"), length), "little"), fault);
    }
  }
  assert.equal(driver.bus.received(new Uint8Array(15), "little"), "shorter than its header");
  assert.deepEqual(heard, ["four", "four", "fou", "fou"]);
  await assert.rejects(driver.bus.send(1, 7, new Uint8Array(rpmsgPayloadSize + 1)), RangeError);
  await assert.rejects(device.bus.send(1, 8, new Uint8Array(rpmsgPayloadSize + 1)), RangeError);
  await driver.bus.send(1, 7, new Uint8Array(rpmsgPayloadSize));
  await device.bus.send(1, 8, new Uint8Array(rpmsgPayloadSize));
  await until(() => heard.length === 6);
  assert.equal(adapter.core.violations.size, 0);
  await close();
});

test("R-1205: a name service message is a name of 32 bytes, the address, the flags: 40 packed bytes", async () => {
  assert.equal(nameServiceMessage.size, 40);
  const { bus, sent } = lonelyBus("big");
  const endpoint = bus.createEndpoint({ name: "rpmsg-client-sample", address: 0x401 });
  endpoint.close();
  const name = Buffer.from("rpmsg-client-sample").toString("hex").padEnd(64, "0");
  for (const [index, flags] of ["00000000", "00000001"].entries()) {
    const hex = Buffer.from(sent[index]).toString("hex");
    assert.equal(hex, `00000401000000350000000000280000${name}00000401${flags}`);
  }
});

test("R-1206: flags other than CREATE and DESTROY are refused", () => {
  const { bus } = lonelyBus("little");
  for (const flags of [2, 3, 0xffff_ffff, 0x8000_0000]) {
    assert.equal(bus.received(announcement("echo", 2000, flags), "little"), "unknown name service flag");
  }
  assert.deepEqual(bus.services, []);
  const cut = announcement("echo", 2000, 0).slice(0, -1);
  rpmsgHeader.write(new DataView(cut.buffer), 0, "little", { length: 39 });
  assert.equal(bus.received(cut, "little"), "name service message of another size");
});

test("R-1207: CREATE makes a channel and DESTROY removes it, in both directions", async () => {
  const { device, driver, close, until } = await loop();
  for (const [here, there] of [
    [device.bus, driver.bus],
    [driver.bus, device.bus],
  ]) {
    const seen: string[] = [];
    there.onService(({ name, address }, what) => seen.push(`${what} ${name} ${address}`));
    const endpoint = here.createEndpoint({ name: "echo", onMessage: ({ source, data }) => reply(source, data) });
    const reply = (source: number, data: Uint8Array) => endpoint.send(source, bytesOf(`${text(data)}!`));
    await until(() => there.services.length === 1);
    const heard: RpmsgMessage[] = [];
    const other = there.createEndpoint({ onMessage: (more) => heard.push(more) });
    await other.send(there.services[0].address, bytesOf("hello"));
    await until(() => heard.length === 1);
    assert.deepEqual([heard[0].source, text(heard[0].data)], [endpoint.address, "hello!"]);
    endpoint.close();
    await until(() => there.services.length === 0);
    assert.deepEqual(seen, [`created echo ${endpoint.address}`, `destroyed echo ${endpoint.address}`]);
    other.close();
  }
  await close();
});

test("R-1207: without F_NS nobody is told, and address 53 is an address like others", async () => {
  const { device, driver, close } = await loop({ device: { nameService: false } });
  device.bus.createEndpoint({ name: "silent", address: 1500 });
  assert.equal(driver.bus.received(announcement("echo", 2000, 0), "little"), "nobody has this address");
  const heard: string[] = [];
  driver.bus.createEndpoint({ onMessage: ({ data }) => heard.push(text(data)), address: 1600 });
  await device.bus.send(1500, 1600, bytesOf("directly"));
  await driver.bus.send(1600, 1500, bytesOf("too"));
  assert.deepEqual(driver.bus.services, []);
  await close();
  const { bus, sent } = lonelyBus("little", false);
  bus.createEndpoint({ name: "silent" }).close();
  assert.deepEqual([heard, sent], [["directly"], []]);
});

test("R-1207: services that were there first are told when the driver comes up, and again after a freeze", async () => {
  const half = new VirtioRpmsgDevice();
  half.bus.createEndpoint({ name: "first" });
  const bus = new RpmsgBus();
  bus.createEndpoint({ name: "mine" });
  const found = await loopDevice(half, (transport) => VirtioRpmsgDriver.open(transport, { bus }));
  for (let round = 0; round < 2; round++) {
    await found.until(() => bus.services.length === 1 && half.bus.services.length === 1);
    assert.deepEqual([bus.services[0].name, half.bus.services[0].name], ["first", "mine"]);
    await found.driver.freeze();
    assert.deepEqual([bus.services, half.bus.services], [[], []]);
    await assert.rejects(bus.send(1024, 1024, bytesOf("x")), DeviceError);
    await found.driver.restore();
  }
  await found.close();
});

test("R-1208: many channels share the two queues, and none gets what is another's", async () => {
  const { device, driver, close, until } = await loop({ device: { queueSize: 16 } });
  const heard = new Map<string, string[]>();
  const listen = (key: string) => (more: RpmsgMessage) => {
    heard.set(key, [...(heard.get(key) ?? []), `${more.source} ${text(more.data)}`]);
  };
  const here = Array.from({ length: 40 }, (_, index) =>
    device.bus.createEndpoint({ address: 5000 + index, onMessage: listen(`device ${index}`) }),
  );
  const there = Array.from({ length: 40 }, (_, index) =>
    driver.bus.createEndpoint({ address: 7000 + index, onMessage: listen(`driver ${index}`) }),
  );
  const sends = here.flatMap((endpoint, index) => {
    const other = there[(index * 7) % 40];
    return [
      endpoint.send(other.address, bytesOf(`to ${other.address}`)),
      other.send(endpoint.address, bytesOf("back")),
    ];
  });
  await Promise.all(sends);
  await until(() => heard.size === 80);
  for (let index = 0; index < 40; index++) {
    assert.deepEqual(heard.get(`driver ${(index * 7) % 40}`), [`${5000 + index} to ${7000 + ((index * 7) % 40)}`]);
    assert.deepEqual(heard.get(`device ${index}`), [`${7000 + ((index * 7) % 40)} back`]);
  }
  await close();
});

test("R-1209, A-17: the name service is at 53, buffers have 512 bytes, addresses are given from 1024 on", () => {
  const { bus } = lonelyBus("little");
  assert.deepEqual([nameServiceAddress, rpmsgBufferSize, rpmsgPayloadSize, firstDynamicAddress], [53, 512, 496, 1024]);
  assert.equal(bus.createEndpoint().address, 1024);
  assert.equal(bus.createEndpoint({ address: 1025 }).address, 1025);
  assert.equal(bus.createEndpoint().address, 1026);
  for (const address of [53, 1024, -1, 0.5, 0xffff_ffff])
    assert.throws(() => bus.createEndpoint({ address }), RangeError);
  for (const name of ["", "two words", "x".repeat(32), "ä"])
    assert.throws(() => bus.createEndpoint({ name }), RangeError);
});

test("a flood of services is bounded, and told twice is told once", () => {
  const { bus } = lonelyBus("little");
  for (let index = 0; index < 1024; index++)
    assert.equal(bus.received(announcement(`s${index}`, index, 0), "little"), undefined);
  assert.equal(bus.received(announcement("more", 1, 0), "little"), "too many services");
  assert.equal(bus.received(announcement("s5", 5, 0), "little"), undefined);
  assert.equal(bus.services.length, 1024);
  assert.equal(bus.received(announcement("unknown", 1, 1), "little"), undefined);
});

test("removal under load fails each message once; what waits at the device ends too", async () => {
  const { device, driver, close } = await loop({ startIndex: 65_530, driver: { startIndex: 65_530, buffers: 2 } });
  const ends: string[] = [];
  const count = (error?: Error) => ends.push(error?.message ?? "sent");
  const sends = [driver.bus, device.bus].flatMap((bus) =>
    Array.from({ length: 30 }, () => bus.send(1, 2, bytesOf("x")).then(() => count(), count)),
  );
  await driver.close(new DeviceError("pulled out"));
  await Promise.all(sends);
  assert.equal(ends.length, 60);
  assert.deepEqual(new Set(ends), new Set(["sent", "pulled out", "the rpmsg driver was reset"]));
  await assert.rejects(driver.bus.send(1, 2, bytesOf("x")), /not up/);
  await assert.rejects(device.bus.send(1, 2, bytesOf("x")), /not up/);
  await close();
});

test("a device whose driver takes nothing refuses more messages than it may keep", async () => {
  const { device, close } = await loop({ device: { patience: 5 }, driver: { buffers: 1 } });
  const sends = Array.from({ length: 20 }, () => device.bus.send(1, 2, bytesOf("x")));
  const settled = await Promise.race([
    Promise.allSettled(sends.slice(7)),
    new Promise<[]>((r) => setTimeout(r, 500, [])),
  ]);
  assert.ok(settled.length === 13 && settled.every(({ status }) => status === "rejected"));
  await Promise.allSettled([close(), ...sends]);
});

test("what hostile drivers send is counted and dropped: cut headers, wrong lengths, unknown addresses, short buffers", async () => {
  const { device, driver, adapter, close, until } = await loop({ driver: { bufferSize: 64 } });
  const { violations } = adapter.core;
  await driver.bus.send(1, 999, bytesOf("nobody"));
  assert.equal(violations.get("request-data-length"), 1);
  await assert.rejects(device.bus.send(1, 2, new Uint8Array(100)), /64 bytes for a message of 116/);
  assert.equal(violations.get("response-space-short"), 1);
  await device.bus.send(1, 2, new Uint8Array(48));
  await until(() => driver.faults.get("nobody has this address") === 1);
  await close();
});
