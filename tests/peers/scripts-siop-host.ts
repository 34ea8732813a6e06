/**
 * The host's side of a4091.device's script (siop_script.ss) and of NetBSD's older one (osiop.ss): one table a command,
 * vectors, residues, recovery. Both are other projects': RINGSIDE_GOLDENS names a folder that has them.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { assemble, describeStop, dialects, Reg, wordsToBytes } from "../../src/ncr53c710/index.js";
import { hostId, makeRig, type Rig, type RigOptions, scriptAt, setUp, tableAt } from "../../src/ncr53c710/rig.test.js";

const folder = process.env["RINGSIDE_GOLDENS"];
const paths = folder === undefined ? [] : readdirSync(folder, { recursive: true, encoding: "utf8" });

/** One of the two scripts: where its table has what. */
export interface SiopScript {
  readonly file: string;
  /** Bytes of a table's first entry, the device: the others follow. */
  readonly deviceSize: number;
  /** Pieces of data that a table holds. */
  readonly slots: number;
}

/** The script of a4091.device. */
export const siop: SiopScript = { file: "siop_script.ss", deviceSize: 4, slots: 9 };
/** NetBSD's. */
export const osiop: SiopScript = { file: "osiop.ss", deviceSize: 8, slots: 17 };

function pathOf({ file }: SiopScript): string | undefined {
  return paths.find((path) => basename(path) === file);
}

/** Why a script's tests are skipped; false when it is there. */
export function siopSkip(script: SiopScript): string | false {
  return pathOf(script) === undefined ? `no ${script.file}: RINGSIDE_GOLDENS names no folder that has it` : false;
}

/** Where data is unless a command says otherwise. */
export const dataAt = 0x4000;
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
  readonly #script: SiopScript;
  readonly #entries: ReadonlyMap<string, number>;
  /** Commands that left the bus, by target. */
  readonly #away = new Map<number, SiopCommand>();
  /** SXFER of each target, as negotiated. */
  readonly #transfer = new Map<number, number>();
  #current: SiopCommand | undefined;

  constructor(options: RigOptions, script: SiopScript = siop) {
    this.rig = makeRig(options);
    this.#script = script;
    const source = readFileSync(join(folder ?? "", pathOf(script) ?? ""), "latin1");
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
      [negotiates ? 6 : 1, place],
      [cdb.length, place + 0x10],
      [1, place + 0x20],
      [1, place + 0x21],
      [1, place + 0x22],
      [1, place + 0x23],
      [3, place + 0x26],
    ];
    for (const [index, [count, address]] of entries.entries()) {
      rig.entry(at + this.#script.deviceSize + 8 * index, count, address);
    }
    this.#fill(at, pieces);
    this.#current = command;
    this.#useTable(command);
    rig.chip.window.write32(Reg.TEMP, 0);
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
    for (let slot = 0; slot < this.#script.slots; slot++) {
      const [count, address] = pieces[slot] ?? [0, 0];
      this.rig.entry(at + this.#dataOffset(slot), count, address);
    }
  }

  /** Where a table has a piece of data: behind the device and seven more entries. */
  #dataOffset(slot: number): number {
    return this.#script.deviceSize + 8 * (7 + slot);
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
    const first = (dsp - 8 - this.#at(isWrite ? "dataout" : "datain")) / 16;
    this.#fill(table * tableSize, [[count, address], ...this.#piecesFrom(first + 1)]);
    // What TEMP says is in the table now.
    rig.chip.window.write32(Reg.TEMP, 0);
  }

  /** A target that leaves between two pieces was called from behind the first of them: TEMP says which. */
  #keepNext(): void {
    const { rig } = this;
    const { isWrite = false, table = 0 } = this.#current ?? assert.fail("nobody had the bus");
    const temp = rig.long(Reg.TEMP);
    rig.chip.window.write32(Reg.TEMP, 0);
    if (temp !== 0) {
      const next = (temp - this.#at(isWrite ? "dataout" : "datain")) / 16;
      this.#fill(table * tableSize, this.#piecesFrom(next));
    }
  }

  #piecesFrom(first: number): Piece[] {
    const { view } = this.rig;
    const pieces: Piece[] = [];
    for (let slot = first; slot < this.#script.slots; slot++) {
      const entry = tableAt + (this.#current?.table ?? 0) * tableSize + this.#dataOffset(slot);
      pieces.push([view.getUint32(entry), view.getUint32(entry + 4)]);
    }
    return pieces;
  }

  #vector(vector: number): SiopEnd | undefined {
    const { rig } = this;
    const { target = 6, table = 0 } = this.#current ?? {};
    switch (vector) {
      case 0xff00:
        return rig.memory.read(0x3020 + table * 0x40, 1)[0];
      case 0xff01:
      case 0xff02:
        this.#keepNext();
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
