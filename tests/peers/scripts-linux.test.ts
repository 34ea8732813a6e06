/**
 * Linux's 53c700.scr, from Debian's linux-source package: it assembles to the array that Linux ships, and that array
 * runs on our chip, driven as Linux's driver drives it: labels and addresses are patched in, the scatter list is a
 * script of its own, interrupts carry encoded vectors.
 */
import assert from "node:assert/strict";
import { GuestMemory } from "../../src/memory/index.js";
import {
  assemble,
  attachScsiBus,
  dialects,
  disassemble,
  HostBus,
  Ncr53c710,
  Reg,
  ScsiWire,
  type TargetOptions,
} from "../../src/ncr53c710/index.js";
import { cdb, Disk, ScsiBus } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { test } from "./limited-test.js";
import { linuxScripts, parseShipped, type ShippedArray } from "./scripts-linux-source.js";

const found = linuxScripts();
const skip = typeof found === "string" ? found : false;
const scriptAt = 0x1_0000;
const segmentsAt = 0x2_0000;
const messageAt = 0x3_0000;
const cdbAt = 0x3_0100;
const statusAt = 0x3_0200;
const receivedAt = 0x3_0300;
const dataAt = 0x4_0000;
const blockSize = 512;

function shipped(): ShippedArray {
  assert.ok(typeof found !== "string");
  return parseShipped(found.shipped);
}

test("check 1: 53c700.scr assembles to the array that Linux ships: words, values, their uses, entries, label patches", {
  skip,
}, () => {
  assert.ok(typeof found !== "string");
  const expected = shipped();
  const { program, diagnostics } = assemble(found.source, { chip: "700", dialect: dialects.script_asm });
  assert.deepEqual(diagnostics, []);
  assert.ok(program !== undefined);
  assert.equal(expected.words.length, 298);
  assert.deepEqual([...program.words], expected.words);
  assert.equal(program.lines.length, expected.instructions);
  assert.deepEqual(program.labelPatches, expected.labelPatches);
  assert.deepEqual(Object.fromEntries(program.entries), expected.entries);
  const symbols = Object.fromEntries(program.symbols.map((symbol) => [symbol.name, symbol]));
  for (const [name, value] of Object.entries(expected.values)) {
    assert.equal(symbols[name]?.value, value, name);
    assert.deepEqual(symbols[name].uses, expected.uses[name], `uses of ${name}`);
  }
});

test("check 4: its 298 words are 149 instructions, all 56 patches are second words, and taken apart it assembles again", {
  skip,
}, () => {
  const { words, labelPatches } = shipped();
  const text = disassemble(Uint32Array.from(words), { chip: "700" });
  const lines = text.split("\n").filter((line) => line.startsWith("\t") && !line.includes("ARCH"));
  assert.equal(lines.length, 149);
  assert.ok(lines.every((line) => !line.includes("WORD")));
  assert.equal(labelPatches.length, 56);
  assert.ok(labelPatches.every((index) => index % 2 === 1));
  assert.deepEqual([...(assemble(text, { chip: "700" }).program?.words ?? [])], words);
});

/** One command as the host keeps it. */
interface Slot {
  readonly target: number;
  readonly cdb: Uint8Array;
  /** Pieces of data: address and length. */
  readonly pieces: { address: number; length: number }[];
  readonly isWrite: boolean;
}

/** How a command ended: a status, or the name of what went wrong. */
type End = number | "timeout" | `vector ${string}`;

/** A host that drives the script, the way the interrupt vectors ask for. */
class Host {
  readonly memory = GuestMemory.ofSize(1 << 20);
  readonly chip: Ncr53c710;
  readonly view = this.memory.regions[0].view;
  readonly array = shipped();
  /** Vectors in the order in which they came. */
  readonly vectors: number[] = [];

  constructor(options: TargetOptions = {}) {
    const wire = new ScsiWire();
    const bus = new ScsiBus();
    for (const id of [0, 3]) {
      bus.attach(id, 0, new Disk(new MemoryStore(2048 * blockSize), { powerOnAttention: false, serial: `${id}` }));
    }
    attachScsiBus(wire, bus, 7, options);
    this.chip = new Ncr53c710(new HostBus(this.memory), wire, { selectionTimeout: 0 });
    const write = (register: number, value: number) => this.chip.writeRegister(register, value);
    write(Reg.SCNTL0, 0xce);
    write(Reg.SCNTL1, 0x20);
    write(Reg.DCNTL, 0x01);
    write(Reg.SCID, 0x80);
    write(Reg.SIEN, 0xaf);
    write(Reg.DIEN, 0x15);
  }

  /** Runs one command to its end. */
  run(slot: Slot, messages: readonly number[] = [0xc0]): End {
    const script = [...this.array.words];
    for (const index of this.array.labelPatches) script[index] += scriptAt;
    const patch = (name: string, value: number) => {
      for (const index of this.array.uses[name]) script[index] = (script[index] + value) >>> 0;
    };
    patch("Device_ID", 0x1_0000 << slot.target);
    patch("MessageCount", messages.length);
    patch("MessageLocation", messageAt);
    patch("CommandCount", slot.cdb.length);
    patch("CommandAddress", cdbAt);
    patch("StatusAddress", statusAt);
    patch("ReceiveMsgAddress", receivedAt);
    patch("SGScriptStartAddress", segmentsAt);
    for (const [index, word] of script.entries()) this.view.setUint32(scriptAt + index * 4, word);
    this.memory.write(messageAt, Uint8Array.from(messages));
    this.memory.write(cdbAt, slot.cdb);
    this.memory.write(statusAt, Uint8Array.of(0xee));
    this.#writeSegments(slot);
    this.vectors.length = 0;
    this.#go(this.#entry("StartUp"));
    for (let guard = 0; guard < 1000; guard++) {
      const end = this.#interrupt(slot);
      if (end !== undefined) return end;
    }
    assert.fail(`no end: ${this.vectors.map((vector) => vector.toString(16)).join(" ")}`);
  }

  #entry(name: string): number {
    return scriptAt + this.array.entries[name];
  }

  #go(address: number): void {
    this.chip.window.write32(Reg.DSP, address);
  }

  #writeSegments(slot: Slot): void {
    const move = slot.isWrite ? 0x08000000 : 0x09000000;
    let at = segmentsAt;
    for (const { address, length } of slot.pieces) {
      this.view.setUint32(at, move | length);
      this.view.setUint32(at + 4, address);
      at += 8;
    }
    this.view.setUint32(at, 0x90080000);
    this.view.setUint32(at + 4, 0);
  }

  /** Takes the data that moved off the front of the pieces. */
  #saveData(slot: Slot): void {
    const at = this.chip.window.read32(Reg.DSP) - 8 - segmentsAt;
    const done = Math.floor(at / 8);
    const left = this.chip.window.read32(0x24) & 0xff_ffff;
    const address = this.chip.window.read32(Reg.DNAD);
    slot.pieces.splice(0, done);
    assert.ok(slot.pieces.length > 0);
    slot.pieces[0] = { address, length: left };
    this.#writeSegments(slot);
  }

  #interrupt(slot: Slot): End | undefined {
    const { window } = this.chip;
    const dsp = window.read32(Reg.DSP);
    const vector = window.read32(Reg.DSPS);
    const causes = window.read32(0x0c);
    const sstat0 = (causes >>> 8) & 0xff;
    if ((sstat0 & 0x20) !== 0) return "timeout";
    if ((sstat0 & 0x80) !== 0) {
      const isData = dsp >= segmentsAt && dsp < messageAt;
      assert.ok(isData, `phase mismatch at ${dsp.toString(16)}`);
      this.#saveData(slot);
      this.#go(this.#entry("MsgInDuringData"));
      return undefined;
    }
    assert.equal(
      causes & 0x7f,
      0x04,
      `causes ${causes.toString(16)} at ${dsp.toString(16)}, dsps ${vector.toString(16)}`,
    );
    this.vectors.push(vector);
    switch (vector) {
      case 0x401:
        return this.memory.read(statusAt, 1)[0];
      case 0x380:
        return this.#awaitReselection("Disconnect2");
      case 0x580:
        return this.#awaitReselection(dsp === this.#entry("Disconnect6") ? "Disconnect6" : "Disconnect8");
      case 0x780:
        return this.#awaitReselection("Disconnect4");
      case 0x1000:
        this.#go(this.#entry("GetReselectionData"));
        return undefined;
      case 0x1003:
        assert.equal(this.chip.readRegister(Reg.LCRC), 0x80 | (1 << slot.target));
        assert.equal(this.memory.read(receivedAt, 1)[0], 0x80);
        this.#go(this.#resume);
        return undefined;
      case 0x350:
      case 0x250:
        // A message from the target: SDTR's answer is taken note of, the script goes on.
        this.#go(dsp);
        return undefined;
      default:
        return `vector ${vector.toString(16)}`;
    }
  }

  #resume = 0;

  #awaitReselection(entry: string): undefined {
    this.#resume = this.#entry(entry);
    // "Reselect" is no entry: WAIT RESELECT is the fifth instruction, SELECT's alternate address.
    this.#go(this.view.getUint32(scriptAt + 4));
    return undefined;
  }
}

function pieces(length: number, ...cuts: number[]): { address: number; length: number }[] {
  const list: { address: number; length: number }[] = [];
  let at = 0;
  for (const cut of [...cuts, length - cuts.reduce((sum, each) => sum + each, 0)]) {
    list.push({ address: dataAt + at, length: cut });
    at += cut;
  }
  return list;
}

function exchange(host: Host, target: number, blocks: number, cuts: readonly number[]): void {
  const length = blocks * blockSize;
  const data = new Uint8Array(length).map((_, index) => index * 13 + target);
  host.memory.write(dataAt, data);
  const write = { target, cdb: cdb.write10(9, blocks), pieces: pieces(length, ...cuts), isWrite: true };
  assert.equal(host.run(write), 0, `write: ${host.vectors.map((vector) => vector.toString(16))}`);
  host.memory.write(dataAt, new Uint8Array(length));
  const read = { target, cdb: cdb.read10(9, blocks), pieces: pieces(length, ...cuts), isWrite: false };
  assert.equal(host.run(read), 0, `read: ${host.vectors.map((vector) => vector.toString(16))}`);
  assert.deepEqual(host.memory.read(dataAt, length), data);
}

test("check 25: Linux's script runs on our chip: INQUIRY, then writes and reads in one piece and scattered", {
  skip,
}, () => {
  const host = new Host();
  const inquiry = { target: 3, cdb: cdb.inquiry(36), pieces: pieces(36), isWrite: false };
  assert.equal(host.run(inquiry), 0);
  assert.match(Buffer.from(host.memory.read(dataAt, 36)).toString("latin1"), /RINGSIDE/);
  for (const target of [0, 3]) {
    exchange(host, target, 1, []);
    exchange(host, target, 8, [1, 511, 1000, 7]);
    exchange(host, target, 64, [4096, 4096, 8192]);
  }
});

test("check 25: targets that disconnect after the command are found again by LCRC with COM=1", { skip }, () => {
  const host = new Host({ disconnect: "always" });
  exchange(host, 3, 4, []);
  assert.ok(host.vectors.includes(0x380) || host.vectors.includes(0x580));
  assert.ok(host.vectors.includes(0x1000) || host.vectors.includes(0x1003));
});

test("check 25: targets that disconnect in the middle of data lose no byte", { skip }, () => {
  for (const every of [100, 512, 700, 4096]) {
    const host = new Host({ disconnectEvery: every });
    exchange(host, 0, 8, [1000, 24]);
    assert.ok(
      host.vectors.includes(0x780) || every >= 4096,
      `every ${every}: ${host.vectors.map((v) => v.toString(16))}`,
    );
  }
});

test("check 25: errors: CHECK CONDITION and its sense, an absent target, a refused tag-less negotiation", {
  skip,
}, () => {
  const host = new Host();
  const bad = { target: 3, cdb: cdb.read10(1 << 20, 1), pieces: pieces(blockSize), isWrite: false };
  assert.equal(host.run(bad), 2);
  const sense = { target: 3, cdb: Uint8Array.of(3, 0, 0, 0, 18, 0), pieces: pieces(18), isWrite: false };
  assert.equal(host.run(sense), 0);
  assert.deepEqual([host.memory.read(dataAt, 14)[2] & 15, host.memory.read(dataAt, 14)[12]], [5, 0x21]);
  assert.equal(host.run({ ...sense, target: 5 }), "timeout");
  exchange(host, 3, 2, []);
});

test("check 25: SDTR with the first command is answered and told to the host", { skip }, () => {
  const host = new Host();
  const inquiry = { target: 0, cdb: cdb.inquiry(36), pieces: pieces(36), isWrite: false };
  assert.equal(host.run(inquiry, [0xc0, 1, 3, 1, 25, 8]), 0, host.vectors.map((v) => v.toString(16)).join(" "));
  assert.ok(host.vectors.includes(0x250));
});
