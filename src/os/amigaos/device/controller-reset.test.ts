/** What the extended profile does when task management is not answered either: the controller is reset, and all go on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { amigaPattern, inTime, openAmigaLoop, patternDisk } from "../../../testing/index.js";
import { Command } from "../commands/index.js";

const content = amigaPattern(1 << 20);

for (const board of ["amigaone", "pegasos2"] as const) {
  test(`${board}: an abort that is not answered leads to a reset of the controller; other units go on`, async () => {
    let isDead = false;
    const faults = {
      command: ({ target, cdb: [opcode] }: { target: number; cdb: Uint8Array }) => {
        if (opcode !== 0x28) return undefined;
        if (target === 1) return isDead ? ({ kind: "never" } as const) : undefined;
        // Slow enough that the other unit has something in flight when the reset comes.
        return { kind: "delay", milliseconds: 5 } as const;
      },
    };
    const units = [patternDisk(0, 0), patternDisk(1, 0)];
    const loop = await openAmigaLoop({ board, units, faults, timeout: 250 });
    const { core } = loop.function;
    // The device does not hear of the control queue.
    const notify = core.notify.bind(core);
    core.notify = (queue) => {
      if (queue !== 0) notify(queue);
    };
    let resets = 0;
    const writeStatus = core.writeStatus.bind(core);
    core.writeStatus = (status, ...rest) => {
      if (status === 0) resets++;
      writeStatus(status, ...rest);
    };
    const [living, dead] = [await loop.open(0), await loop.open(1)];
    const read = (data: number, offset: number) => ({ command: Command.CMD_READ, offset, length: 512, data });
    isDead = true;
    const late = [0, 512].map((offset) => dead.send(read(dead.buffer(512), offset)));
    let isOver = false;
    let reads = 0;
    const going = (async () => {
      const data = living.buffer(512);
      for (; !isOver; reads++) {
        const offset = 512 * (reads % 64);
        loop.memory.fill(data, 0, 512);
        assert.deepEqual(await inTime(living.do(read(data, offset)), 1000), { error: 0, actual: 512 });
        assert.deepEqual(loop.memory.read(data, 512), content.subarray(offset, offset + 512));
      }
    })();
    try {
      for (const request of late) {
        assert.deepEqual(await inTime(dead.wait(request), 4000), { error: -7, actual: 0 });
      }
    } finally {
      isOver = true;
    }
    await going;
    // As the old driver is taken down, and as the new one begins.
    assert.equal(resets, 2);
    assert.ok(reads > 20, `${reads} reads of the other unit`);
    const why = loop.system.messages.filter((text) => text.startsWith("resetting the controller"));
    assert.deepEqual(why, ["resetting the controller: an aborted request did not come back"]);
    isDead = false;
    for (const program of [dead, living]) {
      const data = program.buffer(512);
      assert.deepEqual(await inTime(program.do(read(data, 1024))), { error: 0, actual: 512 });
      assert.deepEqual(loop.memory.read(data, 512), content.subarray(1024, 1536));
    }
    await loop.close();
  });
}
