/** MODE SELECT(6) and (10), LOG SENSE. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import type { Scatter } from "../memory/index.js";
import { type Answer, MemoryStore } from "../storage/index.js";
import * as cdb from "./cdb.js";
import { commandOutcome } from "./command-outcome.js";
import { Disk } from "./disk.js";
import type { DiskOptions } from "./disk-options.js";
import { Nexus } from "./nexus.js";
import { runCommand } from "./run-command.js";
import { parseSense } from "./sense.js";

/** Counts what is written and flushed. */
class CountingStore extends MemoryStore {
  readonly calls: string[] = [];

  override write(position: number, source: Scatter, length: number): Answer {
    this.calls.push("write");
    return super.write(position, source, length);
  }

  override flush(): Answer {
    this.calls.push("flush");
    return super.flush();
  }
}

function bench(options: DiskOptions = {}) {
  const store = new CountingStore(512 * 100);
  const disk = new Disk(store, { powerOnAttention: false, ...options });
  const nexuses = [new Nexus("one"), new Nexus("two")];
  const send = (bytes: Uint8Array, dataOut: Uint8Array = new Uint8Array(0), who = 0) =>
    runCommand(disk, bytes, { nexus: nexuses[who], dataOut });
  const select = async (list: string, flags = 0x10, ten = false) => {
    const data = parseHexBytes(list);
    const bytes = ten
      ? Uint8Array.of(0x55, flags, 0, 0, 0, 0, 0, 0, data.length, 0)
      : Uint8Array.of(0x15, flags, 0, 0, data.length, 0);
    const result = await send(bytes, data);
    const pointer = parseSense(result.sense)?.fieldPointer;
    return pointer === undefined ? commandOutcome(result) : `${commandOutcome(result)} byte ${pointer.byte}`;
  };
  const page = async (code: number, control: "current" | "default" = "current") =>
    hexBytes((await send(cdb.modeSense6(code, { noBlockDescriptors: true, control }))).data.subarray(4, 10));
  return { store, disk, send, select, page };
}

const caching = (wce: boolean) => `08 12 ${wce ? "04" : "00"} ${"00 ".repeat(17)}`;
const control = (dSense: boolean, swp: boolean) =>
  `0a 0a ${dSense ? "06" : "02"} 10 ${swp ? "08" : "00"} ${"00 ".repeat(7)}`;
const header6 = "00 00 00 00";
const header10 = "00 00 00 00 00 00 00 00";

test("WCE off: what was cached is flushed first, then every write is; others find 2Ah/01h", async () => {
  const { store, send, select, page } = bench();
  await send(cdb.testUnitReady(), undefined, 1);
  assert.equal(await select(header6 + caching(false)), "GOOD");
  assert.deepEqual(store.calls, ["flush"]);
  assert.equal(await page(8), "08 12 00 00 00 00");
  assert.equal(await page(8, "default"), "08 12 04 00 00 00");
  await send(cdb.write10(0, 1), new Uint8Array(512));
  assert.deepEqual(store.calls, ["flush", "write", "flush"]);
  assert.equal(commandOutcome(await send(cdb.testUnitReady(), undefined, 1)), "6/2a/1");
  assert.equal(commandOutcome(await send(cdb.testUnitReady(), undefined, 0)), "GOOD", "who changed it knows");
  assert.equal(await select(header10 + caching(true), 0x10, true), "GOOD");
  assert.equal(await page(8), "08 12 04 00 00 00");
  assert.equal(await select(header6 + caching(true)), "GOOD");
  assert.equal(commandOutcome(await send(cdb.testUnitReady(), undefined, 1)), "6/2a/1");
  assert.equal(commandOutcome(await send(cdb.testUnitReady(), undefined, 1)), "GOOD", "a change to the same is none");
});

test("D_SENSE and SWP: sense changes its format, writes are refused with 27h/02h and the header says WP", async () => {
  const { send, select, page, disk } = bench();
  assert.equal(await select(header6 + control(true, true)), "GOOD");
  const refused = await send(cdb.write10(0, 1), new Uint8Array(512));
  assert.equal(refused.sense[0], 0x72);
  assert.equal(commandOutcome(refused), "7/27/2");
  assert.equal((await send(cdb.modeSense6(8))).data[2], 0x90);
  const unmap = await send(parseHexBytes("42 00 00 00 00 00 00 00 08 00"), parseHexBytes("00 06 00 00 00 00 00 00"));
  assert.equal(commandOutcome(unmap), "7/27/2");
  assert.equal(await page(0x0a), "0a 0a 06 10 08 00");
  disk.reset("nexus-loss");
  assert.equal(commandOutcome(await send(cdb.testUnitReady())), "6/29/7");
  assert.equal(await page(0x0a), "0a 0a 06 10 08 00", "the loss of a nexus keeps it");
  disk.reset("unit-reset");
  assert.equal(commandOutcome(await send(cdb.testUnitReady())), "6/29/3");
  assert.equal(await page(0x0a), "0a 0a 02 10 00 00", "a reset brings the defaults back");
  assert.equal(commandOutcome(await send(cdb.write10(0, 1), new Uint8Array(512))), "GOOD");
});

test("several pages in one list are taken over together, or none of them", async () => {
  const { select, page } = bench();
  assert.equal(await select(header6 + caching(false) + control(true, false)), "GOOD");
  assert.deepEqual([await page(8), await page(0x0a)], ["08 12 00 00 00 00", "0a 0a 06 10 00 00"]);
  assert.equal(
    await select(`${header6}${caching(true)}0a 0a 00 10 ${"00 ".repeat(8)}`),
    "5/26/0 byte 26",
    "GLTSD is fixed",
  );
  assert.equal(await page(8), "08 12 00 00 00 00");
});

test("wrong lists: lengths, pages, fields that cannot change, SP, PF, block descriptors", async () => {
  const { select, send } = bench();
  assert.equal(commandOutcome(await send(parseHexBytes("15 10 00 00 00 00"))), "GOOD", "no list");
  assert.equal(await select(header6), "GOOD", "no pages");
  assert.equal(await select("00 00 00"), "5/1a/0");
  assert.equal(await select(`${header6}08`), "5/1a/0");
  assert.equal(await select(`${header6}08 12 04`), "5/1a/0");
  assert.equal(await select(`${header6}08 11 04 ${"00 ".repeat(16)}`), "5/26/0 byte 5");
  assert.equal(await select(`${header6}02 0e ${"00 ".repeat(14)}`), "5/26/0 byte 4");
  assert.equal(await select(`${header6}48 12 04 ${"00 ".repeat(17)}`), "5/26/0 byte 4", "a subpage");
  assert.equal(await select(`${header6}08 12 14 ${"00 ".repeat(17)}`), "5/26/0 byte 6");
  assert.equal(await select(`00 01 00 00 ${caching(true)}`), "5/26/0 byte 1", "medium type");
  assert.equal(await select(header6 + caching(true), 0x11), "5/24/0 byte 1", "SP");
  assert.equal(await select(header6 + caching(true), 0x00), "5/24/0 byte 1", "PF 0");
  assert.equal(await select(`00 00 00 08 00 00 00 64 00 00 02 00 ${caching(true)}`), "GOOD", "what is");
  assert.equal(await select(`00 00 00 08 00 00 00 00 00 00 02 00 ${caching(true)}`), "GOOD", "0 blocks: as it is");
  assert.equal(await select(`00 00 00 08 00 00 00 63 00 00 02 00 ${caching(true)}`), "5/26/0 byte 4");
  assert.equal(await select(`00 00 00 08 00 00 00 64 00 00 10 00 ${caching(true)}`), "5/26/0 byte 4");
  assert.equal(await select("00 00 00 20 00 00 00 64"), "5/1a/0", "a descriptor past the end");
  const long = "00 00 00 00 01 00 00 10 0000000000000064 00000000 00000200";
  assert.equal(await select(long + caching(true), 0x10, true), "GOOD");
});

test("what MODE SENSE gives, MODE SELECT takes back", async () => {
  for (const options of [{}, { readOnly: true }, { blockSize: 4096 }, { descriptorSense: true, writeCache: false }]) {
    const disk = new Disk(new MemoryStore(4096 * 100), { powerOnAttention: false, ...options });
    const nexus = new Nexus("one");
    const { data } = await runCommand(disk, cdb.modeSense6(0x3f), { nexus });
    data.set([0, 0, 0], 0);
    const bytes = Uint8Array.of(0x15, 0x10, 0, 0, data.length, 0);
    assert.equal(commandOutcome(await runCommand(disk, bytes, { nexus, dataOut: data })), "GOOD");
    data[3] = 0;
  }
  const fixed = bench({ readOnly: true });
  assert.equal(await fixed.select(header6 + caching(true)), "5/26/0 byte 6", "a read-only disk has no cache to switch");
});

test("LOG SENSE: pages 00h, 11h, 2Fh; unknown pages, subpages and pointers are refused", async () => {
  const { send } = bench();
  const log = (page: number, subpage = 0, pointer = 0, length = 255) =>
    send(Uint8Array.of(0x4d, 0, 0x40 | page, subpage, 0, 0, pointer, 0, length, 0));
  assert.equal(hexBytes((await log(0)).data), "00 00 00 03 00 11 2f");
  assert.equal(hexBytes((await log(0, 0xff)).data), "40 ff 00 08 00 00 00 ff 11 00 2f 00");
  assert.equal(hexBytes((await log(0x11)).data), "11 00 00 08 00 01 03 04 00 00 00 00");
  assert.equal(hexBytes((await log(0x2f)).data), "2f 00 00 08 00 00 03 04 00 00 ff ff");
  assert.equal((await log(0x2f, 0, 0, 6)).data.length, 6);
  assert.equal(commandOutcome(await log(0x0d)), "5/24/0");
  assert.equal(commandOutcome(await log(0x2f, 1)), "5/24/0");
  assert.equal(commandOutcome(await log(0x2f, 0, 1)), "5/24/0");
  assert.equal(commandOutcome(await send(parseHexBytes("4d 01 40 00 00 00 00 00 ff 00"))), "5/24/0", "SP");
  const platters = bench({ rotationRate: 7200 });
  assert.equal(
    hexBytes((await platters.send(parseHexBytes("4d 00 40 00 00 00 00 00 ff 00"))).data),
    "00 00 00 02 00 2f",
  );
});
