/** Chapter 11 of the reference, checks 1 to 8: finding a controller, bringing it up, rings, requests, the scan. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceEvent } from "../../../observe/index.js";
import { CdDrive, Disk, type LogicalUnit } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import {
  type AmigaLoopOptions,
  openAmigaLoop,
  patternDisk,
  patternStore,
  plugAmigaBay,
} from "../../../testing/index.js";
import { Command } from "../commands/index.js";
import { ExecMemory } from "../exec/index.js";
import { amigaProfiles } from "../profile.js";
import { type AmigaMachine, controllersInOrder, virtioScsiIds } from "../virtio/amiga-machine.js";
import { allocatedRingBytes, allocateRing, isContiguous, mappedRingBytes } from "../virtio/ring-block.js";
import { startScenarios } from "./defect-scenarios-start.test.js";
import { profileWith } from "./scenario.test.js";

/** `>` writes, `<` reads; offsets as the tables of chapter 2 have them. */
async function registerTrace(options: AmigaLoopOptions): Promise<string[]> {
  const lines: string[] = [];
  const emit = ({ category, source, name, fields }: TraceEvent) => {
    if (category !== "registers" || !source.startsWith("virtioscsi")) return;
    lines.push(`${name === "write" ? ">" : "<"} ${fields["register"]} ${Number(fields["value"]).toString(16)}`);
  };
  const loop = await openAmigaLoop({ profile: "strict", units: [], observer: { emit }, ...options });
  const end = lines.findLastIndex((line) => line.startsWith("< deviceStatus"));
  await loop.close();
  return lines.slice(0, end + 1);
}

test("check 1: version 1.5 looks for 0x1048 first and for 0x1004 then, version 1.8 the other way round", () => {
  const { transitional, modern } = virtioScsiIds;
  const functions = [transitional, 0x1001, modern, transitional, modern].map((deviceId, index) => ({
    fn: { vendorId: 0x1af4, deviceId, index } as never,
  }));
  const ids = (order: "modern-first" | "transitional-first") =>
    controllersInOrder(functions, order).map(({ fn }) => fn.deviceId);
  assert.deepEqual(ids("modern-first"), [modern, modern, transitional, transitional]);
  assert.deepEqual(ids("transitional-first"), [transitional, transitional, modern, modern]);
  assert.equal(amigaProfiles.strict.controllers, 1);
});

test("check 1: 0x1004 is driven by its I/O ports on an AmigaOne, 0x1048 through memory on a Pegasos II", async () => {
  for (const [board, kind] of [
    ["amigaone", "pci-legacy"],
    ["pegasos2", "pci-modern"],
  ] as const) {
    const loop = await openAmigaLoop({ board, profile: "strict" });
    assert.equal(loop.system.controllers[0].kind, kind);
    await loop.close();
  }
});

test("check 2: the registers of a legacy device in their order (2.1)", async () => {
  const trace = await registerTrace({ board: "amigaone" });
  const pages = trace.filter((line) => line.startsWith("> queueAddress")).map((line) => Number(`0x${line.slice(15)}`));
  const [first, second, third] = pages.map((page) => page.toString(16));
  assert.equal(new Set(pages).size, 3);
  assert.deepEqual(trace, [
    ...["> deviceStatus 0", "< isrStatus 0", "> deviceStatus 1", "> deviceStatus 3"],
    ...["< deviceFeatures 39000006", "> driverFeatures 20000000"],
    ...["> queueSelect 0", "< queueSize 100", `> queueAddress ${first}`],
    ...["> queueSelect 1", "< queueSize 100", `> queueAddress ${second}`],
    ...["> queueSelect 2", "< queueSize 100", `> queueAddress ${third}`],
    ...["> deviceStatus 7", "< deviceStatus 7"],
  ]);
});

test("check 3: the registers of a modern device in their order (2.2)", async () => {
  const trace = await registerTrace({ board: "pegasos2", plug: { ringFeatures: 0x1_3000_0000n } });
  const addresses = trace.map((line) => line.replace(/^(> queue(Descriptors|Available|Used)Low) .*/, "$1"));
  const queue = (index: number) => [
    ...[`> queueSelect ${index}`, "< queueSize 100"],
    ...["> queueDescriptorsLow", "> queueDescriptorsHigh 0", "> queueAvailableLow", "> queueAvailableHigh 0"],
    ...["> queueUsedLow", "> queueUsedHigh 0", "> queueEnable 1", `< queueNotifyOffset ${index}`],
  ];
  assert.deepEqual(addresses, [
    ...["> deviceStatus 0", "< deviceStatus 0", "> deviceStatus 1", "> deviceStatus 3"],
    ...["> deviceFeatureSelect 0", "< deviceFeature 30000006", "> deviceFeatureSelect 1", addresses[7]],
    ...["> driverFeatureSelect 0", "> driverFeature 20000000", "> driverFeatureSelect 1", "> driverFeature 1"],
    ...["> deviceStatus b", "< deviceStatus b", ...queue(0), ...queue(1), ...queue(2)],
    ...["> deviceStatus f", "< deviceStatus f"],
  ]);
  assert.match(addresses[7], /^< deviceFeature [0-9a-f]*[13579bdf]$/);
});

test("check 3: FEATURES_OK that does not stay ends with FAILED and without a device", async () => {
  const lines: string[] = [];
  const emit = ({ source, name, fields }: TraceEvent) => {
    if (source.startsWith("virtioscsi") && fields["register"] === "deviceStatus" && name === "write") {
      lines.push(Number(fields["value"]).toString(16));
    }
  };
  const bay = plugAmigaBay({ board: "pegasos2", profile: "strict", observer: { emit } });
  const { core } = bay.function;
  const write = core.writeStatus.bind(core);
  core.writeStatus = (value, legacy) => write(value & ~8, legacy);
  await assert.rejects(bay.start({ profile: "strict" }), /features-refused/);
  assert.deepEqual(lines.slice(0, 5), ["0", "1", "3", "b", "80"]);
  await bay.unplug();
  bay.dma?.assertNothingAllocated();
});

for (const { id, rule, run } of startScenarios.filter((scenario) => ["L2", "B24", "B21"].includes(scenario.id))) {
  test(`check 4: ${rule} (${id})`, () => run(profileWith([])));
}

test("check 5: a ring of 256 has its used ring at 8192 of 10246 bytes, 14342 are allocated, in one piece", async () => {
  assert.equal(mappedRingBytes(256), 10246);
  assert.equal(allocatedRingBytes(256), 14342);
  const bay = plugAmigaBay({ units: [] });
  const memory = new ExecMemory(bay.machine.memory, bay.machine.dma, "scattered");
  for (const contiguity of ["verified", "assumed"] as const) {
    const ring = allocateRing(memory, 256, contiguity, "scattered");
    assert.equal(ring.layout.used, 8192);
    assert.equal(ring.physical % 4096, 0);
    assert.equal(isContiguous(memory, ring.allocation, 10246), contiguity === "verified");
    memory.free(ring.allocation);
  }
  await bay.unplug();
});

test("check 6: the same reads, a residual and wrapped indices, in both byte orders", async () => {
  for (const board of ["amigaone", "pegasos2"] as const) {
    const startIndex = 65500;
    const profile = profileWith([]);
    const loop = await openAmigaLoop({ board, profile, startIndex, plug: { startIndex } });
    const program = await loop.open(1);
    const { what } = program.scsi(Uint8Array.of(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 64);
    assert.deepEqual(await program.do(what), { error: 0, actual: 8 });
    for (let block = 0; block < 60; block++) {
      assert.equal((await program.read(512 * block, 512))[1], (7 + 13 * block + 1) & 0xff);
    }
    await loop.close();
  }
});

test("check 7: requests of 51 and answers of 108 bytes, chains in their order, LUN bytes 01 01 40 01", async () => {
  for (const board of ["amigaone", "pegasos2"] as const) {
    const chains: string[][] = [];
    let header = "";
    let memory: AmigaMachine["memory"] | undefined;
    const faults = {
      command() {
        const at = chains.at(-1)?.[0]?.split(" ")[2];
        if (memory !== undefined) header = Buffer.from(memory.read(Number(at), 24)).toString("hex");
        return undefined;
      },
    };
    const emit = ({ category, name, fields }: TraceEvent) => {
      if (category !== "ring") return;
      if (name === "available") chains.push([]);
      if (name === "descriptor" && chains.at(-1)?.length !== undefined && isAdding) {
        chains.at(-1)?.push(`${fields["access"]} ${fields["length"]} ${fields["address"]}`);
      }
      isAdding = name !== "pop" && (isAdding || name === "available");
    };
    let isAdding = false;
    const loop = await openAmigaLoop({ board, profile: "strict", poison: false, faults, observer: { emit } });
    ({ memory } = loop.machine);
    const program = await loop.open(1);
    const data = program.buffer(8192);
    const shape = async (command: number, length: number) => {
      chains.length = 0;
      isAdding = false;
      await program.do({ command, length, data });
      return chains[0].map((piece) => piece.split(" ").slice(0, 2).join(" "));
    };
    assert.deepEqual(await shape(Command.CMD_READ, 512), ["read 51", "write 108", "write 512"]);
    assert.equal(header.slice(0, 16), "0101400100000000");
    // The pipelined path numbers requests by their slot; task attribute, priority and CRN are 0.
    assert.equal(header.slice(16, 38), "0000000000000000000000");
    assert.deepEqual(await shape(Command.CMD_WRITE, 8192), ["read 51", "read 8192", "write 108"]);
    const { what } = program.scsi(Uint8Array.of(0, 0, 0, 0, 0, 0), 16);
    chains.length = 0;
    await program.do(what);
    assert.deepEqual(
      chains[0].map((piece) => piece.split(" ").slice(0, 2).join(" ")),
      ["read 51", "write 108"],
    );
    // The synchronous path numbers all of its requests 1.
    assert.equal(header.slice(16, 32), "0000000000000001");
    await loop.close();
  }
});

/** A unit with another first byte of INQUIRY data. */
function disguised(unit: LogicalUnit, firstByte: number): LogicalUnit {
  const execute: LogicalUnit["execute"] = (task) => {
    const answer = unit.execute(task);
    if (task.cdb[0] === 0x12) task.dataIn.write(Uint8Array.of(firstByte));
    return answer;
  };
  return new Proxy(unit, {
    get(target, key) {
      if (key === "execute") return execute;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

for (const board of ["amigaone", "pegasos2"] as const) {
  test(`check 8 on ${board}: units are numbered as they are found, CDs too; not qualifier 3; 8 at most`, async () => {
    const places = async (units: AmigaLoopOptions["units"]) => {
      const loop = await openAmigaLoop({ board, profile: "strict", ...(units === undefined ? {} : { units }) });
      const found = loop.driver.units.map((unit) => [unit?.target, unit?.lun, unit?.peripheralType]);
      await loop.close();
      return found;
    };
    assert.deepEqual(await places(undefined), [
      [0, 0, 0],
      [1, 1, 0],
    ]);
    const cd = { target: 2, lun: 0, unit: new CdDrive(new MemoryStore(2048 * 64), {}) };
    const absent = { target: 3, lun: 1, unit: disguised(new Disk(patternStore(1 << 16), {}), 0x60) };
    assert.deepEqual(await places([cd, absent, patternDisk(4, 0)]), [
      [2, 0, 5],
      [4, 0, 0],
    ]);
    const many = Array.from({ length: 10 }, (_, index) => patternDisk(index >> 1, index & 1, patternStore(1 << 16)));
    assert.equal((await places(many)).length, 8);
    // What version 1.5 does not look at, the extended profile finds.
    const far = [patternDisk(40, 9), ...many];
    const loop = await openAmigaLoop({ board, units: far });
    assert.equal(loop.driver.units.length, 11);
    assert.deepEqual([loop.driver.units[10]?.target, loop.driver.units[10]?.lun], [40, 9]);
    await loop.close();
  });
}
