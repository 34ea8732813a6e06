/** When each half tells the other: flags, event indices, NOTIFY_ON_EMPTY; virtio 1.2 §2.7.7 and §2.7.10. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chainOf, makeSplitPair, pairData } from "../testing/split-pair.js";

test("R-604, A-08: without EVENT_IDX the driver notifies unless NO_NOTIFY is set, whatever avail_event says", () => {
  const { driver, device, view, at, addresses } = makeSplitPair({ size: 8 });
  view.setUint16(at(addresses.used) + 4 + 8 * 8, 1234, true);
  driver.add(chainOf([[pairData, 1]]), 1);
  assert.equal(driver.publish(), true);
  device.disableNotifications();
  driver.add(chainOf([[pairData, 1]]), 2);
  assert.equal(driver.publish(), false);
  assert.equal(device.enableNotifications(), false, "two are there: look again");
  device.pop();
  device.pop();
  assert.equal(device.enableNotifications(), true);
  driver.add(chainOf([[pairData, 1]]), 3);
  assert.equal(driver.publish(), true);
});

test("R-605, A-09: with EVENT_IDX the flag is ignored and avail_event, behind the used ring, counts, also at the wrap", () => {
  for (const startIndex of [0, 65_534]) {
    const { driver, device, view, at, addresses } = makeSplitPair({ eventIndex: true, startIndex });
    view.setUint16(at(addresses.used), 1, true);
    assert.equal(device.enableNotifications(), true);
    assert.equal(view.getUint16(at(addresses.used) + 4 + 8 * 8, true), startIndex);
    driver.add(chainOf([[pairData, 1]]), 1);
    assert.equal(driver.publish(), true);
    for (let cookie = 2; cookie < 6; cookie++) {
      driver.add(chainOf([[pairData, 1]]), cookie);
      assert.equal(driver.publish(), false, "the event was passed");
    }
    while (device.pop() !== undefined);
    assert.equal(device.enableNotifications(), true);
    driver.add(chainOf([[pairData, 1]]), 6);
    driver.add(chainOf([[pairData, 1]]), 7);
    assert.equal(driver.publish(), true, "the event lies among the two");
  }
});

test("R-610: without EVENT_IDX the device interrupts unless NO_INTERRUPT is set", () => {
  const { driver, device } = makeSplitPair();
  for (const wanted of [true, false, true]) {
    if (wanted) driver.enableInterrupts();
    else driver.disableInterrupts();
    driver.add(chainOf([[pairData, 1]]), 1);
    driver.publish();
    device.push(device.pop() as never, 0);
    assert.equal(device.publish(), wanted);
    assert.equal(driver.reap(), 1);
  }
  assert.equal(device.publish(), false, "nothing was used");
});

test("R-611: with EVENT_IDX the device interrupts at used_event, at the wrap too; R-615: enabling tells when one is there", () => {
  for (const startIndex of [0, 65_533]) {
    const { driver, device } = makeSplitPair({ eventIndex: true, startIndex });
    const use = (count: number) => {
      for (let cookie = 0; cookie < count; cookie++) driver.add(chainOf([[pairData, 1]]), cookie);
      driver.publish();
      for (let cookie = 0; cookie < count; cookie++) device.push(device.pop() as never, 0);
      return device.publish();
    };
    assert.equal(use(1), true, "used_event starts at the first");
    assert.equal(use(1), false, "it was passed");
    assert.equal(driver.enableInterrupts(), false, "two are there already");
    while (driver.reap() !== undefined);
    assert.equal(driver.enableInterrupts(), true);
    assert.equal(use(3), true);
    while (driver.reap() !== undefined);
    driver.disableInterrupts();
    assert.equal(use(3), false);
    while (driver.reap() !== undefined);
    assert.equal(driver.enableInterruptsAfter(3), true);
    assert.equal(use(1), false);
    assert.equal(use(1), false);
    assert.equal(use(1), true, "the third");
  }
});

test("R-207: NOTIFY_ON_EMPTY: the device interrupts when everything is used, also suppressed; not before", () => {
  for (const eventIndex of [false, true]) {
    const { driver, device } = makeSplitPair({ notifyOnEmpty: true, eventIndex, startIndex: 65_535 });
    driver.disableInterrupts();
    driver.add(chainOf([[pairData, 1]]), 1);
    driver.add(chainOf([[pairData, 1]]), 2);
    driver.publish();
    device.push(device.pop() as never, 0);
    assert.equal(device.publish(), false, "one is still available");
    device.push(device.pop() as never, 0);
    assert.equal(device.publish(), true);
  }
});
