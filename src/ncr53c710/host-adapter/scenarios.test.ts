/** Check 24 with our own script, and what else the bus can ask of a driver; on our own board. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../errors/index.js";
import type { CommandFault } from "../../observe/index.js";
import { cdb, parseSense, ScsiResponse, ScsiStatus, SenseKey, sendCommand, unitAddress } from "../../scsi/index.js";
import { Message, Reg, type WireTarget } from "../index.js";
import { blockSize, content, openRig, read, readRight, unit, withRig } from "./adapter-rig.test.js";

test("24: SDTR goes with the first command of a target, once; 100 ns and 8: SXFER 18, SBCL 1", () =>
  withRig({}, async ({ adapter, board }) => {
    await readRight(adapter);
    assert.deepEqual(adapter.agreement(3), { period: 25, offset: 8 });
    assert.equal(board.chip.readRegister(Reg.SXFER), 0x18);
    assert.equal(board.chip.file.bytes[Reg.SBCL] & 3, 1);
    assert.equal(adapter.counters.messages, 1);
    await readRight(adapter);
    await readRight(adapter);
    assert.equal(adapter.counters.messages, 1, "no second negotiation");
    assert.equal(adapter.agreement(0), undefined);
    // Another target has what it had: nothing.
    await adapter.resetBus();
    assert.equal(adapter.agreement(3), undefined, "a reset ends agreements");
    await sendCommand(adapter, unit, cdb.testUnitReady());
    assert.deepEqual(adapter.agreement(3), { period: 25, offset: 8 });
  }));

for (const [name, target, expected] of [
  ["rejects SDTR", { rejectsNegotiation: true }, undefined],
  ["is asynchronous", { synchronousPeriod: 0 }, undefined],
  ["is slow", { synchronousPeriod: 50, synchronousOffset: 4 }, { period: 50, offset: 4 }],
  ["is slower than the chip's clock goes at first", { synchronousPeriod: 100 }, { period: 100, offset: 8 }],
  ["is slower than the chip can be", { synchronousPeriod: 200 }, undefined],
] as const) {
  test(`24: a target that ${name}`, () =>
    withRig({ target }, async ({ adapter }) => {
      await readRight(adapter);
      assert.deepEqual(adapter.agreement(3), expected);
      await readRight(adapter);
    }));
}

test("without the switch for it nothing is negotiated", () =>
  withRig({ driver: { synchronous: false } }, async ({ adapter }) => {
    await readRight(adapter);
    assert.equal(adapter.counters.messages, 0);
  }));

test("24: targets disconnect with and without SAVE DATA POINTERS in the middle of data and come back out of order", async () => {
  for (const target of [
    { disconnectEvery: 700 },
    { disconnectEvery: 700, savesPointers: false },
    { disconnect: "always" },
    { disconnect: "always", disconnectEvery: 100 },
  ] as const) {
    await withRig({ target }, async ({ adapter }) => {
      const all = [3, 0, 6, 3, 3, 0].map((id, index) => readRight(adapter, 6, index * 11, unitAddress(id, 0)));
      await Promise.all(all);
      assert.ok(adapter.counters.disconnections >= 6);
      assert.equal(adapter.counters.reselections, adapter.counters.disconnections);
    });
  }
});

test("24: SIGP: a command starts while another target is away; with disconnection forbidden nobody leaves", async () => {
  const slow: CommandFault = { kind: "delay", milliseconds: 50 };
  const faults = { command: ({ target }: { target: number }) => (target === 3 ? slow : undefined) };
  for (const disconnect of [true, false]) {
    await withRig({ faults, driver: { disconnect } }, async ({ adapter }) => {
      const order: number[] = [];
      await Promise.all(
        [3, 0].map(async (id) => {
          await readRight(adapter, 1, 1, unitAddress(id, 0));
          order.push(id);
        }),
      );
      assert.deepEqual(order, disconnect ? [0, 3] : [3, 0]);
      assert.equal(adapter.counters.disconnections, disconnect ? 1 : 0);
    });
  }
});

test("24: CHECK CONDITION brings its sense data; LUN 1; the next command is fine", () =>
  withRig({ luns: 2, target: { disconnect: "always" } }, async ({ adapter }) => {
    const address = unitAddress(3, 1);
    const { command, room } = read(1, 5000);
    const answer = await adapter.execute(address, command, { dataIn: room });
    assert.deepEqual([answer.response, answer.status, answer.residual], [0, ScsiStatus.CheckCondition, blockSize]);
    assert.deepEqual([parseSense(answer.sense)?.key, parseSense(answer.sense)?.asc], [SenseKey.IllegalRequest, 0x21]);
    await readRight(adapter, 3, 9, address);
    const other = await adapter.execute(unitAddress(3, 5), cdb.testUnitReady());
    assert.equal(parseSense(other.sense)?.asc, 0x25, "no such LUN");
  }));

test("13: short transfers have the right residual, whatever the pieces; more data than room is an overrun", async () => {
  for (const piece of [1, 7, 100, 4096]) {
    await withRig({ poisoning: { pieceLength: () => piece } }, async ({ adapter }) => {
      for (const [room, length] of [
        [96, 36],
        [255, 5],
        [300, 255],
      ]) {
        const data = new Uint8Array(room);
        const answer = await adapter.execute(unit, cdb.inquiry(length), { dataIn: data });
        const full = Math.min(length, data[4] + 5);
        assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, room - full]);
      }
      const { command } = read(2, 3);
      const small = new Uint8Array(700);
      const answer = await adapter.execute(unit, command, { dataIn: small });
      assert.deepEqual([answer.response, answer.status, answer.residual], [ScsiResponse.Overrun, 0, 0]);
      assert.deepEqual(small, content(3, 2048).slice(3 * blockSize, 3 * blockSize + 700));
      const nothing = await adapter.execute(unit, command);
      assert.equal(nothing.response, ScsiResponse.Overrun, "no room at all");
      // A write for which there is not enough, and one that goes the other way.
      const few = await adapter.execute(unit, cdb.write10(2000, 2), { dataOut: new Uint8Array(700).fill(9) });
      assert.equal(few.response, ScsiResponse.Overrun);
      const wrong = await adapter.execute(unit, cdb.write10(2000, 1), { dataIn: new Uint8Array(512) });
      assert.equal(wrong.response, ScsiResponse.Overrun);
      assert.equal(wrong.residual, 512);
      await readRight(adapter);
    });
  }
});

test("scatter/gather of any length: 1, 9, 16, 17 and 3000 pieces, both ways, also when targets leave in between", async () => {
  for (const pieces of [1, 9, 16, 17, 3000]) {
    for (const target of [{}, { disconnectEvery: 4000 }]) {
      const bytes = 48 * blockSize;
      const poisoning = { pieceLength: () => Math.ceil(bytes / pieces) };
      await withRig({ poisoning, target, ramSize: 32 << 20 }, async ({ adapter }) => {
        await readRight(adapter, 48, 5);
        const data = new Uint8Array(bytes).map((_, index) => index * 5 + pieces);
        const answer = await adapter.execute(unit, cdb.write10(100, 48), { dataOut: data });
        assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, 0]);
        const back = new Uint8Array(bytes);
        await adapter.execute(unit, cdb.read10(100, 48), { dataIn: back });
        assert.deepEqual(back, data);
      });
    }
  }
});

test("14: a target that is not there: BadTarget, and the others go on", () =>
  withRig({ chip: { selectionTimeout: 20 } }, async ({ adapter }) => {
    const absent = adapter.execute(unitAddress(5, 0), cdb.testUnitReady());
    await Promise.all([readRight(adapter), readRight(adapter, 2, 0, unitAddress(0, 0))]);
    assert.equal((await absent).response, ScsiResponse.BadTarget);
  }));

test("24: a target that leaves without a word: Busy, and sendCommand tries again", async () => {
  let left = 2;
  const faults = {
    command: (): CommandFault | undefined => (left-- > 0 ? { kind: "response", response: 0 } : undefined),
  };
  await withRig({ faults }, async ({ adapter }) => {
    const { command, room } = read(1);
    assert.equal((await adapter.execute(unit, command, { dataIn: room })).response, ScsiResponse.Busy);
    await sendCommand(adapter, unit, command, { dataIn: room });
    assert.deepEqual(room, content(3, 1));
  });
});

test("tags: INQUIRY tells that a unit queues; then it has many commands, in the order of their attributes", async () => {
  const seen: number[] = [];
  let isHeld = true;
  const faults = {
    command: ({ cdb: bytes }: { cdb: Uint8Array }): CommandFault | undefined => {
      if (bytes[0] === 0x28) seen.push(bytes[5]);
      return isHeld && bytes[0] === 0x28 ? { kind: "delay", milliseconds: 60 } : undefined;
    },
  };
  await withRig({ faults, driver: { tags: 3 } }, async ({ adapter }) => {
    const commands = () => Promise.all([1, 2, 3, 4, 5].map((lba) => readRight(adapter, 1, lba)));
    await commands();
    assert.deepEqual(seen, [1, 2, 3, 4, 5]);
    // The first one is held for longer than it takes to send the others.
    const sentAtOnce = async () => {
      seen.length = 0;
      const all = commands();
      await new Promise((resolve) => setTimeout(resolve, 20));
      const count = seen.length;
      await all;
      return count;
    };
    assert.equal(await sentAtOnce(), 1);
    await adapter.execute(unit, cdb.inquiry(96), { dataIn: new Uint8Array(96) });
    assert.equal(await sentAtOnce(), 3);
    isHeld = false;
    await commands();
  });
});

test("a target that refuses queue tags gets none", async () => {
  await withRig({}, async ({ adapter, board }) => {
    adapter.setQueueing(unit, true);
    // The tag's message is answered with MESSAGE REJECT.
    const target = board.chip.port.wire.target(3) as WireTarget & { send: WireTarget["send"] };
    const send = target.send.bind(target);
    let rejections = 0;
    let isRejecting = 0;
    target.send = (bytes, at, length, pages) => {
      if (target.phase() === 6 && bytes[at] === Message.SimpleTag) {
        isRejecting = 2;
        rejections++;
      }
      if (isRejecting > 0) {
        isRejecting--;
        // As if it were one that nobody knows.
        return send(isRejecting === 1 ? Uint8Array.of(0x15) : Uint8Array.of(Message.NoOperation), 0, 1);
      }
      return send(bytes, at, length, pages);
    };
    await readRight(adapter);
    await readRight(adapter);
    assert.equal(rejections, 1);
    assert.deepEqual(adapter.agreement(3), { period: 25, offset: 8 }, "SDTR was understood");
  });
});

test("parity errors in what a target sends: the command fails, the next one is fine", async () => {
  for (const phase of [1, 3, 7]) {
    let left = 1;
    const faults = {
      wireTransfer: (point: { phase: number }) =>
        point.phase === phase && left-- > 0 ? ("parity" as const) : undefined,
    };
    await withRig({ faults, driver: { synchronous: false } }, async ({ adapter }) => {
      const { command, room } = read(2);
      const answer = await adapter.execute(unit, command, { dataIn: room });
      // A message is sent once more, and nothing is lost.
      assert.equal(answer.response, phase === 7 ? ScsiResponse.Ok : ScsiResponse.TransportFailure, `phase ${phase}`);
      await readRight(adapter);
    });
  }
});

test("polled: the same without any interrupt", () =>
  withRig({ driver: { completion: "poll" }, target: { disconnect: "always" } }, async ({ adapter, board }) => {
    assert.equal(adapter.isPolled, true);
    await Promise.all([readRight(adapter, 9), readRight(adapter, 3, 20, unitAddress(6, 0))]);
    assert.equal(board.chip.file.bytes[Reg.SIEN], 0);
    assert.equal(adapter.counters.lostInterrupts, 0);
  }));

test("the original's stages: detect sends nothing, inquiry asks, read-only reads", async () => {
  const allowed = { detect: 0, inquiry: 1, "read-only": 2, "read-write": 3 } as const;
  for (const stage of ["detect", "inquiry", "read-only", "read-write"] as const) {
    await withRig({ driver: { stage } }, async ({ adapter }) => {
      const attempts = [
        () => adapter.execute(unit, cdb.inquiry(36), { dataIn: new Uint8Array(36) }),
        () => readRight(adapter),
        () => adapter.execute(unit, cdb.write10(0, 1), { dataOut: new Uint8Array(512) }),
      ];
      for (const [index, attempt] of attempts.entries()) {
        if (index < allowed[stage]) await attempt();
        else await assert.rejects(async () => attempt(), UnsupportedError);
      }
    });
  }
});

test("closing under load: each request fails once, and nothing is lent any more", async () => {
  const faults = {
    command: ({ target }: { target: number }): CommandFault | undefined =>
      target === 3 ? { kind: "never" } : undefined,
  };
  const rig = await openRig({ faults });
  const all = [3, 3, 0, 6].map((id) =>
    rig.adapter.execute(unitAddress(id, 0), cdb.read10(0, 8), { dataIn: new Uint8Array(4096) }),
  );
  const settled = Promise.allSettled(all);
  await new Promise((resolve) => setTimeout(resolve, 3));
  await rig.close();
  assert.ok((await settled).some(({ status }) => status === "rejected"));
  assert.throws(() => rig.adapter.acquireRequest(), /removed/);
});

test("what makes no sense is refused before anything is sent", () =>
  withRig({}, async ({ adapter }) => {
    const both = { dataIn: new Uint8Array(1), dataOut: new Uint8Array(1) };
    await assert.rejects(adapter.execute(unit, cdb.testUnitReady(), both), /goes one way/);
    await assert.rejects(adapter.execute(unitAddress(9, 0), cdb.testUnitReady()), /targets and LUNs 0 to 7/);
    await assert.rejects(adapter.execute(unitAddress(1, 8), cdb.testUnitReady()), /targets and LUNs 0 to 7/);
    await assert.rejects(adapter.execute(unitAddress(7, 0), cdb.testUnitReady()), /the board's own/);
    await assert.rejects(adapter.execute(unit, new Uint8Array(0)), /1 to 32 bytes/);
    await readRight(adapter);
  }));
