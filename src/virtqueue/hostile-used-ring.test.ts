/** Each rule that a device can break on a split ring, one by one, by hand-written bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endianness } from "../bytes/index.js";
import type { ViolationCode } from "../errors/index.js";
import { DmaAllocator, GuestDma, GuestMemory } from "../memory/index.js";
import type { TraceEvent } from "../observe/index.js";
import { RestlessRegion } from "../testing/index.js";
import { ChainPieces, layoutAt, legacyLayout, SplitDriver } from "./index.js";

const base = 0x1_0000;
const size = 8;
const addresses = layoutAt(legacyLayout(size), base);
const data = base + 0x4000;
const tableAt = base + 0x5000;

/** A driver whose used ring is written by hand. */
function handMadeUsed(options: { endianness?: Endianness; startIndex?: number; excess?: "cut" } = {}) {
  const { endianness = "little", startIndex = 0, excess = "violation" } = options;
  const little = endianness === "little";
  const region = new RestlessRegion(base, new Uint8Array(0x8000));
  const memory = new GuestMemory([region]);
  const events: TraceEvent[] = [];
  const driver = new SplitDriver<string>(memory, {
    ...{ index: 2, size, addresses, endianness, indirect: false, eventIndex: false, startIndex },
    dma: new GuestDma(memory, new DmaAllocator(memory, tableAt, 0x1000)),
    excessUsedLength: excess,
    observer: { emit: (event) => events.push(event) },
  });
  const view = new DataView(region.bytes.buffer);
  let index = startIndex;
  const used = (...elements: [id: number, length: number][]) => {
    for (const [id, length] of elements) {
      const slot = addresses.used - base + 4 + 8 * (index % size);
      view.setUint32(slot, id, little);
      view.setUint32(slot + 4, length, little);
      index = (index + 1) & 0xffff;
    }
    view.setUint16(addresses.used - base + 2, index, little);
  };
  const move = (by: number) => {
    index = (index + by) & 0xffff;
    view.setUint16(addresses.used - base + 2, index, little);
  };
  const send = (cookie: string, room: number) => {
    const pieces = new ChainPieces();
    pieces.addReadable(data, 4);
    if (room > 0) pieces.addWritable(data, room);
    assert.ok(driver.add(pieces, cookie));
    driver.publish();
  };
  const breaks = (code: ViolationCode) => {
    assert.throws(() => driver.reap(), { name: "ProtocolError", code, queue: 2 });
    assert.equal(driver.reap(), undefined);
    assert.equal(driver.enableInterrupts(), true);
    const pieces = new ChainPieces();
    pieces.addReadable(data, 4);
    assert.equal(driver.add(pieces, "more"), false);
    assert.ok(events.some(({ category, name }) => category === "violation" && name === code));
  };
  return { driver, region, used, move, send, breaks };
}

for (const endianness of ["little", "big"] as const) {
  for (const startIndex of [0, 65_534]) {
    test(`§2.7.8 what a device can do wrong (${endianness}, from ${startIndex}), each by its name`, () => {
      const make = () => handMadeUsed({ endianness, startIndex });
      const jump = make();
      jump.send("a", 8);
      jump.move(2);
      jump.breaks("used-index-jump");
      const back = make();
      back.send("a", 8);
      back.move(-1);
      back.breaks("used-index-jump");
      const nothing = make();
      nothing.move(1);
      nothing.breaks("used-index-jump");
      for (const id of [size, 0xffff, 0x1_0000, 0xffff_ffff]) {
        const past = make();
        past.send("a", 8);
        past.used([id, 0]);
        past.breaks("used-id-out-of-range");
      }
      const stranger = make();
      stranger.send("a", 8);
      stranger.used([5, 0]);
      stranger.breaks("used-id-not-in-flight");
      const middle = make();
      middle.send("a", 8);
      middle.used([1, 0]);
      middle.breaks("used-id-not-in-flight");
      const twice = make();
      twice.send("a", 8);
      twice.send("b", 8);
      twice.used([0, 8], [0, 8]);
      assert.equal(twice.driver.reap(), "a");
      twice.breaks("used-id-not-in-flight");
      assert.deepEqual(twice.driver.detachAll(), ["b"]);
      for (const length of [9, 0xffff_ffff]) {
        const large = make();
        large.send("a", 8);
        large.used([0, length]);
        large.breaks("used-length-too-large");
        assert.deepEqual(large.driver.detachAll(), ["a"]);
      }
    });
  }
}

test("R-609: legacy devices that put other lengths there: the number is cut to the room, 0 for a read-only chain", () => {
  const { driver, used, send } = handMadeUsed({ excess: "cut", endianness: "big" });
  send("a", 8);
  send("b", 0);
  used([0, 4096], [2, 51]);
  assert.deepEqual([driver.reap(), driver.usedLength], ["a", 8]);
  assert.deepEqual([driver.reap(), driver.usedLength], ["b", 0]);
});

test("a device that scribbles over descriptors and available ring does no harm: the free list is private", () => {
  const { driver, region, used, send } = handMadeUsed();
  send("a", 8);
  send("b", 8);
  region.bytes.fill(0xff, addresses.descriptors - base, addresses.available - base + 20);
  used([2, 8], [0, 8]);
  assert.deepEqual([driver.reap(), driver.reap()], ["b", "a"]);
  assert.equal(driver.free, size);
  for (let cookie = 0; cookie < 4; cookie++) send(`${cookie}`, 8);
  assert.equal(driver.free, 0);
});

test("read once: a used element that changes right after it was read is the one that was read", () => {
  const { driver, region, used, send } = handMadeUsed();
  send("a", 8);
  send("b", 8);
  used([2, 5]);
  const reads = new Map<number, number>();
  region.onRead = (offset, width) => {
    reads.set(offset, (reads.get(offset) ?? 0) + 1);
    region.bytes.fill(0xee, offset, offset + width);
  };
  assert.deepEqual([driver.reap(), driver.usedLength], ["b", 5]);
  region.onRead = undefined;
  assert.ok(reads.size >= 3);
  for (const [offset, count] of reads) assert.equal(count, 1, `0x${offset.toString(16)} was read ${count} times`);
});

test("a used index that goes back after it was seen is named, and nobody polls for ever", () => {
  for (const seen of [1, 2]) {
    const { driver, move, send, breaks } = handMadeUsed({ startIndex: 65_535 });
    send("a", 8);
    send("b", 8);
    move(seen);
    assert.equal(driver.enableInterrupts(), false);
    move(-seen);
    breaks("used-index-jump");
    assert.deepEqual(driver.detachAll().sort(), ["a", "b"]);
  }
});
