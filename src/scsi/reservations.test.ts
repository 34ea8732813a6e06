/** Persistent reservations and RESERVE(6) as initiators see them (SPC-4 §5.12, SPC-2 §5.5.1). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import { MemoryStore } from "../storage/index.js";
import * as cdb from "./cdb.js";
import { commandOutcome } from "./command-outcome.js";
import { Disk } from "./disk.js";
import type { DiskOptions } from "./disk-options.js";
import { Nexus } from "./nexus.js";
import { buildReserveOut, parseFullStatus, parseReadKeys, parseReadReservation } from "./reservation-data.js";
import type { ReservationKeeper } from "./reservation-keeper.js";
import { type CommandResult, runCommand } from "./run-command.js";

const key = (digit: string) => digit.repeat(16);
const [none, a, b, c] = ["0", "a", "b", "c"].map(key);

/** A disk and three initiators. */
function bench(options: DiskOptions = {}) {
  const disk = new Disk(new MemoryStore(512 * 64), { powerOnAttention: false, ...options });
  const nexuses = ["one", "two", "three"].map((name) => new Nexus(name));
  const send = (who: number, bytes: Uint8Array, dataOut: Uint8Array = new Uint8Array(512)): Promise<CommandResult> =>
    runCommand(disk, bytes, { nexus: nexuses[who], dataOut });
  const outcome = async (who: number, bytes: Uint8Array) => commandOutcome(await send(who, bytes));
  const out = async (who: number, action: number, own: string, other: string, type = 0, flags = 0) => {
    const bytes = Uint8Array.of(0x5f, action, type, 0, 0, 0, 0, 0, 24, 0);
    return commandOutcome(await send(who, bytes, buildReserveOut({ key: own, actionKey: other, flags })));
  };
  /** By somebody who never registers, and so finds no attentions. */
  const observer = new Nexus("observer");
  const read = (action: number, length = 255) =>
    runCommand(disk, Uint8Array.of(0x5e, action, 0, 0, 0, 0, 0, 0, length, 0), { nexus: observer });
  /** All pending attentions of an initiator. */
  const attentions = async (who: number) => {
    const found: string[] = [];
    for (let one = await outcome(who, cdb.testUnitReady()); one.startsWith("6/"); ) {
      found.push(one);
      one = await outcome(who, cdb.testUnitReady());
    }
    return found;
  };
  return {
    disk,
    nexuses,
    send,
    outcome,
    read,
    attentions,
    register: (who: number, own: string, other: string, flags = 0) => out(who, 0, own, other, 0, flags),
    registerAnyway: (who: number, other: string, flags = 0) => out(who, 6, none, other, 0, flags),
    reserve: (who: number, own: string, type: number) => out(who, 1, own, none, type),
    release: (who: number, own: string, type: number) => out(who, 2, own, none, type),
    clear: (who: number, own: string) => out(who, 3, own, none),
    preempt: (who: number, own: string, other: string, type: number) => out(who, 4, own, other, type),
    keys: async () => parseReadKeys((await read(0)).data),
    reservation: async () => parseReadReservation((await read(1)).data),
  };
}

/** Three initiators that know the unit; the first two are registered with keys a and b. */
async function registered(options: DiskOptions = {}) {
  const unit = bench(options);
  for (const who of [0, 1, 2]) assert.equal(await unit.outcome(who, cdb.testUnitReady()), "GOOD");
  assert.equal(await unit.register(0, none, a), "GOOD");
  assert.equal(await unit.register(1, none, b), "GOOD");
  return unit;
}

const readOne = cdb.read10(0, 1);
const writeOne = cdb.write10(0, 1);

test("§5.12.7 REGISTER: keys are checked, the generation counts what succeeded", async () => {
  const unit = bench();
  assert.deepEqual(await unit.keys(), { generation: 0, keys: [] });
  assert.equal(await unit.register(0, none, none), "GOOD", "nothing to do");
  assert.equal(await unit.register(0, b, a), "RESERVATION CONFLICT", "who is not registered has no key");
  assert.equal(await unit.register(0, none, a), "GOOD");
  assert.equal(await unit.register(0, none, b), "RESERVATION CONFLICT", "a second registration needs the first key");
  assert.equal(await unit.registerAnyway(0, c), "GOOD");
  assert.equal(await unit.register(1, none, b), "GOOD");
  assert.deepEqual(await unit.keys(), { generation: 3, keys: [c, b] });
  assert.equal(await unit.register(0, c, none), "GOOD");
  assert.deepEqual(await unit.keys(), { generation: 4, keys: [b] });
  assert.equal((await unit.read(0, 8)).data.length, 8, "the allocation length is honoured");
});

// Rows: types. Columns: read and write by the holder, by another registrant, by somebody else.
const access = [
  [1, "rw", "r-", "r-"],
  [3, "rw", "--", "--"],
  [5, "rw", "rw", "r-"],
  [6, "rw", "rw", "--"],
  [7, "rw", "rw", "r-"],
  [8, "rw", "rw", "--"],
] as const;

for (const [type, ...expected] of access) {
  test(`SPC-4 table 200, type ${type}: who may read and write`, async () => {
    const unit = await registered();
    assert.equal(await unit.reserve(0, a, type), "GOOD");
    assert.equal(await unit.reserve(0, a, type), "GOOD", "the holder may ask again");
    for (const [who, rights] of expected.entries()) {
      const right = (result: string, letter: string) => (result === "GOOD" ? letter : "-");
      const reads = await unit.outcome(who, readOne);
      const writes = await unit.outcome(who, writeOne);
      assert.equal(right(reads, "r") + right(writes, "w"), rights, `initiator ${who}`);
      for (const result of [reads, writes]) assert.ok(["GOOD", "RESERVATION CONFLICT"].includes(result));
      for (const free of [cdb.testUnitReady(), cdb.inquiry(), cdb.readCapacity10(), cdb.reportLuns()]) {
        assert.equal(await unit.outcome(who, free), "GOOD");
      }
      const [starts, stops] = ["1b 00 00 00 01 00", "1b 00 00 00 00 00"].map(parseHexBytes);
      assert.equal(await unit.outcome(who, starts), "GOOD");
      const mayChange = expected[who].includes("w");
      for (const command of [stops, cdb.synchronizeCache10(), parseHexBytes("1e 00 00 00 01 00")]) {
        assert.equal(await unit.outcome(who, command), mayChange ? "GOOD" : "RESERVATION CONFLICT");
      }
    }
    const isForAll = type >= 7;
    assert.deepEqual(await unit.reservation(), { generation: 2, key: isForAll ? none : a, type });
    const other = type === 1 ? 3 : 1;
    assert.equal(await unit.reserve(0, a, other), "RESERVATION CONFLICT", "not with another type");
    assert.equal(await unit.reserve(1, b, type), isForAll ? "GOOD" : "RESERVATION CONFLICT");
    assert.equal(await unit.reserve(2, none, type), "RESERVATION CONFLICT", "not registered");
    assert.equal(await unit.release(0, a, other), "5/26/4", "invalid release");
    assert.equal(await unit.release(0, b, type), "RESERVATION CONFLICT");
    assert.equal(await unit.release(0, a, type), "GOOD");
    assert.deepEqual(await unit.attentions(1), type >= 5 ? ["6/2a/4"] : [], "reservations released");
    assert.equal(await unit.release(0, a, type), "GOOD", "nothing to release");
    assert.equal(await unit.outcome(2, writeOne), "GOOD");
    assert.deepEqual(await unit.keys(), { generation: 2, keys: [a, b] }, "RESERVE and RELEASE do not count");
  });

  test(`type ${type}: the reservation goes with its holder's registration`, async () => {
    const unit = await registered();
    await unit.reserve(0, a, type);
    assert.equal(await unit.register(0, a, none), "GOOD");
    const stays = type >= 7;
    assert.equal((await unit.reservation())?.type, stays ? type : 0);
    assert.deepEqual(await unit.attentions(1), type === 5 || type === 6 ? ["6/2a/4"] : []);
    await unit.register(1, b, none);
    assert.equal((await unit.reservation())?.type, 0, "with the last registrant at the latest");
  });

  test(`type ${type}: PREEMPT takes the reservation over and the registration away`, async () => {
    const unit = await registered();
    await unit.register(2, none, c);
    await unit.reserve(0, a, type);
    assert.equal(await unit.preempt(1, c, a, type), "RESERVATION CONFLICT", "a wrong key of its own");
    assert.equal(await unit.preempt(1, b, key("9"), type), "RESERVATION CONFLICT", "a key that nobody has");
    const isForAll = type >= 7;
    if (!isForAll) assert.equal(await unit.preempt(1, b, none, type), "5/26/0");
    assert.equal(await unit.preempt(1, b, isForAll ? none : a, 3), "GOOD");
    assert.deepEqual(await unit.reservation(), { generation: 4, key: b, type: 3 });
    assert.deepEqual((await unit.keys())?.keys, isForAll ? [b] : [b, c]);
    assert.deepEqual(await unit.attentions(0), ["6/2a/5"], "registrations preempted");
    const third = isForAll ? ["6/2a/5"] : type === 3 ? [] : ["6/2a/4"];
    assert.deepEqual(await unit.attentions(2), third, "who is left hears of a type that changed");
    assert.deepEqual(await unit.attentions(1), []);
  });
}

test("PREEMPT without a reservation removes registrations, the sender's own too; CLEAR removes everything", async () => {
  const unit = await registered();
  await unit.register(2, none, b);
  assert.equal(await unit.preempt(0, a, none, 1), "5/26/0");
  assert.equal(await unit.preempt(1, b, b, 0), "GOOD", "the type is not looked at");
  assert.deepEqual(await unit.keys(), { generation: 4, keys: [a] });
  assert.deepEqual(await unit.attentions(2), ["6/2a/5"]);
  assert.deepEqual(await unit.attentions(1), []);
  await unit.register(1, none, b);
  await unit.reserve(1, b, 1);
  assert.equal(await unit.clear(0, b), "RESERVATION CONFLICT");
  assert.equal(await unit.clear(0, a), "GOOD");
  assert.deepEqual(await unit.attentions(1), ["6/2a/3"], "reservations preempted");
  assert.deepEqual(await unit.keys(), { generation: 6, keys: [] });
  assert.equal((await unit.reservation())?.type, 0);
});

test("a holder may preempt itself, which changes the type", async () => {
  const unit = await registered();
  await unit.reserve(0, a, 1);
  assert.equal(await unit.preempt(0, a, a, 6), "GOOD");
  assert.deepEqual(await unit.reservation(), { generation: 3, key: a, type: 6 });
  assert.deepEqual(await unit.attentions(1), ["6/2a/4"]);
});

test("wrong fields: scope, type, length, SPEC_I_PT, APTPL without a keeper, unknown actions", async () => {
  const unit = await registered();
  assert.equal(await unit.reserve(0, a, 2), "5/24/0");
  assert.equal(await unit.reserve(0, a, 0x11), "5/24/0", "scope");
  assert.equal(await unit.release(0, a, 9), "5/24/0");
  assert.equal(await unit.register(0, a, c, 0x08), "5/26/0", "SPEC_I_PT");
  assert.equal(await unit.register(0, a, c, 0x01), "5/26/0", "APTPL");
  assert.equal(await unit.register(0, a, c, 0x04), "GOOD", "ALL_TG_PT: there is one port");
  for (const length of [0, 8, 23, 25]) {
    const bytes = Uint8Array.of(0x5f, 0, 0, 0, 0, 0, 0, 0, length, 0);
    assert.equal(await unit.outcome(0, bytes), "5/1a/0", `${length} bytes`);
  }
  const short = await unit.send(0, parseHexBytes("5f 00 00 00 00 00 00 00 18 00"), new Uint8Array(10));
  assert.equal(commandOutcome(short), "5/e/3", "fewer bytes than the CDB says");
  for (let action = 7; action < 32; action++) {
    assert.equal(await unit.outcome(0, Uint8Array.of(0x5f, action, 0, 0, 0, 0, 0, 0, 24, 0)), "5/24/0");
  }
  for (let action = 4; action < 32; action++) {
    assert.equal(await unit.outcome(0, Uint8Array.of(0x5e, action, 0, 0, 0, 0, 0, 0, 24, 0)), "5/24/0");
  }
});

test("REPORT CAPABILITIES by hand; READ FULL STATUS names initiators by their iSCSI names", async () => {
  const unit = await registered();
  assert.equal(hexBytes((await unit.read(2)).data), "00 08 14 80 ea 01 00 00");
  await unit.reserve(1, b, 5);
  assert.deepEqual(parseFullStatus((await unit.read(3)).data)?.registrations, [
    { key: a, isHolder: false, type: 0, initiatorPort: "iqn.2026-11.invalid.ringside:one,i,0x000000000000" },
    { key: b, isHolder: true, type: 5, initiatorPort: "iqn.2026-11.invalid.ringside:two,i,0x000000000000" },
  ]);
  const { data } = await unit.read(3);
  assert.equal(hexBytes(data.subarray(8 + 18, 8 + 28)), "00 01 00 00 00 38 45 00 00 34", "port 1, TransportID");
});

test("SPC-2 §5.5.1 RESERVE(6): everybody else conflicts, but for what the table frees", async () => {
  const unit = bench();
  const [reserve, release] = ["16 00 00 00 00 00", "17 00 00 00 00 00"].map(parseHexBytes);
  assert.equal(await unit.outcome(0, reserve), "GOOD");
  assert.equal(await unit.outcome(0, reserve), "GOOD");
  assert.equal(await unit.outcome(1, reserve), "RESERVATION CONFLICT");
  for (const refused of [readOne, writeOne, cdb.testUnitReady(), cdb.modeSense6(8)]) {
    assert.equal(await unit.outcome(0, refused), "GOOD");
    assert.equal(await unit.outcome(1, refused), "RESERVATION CONFLICT");
  }
  for (const free of [cdb.inquiry(), cdb.requestSense(), cdb.reportLuns(), release]) {
    assert.equal(await unit.outcome(1, free), "GOOD");
  }
  assert.equal(await unit.outcome(1, readOne), "RESERVATION CONFLICT", "RELEASE by another does nothing");
  assert.equal(await unit.register(0, none, a), "RESERVATION CONFLICT", "no persistent ones meanwhile");
  assert.equal(commandOutcome(await unit.read(0)), "RESERVATION CONFLICT");
  assert.equal(await unit.outcome(0, release), "GOOD");
  assert.equal(await unit.outcome(1, writeOne), "GOOD");
  assert.equal(await unit.outcome(0, parseHexBytes("16 10 00 00 00 00")), "5/24/0", "third parties");
  await unit.outcome(0, reserve);
  unit.disk.reset("nexus-loss", unit.nexuses[1]);
  assert.deepEqual(await unit.attentions(0), []);
  assert.equal(await unit.outcome(2, writeOne), "RESERVATION CONFLICT", "another's loss changes nothing");
  unit.disk.reset("nexus-loss", unit.nexuses[0]);
  assert.equal(await unit.outcome(2, writeOne), "GOOD");
  await unit.outcome(2, reserve);
  unit.disk.reset("unit-reset");
  await unit.attentions(1);
  assert.equal(await unit.outcome(1, writeOne), "GOOD", "a reset frees the unit");
});

test("CRH: RESERVE(6) under persistent reservations is GOOD for who has access and does nothing", async () => {
  const unit = await registered();
  const [reserve, release] = ["16 00 00 00 00 00", "17 00 00 00 00 00"].map(parseHexBytes);
  for (const command of [reserve, release]) {
    assert.equal(await unit.outcome(0, command), "RESERVATION CONFLICT", "registrations alone keep it away");
  }
  await unit.reserve(0, a, 5);
  assert.deepEqual(await Promise.all([0, 1, 2].map((who) => unit.outcome(who, reserve))), [
    "GOOD",
    "GOOD",
    "RESERVATION CONFLICT",
  ]);
  assert.equal(await unit.outcome(1, writeOne), "GOOD");
  assert.equal(unit.disk.reservations.legacyHolder, undefined);
});

test("persistent reservations survive every reset", async () => {
  const unit = await registered();
  await unit.reserve(0, a, 1);
  for (const kind of ["power-on", "bus-reset", "unit-reset", "nexus-loss"] as const) unit.disk.reset(kind);
  for (const who of [0, 1, 2]) await unit.attentions(who);
  assert.deepEqual(await unit.reservation(), { generation: 2, key: a, type: 1 });
  assert.equal(await unit.outcome(1, writeOne), "RESERVATION CONFLICT");
});

/** A keeper that can fail, and answer late. */
class TestKeeper implements ReservationKeeper {
  readonly description = "test keeper";
  text: string | undefined;
  fails = false;
  isLate = false;
  writes = 0;

  read(): string | undefined {
    return this.text;
  }

  write(text: string): undefined | Promise<void> {
    this.writes++;
    if (!this.isLate) {
      if (this.fails) throw new Error("full");
      this.text = text;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      setTimeout(() => {
        if (this.fails) reject(new Error("full"));
        else {
          this.text = text;
          resolve();
        }
      }, 1);
    });
  }
}

for (const isLate of [false, true]) {
  const how = isLate ? "late" : "at once";
  test(`§5.12.5 APTPL: what was registered with it is there after a restart; the keeper answers ${how}`, async () => {
    const keeper = new TestKeeper();
    keeper.isLate = isLate;
    const unit = bench({ reservationKeeper: keeper });
    assert.equal(await unit.register(1, none, b), "GOOD");
    assert.equal(keeper.writes, 0, "nothing to keep");
    assert.equal(await unit.register(0, none, a, 1), "GOOD");
    assert.equal(await unit.reserve(0, a, 5), "GOOD");
    assert.equal(hexBytes((await unit.read(2)).data), "00 08 15 81 ea 01 00 00", "PTPL_C, PTPL_A");
    const next = bench({ reservationKeeper: keeper });
    assert.deepEqual(await next.keys(), { generation: 0, keys: [b, a] });
    assert.deepEqual(await next.reservation(), { generation: 0, key: a, type: 5 });
    assert.equal(await next.outcome(2, writeOne), "RESERVATION CONFLICT");
    assert.equal(await next.outcome(1, writeOne), "GOOD");
    assert.equal(await next.registerAnyway(1, b, 0), "GOOD", "the last REGISTER says that nothing is kept");
    assert.deepEqual(await bench({ reservationKeeper: keeper }).keys(), { generation: 0, keys: [] });
    assert.equal((await next.reservation())?.type, 5, "it is still there until then");
  });

  test(`a keeper that fails ${how}: the command fails, and nothing has changed`, async () => {
    const keeper = new TestKeeper();
    keeper.isLate = isLate;
    const unit = bench({ reservationKeeper: keeper });
    await unit.register(0, none, a, 1);
    await unit.register(1, none, b, 1);
    keeper.fails = true;
    assert.equal(await unit.reserve(0, a, 1), "4/44/0");
    assert.equal(await unit.clear(0, a), "4/44/0");
    assert.deepEqual(await unit.attentions(1), []);
    assert.deepEqual(await unit.keys(), { generation: 2, keys: [a, b] });
    keeper.fails = false;
    assert.equal(await unit.reserve(0, a, 1), "GOOD");
  });
}

test("changes that come while one is being written go one after the other", async () => {
  const keeper = new TestKeeper();
  keeper.isLate = true;
  const unit = bench({ reservationKeeper: keeper });
  await Promise.all([0, 1, 2].map((who) => unit.register(who, none, key(String(who + 1)), 1)));
  assert.deepEqual(await Promise.all([0, 1, 2].map((who) => unit.reserve(who, key(String(who + 1)), 3))), [
    "GOOD",
    "RESERVATION CONFLICT",
    "RESERVATION CONFLICT",
  ]);
  assert.deepEqual((await bench({ reservationKeeper: keeper }).keys())?.keys, ["1", "2", "3"].map(key));
});

test("reservations that cannot be read are never forgotten: the disk is refused, with one line", () => {
  const keeper = new TestKeeper();
  const registration = { initiatorPort: "iqn.x", key: a };
  const text = (fields: object) => JSON.stringify({ format: "ringside reservations 1", ...fields });
  for (const [bad, why] of [
    ["", /no JSON/],
    ["{", /no JSON/],
    ["[]", /no object/],
    ["{}", /format/],
    [text({ registrations: {}, reservation: null }), /list/],
    [text({ registrations: [1], reservation: null }), /no object/],
    [text({ registrations: [{ ...registration, key: none }], reservation: null }), /no key/],
    [text({ registrations: [{ ...registration, initiatorPort: "a b" }], reservation: null }), /no initiator port/],
    [text({ registrations: [registration, registration], reservation: null }), /twice/],
    [text({ registrations: [registration], reservation: { type: 2, holder: "iqn.x" } }), /no type/],
    [text({ registrations: [registration], reservation: { type: 1, holder: "iqn.y" } }), /cannot hold/],
    [text({ registrations: [], reservation: { type: 7, holder: "all registrants" } }), /cannot hold/],
    [text({ registrations: [registration] }), /no object/],
  ] as const) {
    keeper.text = bad;
    assert.throws(
      () => bench({ reservationKeeper: keeper }),
      (error: Error) => {
        assert.ok(error instanceof RangeError);
        assert.match(error.message, /^the reservations kept in test keeper cannot be read: .*; remove it/);
        assert.match(error.message, why);
        return !error.message.includes("\n");
      },
      bad,
    );
  }
});

test("more registrations than a unit takes are refused with 55h/04h", async () => {
  const disk = new Disk(new MemoryStore(512), { powerOnAttention: false });
  const bytes = parseHexBytes("5f 00 00 00 00 00 00 00 18 00");
  const dataOut = buildReserveOut({ actionKey: a });
  const add = async (name: string) =>
    commandOutcome(await runCommand(disk, bytes, { nexus: new Nexus(name), dataOut }));
  for (let index = 0; index < 256; index++) assert.equal(await add(`n${index}`), "GOOD");
  assert.equal(await add("one-more"), "5/55/4");
});
