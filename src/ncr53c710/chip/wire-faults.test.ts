/** Parity and gross errors on the wire, by the fault hook. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FaultHook, WireFault } from "../../observe/index.js";
import { cdb } from "../../scsi/index.js";
import { describeStop, Message, Phase, Reg, Sstat0 } from "../index.js";
import { blockSize, commandScript, makeRig, places, prepareCommand } from "../rig.test.js";

/** The fault, once, in the first transfer of this phase. */
function once(phase: number, fault: WireFault): FaultHook {
  let isDue = true;
  return {
    wireTransfer(point) {
      if (!isDue || point.phase !== phase) return undefined;
      isDue = false;
      return fault;
    },
  };
}

function read(faults: FaultHook, before: (rig: ReturnType<typeof makeRig>) => void = () => undefined) {
  const rig = makeRig({ chip: { faults } });
  rig.load(commandScript);
  prepareCommand(rig, 6, cdb.read10(0, 1), blockSize);
  before(rig);
  rig.start();
  return rig;
}

test("a parity error stops SCRIPTS in every input phase, with the pin as SIEN says", () => {
  for (const phase of [Phase.DataIn, Phase.Status, Phase.MessageIn]) {
    const rig = read(once(phase, "parity"), (each) => each.write(Reg.SIEN, 0x01));
    assert.match(describeStop(rig.chip), /^parity error \(SSTAT0\.PAR\)$/);
    assert.equal(rig.chip.interruptLevel, true);
    const { istat, sstat0 } = rig.causes();
    assert.equal(istat & 0x02, 0x02);
    assert.equal(sstat0, Sstat0.Par);
  }
});

test("without SCNTL0.EPC nobody in the chip looks at parity", () => {
  for (const phase of [Phase.DataIn, Phase.Status, Phase.MessageIn]) {
    const rig = read(once(phase, "parity"), (each) => each.write(Reg.SCNTL0, 0xc4));
    assert.equal(rig.long(Reg.DSPS), 0x600d, describeStop(rig.chip));
  }
});

test("with SCNTL0.AAP the chip asserts ATN: the target takes MESSAGE PARITY ERROR and sends its message again", () => {
  const rig = read(once(Phase.MessageIn, "parity"), (each) => each.write(Reg.SCNTL0, 0xce));
  assert.equal(rig.causes().sstat0, Sstat0.Par);
  assert.equal(rig.read(Reg.SBCL) & 0x48, 0x48, "ACK and ATN");
  rig.memory.write(places.identify, Uint8Array.of(Message.ParityError));
  rig.memory.write(places.message, Uint8Array.of(0xee));
  rig.load(`CLEAR ACK\nMOVE FROM 4, WHEN MSG_OUT\nMOVE FROM 28, WHEN MSG_IN\nCLEAR ACK\nWAIT DISCONNECT\nINT 7\n`);
  rig.start();
  assert.equal(rig.long(Reg.DSPS), 7, describeStop(rig.chip));
  assert.deepEqual([...rig.memory.read(places.message, 1)], [Message.CommandComplete]);
});

test("without AAP there is no ATN", () => {
  const rig = read(once(Phase.MessageIn, "parity"));
  assert.equal(rig.read(Reg.SBCL) & 0x48, 0x40);
});

test("a gross error is one of synchronous data phases only; counters say how far it came", () => {
  const synchronous = (rig: ReturnType<typeof makeRig>) => rig.view.setUint32(0x2000, 0x40_1800);
  const rig = read(once(Phase.DataIn, "gross"), synchronous);
  assert.match(describeStop(rig.chip), /^gross error \(SSTAT0\.SGE\)$/);
  assert.equal((rig.long(0x24) & 0xff_ffff) + rig.long(Reg.DNAD), places.data + blockSize);
  assert.equal(rig.causes().sstat0, Sstat0.Sge);
  assert.equal(read(once(Phase.DataIn, "gross")).long(Reg.DSPS), 0x600d, "asynchronous");
  assert.equal(read(once(Phase.Status, "gross"), synchronous).long(Reg.DSPS), 0x600d, "no data");
});
