/**
 * Random PERSISTENT RESERVE OUT commands of three initiators against a model that is written the other way round: it
 * keeps, for each initiator, what it may do, and derives the reservation from that.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryStore } from "../storage/index.js";
import * as cdb from "./cdb.js";
import { commandOutcome } from "./command-outcome.js";
import { Disk } from "./disk.js";
import { Nexus } from "./nexus.js";
import { buildReserveOut, type FullStatusEntry, parseFullStatus } from "./reservation-data.js";
import { runCommand } from "./run-command.js";

const types = [1, 3, 5, 6, 7, 8];
/** One key is nobody's, two initiators may share one. */
const keys = ["0", "1", "2"].map((digit) => digit.repeat(16));

interface Member {
  key: number;
  isHolder: boolean;
}

class Model {
  readonly members = [0, 1, 2].map((): Member => ({ key: 0, isHolder: false }));
  type = 0;
  generation = 0;

  /** GOOD or how it is refused. */
  out(who: number, action: number, own: number, other: number, type: number): string {
    const me = this.members[who];
    const registers = action === 0 || action === 6;
    if (action === 0 && me.key !== own) return "RESERVATION CONFLICT";
    if (!registers && (me.key === 0 || me.key !== own)) return "RESERVATION CONFLICT";
    if (registers) {
      if (me.key === 0 && other === 0) return "GOOD";
      me.key = other;
      this.generation++;
      if (other === 0) this.#dropped();
      else if (this.#isForAll()) me.isHolder = true;
      return "GOOD";
    }
    switch (action) {
      case 1:
        if (this.type === 0) this.#grant(who, type);
        else if (!me.isHolder || this.type !== type) return "RESERVATION CONFLICT";
        return "GOOD";
      case 2:
        if (this.type === 0 || !me.isHolder) return "GOOD";
        if (this.type !== type) return "5/26/4";
        this.#free();
        return "GOOD";
      case 3:
        for (const member of this.members) member.key = 0;
        this.#free();
        this.generation++;
        return "GOOD";
      default:
        return this.#preempt(who, other, type);
    }
  }

  #preempt(who: number, other: number, type: number): string {
    const isVictim = (member: Member) => member.key !== 0 && (other === 0 || member.key === other);
    if (other === 0 && !this.#isForAll()) return "5/26/0";
    if (!this.members.some(isVictim)) return "RESERVATION CONFLICT";
    const takes =
      this.type !== 0 && (this.#isForAll() ? other === 0 : this.members.some((m) => m.isHolder && isVictim(m)));
    for (const [index, member] of this.members.entries()) {
      if (isVictim(member) && !(takes && index === who)) member.key = 0;
    }
    if (takes) this.#grant(who, type);
    this.#dropped();
    this.generation++;
    return "GOOD";
  }

  #isForAll(): boolean {
    return this.type >= 7;
  }

  #grant(who: number, type: number): void {
    this.type = type;
    for (const [index, member] of this.members.entries())
      member.isHolder = type >= 7 ? member.key !== 0 : index === who;
  }

  /** After registrations went: who is not registered holds nothing, and what nobody holds is free. */
  #dropped(): void {
    for (const member of this.members) if (member.key === 0) member.isHolder = false;
    if (!this.members.some((member) => member.isHolder)) this.type = 0;
  }

  #free(): void {
    this.type = 0;
    for (const member of this.members) member.isHolder = false;
  }

  mayRead(who: number): boolean {
    return this.mayWrite(who) || [1, 5, 7].includes(this.type);
  }

  mayWrite(who: number): boolean {
    const { key, isHolder } = this.members[who];
    return this.type === 0 || isHolder || (this.type >= 5 && key !== 0);
  }
}

const step = fc.record({
  who: fc.nat(2),
  action: fc.constantFrom(0, 0, 6, 6, 1, 1, 1, 2, 2, 3, 4, 4, 5),
  own: fc.nat(2),
  // Mostly the right key, so that histories get somewhere.
  usesOwnKey: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  other: fc.constantFrom(0, 1, 1, 2, 2),
  type: fc.constantFrom(...types),
});

test("three initiators, random histories: answers, registrations, holder and access are the model's", async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
      const disk = new Disk(new MemoryStore(4096), { powerOnAttention: false });
      const nexuses = ["one", "two", "three"].map((name) => new Nexus(name));
      const model = new Model();
      const send = async (who: number, bytes: Uint8Array, dataOut: Uint8Array = new Uint8Array(512)) => {
        let result = await runCommand(disk, bytes, { nexus: nexuses[who], dataOut });
        while (commandOutcome(result).startsWith("6/")) {
          result = await runCommand(disk, bytes, { nexus: nexuses[who], dataOut });
        }
        return result;
      };
      for (const { who, action, own, usesOwnKey, other, type } of steps) {
        const mine = usesOwnKey ? model.members[who].key : own;
        const expected = model.out(who, action, mine, other, type);
        const bytes = Uint8Array.of(0x5f, action, type, 0, 0, 0, 0, 0, 24, 0);
        const list = buildReserveOut({ key: keys[mine], actionKey: keys[other] });
        const outcome = commandOutcome(await send(who, bytes, list));
        assert.equal(outcome, expected);
        seen.set(`${action} ${outcome}`, (seen.get(`${action} ${outcome}`) ?? 0) + 1);
        const full = (await send(0, Uint8Array.of(0x5e, 3, 0, 0, 0, 0, 0, 4, 0, 0))).data;
        const status = parseFullStatus(full);
        assert.equal(status?.generation, model.generation);
        for (const [index, nexus] of nexuses.entries()) {
          const { key, isHolder } = model.members[index];
          const entry: FullStatusEntry | undefined = status?.registrations.find(
            ({ initiatorPort }) => initiatorPort === nexus.initiatorPort,
          );
          assert.equal(entry?.key, key === 0 ? undefined : keys[key]);
          assert.equal(entry?.isHolder ?? false, isHolder && model.type !== 0);
          assert.equal(entry?.type ?? 0, isHolder ? model.type : 0);
          const may = async (command: Uint8Array) => commandOutcome(await send(index, command)) === "GOOD";
          assert.equal(await may(cdb.read10(0, 1)), model.mayRead(index));
          assert.equal(await may(cdb.write10(0, 1)), model.mayWrite(index));
        }
      }
    }),
    { numRuns: 150, seed: 20261120 },
  );
  for (const path of ["1 GOOD", "1 RESERVATION CONFLICT", "2 5/26/4", "4 GOOD", "4 5/26/0", "5 GOOD", "3 GOOD"]) {
    assert.ok((seen.get(path) ?? 0) > 5, `${path} was reached ${seen.get(path) ?? 0} times`);
  }
});
