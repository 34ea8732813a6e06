/** Freezes and restores that go wrong, by virtio-blk and virtio-scsi: every request ends once, memory comes back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError, ProtocolError, UnsupportedError } from "../../errors/index.js";
import { DeviceStatus, ringFeatures } from "../../transport/index.js";
import { blockSize, endings, kinds, pause, type Subject, subjects } from "./freeze-subjects.test.js";

for (const [name, open] of subjects) {
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
}
