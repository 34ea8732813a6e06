/** Scenarios of defects in units: repetition, closing, held requests, aborting, hotplug. */
import assert from "node:assert/strict";
import { cdb, Disk } from "../../../scsi/index.js";
import { inTime, patternStore } from "../../../testing/index.js";
import { Command } from "../commands/index.js";
import { type DeviceScenario, gatedDisk, gathered, onLoop, pause } from "./scenario.test.js";

/** A disk that says first of all that it was switched on. */
const attentive = () => ({ target: 0, lun: 0, unit: new Disk(patternStore(1 << 20), { powerOnAttention: true }) });
const read = (data: number, offset = 0, length = 512) => ({ command: Command.CMD_READ, offset, length, data });

/** More than goes through a buffer of the driver's own: the device writes into the program's memory. */
const direct = 128 * 1024;

export const unitScenarios: readonly DeviceScenario[] = [
  {
    id: "B3",
    rule: "what a unit attention stopped is done all the same",
    run: (profile) =>
      onLoop(profile, { units: [attentive()] }, async (loop) => {
        const program = await loop.open();
        assert.equal((await inTime(program.do(program.scsi(cdb.testUnitReady(), 16).what))).error, 0);
      }),
  },
  {
    id: "L5",
    rule: "the first transfer after power-on is a usual one",
    run: (profile) =>
      onLoop(
        { ...profile, commands: { ...profile.commands, blockSizeKnown: "at-geometry" } },
        { units: [attentive()] },
        async (loop) => {
          const program = await loop.open();
          assert.equal((await inTime(program.do(read(program.buffer(512))))).error, 0);
        },
      ),
  },
  {
    id: "B27",
    rule: "requests in flight at the last close come back aborted, or with their data",
    run: async (profile) => {
      const disk = gatedDisk(0, 0);
      await onLoop(profile, { units: [disk] }, async (loop) => {
        const program = await loop.open();
        const data = loop.memory.allocate(512);
        const request = program.send(read(data, 512));
        await gathered(disk.gate, 1);
        const closing = program.close();
        await pause(5);
        void disk.gate.releaseAll();
        const { error } = await inTime(program.wait(request), 1000);
        await inTime(closing, 1000);
        const isThere = loop.memory.read(data, 4).join() === "14,21,28,35";
        loop.memory.free(data);
        assert.ok(error === -2 || (error === 0 && isThere), `error ${error}, data there: ${isThere}`);
      });
    },
  },
  {
    id: "Q10",
    rule: "after the last close the device writes nothing any more",
    run: async (profile) => {
      const disk = gatedDisk(0, 0);
      await onLoop(profile, { units: [disk] }, async (loop) => {
        const program = await loop.open();
        const data = loop.memory.allocate(direct);
        const request = program.send(read(data, 0, direct));
        await gathered(disk.gate, 1);
        const closing = program.close();
        await pause(5);
        const isClosed = await inTime(closing, 50).then(
          () => true,
          () => false,
        );
        // Until then the memory is the device's.
        if (isClosed) loop.memory.fill(data, 0xee, direct);
        await disk.gate.releaseAll();
        await pause(5);
        if (isClosed) {
          assert.ok(
            loop.memory.read(data, direct).every((byte) => byte === 0xee),
            "the device wrote to memory that was given back",
          );
        }
        await inTime(closing, 1000);
        await inTime(program.wait(request), 1000);
        loop.memory.free(data);
      });
    },
  },
  {
    id: "L4",
    rule: "held requests are answered -2 at the last close",
    run: (profile) =>
      onLoop(profile, {}, async (loop) => {
        const program = await loop.open();
        const held = [Command.TD_ADDCHANGEINT, Command.TD_REMOVE].map((command) => program.send({ command }));
        await program.close();
        for (const request of held) assert.equal((await inTime(program.wait(request))).error, -2);
      }),
  },
  {
    id: "L6",
    needsDriver: true,
    rule: "a disk that is plugged in is announced and read, one that is taken out is denounced",
    run: async (profile) => {
      const said: string[] = [];
      const tell = {
        announce: (unit: number) => void said.push(`+${unit}`),
        denounce: (unit: number) => void said.push(`-${unit}`),
      };
      await onLoop(profile, tell, async (loop) => {
        loop.bus.attach(3, 0, new Disk(patternStore(1 << 20), {}));
        await pause(20);
        const program = await loop.open(2);
        const held = program.send({ command: Command.TD_REMOVE });
        assert.equal((await inTime(program.read(512, 512))).length, 512);
        loop.bus.detach(3, 0);
        assert.equal((await inTime(program.wait(held))).error, 0);
        await pause(5);
        assert.deepEqual(said, ["+0", "+1", "+2", "-2"]);
      });
    },
  },
  {
    id: "L7",
    needsDriver: true,
    rule: "AbortIO ends a request that the device has, at once and for good",
    run: async (profile) => {
      const disk = gatedDisk(0, 0);
      await onLoop(profile, { units: [disk] }, async (loop) => {
        const program = await loop.open();
        const data = program.buffer(direct);
        const request = program.send(read(data, 0, direct));
        await gathered(disk.gate, 1);
        const answer = loop.system.exec.abortIo(request);
        if (answer !== 0) await disk.gate.releaseAll();
        assert.equal((await inTime(program.wait(request))).error, -2);
        assert.equal(answer, 0);
        loop.memory.fill(data, 0xee, direct);
        await disk.gate.releaseAll();
        assert.ok(loop.memory.read(data, direct).every((byte) => byte === 0xee));
      });
    },
  },
];
