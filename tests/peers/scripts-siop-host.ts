/**
 * a4091.device's side of its script (siop_script.ss, another project's: RINGSIDE_GOLDENS names a folder that has it), as
 * the reference describes it: one table a command, vectors, residues, recovery.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { assemble, describeStop, dialects, Reg, wordsToBytes } from "../../src/ncr53c710/index.js";
import { hostId, makeRig, type Rig, type RigOptions, scriptAt, setUp, tableAt } from "../../src/ncr53c710/rig.test.js";

const folder = process.env["RINGSIDE_GOLDENS"];
const file = "siop_script.ss";
const found =
  folder === undefined
    ? undefined
    : readdirSync(folder, { recursive: true, encoding: "utf8" }).find((path) => basename(path) === file);

/** Why the script's tests are skipped; false when it is there. */
export const siopSkip = found === undefined ? `no ${file}: RINGSIDE_GOLDENS names no folder that has it` : false;

/** Where data is unless a command says otherwise. */
export const dataAt = 0x4000;
const slots = 9;
const tableSize = 0x200;

/** Count and address of a piece of memory. */
export type Piece = readonly [count: number, address: number];

/** What is to be done. */
export interface SiopCommand {
  readonly cdb: Uint8Array;
  readonly isWrite?: boolean;
  readonly pieces?: readonly Piece[];
  /** Default 6. */
  readonly target?: number;
  readonly lun?: number;
  /** Whether SDTR goes with IDENTIFY. Default true. */
  readonly negotiates?: boolean;
  /** Which of the tables it has: commands that are under way at once have different ones. Default 0. */
  readonly table?: number;
}

/** How it went: a status, or why there is none. */
export type SiopEnd = number | "selection timeout" | "unexpected disconnect" | "away" | "no answer" | "woken";

/** The host. */
export class SiopHost {
  readonly rig: Rig;
  /** Vectors and causes as they came. */
  readonly log: string[] = [];
  readonly #entries: ReadonlyMap<string, number>;
  /** Commands that left the bus, by target. */
  readonly #away = new Map<number, SiopCommand>();
  /** SXFER of each target, as negotiated. */
  readonly #transfer = new Map<number, number>();
  #current: SiopCommand | undefined;

  constructor(options: RigOptions) {
    this.rig = makeRig(options);
    const source = readFileSync(join(folder ?? "", found ?? ""), "latin1");
    const { program } = assemble(source, { dialect: dialects.ncr53cxxx });
    assert.ok(program !== undefined);
    this.rig.memory.write(scriptAt, wordsToBytes(program.words));
    this.#entries = program.entries;
  }

  /** One command to its end, through disconnections. */
  run(command: SiopCommand): SiopEnd {
    this.log.length = 0;
    let end = this.start(command);
    while (end === "away") end = this.waitForTarget();
    return end;
  }

  /** Begins a command; "away" when its target left the bus meanwhile. */
  start(command: SiopCommand): SiopEnd {
    const { rig } = this;
    const { cdb, pieces = [], target = 6, lun = 0, negotiates = true, table = 0 } = command;
    const at = table * tableSize;
    const place = 0x3000 + table * 0x40;
    rig.view.setUint32(tableAt + at, (0x1_0000 << target) | ((this.#transfer.get(target) ?? 0) << 8));
    rig.memory.write(place, Uint8Array.of(0xc0 | lun, 1, 3, 1, 25, 8));
    rig.memory.write(place + 0x10, cdb);
    const entries = [
      [4, negotiates ? 6 : 1, place],
      [12, cdb.length, place + 0x10],
      [20, 1, place + 0x20],
      [28, 1, place + 0x21],
      [36, 1, place + 0x22],
      [44, 1, place + 0x23],
      [52, 3, place + 0x26],
    ];
    for (const [offset, count, address] of entries) rig.entry(at + offset, count, address);
    this.#fill(at, pieces);
    this.#current = command;
    this.#useTable(command);
    return this.#go("scripts");
  }

  /** Waits for a target that left the bus. */
  waitForTarget(): SiopEnd {
    return this.#go("wait_reselect");
  }

  /** Goes on after the script was left waiting. */
  goOn(): SiopEnd {
    return this.#follow();
  }

  /** The host's timer ran out: chip and bus are reset and everything under way is lost. */
  recover(): void {
    const { rig } = this;
    rig.write(Reg.ISTAT, 0x40);
    rig.write(Reg.ISTAT, 0);
    setUp(rig.chip);
    rig.write(Reg.SCNTL1, 0x28);
    rig.write(Reg.SCNTL1, 0x20);
    const { sstat0 } = rig.causes();
    assert.equal(sstat0, 0x02, "the reset is told");
    this.#away.clear();
    this.#transfer.clear();
  }

  get #at(): (name: string) => number {
    return (name) => scriptAt + (this.#entries.get(name) ?? Number.NaN);
  }

  #useTable({ table = 0 }: SiopCommand): void {
    this.rig.chip.window.write32(Reg.DSA, tableAt + table * tableSize);
  }

  #fill(at: number, pieces: readonly Piece[]): void {
    for (let slot = 0; slot < slots; slot++) {
      const [count, address] = pieces[slot] ?? [0, 0];
      this.rig.entry(at + 60 + 8 * slot, count, address);
    }
  }

  #go(entry: string): SiopEnd {
    this.rig.start(this.#at(entry));
    return this.#follow();
  }

  #follow(): SiopEnd {
    for (let guard = 0; guard < 400; guard++) {
      if (this.rig.chip.engine.state === "waiting") return "no answer";
      const end = this.#interrupt();
      if (end !== undefined) return end;
    }
    return assert.fail(`no end: ${this.log.join(" ")}`);
  }

  #interrupt(): SiopEnd | undefined {
    const { rig } = this;
    const vector = rig.long(Reg.DSPS);
    const dsp = rig.long(Reg.DSP);
    // As drivers compute what is left: what is in the FIFO counts as not moved.
    const count = rig.long(0x24) & 0xff_ffff;
    const inFifo = (rig.read(Reg.DFIFO) - (count & 0x7f)) & 0x7f;
    const address = rig.long(Reg.DNAD) - inFifo;
    const words = describeStop(rig.chip);
    const { dstat, sstat0 } = rig.causes();
    if (sstat0 !== 0) {
      this.log.push({ 128: "mismatch", 32: "timeout", 4: "disconnected" }[sstat0] ?? words);
      if (sstat0 === 0x20) return "selection timeout";
      if (sstat0 === 0x04) return "unexpected disconnect";
      assert.equal(sstat0, 0x80, words);
      this.#keepRest(dsp, count + inFifo, address);
      rig.start(this.#at("switch"));
      return undefined;
    }
    assert.equal(dstat, 0x84, words);
    this.log.push(vector.toString(16));
    return this.#vector(vector);
  }

  /** After a phase mismatch: the slots that are left begin with the rest of the one at hand. */
  #keepRest(dsp: number, count: number, address: number): void {
    const { rig } = this;
    const { isWrite = false, table = 0 } = this.#current ?? assert.fail("a mismatch without a command");
    const at = table * tableSize;
    const first = (dsp - 8 - this.#at(isWrite ? "dataout" : "datain")) / 16;
    const rest: Piece[] = [[count, address]];
    for (let slot = first + 1; slot < slots; slot++) {
      const entry = tableAt + at + 60 + 8 * slot;
      rest.push([rig.view.getUint32(entry), rig.view.getUint32(entry + 4)]);
    }
    this.#fill(at, rest);
  }

  #vector(vector: number): SiopEnd | undefined {
    const { rig } = this;
    const { target = 6, table = 0 } = this.#current ?? {};
    switch (vector) {
      case 0xff00:
        return rig.memory.read(0x3020 + table * 0x40, 1)[0];
      case 0xff01:
      case 0xff02:
        this.#away.set(target, this.#current ?? assert.fail("nobody had the bus"));
        return "away";
      case 0xff03: {
        const id = 31 - Math.clz32(rig.read(Reg.SCRATCH) & ~(1 << hostId));
        const command = this.#away.get(id) ?? assert.fail(`target ${id} has no command`);
        this.#away.delete(id);
        this.#current = command;
        this.#useTable(command);
        rig.write(Reg.SXFER, this.#transfer.get(id) ?? 0);
        rig.write(Reg.DCNTL, 0x04);
        return undefined;
      }
      case 0xff04:
        // Reading it takes the signal back.
        assert.equal(rig.read(Reg.CTEST2) & 0x40, 0x40);
        return "woken";
      case 0xff0b: {
        const [kind, period, offset] = rig.memory.read(0x3026 + table * 0x40, 3);
        assert.deepEqual([kind, period, offset], [1, 25, 8]);
        this.#transfer.set(target, 0x10 | offset);
        rig.write(Reg.SXFER, 0x10 | offset);
        rig.start(this.#at("clear_ack"));
        return undefined;
      }
      default:
        return assert.fail(`vector ${vector.toString(16)}`);
    }
  }
}
