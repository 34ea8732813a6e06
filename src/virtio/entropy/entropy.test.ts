/** virtio-entropy, both halves against each other (0.9.5 appendix F, virtio 1.2 §5.4). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError, ProtocolError } from "../../errors/index.js";
import { type LoopbackMachineOptions, type LoopbackTransport, loopDevice } from "../../testing/index.js";
import type { DeviceHost, DeviceType } from "../../transport/index.js";
import { serveQueue } from "../device-base/index.js";
import { VirtioEntropyDevice, VirtioEntropyDriver, type VirtioEntropyOptions } from "./index.js";

const transports: readonly LoopbackTransport[] = ["legacy-be", "legacy-le", "modern"];

/** A source that can be checked: the bytes count up. */
function counting(): { source: (bytes: Uint8Array) => void; at: (index: number) => number } {
  let next = 0;
  const source = (bytes: Uint8Array) => {
    for (let index = 0; index < bytes.length; index++) bytes[index] = next++ % 251;
  };
  return { source, at: (index) => index % 251 };
}

function loop(device: VirtioEntropyOptions = {}, options: LoopbackMachineOptions = {}, timeout = 1000) {
  const half = new VirtioEntropyDevice(device);
  const opened = loopDevice(half, (transport) => VirtioEntropyDriver.open(transport, { timeout }), options);
  return opened.then((found) => ({ ...found, device: half }));
}

for (const transport of transports) {
  test(`R-1001 ${transport}: buffers of every length are filled completely, with the source's bytes`, async () => {
    const { source, at } = counting();
    const { driver, device, close } = await loop({ source }, { transport });
    let before = 0;
    for (const length of [1, 7, 64, 4096, 4097, 10_000]) {
      const bytes = new Uint8Array(length);
      assert.equal(await driver.read(bytes), length);
      assert.ok(bytes.every((byte, index) => byte === at(before + index)));
      before += length;
    }
    assert.equal(device.bytesGiven, before);
    await close();
  });
}

test("R-1001: a buffer in many pieces is filled in their order", async () => {
  const { source, at } = counting();
  const { driver, close } = await loop({ source }, { poison: { pieceLength: (left) => Math.min(left, 700) } });
  const bytes = new Uint8Array(5000);
  assert.equal(await driver.read(bytes), 5000);
  assert.ok(bytes.every((byte, index) => byte === at(index)));
  await close();
});

test("R-1001: a buffer of a megabyte is filled in turns, and others run in between", async () => {
  const { driver, close } = await loop({ source: (bytes) => bytes.fill(7) });
  let turns = 0;
  let isDone = false;
  const count = () => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const bytes = new Uint8Array(1 << 20);
  assert.equal(await driver.read(bytes), bytes.length);
  isDone = true;
  assert.ok(turns >= 4, `${turns} turns`);
  assert.ok(bytes.every((byte) => byte === 7));
  await close();
});

test("the platform's source gives bytes that are not all alike", async () => {
  const { driver, close } = await loop();
  const [first, second] = [new Uint8Array(64), new Uint8Array(64)];
  await driver.fill(first);
  await driver.fill(second);
  assert.notDeepEqual(first, second);
  assert.ok(new Set(first).size > 20);
  await close();
});

test("a rate of 1000 bytes a period: a longer buffer takes as many periods as it needs", async () => {
  let now = 0;
  const { driver, device, close, until } = await loop({ rate: { bytes: 1000, milliseconds: 20 }, now: () => now });
  const reading = driver.read(new Uint8Array(2500));
  for (const expected of [1000, 2000, 2500]) {
    await until(() => device.bytesGiven === expected);
    await new Promise((resolve) => setTimeout(resolve, 25));
    assert.equal(device.bytesGiven, expected, "not before the next period");
    now += 20;
  }
  assert.equal(await reading, 2500);
  await close();
});

test("a rate that would never give a byte is refused", () => {
  assert.throws(() => new VirtioEntropyDevice({ rate: { bytes: 0, milliseconds: 10 } }), RangeError);
  assert.throws(() => new VirtioEntropyDevice({ rate: { bytes: 10, milliseconds: 0 } }), RangeError);
});

/** A device that gives what it is told to, whole or not, or never. */
class StingyDevice implements DeviceType {
  readonly deviceId = 4;
  readonly name = "stingy";
  readonly featureTable = {};
  readonly features = 0n;
  readonly queueSizes = [16];
  readonly configSize = 0;
  #host: DeviceHost | undefined;
  readonly #portion: number | undefined;

  constructor(portion: number | undefined) {
    this.#portion = portion;
  }
  attach(host: DeviceHost): void {
    this.#host = host;
  }
  readConfig(): void {}
  writeConfig(): void {}
  notified(index: number): void {
    const portion = this.#portion;
    if (this.#host === undefined || portion === undefined) return;
    serveQueue(this.#host, index, (chain, queue) => {
      const length = Math.min(portion, chain.writable.byteLength);
      chain.writable.fill(0x5a, length);
      queue.push(chain, length);
    });
  }
  reset(): void {}
  close(): void {}
}

test("R-1001, A-32: the driver takes less than it asked for, and asks again", async () => {
  const open = (transport: Parameters<typeof VirtioEntropyDriver.open>[0]) => VirtioEntropyDriver.open(transport);
  const { driver, close } = await loopDevice(new StingyDevice(10), open);
  assert.equal(await driver.read(new Uint8Array(64)), 10);
  const bytes = new Uint8Array(35);
  await driver.fill(bytes);
  assert.ok(bytes.every((byte) => byte === 0x5a));
  await close();
});

test("a device that gives no byte at all breaks a rule; nobody waits for ever", async () => {
  const open = (transport: Parameters<typeof VirtioEntropyDriver.open>[0]) => VirtioEntropyDriver.open(transport);
  const { driver, close } = await loopDevice(new StingyDevice(0), open);
  await assert.rejects(driver.fill(new Uint8Array(8)), (error) => {
    return error instanceof ProtocolError && error.code === "response-short";
  });
  await close();
});

test("a device that never answers: the request ends after its time, its memory stays lent until the reset", async () => {
  const open = (transport: Parameters<typeof VirtioEntropyDriver.open>[0]) =>
    VirtioEntropyDriver.open(transport, { timeout: 20 });
  const { driver, close, dma } = await loopDevice(new StingyDevice(undefined), open);
  await assert.rejects(driver.read(new Uint8Array(8)), /no answer in 20 ms/);
  assert.equal(dma?.sharedBuffers, 1);
  await close();
});

for (const transport of transports) {
  test(`${transport}: removal under load fails each request once, those that waited for room too; memory comes back`, async () => {
    const open = (where: Parameters<typeof VirtioEntropyDriver.open>[0]) =>
      VirtioEntropyDriver.open(where, { startIndex: 65_530 });
    const { driver, close, adapter } = await loopDevice(new StingyDevice(undefined), open, {
      transport,
      startIndex: 65_530,
    });
    const ends: string[] = [];
    const reads = Array.from({ length: 50 }, () =>
      driver.read(new Uint8Array(100)).then(
        () => ends.push("read"),
        (error: Error) => ends.push(error.message),
      ),
    );
    await driver.close(new DeviceError("pulled out"));
    await Promise.all(reads);
    assert.deepEqual(ends, new Array(50).fill("pulled out"));
    await assert.rejects(driver.read(new Uint8Array(1)), /pulled out/);
    assert.equal(adapter.core.status, 0);
    await close();
  });
}

test("freeze fails what is in flight, restore serves again; twice", async () => {
  const { driver, close } = await loopDevice(new VirtioEntropyDevice(), (transport) =>
    VirtioEntropyDriver.open(transport),
  );
  for (let round = 0; round < 2; round++) {
    await driver.fill(new Uint8Array(100));
    await driver.freeze();
    assert.equal(driver.state, "frozen");
    await assert.rejects(driver.read(new Uint8Array(1)), /frozen/);
    await assert.rejects(driver.freeze(), /frozen/);
    await driver.restore();
  }
  await driver.fill(new Uint8Array(100));
  await close();
});

test("a rate-limited request that is reset away is not filled afterwards", async () => {
  const { driver, device, close } = await loop({ rate: { bytes: 10, milliseconds: 15 } }, {}, 0);
  const reading = driver.read(new Uint8Array(1000));
  await assert.rejects(Promise.all([reading, driver.freeze()]), /frozen/);
  const given = device.bytesGiven;
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.equal(device.bytesGiven, given);
  await close();
});
