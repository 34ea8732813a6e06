/**
 * The script of a4091.device (siop_script.ss, another project's: RINGSIDE_GOLDENS names a folder that has it) on our
 * chip, driven as that device drives it: check 24 of the reference.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { assemble, describeStop, dialects, Reg, type TargetOptions, wordsToBytes } from "../../src/ncr53c710/index.js";
import { makeRig, scriptAt, tableAt } from "../../src/ncr53c710/rig.test.js";
import { cdb } from "../../src/scsi/index.js";

const folder = process.env["RINGSIDE_GOLDENS"];
const file = "siop_script.ss";
const found =
  folder === undefined
    ? undefined
    : readdirSync(folder, { recursive: true, encoding: "utf8" }).find((path) => basename(path) === file);
const skip = found === undefined ? `no ${file}: RINGSIDE_GOLDENS names no folder that has it` : false;

const dataAt = 0x4000;
const slots = 9;
const length = 2048;

/** The host's side of the script's vectors, for target 6. */
class SiopHost {
  readonly rig;
  readonly log: string[] = [];
  readonly #entries: ReadonlyMap<string, number>;

  constructor(target: TargetOptions) {
    this.rig = makeRig({ target });
    const source = readFileSync(join(folder ?? "", found ?? ""), "latin1");
    const { program } = assemble(source, { dialect: dialects.ncr53cxxx });
    assert.ok(program !== undefined);
    this.rig.memory.write(scriptAt, wordsToBytes(program.words));
    this.#entries = program.entries;
  }

  #at(name: string): number {
    return scriptAt + (this.#entries.get(name) ?? Number.NaN);
  }

  /** One command with data in two slots; returns its status. */
  run(command: Uint8Array, isWrite: boolean): number {
    const { rig } = this;
    rig.view.setUint32(tableAt, 0x40_0000);
    rig.memory.write(0x3000, Uint8Array.of(0xc0, 1, 3, 1, 25, 8));
    rig.memory.write(0x3010, command);
    const entries = [
      [4, 6, 0x3000],
      [12, command.length, 0x3010],
      [20, 1, 0x3020],
      [28, 1, 0x3021],
      [36, 1, 0x3022],
      [44, 1, 0x3023],
      [52, 3, 0x3026],
    ];
    for (const [offset, count, address] of entries) rig.entry(offset, count, address);
    this.#fill([
      [length / 2, dataAt],
      [length / 2, dataAt + length / 2],
    ]);
    this.log.length = 0;
    rig.chip.window.write32(Reg.DSA, tableAt);
    rig.start(this.#at("scripts"));
    for (let guard = 0; guard < 200; guard++) {
      const status = this.#interrupt(isWrite);
      if (status !== undefined) return status;
    }
    return assert.fail(`no end: ${this.log.join(" ")}`);
  }

  #fill(list: readonly (readonly [count: number, address: number])[]): void {
    for (let slot = 0; slot < slots; slot++) {
      const [count, address] = list[slot] ?? [0, 0];
      this.rig.entry(60 + 8 * slot, count, address);
    }
  }

  #interrupt(isWrite: boolean): number | undefined {
    const { rig } = this;
    const vector = rig.long(Reg.DSPS);
    const dsp = rig.long(Reg.DSP);
    // As drivers compute what is left: what is in the FIFO counts as not moved.
    const count = rig.long(0x24) & 0xff_ffff;
    const inFifo = (rig.read(Reg.DFIFO) - (count & 0x7f)) & 0x7f;
    const address = rig.long(Reg.DNAD) - inFifo;
    const words = describeStop(rig.chip);
    const { dstat, sstat0 } = rig.causes();
    if (sstat0 === 0x80) {
      this.log.push("mismatch");
      const first = (dsp - 8 - this.#at(isWrite ? "dataout" : "datain")) / 16;
      const rest: [number, number][] = [[count + inFifo, address]];
      for (let slot = first + 1; slot < slots; slot++) {
        rest.push([rig.view.getUint32(tableAt + 60 + 8 * slot), rig.view.getUint32(tableAt + 64 + 8 * slot)]);
      }
      this.#fill(rest);
      rig.start(this.#at("switch"));
      return undefined;
    }
    assert.equal(sstat0, 0, words);
    assert.equal(dstat, 0x84, words);
    this.log.push(vector.toString(16));
    switch (vector) {
      case 0xff00:
        return rig.memory.read(0x3020, 1)[0];
      case 0xff01:
      case 0xff02:
        rig.start(this.#at("wait_reselect"));
        return undefined;
      case 0xff03:
        assert.equal(rig.read(Reg.SCRATCH) & 0x7f, 0x40, "the target's id");
        rig.chip.window.write32(Reg.DSA, tableAt);
        rig.write(Reg.DCNTL, 0x04);
        return undefined;
      case 0xff0b:
        assert.deepEqual([...rig.memory.read(0x3026, 3)], [1, 25, 8]);
        rig.start(this.#at("clear_ack"));
        return undefined;
      default:
        return assert.fail(`vector ${vector.toString(16)}`);
    }
  }
}

for (const [name, target, expected] of [
  ["a target that stays on the bus, SDTR answered", {}, ["ff0b", "ff00"]],
  ["a target that refuses SDTR", { rejectsNegotiation: true }, ["ff00"]],
  ["a target that disconnects after the command", { disconnect: "always" }, ["ff0b", "ff02", "ff03", "ff00"]],
  ["a target that disconnects amid data and saves pointers", { disconnectEvery: 300 }, ["mismatch", "ff01", "ff03"]],
  [
    "a target that disconnects amid data and does not",
    { disconnectEvery: 300, savesPointers: false },
    ["mismatch", "ff02", "ff03"],
  ],
] as const satisfies readonly (readonly [string, TargetOptions, readonly string[]])[]) {
  test(`24: a4091.device's script writes and reads with ${name}`, { skip }, () => {
    const host = new SiopHost(target);
    const data = new Uint8Array(length).map((_, index) => index * 3);
    host.rig.memory.write(dataAt, data);
    assert.equal(host.run(cdb.write10(3, 4), true), 0);
    host.rig.memory.write(dataAt, new Uint8Array(length));
    assert.equal(host.run(cdb.read10(3, 4), false), 0);
    assert.deepEqual(host.rig.memory.read(dataAt, length), data);
    for (const event of expected) assert.ok(host.log.includes(event), `${event} in ${host.log.join(" ")}`);
  });
}
