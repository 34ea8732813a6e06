/** Entropy, balloon, console and rpmsg, our drivers on our devices: every row of loopback-rings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ConsolePort,
  RpmsgBus,
  VirtioBalloonDevice,
  VirtioBalloonDriver,
  VirtioConsoleDevice,
  VirtioConsoleDriver,
  VirtioEntropyDevice,
  VirtioEntropyDriver,
  VirtioRpmsgDevice,
  VirtioRpmsgDriver,
} from "../virtio/index.js";
import { loopDevice } from "./index.js";
import { type LoopbackRings, loopbackMatrix, ringsName } from "./loopback-rings.js";

async function entropy(rings: LoopbackRings): Promise<void> {
  const device = new VirtioEntropyDevice({ source: (bytes) => bytes.fill(0xa5) });
  const open = loopDevice(device, (where) => VirtioEntropyDriver.open(where, rings), rings);
  const { driver, close } = await open;
  const reads = Array.from({ length: 40 }, async (_, index) => {
    const bytes = new Uint8Array(1 + index * 20);
    assert.equal(await driver.read(bytes), bytes.length);
    assert.ok(bytes.every((byte) => byte === 0xa5));
  });
  await Promise.all(reads);
  await close();
}

async function balloon(rings: LoopbackRings): Promise<void> {
  const device = new VirtioBalloonDevice({ mustTellHost: rings.indirect });
  const free = Array.from({ length: 900 }, (_, page) => page);
  const memory = { take: () => free.pop(), give: (page: number) => void free.push(page) };
  const options = { ...rings, memory, statistics: () => new Map([[4, BigInt(free.length)]]) };
  const { driver, until, close } = await loopDevice(device, (where) => VirtioBalloonDriver.open(where, options), rings);
  for (const pages of [700, 10, 300]) {
    device.setTarget(pages);
    await until(() => device.actual === pages);
    await driver.settled();
    assert.deepEqual([device.pages, free.length], [pages, 900 - pages]);
    assert.equal((await device.askStatistics()).get(4), BigInt(900 - pages));
  }
  await close();
  assert.equal(free.length, 900);
}

async function consoles(rings: LoopbackRings): Promise<void> {
  const device = new VirtioConsoleDevice({ ports: [{}, { name: "second" }], queueSize: 8 });
  const open = loopDevice(device, (where) => VirtioConsoleDriver.open(where, rings), rings);
  const { driver, until, close } = await open;
  await until(() => driver.ports.get(1)?.name === "second" && device.ports.every((port) => port.guestIsOpen));
  for (const id of [0, 1]) {
    const port = driver.ports.get(id) as ConsolePort;
    const data = Uint8Array.from({ length: 30_000 }, (_, index) => (index * 3 + id) & 0xff);
    const [up, down]: [number[], number[]] = [[], []];
    device.port(id).onData = (bytes) => up.push(...bytes);
    port.onData = (bytes) => down.push(...bytes);
    device.port(id).send(data);
    await port.write(data);
    await until(() => down.length === data.length);
    assert.deepEqual(Uint8Array.from(up), data);
    assert.deepEqual(Uint8Array.from(down), data);
  }
  await close();
}

async function rpmsg(rings: LoopbackRings): Promise<void> {
  const device = new VirtioRpmsgDevice({ queueSize: 16 });
  const echo = device.bus.createEndpoint({ name: "echo" });
  echo.onMessage = ({ source, data }) => void echo.send(source, data);
  const bus = new RpmsgBus();
  const options = { ...rings, bus };
  const { until, close } = await loopDevice(device, (where) => VirtioRpmsgDriver.open(where, options), rings);
  await until(() => bus.services.length === 1);
  const heard: number[] = [];
  const endpoint = bus.createEndpoint({ onMessage: ({ data }) => heard.push(data[0]) });
  const [{ address }] = bus.services;
  await Promise.all(Array.from({ length: 100 }, (_, index) => endpoint.send(address, Uint8Array.of(index))));
  await until(() => heard.length === 100);
  assert.deepEqual(
    heard,
    Array.from({ length: 100 }, (_, index) => index),
  );
  await close();
}

for (const rings of loopbackMatrix) {
  test(`entropy, balloon, console, rpmsg: ${ringsName(rings)}`, async () => {
    await entropy(rings);
    await balloon(rings);
    await consoles(rings);
    // There is no PCI ID of a legacy rpmsg device.
    if (rings.transport === "modern") await rpmsg(rings);
  });
}
