/**
 * The same sequences on our A4091 and on fs-uae's: board bytes, registers, scripts, memory and disks agree, apart from
 * that emulator's faults, each of which is shown by name.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reg } from "../../src/ncr53c710/index.js";
import {
  compareOn,
  describeDifference,
  endsFsUae,
  type FsUaeMachine,
  fsUaeFaults,
  fsUaeMasks,
  fsUaeMasksAfterReset,
  type NamedMask,
  type RegisterName,
  type SequenceStep,
  type SequenceTarget,
  startFsUaeMachine,
} from "../../src/platform/fs-uae/index.js";
import { cdb } from "../../src/scsi/index.js";
import { seededRandom } from "../../src/testing/index.js";
import { identityBytes, partnerOffset, readIdentity, zorroConfigArea } from "../../src/zorro/index.js";
import { randomRegisterSteps, randomScript } from "./fs-uae-random.js";
import { boardBase, commandSteps, noFsUae, ourBoard, ours, places, scriptWords, setUp, theirs } from "./fs-uae-rig.js";
import { after, before, describe, test } from "./limited-test.js";

const content = Uint8Array.from({ length: 1 << 20 }, (_, index) => (index * 11 + (index >> 9)) & 0xff);
/** Registers whose reading changes nothing. */
const quietRegisters = (Object.keys(Reg) as RegisterName[]).filter(
  (name) => !["DSTAT", "SSTAT0", "CTEST2", "CTEST3", "CTEST6"].includes(name),
);

describe("our A4091 and fs-uae's", { skip: noFsUae }, () => {
  let folder = "";
  let machine: FsUaeMachine;
  let board: ReturnType<typeof ourBoard>;
  let pair: readonly [SequenceTarget, SequenceTarget];
  /** Names of the faults that have shown themselves. */
  const shown = new Set<string>();

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "ringside-compare-"));
    const image = join(folder, "image");
    writeFileSync(image, content);
    machine = await startFsUaeMachine({
      disks: [
        { image, target: 0 },
        { image, target: 6 },
      ],
    });
    board = ourBoard(
      new Map([
        [0, content],
        [6, content],
      ]),
    );
  });
  after(async () => {
    await machine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs the steps on both; fails with one line for each difference that has no name. */
  const agree = async (steps: readonly SequenceStep[], masks: readonly NamedMask[] = fsUaeMasks) => {
    const result = await compareOn(steps, pair, masks);
    const lines = result.unexplained.map((each) => describeDifference(each, [pair[0].name, pair[1].name]));
    assert.equal(lines.length, 0, `\n${lines.join("\n")}\n`);
    for (const { explainedBy } of result.masked) for (const name of explainedBy) shown.add(name);
    return result;
  };

  test("check 33: the boards say the same about themselves, and get the same base", () => {
    const identity = (space: FsUaeMachine["memorySpace"]) =>
      identityBytes(readIdentity(space, zorroConfigArea.zorro2, partnerOffset.zorro2));
    assert.deepEqual(identity(machine.memorySpace), identity(board.zorro.space));
    machine.configureBoard(boardBase);
    pair = [ours(board), theirs(machine)];
    assert.equal(board.zorro.configured[0].base, boardBase);
    for (const offset of [0x8c_0003]) {
      assert.equal(machine.memorySpace.read8(boardBase + offset), board.zorro.space.read8(boardBase + offset));
    }
    // Of a ROM longword two nibbles are driven.
    for (let offset = 0; offset < 0x400; offset += 4) {
      const [mine, other] = [board.zorro.space, machine.memorySpace].map((space) => space.read32(boardBase + offset));
      assert.equal((mine & 0xf000_f000) >>> 0, (other & 0xf000_f000) >>> 0, `ROM ${offset.toString(16)}`);
    }
  });

  test("check 33: registers after power-on and after a reset agree", async () => {
    const names = Object.keys(Reg) as RegisterName[];
    await agree([{ do: "read", registers: names }]);
    await agree([...setUp.slice(0, 2), { do: "read", registers: ["DSTAT", ...names] }]);
    const { masked } = await agree(
      [
        { do: "write", register: "DWT", value: 1 },
        { do: "write", register: "CTEST7", value: 0x80 },
        ...setUp.slice(0, 2),
        { do: "write", register: "SIEN", value: 0 },
        { do: "read", registers: ["ISTAT", "DWT", "CTEST7", "SIEN", "DMODE"] },
        ...setUp,
      ],
      [...fsUaeMasks, ...fsUaeMasksAfterReset],
    );
    assert.deepEqual(
      masked.map(({ what }) => what),
      ["ISTAT", "DWT", "CTEST7"],
    );
  });

  test("a chip reset after a command leaves no phase in SSTAT2 on either, with nothing of it masked", async () => {
    const masks = fsUaeMasks.filter((mask) => !mask.what.includes("SSTAT2"));
    assert.equal(masks.length, fsUaeMasks.length - 1);
    await agree([...setUp, ...commandSteps(6, cdb.testUnitReady(), 0)]);
    await agree([...setUp.slice(0, 2), { do: "read", registers: ["DSTAT", "SSTAT2"] }], [...masks]);
  });

  for (const target of [0, 6]) {
    test(`check 33: commands to target ${target}: TEST UNIT READY, READ, WRITE, an unknown one`, async () => {
      const written = Uint8Array.from({ length: 1024 }, (_, index) => (index * 3 + target) & 0xff);
      const commands = [
        commandSteps(target, cdb.testUnitReady(), 0),
        commandSteps(target, cdb.inquiry(1), 1),
        commandSteps(target, cdb.readCapacity10(), 8),
        commandSteps(target, cdb.read10(5, 3), 1536),
        commandSteps(target, cdb.write10(100, 2), 1024, written),
        commandSteps(target, cdb.read10(99, 4), 2048),
        commandSteps(target, Uint8Array.of(0x02, 0, 0, 0, 0, 0), 0),
      ];
      for (const steps of commands) await agree([...setUp, ...steps]);
    });
  }

  test("check 33: absent target and a target that ends early stop with the same causes and registers", async () => {
    await agree([...setUp, ...commandSteps(3, cdb.testUnitReady(), 0)]);
    const short = commandSteps(0, cdb.inquiry(1), 36);
    await agree([...setUp, { do: "upload", address: places.data, bytes: new Uint8Array(36) }, ...short]);
    await agree([...setUp, ...commandSteps(0, cdb.read10(5, 1), 1000)]);
  });

  const singles: Readonly<Record<string, string>> = {
    interrupt: "INT 0x89abcdef",
    "jump and call": `
      CALL REL(sub)
      JUMP REL(end)
      INT 1
    sub:
      MOVE 5 TO SCRATCH0
      RETURN
    end:
      INT 2`,
    "carry chain": `
      MOVE 0xf0 TO SCRATCH0
      CLEAR CARRY
      MOVE SCRATCH0 + 0x20 TO SCRATCH0
      MOVE SCRATCH1 + 1 TO SCRATCH1 WITH CARRY
      JUMP REL(no), IF CARRY
      INT 1
    no:
      INT 2`,
    "compare with mask": `
      MOVE 0x5a TO SCRATCH0
      MOVE SCRATCH0 TO SFBR
      JUMP REL(yes), IF 0x50, AND MASK 0x0f
      INT 1
    yes:
      INT 2, IF NOT 0x5b
      INT 3`,
    "illegal instruction": "WORD 0xa0080000, 0",
    "no operation": "WORD 0x80000000, 0, 0x98080000, 7",
  };
  for (const [name, source] of Object.entries(singles)) {
    test(`check 33: script: ${name}`, async () => {
      await agree([
        ...setUp,
        { do: "words", address: places.script, words: scriptWords(source) },
        { do: "start", address: places.script },
        { do: "wait" },
        { do: "read-long", offset: 0x0c },
        { do: "read", registers: quietRegisters },
      ]);
    });
  }

  test("single step stops after each instruction, and goes on from DSP", async () => {
    const words = scriptWords("MOVE 1 TO SCRATCH0\nMOVE 2 TO SCRATCH1\nINT 3");
    const look: SequenceStep[] = [
      { do: "wait" },
      { do: "read-long", offset: 0x0c },
      { do: "read", registers: ["DSP", "DSPS", "SCRATCH", "DCMD"] },
    ];
    await agree([
      ...setUp,
      { do: "words", address: places.script, words },
      { do: "write", register: "DCNTL", value: 0x10 },
      { do: "start", address: places.script },
      ...look,
      { do: "start", address: places.script + 8 },
      ...look,
      { do: "write", register: "DCNTL", value: 0 },
      { do: "start", address: places.script + 16 },
      ...look,
    ]);
  });

  test("200 random sequences of register writes leave the same registers", async () => {
    const random = seededRandom(53);
    for (let run = 0; run < 200; run++) {
      const steps = randomRegisterSteps(random).filter(
        (step) => step.do !== "write" || !endsFsUae(step.register, step.value),
      );
      await agree([...setUp, ...steps]);
    }
  });

  test("300 random scripts leave the same registers and memory", async () => {
    const random = seededRandom(710);
    for (let run = 0; run < 300; run++) {
      const data = Uint8Array.from({ length: 256 }, () => random.below(256));
      await agree([
        ...setUp,
        { do: "write", register: "SCRATCH", value: random.below(0x1_0000) },
        { do: "upload", address: places.data, bytes: data },
        { do: "words", address: places.script, words: randomScript(random, places.script, places.data) },
        { do: "start", address: places.script },
        { do: "wait" },
        { do: "read-long", offset: 0x0c },
        { do: "read", registers: ["DSPS", "DSP", "DCMD", "SCRATCH", "TEMP", "DSA", "DWT", "ISTAT"] },
        { do: "memory", address: places.data, length: 256 },
      ]);
    }
  });

  test("every fault in the list has shown itself", () => {
    const missing = Object.values(fsUaeFaults).filter(({ name }) => !shown.has(name));
    assert.deepEqual(
      missing.map(({ name }) => name),
      [],
    );
  });
});
