/** Check 24 with our own script, and what else the bus can ask of a driver; on our own board. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestAborted, UnsupportedError } from "../../errors/index.js";
import type { CommandFault } from "../../observe/index.js";
import { cdb, parseSense, ScsiResponse, ScsiStatus, SenseKey, sendCommand, unitAddress } from "../../scsi/index.js";
import { Message, type NcrHostAdapter, Reg, type WireTarget } from "../index.js";
import { type AdapterRigOptions, blockSize, content, openRig } from "./adapter-rig.test.js";

const unit = unitAddress(3, 0);
const read = (blocks: number, lba = 0) => ({
  command: cdb.read10(lba, blocks),
  room: new Uint8Array(blocks * blockSize),
});

async function withRig(
  options: AdapterRigOptions,
  work: (rig: Awaited<ReturnType<typeof openRig>>) => Promise<void>,
): Promise<void> {
  const rig = await openRig(options);
  await work(rig);
  await rig.close();
}

/** Reads and compares; says how it ended otherwise. */
async function readRight(adapter: NcrHostAdapter, blocks = 4, lba = 7, address = unit): Promise<void> {
  const { command, room } = read(blocks, lba);
  const answer = await adapter.execute(address, command, { dataIn: room });
  assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, 0]);
  assert.deepEqual(room, content(address >>> 16, 2048).slice(lba * blockSize, (lba + blocks) * blockSize));
}

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

test("a command that never ends is called off: ABORT; the target's other commands go on", async () => {
  const faults = {
    command: ({ cdb: bytes }: { cdb: Uint8Array }): CommandFault | undefined =>
      bytes[5] === 99 ? { kind: "never" } : undefined,
  };
  for (const target of [{}, { disconnect: "never" }] as const) {
    await withRig({ faults, target, driver: { timeout: 0 } }, async ({ adapter }) => {
      adapter.setQueueing(unit, true);
      const stuck = adapter.execute(unit, cdb.read10(99, 1), { dataIn: new Uint8Array(512), timeout: 60 });
      const others = [1, 2, 3].map((lba) => readRight(adapter, 1, lba));
      await assert.rejects(stuck, (error: Error) => {
        assert.ok(error instanceof RequestAborted);
        assert.match(error.message, /target 3 lun 0: READ\(10\) lba=99.*no answer in 60 ms/);
        return true;
      });
      const isHeld = "disconnect" in target;
      const settled = await Promise.allSettled(others);
      if (!isHeld) assert.ok(settled.every(({ status }) => status === "fulfilled"));
      assert.equal(adapter.counters.aborts, 1);
      assert.equal(adapter.counters.busResets, isHeld ? 1 : 0, "a target that holds the bus takes no message");
      await readRight(adapter);
    });
  }
});

test("a signal calls a command off, sent or not", async () => {
  const faults = { command: (): CommandFault => ({ kind: "never" }) };
  await withRig({ faults }, async ({ adapter }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const both = [1, 2].map((lba) =>
      adapter.execute(unit, cdb.read10(lba, 1), { dataIn: new Uint8Array(512), signal }),
    );
    setTimeout(() => controller.abort(), 10);
    for (const one of both) await assert.rejects(one, RequestAborted);
    await assert.rejects(adapter.execute(unit, cdb.testUnitReady(), { signal }), RequestAborted);
    assert.equal(adapter.inFlight, 0);
  });
});

test("BUS DEVICE RESET ends a target's commands with Reset; a bus reset those of all; sendCommand tries again", async () => {
  let isHeld = true;
  const faults = { command: (): CommandFault | undefined => (isHeld ? { kind: "never" } : undefined) };
  await withRig({ faults }, async ({ adapter }) => {
    const hold = (id: number) => adapter.execute(unitAddress(id, 0), cdb.testUnitReady());
    const one = hold(3);
    const other = hold(0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await adapter.resetTarget(3);
    assert.equal((await one).response, ScsiResponse.Reset);
    assert.equal(adapter.inFlight, 1);
    await adapter.resetBus();
    assert.equal((await other).response, ScsiResponse.Reset);
    isHeld = false;
    await sendCommand(adapter, unit, cdb.testUnitReady());
    await sendCommand(adapter, unitAddress(0, 0), cdb.testUnitReady());
    await readRight(adapter);
    assert.deepEqual([adapter.counters.deviceResets, adapter.counters.busResets], [1, 1]);
  });
});

test("somebody else's bus reset ends what was under way, and settles", async () => {
  let isHeld = true;
  const faults = { command: (): CommandFault | undefined => (isHeld ? { kind: "never" } : undefined) };
  await withRig({ faults }, async ({ adapter, board }) => {
    const one = adapter.execute(unit, cdb.testUnitReady());
    await new Promise((resolve) => setTimeout(resolve, 5));
    isHeld = false;
    board.chip.scsiResetWritten(true);
    assert.equal((await one).response, ScsiResponse.Reset);
    await sendCommand(adapter, unit, cdb.testUnitReady());
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
