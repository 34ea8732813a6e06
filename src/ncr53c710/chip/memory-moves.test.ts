/** Check 26: scripts full of memory moves, which save DSA and TEMP themselves since a memory move destroys both. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb } from "../../scsi/index.js";
import { type ChipOptions, describeStop, Reg } from "../index.js";
import { blockSize, makeRig, places, prepareCommand, tableAt } from "../rig.test.js";

const elsewhere = 0x8000;
const templates = 0x6000;

/** Builds its CDB, writes the address into its own instruction, copies the data away; `restore` brings DSA back. */
const script = (restore: string) => `
begin:
  SELECT ATN FROM 0, REL(lost)
  MOVE FROM 4, WHEN MSG_OUT
  CALL REL(keep)
  MOVE MEMORY 10, ${templates}, ${places.cdb}
  MOVE MEMORY 4, ${templates + 16}, patched + 4
  ${restore}
  MOVE FROM 12, WHEN CMD
patched:
  MOVE ${blockSize}, 0xdead0000, WHEN DATA_IN
  CALL REL(keep)
  MOVE MEMORY ${blockSize}, ${places.data}, ${elsewhere}
  ${restore}
  MOVE FROM 20, WHEN STATUS
  MOVE FROM 28, WHEN MSG_IN
  CLEAR ACK
  WAIT DISCONNECT
  INT 0x600d
lost:
  INT 0xbad
keep:
  MOVE DSA0 TO SFBR
  MOVE SFBR TO SCRATCH0
  MOVE DSA1 TO SFBR
  MOVE SFBR TO SCRATCH1
  MOVE DSA2 TO SFBR
  MOVE SFBR TO SCRATCH2
  MOVE DSA3 TO SFBR
  MOVE SFBR TO SCRATCH3
  RETURN
bring_back:
  MOVE SCRATCH0 TO SFBR
  MOVE SFBR TO DSA0
  MOVE SCRATCH1 TO SFBR
  MOVE SFBR TO DSA1
  MOVE SCRATCH2 TO SFBR
  MOVE SFBR TO DSA2
  MOVE SCRATCH3 TO SFBR
  MOVE SFBR TO DSA3
  RETURN
`;

function run(restore: string, options: ChipOptions = {}) {
  const rig = makeRig({ chip: options });
  const data = new Uint8Array(blockSize).map((_, index) => index * 5);
  rig.load(
    `SELECT ATN FROM 0, 0\nMOVE FROM 4, WHEN MSG_OUT\nMOVE FROM 12, WHEN CMD\nMOVE FROM 36, WHEN DATA_OUT\nMOVE FROM 20, WHEN STATUS\nMOVE FROM 28, WHEN MSG_IN\nCLEAR ACK\nWAIT DISCONNECT\nINT 1\n`,
  );
  rig.memory.write(places.data, data);
  prepareCommand(rig, 6, cdb.write10(77, 1), blockSize);
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 1, describeStop(rig.chip));
  rig.causes();
  rig.memory.write(places.data, new Uint8Array(blockSize));
  rig.load(script(restore));
  prepareCommand(rig, 6, new Uint8Array(10), 0);
  rig.memory.write(templates, cdb.read10(77, 1));
  rig.view.setUint32(templates + 16, places.data);
  rig.start();
  return { rig, data };
}

test("check 26: a script that saves DSA in registers around its memory moves, and patches itself, reads a block", () => {
  for (const memoryMove of ["destroyed", "preserved"] as const) {
    const { rig, data } = run("CALL REL(bring_back)", { openPoints: { memoryMove } });
    assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
    assert.equal(rig.memory.read(places.status, 1)[0], 0);
    assert.equal(rig.long(Reg.DSA), tableAt);
    assert.deepEqual(rig.memory.read(places.data, blockSize), data);
    assert.deepEqual(rig.memory.read(elsewhere, blockSize), data);
  }
});

test("check 26: the same script without the restoring does not find its table, unless DSA is preserved", () => {
  assert.notEqual(run("NOP").rig.long(Reg.DSPS), 0x600d);
  assert.equal(run("NOP", { openPoints: { memoryMove: "preserved" } }).rig.long(Reg.DSPS), 0x600d);
});

test("check 26: a memory move in a subroutine takes RETURN's address with it", () => {
  const source = "CALL REL(sub)\nINT 1\nsub:\nMOVE MEMORY 4, 0x4000, 0x5000\nRETURN\n";
  const kept = makeRig({ chip: { openPoints: { memoryMove: "preserved" } } });
  kept.load(source);
  kept.start();
  assert.equal(kept.long(Reg.DSPS), 1);
  const lost = makeRig();
  lost.load(source);
  lost.start();
  assert.notEqual(lost.long(Reg.DSPS), 1);
});
