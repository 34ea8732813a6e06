/** Numbers of units over hot-plugging: a place keeps its number, and no two places ever have the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Disk } from "../../../scsi/index.js";
import { inTime, patternStore } from "../../../testing/index.js";
import { extended, onLoop, pause } from "./scenario.test.js";

test("a unit that is plugged in again gets the number it had; another one gets the lowest that nobody had", async () => {
  const said: string[] = [];
  const tell = {
    announce: (unit: number) => void said.push(`+${unit}`),
    denounce: (unit: number) => void said.push(`-${unit}`),
  };
  const until = async (what: string) => {
    for (let turn = 0; turn < 200 && !said.includes(what); turn++) await pause(5);
    assert.equal(said.splice(0).join(" "), what);
  };
  await onLoop(extended, tell, async (loop) => {
    said.length = 0;
    // Units 0 and 1 are there from the start, at 0/0 and 1/1.
    for (let time = 0; time < 6; time++) {
      loop.bus.attach(2, 0, new Disk(patternStore(1 << 20), {}));
      await until("+2");
      const program = await loop.open(2);
      assert.equal((await inTime(program.read(512, 512))).length, 512);
      await program.close();
      loop.bus.detach(2, 0);
      await until("-2");
    }
    // Number 2 stays that place's: a volume that was mounted from it must not find another disk there.
    loop.bus.attach(3, 0, new Disk(patternStore(1 << 20), {}));
    await until("+3");
    loop.bus.attach(2, 0, new Disk(patternStore(1 << 20), {}));
    await until("+2");
    const numbers = loop.driver.units.map((unit) => unit?.number);
    assert.deepEqual(numbers, [0, 1, 2, 3]);
  });
});
