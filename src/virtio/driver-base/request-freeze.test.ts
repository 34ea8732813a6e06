/** Freeze and restore of drivers of request queues, by virtio-blk and virtio-scsi: what is in flight ends, what comes waits. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { DeviceError, ProtocolError, UnsupportedError } from "../../errors/index.js";
import { cdb, unitAddress } from "../../scsi/index.js";
import {
  type BlkLoopback,
  createBlkLoopback,
  createLoopback,
  type Loopback,
  type LoopbackMachineOptions,
  plugBlkLoopback,
} from "../../testing/index.js";
import { DeviceStatus, ringFeatures } from "../../transport/index.js";
import { BlkType, RequestAborted, VirtioBlkDriver } from "../index.js";

const unit = unitAddress(0, 0);
const blockSize = 512;

/** What the device does with requests that come. */
type Manner = "answers" | "late" | "never";

interface SubjectOptions extends LoopbackMachineOptions {
  readonly manner?: Manner;
  readonly timeout?: number;
  /** Of the driver; the device has two. Default 2. */
  readonly queues?: number;
  readonly queueSize?: number;
}

interface Subject {
  readonly loop: Loopback | BlkLoopback;
  manner: Manner;
  /** Requests that the device was given. */
  seen: number;
  read(block: number, bytes: Uint8Array, options?: Patience): Promise<unknown>;
  write(block: number, bytes: Uint8Array, options?: Patience): Promise<unknown>;
}

interface Patience {
  readonly queue?: number;
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** The same behaviour by both kinds of fault. */
function mannerOf(subject: { manner: Manner; seen: number }) {
  subject.seen++;
  if (subject.manner === "answers") return undefined;
  return subject.manner === "never" ? ({ kind: "never" } as const) : ({ kind: "delay", milliseconds: 15 } as const);
}

async function openBlk(options: SubjectOptions): Promise<Subject> {
  const { manner = "answers", timeout = 5000, queues = 2, queueSize = 16, ...rest } = options;
  const state = { manner, seen: 0 };
  const loop = await createBlkLoopback({
    ...rest,
    faults: { blockRequest: () => mannerOf(state) },
    device: { queues: 2, queueSize },
    driver: { queues, timeout, grace: 30 },
  });
  return Object.assign(state, {
    loop,
    read: (block: number, bytes: Uint8Array, how = {}) => loop.driver.readSectors(block, bytes, how),
    write: (block: number, bytes: Uint8Array, how = {}) => loop.driver.writeSectors(block, bytes, how),
  });
}

async function openScsi(options: SubjectOptions): Promise<Subject> {
  const { manner = "answers", timeout = 5000, queues = 2, queueSize = 16, ...rest } = options;
  const state = { manner, seen: 0 };
  const loop = await createLoopback({
    ...rest,
    faults: { command: () => mannerOf(state) },
    device: { requestQueues: 2, queueSize },
    driver: { requestQueues: queues, timeout },
  });
  const send = async (command: Uint8Array, data: { dataIn?: Uint8Array; dataOut?: Uint8Array }) => {
    const { response, status } = await loop.driver.execute(unit, command, data);
    assert.deepEqual([response, status], [0, 0]);
  };
  return Object.assign(state, {
    loop,
    read: (block: number, dataIn: Uint8Array, how = {}) =>
      send(cdb.read10(block, dataIn.length / blockSize), { dataIn, ...how }),
    write: (block: number, dataOut: Uint8Array, how = {}) =>
      send(cdb.write10(block, dataOut.length / blockSize), { dataOut, ...how }),
  });
}

const subjects: readonly (readonly [string, (options: SubjectOptions) => Promise<Subject>])[] = [
  ["virtio-blk", openBlk],
  ["virtio-scsi", openScsi],
];

const rings: readonly (readonly [string, SubjectOptions])[] = [
  ["legacy big-endian", { transport: "legacy-be", startIndex: 65_500 }],
  ["legacy little-endian, direct", { transport: "legacy-le", indirect: false }],
  ["modern, INTx", { interrupts: "intx", startIndex: 65_530 }],
  ["modern, direct", { indirect: false, eventIndex: false }],
  ["packed", { packed: true, startIndex: 65_500 }],
  ["packed, in order", { packed: true, furtherRingFeatures: 1n << BigInt(ringFeatures.IN_ORDER) }],
];

test("a driver without interrupts looks for the ends of its requests while it waits to freeze", async () => {
  const faults = { blockRequest: () => ({ kind: "delay", milliseconds: 5 }) as const };
  const plugged = plugBlkLoopback({ faults });
  const driver = await VirtioBlkDriver.open(plugged.openTransport({ prefer: "none" }), { timeout: 0 });
  assert.equal(driver.link.interruptMode, "none");
  const read = driver.readSectors(0, new Uint8Array(blockSize));
  await driver.freeze();
  await read;
  await driver.close();
  await plugged.unplug();
});

/** How each promise ended: `fulfilled`, or the message of its error. Every promise ends once by itself; a hang shows as one. */
async function endings(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const all = await Promise.allSettled(promises);
  return all.map((one) => (one.status === "fulfilled" ? "fulfilled" : (one.reason as Error).message));
}

const kinds = (all: readonly string[]) => [...new Set(all)];
const filled = (value: number) => new Uint8Array(blockSize * 2).fill(value);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

for (const [name, open] of subjects) {
  for (const [ring, options] of rings) {
    test(`${name}, ${ring}: frozen under load what the device has ends, the rest waits for the restore; data is right`, async () => {
      const subject = await open({ ...options, manner: "late" });
      const { loop } = subject;
      const { driver } = loop;
      // More than the rings take: some are in flight, some wait for room.
      const before = Array.from({ length: 60 }, (_, index) =>
        subject.write(2 * index, filled(index), { queue: index % 2 }),
      );
      let ended = 0;
      for (const one of before) one.finally(() => ended++).catch(() => {});
      const freezing = driver.freeze();
      const has = driver.inFlight;
      assert.ok(has > 0 && has < 60, `${has} in flight`);
      const during = subject.write(200, filled(200));
      await freezing;
      assert.equal(driver.state, "frozen");
      assert.equal(loop.adapter.core.status, 0, "the device was reset");
      assert.deepEqual([driver.inFlight, ended], [0, has], "what the device had ended, nothing else did");
      const atRest = subject.seen;
      const after = Array.from({ length: 20 }, (_, index) =>
        subject.write(300 + 2 * index, filled(100 + index), { queue: index % 2 }),
      );
      await pause(20);
      assert.equal(subject.seen, atRest, "nothing reaches the device");
      assert.throws(() => driver.link, /the driver is frozen/);
      subject.manner = "answers";
      await driver.restore();
      assert.equal(driver.state, "up");
      assert.ok((loop.adapter.core.status & DeviceStatus.DriverOk) !== 0);
      assert.deepEqual(kinds(await endings([...before, during, ...after])), ["fulfilled"]);
      assert.equal(subject.seen, 81, "each request reached the device once");
      const back = new Uint8Array(blockSize * 2);
      for (let index = 0; index < 60; index++) {
        await subject.read(2 * index, back, { queue: index % 2 });
        assert.deepEqual(back, filled(index));
      }
      for (let index = 0; index < 20; index++) {
        await subject.read(300 + 2 * index, back);
        assert.deepEqual(back, filled(100 + index));
      }
      assert.deepEqual([...loop.adapter.core.violations], []);
      await loop.close();
    });
  }

  test(`${name}: a freeze gives rings, tables and requests back; a hundred freezes lose nothing`, async () => {
    const subject = await open({});
    const { driver, dma } = subject.loop;
    for (let time = 0; time < 100; time++) {
      await subject.write(time, new Uint8Array(blockSize).fill(time));
      await driver.freeze();
      dma?.assertNothingAllocated();
      await driver.restore();
    }
    const back = new Uint8Array(blockSize * 100);
    await subject.read(0, back);
    for (let time = 0; time < 100; time++) assert.equal(back[time * blockSize], time);
    await subject.loop.close();
  });

  test(`${name}: time-outs and signals go on while the driver is frozen`, async () => {
    const subject = await open({});
    const { driver, dma } = subject.loop;
    await driver.freeze();
    const controller = new AbortController();
    const { signal } = controller;
    const late = subject.read(0, new Uint8Array(blockSize), { timeout: 10 });
    const called = subject.read(0, new Uint8Array(blockSize), { signal });
    const patient = subject.read(0, new Uint8Array(blockSize), { timeout: 0 });
    await assert.rejects(late, (error) => error instanceof RequestAborted && /no answer in 10 ms/.test(error.message));
    controller.abort();
    await assert.rejects(called, (error) => error instanceof RequestAborted && /called off/.test(error.message));
    assert.equal(getEventListeners(signal, "abort").length, 0);
    assert.equal(dma?.sharedBuffers, 1, "what is called off gives its buffer back at once");
    await driver.restore();
    await patient;
    assert.equal(subject.seen, 1, "what was called off was never sent");
    await subject.loop.close();
  });

  test(`${name}: a freeze waits no longer than requests do: a device that keeps one is given up`, async () => {
    const subject = await open({ manner: "never", timeout: 20 });
    const { driver } = subject.loop;
    const failures: Error[] = [];
    driver.onFailure((error) => failures.push(error));
    if ("manageTasks" in driver) driver.manageTasks = () => new Promise(() => {});
    const read = subject.read(0, new Uint8Array(blockSize));
    const freezing = driver.freeze();
    const waiting = subject.read(1, new Uint8Array(blockSize), { timeout: 0 });
    await assert.rejects(read, RequestAborted);
    await assert.rejects(freezing, RequestAborted);
    await assert.rejects(waiting, RequestAborted);
    assert.deepEqual([driver.state, failures.length], ["closed", 1]);
    await subject.loop.close();
  });

  test(`${name}: without limits of their own requests have the driver's time at a freeze, then fail once with the reset`, async () => {
    const subject = await open({ manner: "never", timeout: 30 });
    const { driver } = subject.loop;
    const reads = Array.from({ length: 30 }, () => subject.read(0, new Uint8Array(blockSize), { timeout: 0 }));
    const has = driver.inFlight;
    await driver.freeze();
    assert.equal(driver.state, "frozen");
    subject.manner = "answers";
    await driver.restore();
    const all = await endings(reads);
    assert.deepEqual(kinds(all).sort(), ["fulfilled", "the driver is frozen"]);
    assert.equal(
      all.filter((one) => one !== "fulfilled").length,
      has,
      "those that the device had, not those that waited",
    );
    await subject.loop.close();
  });

  test(`${name}: closed while frozen, what waits fails once, and nothing can be restored`, async () => {
    const subject = await open({});
    const { driver } = subject.loop;
    await driver.freeze();
    const waiting = [0, 1, 0].map((queue) => subject.read(0, new Uint8Array(blockSize), { queue, timeout: 0 }));
    await driver.close(new DeviceError("pulled out"));
    assert.deepEqual(kinds(await endings(waiting)), ["pulled out"]);
    await assert.rejects(driver.restore(), /the driver is closed/);
    await assert.rejects(driver.freeze(), /the driver is closed/);
    await assert.rejects(subject.read(0, new Uint8Array(blockSize)), /pulled out/);
    await subject.loop.close();
  });

  test(`${name}: a freeze while it is closed, twice, and a restore of what is up are refused and change nothing`, async () => {
    const subject = await open({ manner: "late" });
    const { driver } = subject.loop;
    await assert.rejects(driver.restore(), /the driver is up/);
    const read = subject.read(0, new Uint8Array(blockSize));
    const first = driver.freeze();
    await assert.rejects(driver.freeze(), /about to be frozen/);
    await Promise.all([first, read]);
    await assert.rejects(driver.freeze(), /the driver is frozen/);
    const restoring = driver.restore();
    await assert.rejects(driver.restore(), /about to be/);
    await restoring;
    await subject.read(0, new Uint8Array(blockSize));
    const closing = driver.close();
    await assert.rejects(driver.freeze(), /the driver is closed/);
    await closing;
    await subject.loop.close();
  });

  test(`${name}: closed while a freeze waits for what the device has, everything fails once`, async () => {
    const subject = await open({ manner: "never", timeout: 0 });
    const { loop } = subject;
    const read = subject.read(0, new Uint8Array(blockSize));
    const freezing = loop.driver.freeze();
    const all = endings([read, freezing, subject.read(0, new Uint8Array(blockSize))]);
    await pause(5);
    await loop.driver.close(new DeviceError("pulled out"));
    assert.deepEqual(kinds(await all), ["pulled out"]);
    assert.equal(loop.adapter.core.status, 0);
    await loop.close();
  });

  for (const moment of ["freeze", "restore"] as const) {
    test(`${name}: closed while the device resets for a ${moment}: the close ends later, and the device stays reset`, async () => {
      const subject = await open({});
      const { driver, adapter } = subject.loop;
      const { transport } = driver;
      if (moment === "restore") await driver.freeze();
      let isSlow = true;
      const readStatus = transport.readStatus.bind(transport);
      transport.readStatus = () => (isSlow ? DeviceStatus.Acknowledge : readStatus());
      const changing = driver[moment]();
      await pause(5);
      const waiting = subject.read(0, new Uint8Array(blockSize), { timeout: 0 });
      const closing = driver.close(new DeviceError("pulled out"));
      const all = endings([changing, waiting, closing]);
      assert.equal(await Promise.race([closing, pause(5).then(() => "not yet")]), "not yet");
      isSlow = false;
      assert.deepEqual(await all, ["pulled out", "pulled out", "fulfilled"]);
      assert.equal(driver.state, "closed");
      assert.equal(adapter.core.status, 0);
      await subject.loop.close();
    });
  }

  test(`${name}: a device that is gone when it is restored: the restore and all that waits say so, once`, async () => {
    const subject = await open({});
    const { driver, fn } = subject.loop;
    const failures: Error[] = [];
    driver.onFailure((error) => failures.push(error));
    await driver.freeze();
    const waiting = [0, 1].map((queue) => subject.read(0, new Uint8Array(blockSize), { queue, timeout: 0 }));
    fn.writeConfig(0x04, 2, 0); // Decoding off: every register reads all ones.
    await assert.rejects(driver.restore(), { code: "device-gone" });
    for (const one of waiting) await assert.rejects(one, { code: "device-gone" });
    assert.deepEqual([driver.state, failures.length], ["closed", 1]);
    await subject.loop.close();
  });

  test(`${name}: a device that needs a reset while a freeze waits is given up, everything fails once`, async () => {
    const subject = await open({ manner: "never", timeout: 0 });
    const { driver, adapter } = subject.loop;
    const read = subject.read(0, new Uint8Array(blockSize));
    const freezing = driver.freeze();
    adapter.core.fail(new ProtocolError("chain-too-long"));
    await assert.rejects(read, { code: "device-needs-reset" });
    await assert.rejects(freezing, { code: "device-needs-reset" });
    await subject.loop.close();
  });

  test(`${name}: a device that is pulled out while a freeze waits is noticed, everything fails once`, async () => {
    const subject = await open({ manner: "never", timeout: 0 });
    const { driver, fn } = subject.loop;
    const all = [
      subject.read(0, new Uint8Array(blockSize)),
      driver.freeze(),
      subject.read(0, new Uint8Array(blockSize)),
    ];
    const ends = endings(all);
    fn.writeConfig(0x04, 2, 0);
    for (const one of await ends) assert.match(one, /^device-gone/);
    await subject.loop.unplug();
  });

  test(`${name}: a device that does not reset for a freeze keeps its memory; freeze and close say so`, async () => {
    const subject = await open({ manner: "never", timeout: 10 });
    const { driver, adapter, dma } = subject.loop;
    const read = subject.read(0, new Uint8Array(blockSize), { timeout: 0 });
    const waiting = subject.read(0, new Uint8Array(blockSize), { timeout: 0 });
    adapter.core.writeStatus = () => {}; // A reset that never ends.
    const isReset = driver.transport.readStatus.bind(driver.transport);
    driver.transport.readStatus = () => (driver.state === "up" ? isReset() : 0xff);
    await assert.rejects(driver.freeze(), { code: "device-gone" });
    for (const one of [read, waiting]) await assert.rejects(one, DeviceError);
    await assert.rejects(driver.close(), { code: "device-gone" });
    assert.throws(() => dma?.assertNothingAllocated());
    await subject.loop.unplug();
  });

  const lesser: Readonly<Record<string, (subject: Subject) => void>> = {
    "no longer offers EVENT_IDX": ({ loop }) => {
      const offered = loop.driver.transport.readFeatures.bind(loop.driver.transport);
      loop.driver.transport.readFeatures = () => offered() & ~(1n << BigInt(ringFeatures.EVENT_IDX));
    },
    "came back with 1 of 2 request queues": ({ loop }) => {
      const { transport } = loop.driver;
      const at = "manageTasks" in loop.driver ? [0, 4] : [34, 2];
      const readConfig = transport.readConfig.bind(transport);
      transport.readConfig = (offset, width) => (offset === at[0] && width === at[1] ? 1 : readConfig(offset, width));
    },
    "came back with 8 of 16 descriptors": ({ loop }) => {
      loop.driver.transport.queueMaxSize = () => 8;
    },
  };
  for (const [what, lessen] of Object.entries(lesser)) {
    test(`${name}: a device that ${what} is not restored: each request that waits fails once, the driver is closed`, async () => {
      const subject = await open({});
      const { driver, adapter } = subject.loop;
      const failures: Error[] = [];
      driver.onFailure((error) => failures.push(error));
      await driver.freeze();
      const waiting = Array.from({ length: 20 }, () => subject.read(0, new Uint8Array(blockSize), { timeout: 0 }));
      lessen(subject);
      const isReason = (error: Error) => error instanceof UnsupportedError && error.message.includes(what);
      await assert.rejects(driver.restore(), isReason);
      for (const one of waiting) await assert.rejects(one, isReason);
      await assert.rejects(subject.read(0, new Uint8Array(blockSize)), isReason);
      assert.deepEqual([driver.state, failures.length, subject.seen], ["closed", 1, 0]);
      assert.equal(adapter.core.status & DeviceStatus.DriverOk, 0);
      await subject.loop.close();
    });
  }

  test(`${name}: a restore that fails half-way resets the device, gives memory back and fails what waits`, async () => {
    const subject = await open({});
    const { driver, adapter, dma } = subject.loop;
    await driver.freeze();
    const waiting = subject.read(0, new Uint8Array(blockSize), { timeout: 0 });
    const { transport } = driver;
    const setUpQueue = transport.setUpQueue.bind(transport);
    let left = 1;
    transport.setUpQueue = (index, size) => {
      if (left-- === 0) throw new RangeError("out of memory");
      return setUpQueue(index, size);
    };
    await assert.rejects(driver.restore(), /out of memory/);
    await assert.rejects(waiting, /out of memory/);
    assert.equal(adapter.core.status, 0);
    await assert.rejects(driver.restore(), /closed/);
    await driver.close();
    dma?.assertNothingAllocated();
    await subject.loop.close();
  });

  test(`${name}: nothing more than before is agreed on at a restore`, async () => {
    const subject = await open({ eventIndex: false });
    const { driver } = subject.loop;
    const { features } = driver.link;
    await driver.freeze();
    const offered = driver.transport.readFeatures.bind(driver.transport);
    driver.transport.readFeatures = () => offered() | (1n << BigInt(ringFeatures.EVENT_IDX));
    await driver.restore();
    assert.equal(driver.link.features, features);
    await subject.loop.close();
  });

  test(`${name}: at ring level a freeze lets requests end, and takes no new ones until the restore`, async () => {
    const subject = await open({ manner: "late" });
    const { loop } = subject;
    const { driver } = loop;
    let ended = 0;
    const prepare = () => {
      if ("manageTasks" in driver) {
        const request = driver.acquireRequest();
        driver.address(request, unit);
        request.cdb.fill(0);
        return { request, submit: () => driver.submit(request), release: () => driver.releaseRequest(request) };
      }
      const request = driver.acquireRequest();
      request.setHeader(BlkType.Flush, 0);
      return { request, submit: () => driver.submit(request), release: () => driver.releaseRequest(request) };
    };
    const some = Array.from({ length: 5 }, prepare);
    for (const { request, submit } of some) {
      request.onEnd = () => {
        ended++;
        assert.equal(request.outcome, "done");
        assert.equal(submit(), false, "there is no room while a freeze is under way");
      };
      assert.ok(submit());
    }
    driver.flush();
    await driver.freeze();
    assert.equal(ended, 5);
    assert.equal(some[0].submit(), false);
    driver.flush();
    assert.equal(driver.poll(), 0);
    subject.manner = "answers";
    await driver.restore();
    for (const { request, submit } of some) {
      request.onEnd = () => void ended++;
      assert.ok(submit());
    }
    driver.flush();
    while (ended < 10) await loop.machine.idle(1);
    for (const { release } of some) release();
    await loop.close();
  });
}
