/** `autocon` and the gate before the A3000's SCSI, on our boards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AmigaDescription, a3000, type Board } from "../../machine/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { ScsiBus } from "../../scsi/index.js";
import {
  Autocon,
  type ChipsetGate,
  type ConfigRecord,
  describeChipset,
  judgeChipId,
  onboardScsiProduct,
} from "./index.js";

const ecsDenise = 0xfc;
const lisa = 0xf8;

/** A board with these chips, and the A3000's SCSI if asked for. */
function machineWith(amiga: AmigaDescription): EmbeddedMachine {
  const board: Board = { ...a3000, amiga };
  const machine = new EmbeddedMachine(board, { ramSize: 1 << 20 });
  if (amiga.onboardScsi) machine.plugOnboardScsi(new ScsiBus());
  return machine;
}

function find(gate: ChipsetGate, amiga: AmigaDescription, kernelEnd = 0x0710_0000): boolean {
  const space = machineWith(amiga).memorySpace;
  return new Autocon({ records: [], kernelEnd, gate, space }).find(onboardScsiProduct, 0) !== undefined;
}

for (const [agnus, published, corrected] of [
  [0x00, true, true],
  [0x10, true, true],
  [0x20, true, true],
  [0x30, false, true],
  [0x31, false, true],
] as const) {
  test(`check 32, 5.4: VPOSR ${agnus.toString(16)} on an A3000: published ${published}, corrected ${corrected}`, () => {
    const amiga = { agnus, denise: ecsDenise, onboardScsi: true };
    assert.equal(find("published", amiga), published);
    assert.equal(find("corrected", amiga), corrected);
  });
}

for (const agnus of [0x22, 0x23, 0x32, 0x33]) {
  test(`5.4: AGA (VPOSR ${agnus.toString(16)}) is skipped by both gates, whatever answers at 0xDD0000`, () => {
    const amiga = { agnus, denise: lisa, onboardScsi: true };
    assert.equal(find("published", amiga), false);
    assert.equal(find("corrected", amiga), false);
  });
}

test("5.4: VPOSR 22 is AGA or a late ECS Agnus; the corrected gate asks Denise, the published one does not", () => {
  assert.equal(judgeChipId("corrected", 0x22), "ambiguous");
  const late = { agnus: 0x22, denise: ecsDenise, onboardScsi: true };
  assert.equal(find("corrected", late), true);
  assert.equal(find("published", late), false);
});

test("5.4: where the chip ids allow it, only a WD33C93 that keeps 55h and AAh is taken for one", () => {
  const absent = { agnus: 0x20, denise: ecsDenise, onboardScsi: false };
  assert.equal(find("published", absent), false);
  assert.equal(find("corrected", absent), false);
});

test("5.4: the stock gate looks at the kernel's end only: a phantom on an A4000", () => {
  const a4000Like = { agnus: 0x23, denise: lisa, onboardScsi: false };
  assert.equal(find("stock", a4000Like), true);
  assert.equal(find("stock", a4000Like, 0x0700_0000), false);
  const { memorySpace: space } = machineWith(a4000Like);
  const autocon = new Autocon({ records: [], kernelEnd: 0x0710_0000, gate: "stock", space });
  assert.deepEqual(autocon.find(onboardScsiProduct, 0), { base: 0xdd_0000, size: 0 });
  assert.equal(autocon.find(onboardScsiProduct, 1), undefined);
});

test("5.4: the index counts boards of one product among the first 16 records", () => {
  const record = (product: number, base: number): ConfigRecord => ({ product, base, size: 1 });
  const records = Array.from({ length: 17 }, (_, index) => record(index % 2 === 0 ? 0xaaaa_0001 : 0xbbbb_0002, index));
  const { memorySpace: space } = machineWith({ agnus: 0x20, denise: ecsDenise, onboardScsi: false });
  const autocon = new Autocon({ records, kernelEnd: 0, gate: "corrected", space });
  assert.equal(autocon.find(0xaaaa_0001, 0)?.base, 0);
  assert.equal(autocon.find(0xbbbb_0002, 1)?.base, 3);
  assert.equal(autocon.find(0xaaaa_0001, 7)?.base, 14);
  assert.equal(autocon.find(0xaaaa_0001, 8), undefined, "the seventeenth record is not seen");
});

test("5.4: chips have names", () => {
  assert.equal(describeChipset(0x20, ecsDenise), "ECS, PAL");
  assert.equal(describeChipset(0x30, ecsDenise), "ECS, NTSC");
  assert.equal(describeChipset(0x22, ecsDenise), "ECS, PAL");
  assert.equal(describeChipset(0x22, lisa), "AGA, PAL");
  assert.equal(describeChipset(0x33, lisa), "AGA, NTSC");
  assert.equal(describeChipset(0x10, 0xff), "OCS, NTSC");
});
