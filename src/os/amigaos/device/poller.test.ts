/** How often a controller without interrupts is looked at. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Poller } from "./poller.js";

test("while answers come the next look follows at once; after a while without any the machine is left to itself", async () => {
  const idles: number[] = [];
  let looks = 0;
  const idle = (milliseconds: number) => {
    idles.push(milliseconds);
    return new Promise<void>((resolve) => setTimeout(resolve, milliseconds * 2));
  };
  let isBusy = true;
  const poller = new Poller(
    idle,
    () => isBusy,
    () => {
      looks++;
      if (looks >= 10 && idles.at(-1) === 1) isBusy = false;
      return looks < 10;
    },
  );
  poller.wake();
  poller.wake();
  for (let turn = 0; isBusy; turn++) {
    assert.ok(turn < 500);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.deepEqual(idles.slice(0, 3), [0, 0, 0]);
  assert.ok(idles.indexOf(1) >= 9, idles.join());
  poller.stop();
});

test("looks end when there is nothing to wait for, and when the poller is stopped", async () => {
  let looks = 0;
  const poller = new Poller(
    () => new Promise<void>((resolve) => setTimeout(resolve, 0)),
    () => looks < 3,
    () => ++looks > 0,
  );
  poller.wake();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(looks, 3);
  looks = 0;
  poller.stop();
  poller.wake();
  assert.equal(looks, 0);
});
