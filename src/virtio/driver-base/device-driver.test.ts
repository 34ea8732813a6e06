/** Drivers of single queues against devices that say anything, and devices that fail: nobody hangs, nothing is lost twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError, ProtocolError, UnsupportedError } from "../../errors/index.js";
import type { Machine } from "../../machine/index.js";
import { anyBytes, loopDevice, type SeededRandom, seededRandom } from "../../testing/index.js";
import {
  type DeviceHost,
  DeviceStatus,
  type DeviceType,
  type DriverTransport,
  featureSet,
} from "../../transport/index.js";
import { VirtioBalloonDriver } from "../balloon/index.js";
import { consoleControl, VirtioConsoleDriver } from "../console/index.js";
import { serveQueue } from "../device-base/index.js";
import { VirtioEntropyDriver } from "../entropy/index.js";
import { netFeatures, VirtioNetDriver } from "../net/index.js";
import { rpmsgHeader, VirtioRpmsgDriver } from "../rpmsg/index.js";
import type { DriverLife } from "./index.js";

/** A device that answers every chain with bytes of its own, and changes its configuration as it likes. */
class ChattyDevice implements DeviceType {
  readonly name = "chatty";
  readonly featureTable = {};
  readonly queueSizes: readonly number[] = new Array<number>(10).fill(16);
  readonly configSize = 12;
  readonly deviceId: number;
  readonly features: bigint;
  answers = 0;
  readonly #random: SeededRandom;
  readonly #speak: (random: SeededRandom, room: number) => Uint8Array;
  #host: DeviceHost | undefined;

  constructor(deviceId: number, features: bigint, random: SeededRandom, speak: ChattyDevice["speak"]) {
    this.deviceId = deviceId;
    this.features = features;
    this.#random = random;
    this.#speak = speak;
  }

  /** What it writes into a buffer with so much room. */
  get speak() {
    return this.#speak;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }
  readConfig(view: DataView): void {
    for (let at = 0; at < view.byteLength; at++) view.setUint8(at, this.#random.below(at < 4 ? 256 : 6));
  }
  writeConfig(): void {}
  reset(): void {}
  close(): void {}
  notified(): void {}

  /** Answers some chains of each queue. */
  chat(): void {
    const host = this.#host;
    if (host === undefined) return;
    for (let index = 0; index < this.queueSizes.length; index++) {
      let left = this.#random.below(6);
      const take = () => left-- > 0;
      serveQueue(
        host,
        index,
        (chain, queue) => {
          const bytes = this.#speak(this.#random, chain.writable.byteLength);
          queue.push(chain, chain.writable.write(bytes.subarray(0, chain.writable.byteLength)));
          this.answers++;
        },
        take,
      );
    }
    if (this.#random.chance(0.2)) host.configChanged();
  }
}

/** Control messages that mostly mean something. */
function controlMessage(random: SeededRandom, room: number): Uint8Array {
  const bytes = anyBytes(random, Math.min(room, 8 + random.below(40)));
  if (bytes.length < consoleControl.size || random.chance(0.05)) return bytes;
  const id = random.chance(0.9) ? random.below(5) : random.below(2 ** 32);
  consoleControl.write(new DataView(bytes.buffer), 0, "little", { id, event: random.below(9), value: random.below(3) });
  return bytes;
}

/** Messages and announcements that mostly fit. */
function rpmsgMessage(random: SeededRandom, room: number): Uint8Array {
  const bytes = anyBytes(random, Math.min(room, 16 + random.below(60)));
  if (bytes.length < rpmsgHeader.size || random.chance(0.05)) return bytes;
  const length = random.chance(0.8) ? bytes.length - rpmsgHeader.size : random.below(0x10000);
  const destination = random.chance(0.5) ? 53 : 1024;
  rpmsgHeader.write(new DataView(bytes.buffer), 0, "little", { destination, length });
  return bytes;
}

const timeout = 5000;
const subjects: readonly {
  readonly name: string;
  readonly deviceId: number;
  readonly features: bigint;
  readonly speak: (random: SeededRandom, room: number) => Uint8Array;
  readonly open: (transport: DriverTransport) => Promise<DriverLife>;
  /** Something that a user does; it may fail. */
  readonly use: (driver: DriverLife) => Promise<unknown>;
}[] = [
  {
    ...{ name: "entropy", deviceId: 4, features: 0n, speak: anyBytes },
    open: (transport) => VirtioEntropyDriver.open(transport, { timeout }),
    use: (driver) => (driver as VirtioEntropyDriver).read(new Uint8Array(50)),
  },
  {
    ...{ name: "balloon", deviceId: 5, features: 3n, speak: anyBytes },
    open: (transport) =>
      VirtioBalloonDriver.open(transport, { timeout, mostPages: 300, statistics: () => new Map([[4, 1n]]) }),
    use: async (driver) => (driver as VirtioBalloonDriver).pages,
  },
  {
    ...{ name: "console", deviceId: 3, features: 7n, speak: controlMessage },
    open: (transport) => VirtioConsoleDriver.open(transport, { maxPorts: 4 }),
    use: async (driver) => {
      const ports = [...(driver as VirtioConsoleDriver).ports.values()];
      await Promise.all(ports.map((port) => port.write(new Uint8Array(5000))));
    },
  },
  {
    ...{ name: "rpmsg", deviceId: 7, features: 1n, speak: rpmsgMessage },
    open: (transport) => VirtioRpmsgDriver.open(transport, {}),
    use: (driver) => (driver as VirtioRpmsgDriver).bus.send(1024, 2000, new Uint8Array(40)),
  },
  {
    ...{ name: "net", deviceId: 1, features: featureSet(netFeatures.MAC, netFeatures.MRG_RXBUF), speak: anyBytes },
    open: (transport) => VirtioNetDriver.open(transport, { timeout }),
    use: (driver) => (driver as VirtioNetDriver).send(new Uint8Array(60)),
  },
];

/** The device goes on while its driver brings home what it has to. */
async function freezeAndTalk(driver: DriverLife, device: ChattyDevice, machine: Machine): Promise<void> {
  const freezing = driver.freeze();
  for (let turn = 0; driver.state === "up" && turn < 200; turn++) {
    device.chat();
    await machine.idle(0);
  }
  await freezing;
}

for (const { name, deviceId, features, speak, open, use } of subjects) {
  test(`${name}: a device that says anything at any time; everything ends, all memory comes back`, async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const device = new ChattyDevice(deviceId, features, seededRandom(seed), speak);
      const { driver, machine, close } = await loopDevice(device, open);
      const uses: Promise<unknown>[] = [];
      for (let round = 0; round < 150; round++) {
        if (round % 3 === 0) uses.push(use(driver).catch(() => "failed"));
        device.chat();
        await machine.idle(0);
        if (round === 100 && driver.state === "up") {
          await freezeAndTalk(driver, device, machine);
          await driver.restore();
        }
      }
      assert.equal(driver.failure, undefined);
      assert.ok(device.answers >= 40, `${device.answers} answers`);
      await close();
      await Promise.all(uses);
    }
  });

  test(`${name}: a device that needs a reset is given up once, and its driver says so`, async () => {
    const device = new ChattyDevice(deviceId, features, seededRandom(9), speak);
    const { driver, adapter, close, until } = await loopDevice(device, open);
    const failures: Error[] = [];
    driver.onFailure((error) => failures.push(error));
    const using = use(driver).catch((error: unknown) => error);
    adapter.core.fail(new ProtocolError("avail-index-jump"));
    await until(() => failures.length > 0);
    assert.equal((failures[0] as ProtocolError).code, "device-needs-reset");
    await using;
    await driver.close();
    assert.equal(failures.length, 1);
    await assert.rejects(driver.freeze(), /closed/);
    await close();
  });

  test(`${name}: a device that does not reset keeps the memory, and the removal says so`, async () => {
    const device = new ChattyDevice(deviceId, features, seededRandom(9), speak);
    let isStuck = false;
    const { driver, dma, machine } = await loopDevice(device, async (transport) => {
      const readStatus = transport.readStatus.bind(transport);
      transport.readStatus = () => (isStuck ? 0xff : readStatus());
      return open(transport);
    });
    const using = use(driver).catch((error: unknown) => error);
    isStuck = true;
    await assert.rejects(driver.close(), (error) => error instanceof ProtocolError && error.code === "device-gone");
    await using;
    assert.throws(() => dma?.assertNothingAllocated(), "rings and buffers stay the device's");
    await machine.close();
  });

  test(`${name}: frozen twice, restored while up, and while it is closed: refused, and nothing changes`, async () => {
    const device = new ChattyDevice(deviceId, features, seededRandom(9), () => new Uint8Array(0));
    const { driver, machine, close } = await loopDevice(device, open);
    await assert.rejects(driver.restore(), /the driver is up/);
    await freezeAndTalk(driver, device, machine);
    await assert.rejects(driver.freeze(), /the driver is frozen/);
    await driver.restore();
    assert.equal(driver.state, "up");
    await driver.close();
    await assert.rejects(driver.restore(), /the driver is closed/);
    await close();
  });

  test(`${name}: a device that offers less than before is not restored: the driver is closed and says so, once`, async () => {
    const device = new ChattyDevice(deviceId, features, seededRandom(9), () => new Uint8Array(0));
    const { driver, adapter, machine, close } = await loopDevice(device, open);
    const failures: Error[] = [];
    driver.onFailure((error) => failures.push(error));
    await freezeAndTalk(driver, device, machine);
    driver.transport.readFeatures = () => 1n << 32n;
    const isReason = (error: Error) => error instanceof UnsupportedError && /no longer offers/.test(error.message);
    await assert.rejects(driver.restore(), isReason);
    assert.deepEqual([driver.state, failures.length], ["closed", 1]);
    assert.ok(isReason(failures[0]));
    assert.equal(adapter.core.status & DeviceStatus.DriverOk, 0);
    await close();
  });

  test(`${name}: closed while it is restored, it stays closed, and the device reset`, async () => {
    const device = new ChattyDevice(deviceId, features, seededRandom(9), () => new Uint8Array(0));
    const { driver, adapter, machine, close } = await loopDevice(device, open);
    await freezeAndTalk(driver, device, machine);
    const { transport } = driver;
    const readStatus = transport.readStatus.bind(transport);
    let slow = 3;
    transport.readStatus = () => (slow-- > 0 ? DeviceStatus.Acknowledge : readStatus());
    const restoring = driver.restore();
    const closing = driver.close(new DeviceError("pulled out"));
    await assert.rejects(restoring, /pulled out/);
    await closing;
    assert.deepEqual([driver.state, adapter.core.status], ["closed", 0]);
    await close();
  });
}
