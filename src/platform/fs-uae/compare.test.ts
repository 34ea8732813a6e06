/** Differences with names and without, on observations made by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  compareObservations,
  describeDifference,
  endsFsUae,
  fsUaeFaults,
  fsUaeMasks,
  type NamedMask,
  type Observation,
  readNamed,
  writeNamed,
} from "./index.js";

const see = (what: string, value: number | string, step = 0): Observation => ({ step, what, value });
const low: NamedMask = { name: "low bits", what: ["A", "B"], bits: 0x0f };
const high: NamedMask = { name: "high bits", what: ["A"], bits: 0xf0 };

test("a difference is masked only when masks for its register cover every bit of it", () => {
  const compare = (masks: readonly NamedMask[]) => compareObservations([see("A", 0x12)], [see("A", 0x21)], masks);
  assert.deepEqual(compare([low, high]).masked[0].explainedBy, ["low bits", "high bits"]);
  assert.equal(compare([low]).unexplained.length, 1);
  assert.equal(compare([low]).unexplained[0].explainedBy.length, 0);
  assert.deepEqual(compareObservations([see("B", 0x10)], [see("B", 0x1f)], [low, high]).masked[0].explainedBy, [
    "low bits",
  ]);
  assert.equal(compareObservations([see("C", 1)], [see("C", 2)], [low, high]).unexplained.length, 1);
});

test("equal values are no difference, and bit 31 is a bit like others", () => {
  assert.deepEqual(compareObservations([see("A", 5)], [see("A", 5)], []), { unexplained: [], masked: [] });
  const top: NamedMask = { name: "top", what: ["A"], bits: 0x8000_0000 };
  assert.equal(compareObservations([see("A", 0x8000_0001)], [see("A", 1)], [top]).masked.length, 1);
});

test("bytes and missing interrupts are explained by masks of whole values only", () => {
  const whole: NamedMask = { name: "all of it", what: ["memory 0"] };
  const pair = [[see("memory 0", "aa")], [see("memory 0", "bb")]] as const;
  assert.equal(compareObservations(...pair, [{ ...whole, bits: 0xff }]).unexplained.length, 1);
  assert.deepEqual(compareObservations(...pair, [whole]).masked[0].explainedBy, ["all of it"]);
  assert.equal(
    compareObservations([see("ISTAT", 1)], [see("ISTAT", "no interrupt")], fsUaeMasks).unexplained.length,
    1,
  );
});

test("a mask with a condition looks at what the first chip showed at the same step", () => {
  const { countKept } = fsUaeFaults;
  const run = (dcmd: number, count: number) => [see("DCMD", 0xff, 1), see("DCMD", dcmd, 2), see("DBC", count, 2)];
  const compare = (dcmd: number) => compareObservations(run(dcmd, 7), run(dcmd, 1), [countKept]);
  assert.equal(compare(0x98).masked.length, 1, "after INT");
  assert.equal(compare(0x0f).masked.length, 1, "after a message");
  assert.equal(compare(0x19).unexplained.length, 1, "in a data phase");
});

test("runs of different steps are not compared", () => {
  assert.throws(() => compareObservations([see("A", 1)], [], []), RangeError);
});

test("a difference is one line that names both sides", () => {
  const [difference] = compareObservations([see("DSTAT", 0x84, 3)], [see("DSTAT", 0x81, 3)], []).unexplained;
  assert.equal(describeDifference(difference, ["ours", "theirs"]), "step 3, DSTAT: ours has 84h, theirs has 81h");
});

test("registers are accessed with their own width: bytes at n ^ 3, longwords whole, DBC without DCMD", () => {
  const log: string[] = [];
  const note = (what: string) => (offset: number, value?: number) => {
    log.push(`${what} ${offset.toString(16)}${value === undefined ? "" : ` ${value.toString(16)}`}`);
    return 0x4012_3456;
  };
  const window = {
    read8: note("r8"),
    read16: note("r16"),
    read32: note("r32"),
    write8: note("w8"),
    write16: note("w16"),
    write32: note("w32"),
  };
  assert.equal(readNamed(window, "DBC"), 0x12_3456);
  readNamed(window, "ISTAT");
  readNamed(window, "DSPS");
  writeNamed(window, "SCNTL0", 0x1cc);
  writeNamed(window, "DSA", 0x2_0000);
  writeNamed(window, "DBC", 0x12_3456);
  assert.deepEqual(log, ["r32 24", "r8 22", "r32 30", "w8 3 cc", "w32 10 20000", "w8 27 56", "w8 26 34", "w8 25 12"]);
});

test("what would end the emulator is known before it is written", () => {
  assert.ok(endsFsUae("SCNTL0", 0xe0) && endsFsUae("SCNTL1", 0x40));
  assert.ok(!endsFsUae("SCNTL0", 0xcc) && !endsFsUae("SCNTL1", 0x20) && !endsFsUae("DSA", 0xffff_ffff));
});
