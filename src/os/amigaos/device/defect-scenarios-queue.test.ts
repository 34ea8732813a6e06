/** Scenarios of defects in the queue machinery. */
import assert from "node:assert/strict";
import { cdb } from "../../../scsi/index.js";
import { amigaPattern, inTime, patternDisk } from "../../../testing/index.js";
import { featureSet, ringFeatures } from "../../../transport/index.js";
import { Command, readScsiCmdResult } from "../commands/index.js";
import { type DeviceScenario, gatedDisk, gathered, onBoth, onLoop, pause } from "./scenario.test.js";

const read = (data: number, offset = 0, length = 512) => ({ command: Command.CMD_READ, offset, length, data });
/** Features without packed rings: a test writes into a split one. */
const splitRings = featureSet(ringFeatures.INDIRECT_DESC, ringFeatures.EVENT_IDX);
const never = { command: () => ({ kind: "never" }) as const };

export const queueScenarios: readonly DeviceScenario[] = [
  ...["B7", "B8"].map(
    (id): DeviceScenario => ({
      id,
      rule: "each of two requests one after the other is noticed by the device",
      run: (profile) =>
        onLoop(profile, { units: [patternDisk(0, 0), patternDisk(0, 1)], board: "amigaone" }, async ({ driver }) => {
          assert.deepEqual(
            driver.units.map((unit) => unit?.lun),
            [0, 1],
          );
        }),
    }),
  ),
  {
    id: "B9",
    rule: "a command that waits ends what else comes back meanwhile",
    run: async (profile) => {
      const disk = gatedDisk(0, 0);
      const slow = { kind: "delay", milliseconds: 30 } as const;
      const faults = {
        command: ({ cdb }: { cdb: Uint8Array }) => (cdb[0] === 0x12 && cdb[4] === 99 ? slow : undefined),
      };
      await onLoop(profile, { units: [disk], faults }, async (loop) => {
        const program = await loop.open();
        const transfer = program.send(read(program.buffer(512)));
        await gathered(disk.gate, 1);
        const direct = program.send(program.scsi(cdb.inquiry(99), 99).what);
        await pause(5);
        disk.gate.releaseOne();
        assert.equal((await inTime(program.wait(transfer))).error, 0);
        assert.equal((await inTime(program.wait(direct))).error, 0);
      });
    },
  },
  {
    id: "B10",
    rule: "two tasks that look at once end each completion once",
    run: async (profile) => {
      const [first, second] = [gatedDisk(0, 0), gatedDisk(1, 0)];
      await onLoop(profile, { units: [first, second] }, async (loop) => {
        const programs = [await loop.open(0), await loop.open(1)];
        const requests = programs.map((program) => program.send(read(program.buffer(512))));
        await gathered(first.gate, 1);
        await gathered(second.gate, 1);
        first.gate.releaseOne();
        second.gate.releaseOne();
        for (const [index, program] of programs.entries()) {
          assert.equal((await inTime(program.wait(requests[index]))).error, 0);
        }
      });
    },
  },
  {
    id: "B11",
    rule: "a command that waits ends what comes back for other units",
    run: async (profile) => {
      const [first, second] = [gatedDisk(0, 0), gatedDisk(1, 0)];
      await onLoop(profile, { units: [second, first] }, async (loop) => {
        // The waiting unit's task wakes first.
        const [waiting, other] = [await loop.open(0), await loop.open(1)];
        const direct = waiting.send(waiting.scsi(cdb.read10(0, 1), 512).what);
        const transfer = other.send(read(other.buffer(512)));
        await gathered(first.gate, 1);
        await gathered(second.gate, 1);
        second.gate.releaseOne();
        await pause(2);
        first.gate.releaseOne();
        assert.equal((await inTime(other.wait(transfer))).error, 0);
        assert.equal((await inTime(waiting.wait(direct))).error, 0);
      });
    },
  },
  {
    id: "B12",
    rule: "what comes back together with a command's own completion is not lost",
    run: async (profile) => {
      const [first, second] = [gatedDisk(0, 0), gatedDisk(1, 0)];
      await onLoop(profile, { units: [first, second] }, async (loop) => {
        const [waiting, other] = [await loop.open(0), await loop.open(1)];
        const direct = waiting.send(waiting.scsi(cdb.read10(0, 1), 512).what);
        const transfer = other.send(read(other.buffer(512)));
        await gathered(first.gate, 1);
        await gathered(second.gate, 1);
        first.gate.releaseOne();
        second.gate.releaseOne();
        assert.equal((await inTime(waiting.wait(direct))).error, 0);
        assert.equal((await inTime(other.wait(transfer))).error, 0);
      });
    },
  },
  ...["B13", "Q6"].map(
    (id): DeviceScenario => ({
      id,
      rule: "a completion that another unit's task takes reaches the command that waits for it",
      run: async (profile) => {
        const disk = gatedDisk(1, 0);
        await onLoop(profile, { units: [patternDisk(0, 0), disk] }, async (loop) => {
          // Unit 0's task is told of the interrupt first.
          const [, waiting] = [await loop.open(0), await loop.open(1)];
          const direct = waiting.send(waiting.scsi(cdb.read10(0, 1), 512).what);
          await gathered(disk.gate, 1);
          disk.gate.releaseOne();
          assert.equal((await inTime(waiting.wait(direct), 200)).error, 0);
        });
      },
    }),
  ),
  {
    id: "B14",
    rule: "after 64 polled completions interrupts still come",
    run: (profile) =>
      onLoop({ ...profile, targets: 8, luns: 8 }, {}, async (loop) => {
        const program = await loop.open();
        for (let count = 0; count < 3; count++) {
          assert.equal((await inTime(program.do(read(program.buffer(512))))).error, 0);
        }
      }),
  },
  ...["B15", "B32", "B33"].map(
    (id): DeviceScenario => ({
      id,
      rule: "of three requests in flight the last two come back too, and then a single one",
      run: async (profile) => {
        const disk = gatedDisk(0, 0);
        await onLoop(profile, { units: [disk] }, async (loop) => {
          const program = await loop.open();
          const requests = [0, 512, 1024].map((offset) => program.send(read(program.buffer(512), offset)));
          await gathered(disk.gate, 3);
          for (let count = 0; count < 3; count++) {
            disk.gate.releaseOne();
            await pause(2);
          }
          for (const request of requests) assert.equal((await inTime(program.wait(request))).error, 0);
          for (let count = 0; count < 2; count++) {
            const single = program.send(read(program.buffer(512)));
            await gathered(disk.gate, 1);
            disk.gate.releaseOne();
            assert.equal((await inTime(program.wait(single))).error, 0);
          }
        });
      },
    }),
  ),
  {
    id: "B32r",
    rule: "a command that moves less than there is room for says how much",
    run: (profile) =>
      onLoop(profile, { board: "pegasos2" }, async (loop) => {
        const program = await loop.open();
        const { what, structure } = program.scsi(cdb.readCapacity10(), 100);
        const { error, actual } = await inTime(program.do(what));
        assert.deepEqual({ error, actual }, { error: 0, actual: 8 });
        assert.equal(readScsiCmdResult(loop.memory, structure).actual, 8);
      }),
  },
  {
    id: "Q1",
    rule: "with more requests than slots and other commands between them all data are right (17, 32 and 64 at once)",
    run: async (profile) => {
      const content = amigaPattern(1 << 20);
      await onBoth(
        { ...profile, slots: 16 },
        () => ({}),
        async (loop) => {
          const program = await loop.open();
          for (const count of [17, 32, 64]) {
            const geometry = program.buffer(32);
            const requests = Array.from({ length: count }, (_, index) => {
              const data = program.buffer(512);
              return { data, offset: 512 * index, request: program.send(read(data, 512 * index)) };
            });
            const direct = program.send({ command: Command.TD_GETGEOMETRY, length: 32, data: geometry });
            const inquiry = program.send(program.scsi(cdb.inquiry(36), 36).what);
            for (const { data, offset, request } of requests) {
              assert.deepEqual(await inTime(program.wait(request)), { error: 0, actual: 512 });
              assert.deepEqual(loop.memory.read(data, 512), content.subarray(offset, offset + 512));
            }
            assert.equal((await inTime(program.wait(direct))).error, 0);
            assert.equal((await inTime(program.wait(inquiry))).error, 0);
          }
        },
      );
    },
  },
  {
    id: "Q2",
    rule: "60 completions of another unit do not end a command that is on its way",
    run: async (profile) => {
      let disk = gatedDisk(1, 0);
      const options = () => {
        disk = gatedDisk(1, 0);
        return { units: [patternDisk(0, 0), disk] };
      };
      await onBoth(profile, options, async (loop) => {
        const [busy, waiting] = [await loop.open(0), await loop.open(1)];
        const direct = waiting.send(waiting.scsi(cdb.read10(0, 1), 512).what);
        await gathered(disk.gate, 1);
        const data = busy.buffer(512);
        for (let count = 0; count < 60; count++) assert.equal((await inTime(busy.do(read(data)))).error, 0);
        disk.gate.releaseOne();
        assert.equal((await inTime(waiting.wait(direct))).error, 0);
      });
    },
  },
  {
    id: "Q3",
    // Without task management the memory of a command that was given up stays lost.
    needsDriver: true,
    rule: "a device that never answers ends a command with -7 in time",
    run: async (profile) => {
      let isDead = false;
      const faults = { command: () => (isDead ? never.command() : undefined) };
      await onLoop(profile, { faults, timeout: 60 }, async (loop) => {
        const program = await loop.open();
        isDead = true;
        const inquiry = await inTime(program.do(program.scsi(cdb.inquiry(36), 36).what), 600);
        assert.equal(inquiry.error, -7);
        isDead = false;
      });
    },
  },
  {
    id: "Q4",
    rule: "without an interrupt transfers and commands complete",
    run: (profile) =>
      onLoop(profile, { interrupts: "none" }, async (loop) => {
        const program = await loop.open();
        for (let count = 0; count < 3; count++) {
          assert.equal((await inTime(program.do(read(program.buffer(512))))).error, 0);
        }
        const geometry = { command: Command.TD_GETGEOMETRY, length: 32, data: program.buffer(32) };
        assert.equal((await inTime(program.do(geometry))).error, 0);
      }),
  },
  {
    id: "Q8",
    rule: "a used id that is none ends requests with an error or has them sent again",
    run: async (profile) => {
      const disk = gatedDisk(0, 0);
      await onLoop(profile, { units: [disk], features: splitRings }, async (loop) => {
        const program = await loop.open();
        const request = program.send(read(program.buffer(512)));
        await gathered(disk.gate, 1);
        const { used } = loop.function.core.queues[2].addresses;
        const index = loop.machine.memory.read(used + 2, 2);
        const next = index[0] + 256 * index[1];
        const at = used + 4 + 8 * (next % 256);
        loop.machine.memory.write(at, Uint8Array.of(0xe7, 3, 0, 0));
        loop.machine.memory.write(used + 2, Uint8Array.of((next + 1) & 0xff, (next + 1) >> 8));
        loop.function.core.signal(2);
        await pause(20);
        void disk.gate.releaseAll();
        const { error, actual } = await inTime(program.wait(request), 1500);
        assert.ok((error === 20 && actual === 0) || (error === 0 && actual === 512), `${error} ${actual}`);
      });
    },
  },
  {
    id: "Q9",
    rule: "one slow request does not hold up the answers of others",
    run: async (profile) => {
      const disk = gatedDisk(0, 0);
      await onLoop(profile, { units: [disk], timeout: 5000 }, async (loop) => {
        const program = await loop.open();
        const requests = [0, 512, 1024, 1536].map((offset) => program.send(read(program.buffer(512), offset)));
        await gathered(disk.gate, 4);
        const answered = () => requests.filter((request) => request.state === "replied").length;
        for (let count = 1; count <= 3; count++) {
          disk.gate.releaseOne();
          for (let turn = 0; answered() < count && turn < 60; turn++) await pause(5);
        }
        const before = answered();
        disk.gate.releaseOne();
        for (const request of requests) await inTime(program.wait(request));
        assert.equal(before, 3);
      });
    },
  },
];
