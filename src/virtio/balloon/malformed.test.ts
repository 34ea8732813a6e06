/** What hostile drivers tell a balloon: nothing is kept that is not a page, nothing grows, nothing throws. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type LoopbackMachineOptions, loopDevice } from "../../testing/index.js";
import { DriverLink, featureSet, ringFeatures } from "../../transport/index.js";
import { SendQueue } from "../driver-base/index.js";
import { BalloonQueue, BalloonTag, balloonStatistic, VirtioBalloonDevice } from "./index.js";

/** A driver that says what it likes. */
async function loose(
  device: VirtioBalloonDevice,
  queue: number,
  slotSize: number,
  options: LoopbackMachineOptions = {},
) {
  let send: SendQueue | undefined;
  const found = await loopDevice(
    device,
    async (transport) => {
      const link = await DriverLink.open(transport, {
        features: featureSet(0, 1, ringFeatures.EVENT_IDX),
        queues: 3,
        handlers: { queue: () => send?.poll(), config: () => {} },
      });
      const others = [0, 1, 2].filter((index) => index !== queue).map((index) => link.createQueue(index));
      send = new SendQueue(link, queue, { slots: 4, slotSize });
      link.start();
      const close = async () => {
        await link.close();
        for (const other of others) other.detachAll();
        send?.close(new Error("closed"), false);
      };
      return { send: (bytes: Uint8Array) => (send as SendQueue).send(bytes), close };
    },
    options,
  );
  return { ...found, violations: found.adapter.core.violations };
}

function pageList(pages: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(pages).buffer);
}

test("pages past the end of memory are refused, the others of the same buffer are taken", async () => {
  const device = new VirtioBalloonDevice({ pageLimit: 100 });
  const { driver, violations, close } = await loose(device, BalloonQueue.Inflate, 64);
  await driver.send(pageList([5, 100, 99, 0xffff_ffff, 5]));
  assert.equal(device.pages, 2);
  assert.ok(device.holds(5) && device.holds(99) && !device.holds(100));
  assert.equal(violations.get("address-outside-memory"), 1);
  await close();
});

test("buffers that are no whole number of pages, and buffers of too many", async () => {
  const device = new VirtioBalloonDevice({ pageLimit: 65_600 });
  const { driver, violations, close } = await loose(device, BalloonQueue.Inflate, 4 * 65_540);
  await driver.send(new Uint8Array(7));
  assert.deepEqual([device.pages, violations.get("request-data-length")], [1, 1]);
  await driver.send(pageList(Array.from({ length: 65_540 }, (_, page) => page)));
  assert.deepEqual([device.pages, violations.get("request-over-limit")], [65_536, 1]);
  await close();
});

test("pages that are not in the balloon can be taken out of it, which changes nothing", async () => {
  let deflated = 0;
  const device = new VirtioBalloonDevice({ deflated: () => deflated++ });
  const { driver, close } = await loose(device, BalloonQueue.Deflate, 64);
  await driver.send(pageList([1, 2, 3]));
  assert.deepEqual([device.pages, deflated], [0, 0]);
  await close();
});

test("statistics: odd lengths are counted, whole entries taken, a second buffer gives the first one back", async () => {
  const device = new VirtioBalloonDevice();
  const { driver, violations, close, until } = await loose(device, BalloonQueue.Statistics, 1024);
  const bytes = new Uint8Array(balloonStatistic.size + 3);
  balloonStatistic.write(new DataView(bytes.buffer), 0, "little", { tag: BalloonTag.SwapOut, value: 9n });
  const first = driver.send(bytes);
  await until(() => device.statistics.size === 1);
  assert.deepEqual([...device.statistics], [[BalloonTag.SwapOut, 9n]]);
  assert.equal(violations.get("request-data-length"), 1);
  const second = driver.send(new Uint8Array(1024));
  second.catch(() => {});
  await first;
  assert.equal(violations.get("request-data-length"), 2);
  await close();
});

test("R-1103, R-1107: pages and statistics as bytes, in the guest's order on legacy devices, little-endian on modern ones", async () => {
  for (const [transport, pages, statistics] of [
    ["legacy-be", "0000000700000102", "00040102030405060708"],
    ["modern", "0700000002010000", "04000807060504030201"],
  ] as const) {
    const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
    const inflating = new VirtioBalloonDevice();
    const first = await loose(inflating, BalloonQueue.Inflate, 64, { transport });
    await first.driver.send(hex(pages));
    assert.ok(inflating.pages === 2 && inflating.holds(7) && inflating.holds(0x102));
    await first.close();
    const told = new VirtioBalloonDevice();
    const second = await loose(told, BalloonQueue.Statistics, 64, { transport });
    second.driver.send(hex(statistics)).catch(() => {});
    await second.until(() => told.statistics.size > 0);
    assert.deepEqual([...told.statistics], [[4, 0x0102_0304_0506_0708n]]);
    await second.close();
  }
});

test("a page limit that is no number of pages is refused", () => {
  for (const pageLimit of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
    assert.throws(() => new VirtioBalloonDevice({ pageLimit }), RangeError);
  }
  const device = new VirtioBalloonDevice();
  for (const target of [-1, 0.5, 2 ** 32]) assert.throws(() => device.setTarget(target), RangeError);
});
