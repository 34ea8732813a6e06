/** The chip as a target: other initiators select it, and it reselects them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeStop, Phase, Reg, type WireInitiator } from "../index.js";
import { makeRig, places } from "../rig.test.js";

/** A driver that selects the chip. */
class OtherInitiator implements WireInitiator {
  readonly id = 2;
  attention = true;
  isConnected = true;
  readonly received: [phase: number, ...bytes: number[]][] = [];
  toSend = Uint8Array.of(0x80, 0x12, 0, 0, 0, 36, 0);
  #sent = 0;

  give(phase: number, bytes: Uint8Array, at: number, length: number): number {
    const step = Math.min(length, this.toSend.length - this.#sent);
    bytes.set(this.toSend.subarray(this.#sent, this.#sent + step), at);
    this.#sent += step;
    if (phase === Phase.MessageOut) this.attention = false;
    return step;
  }

  take(phase: number, bytes: Uint8Array, at: number, length: number): number {
    this.received.push([phase, ...bytes.subarray(at, at + length)]);
    return length;
  }

  reselected(): boolean {
    this.isConnected = true;
    return true;
  }

  disconnected(): void {
    this.isConnected = false;
  }
}

test("the chip as a target: selected, takes message and command, disconnects, reselects, gives data, status, message", () => {
  const other = new OtherInitiator();
  const rig = makeRig({ initiators: [other] });
  rig.load(`
    SET TARGET
    WAIT SELECT 0
    INT 1, IF NOT ATN
    MOVE 1, 0x3000, WITH MSG_OUT
    MOVE 6, 0x3010, WITH CMD
    DISCONNECT
    RESELECT 0x04, 0
    MOVE 4, 0x3100, WITH DATA_IN
    MOVE 1, 0x3200, WITH STATUS
    MOVE 1, 0x3200, WITH MSG_IN
    DISCONNECT
    CLEAR TARGET
    INT 2`);
  rig.memory.write(0x3100, Uint8Array.of(1, 2, 3, 4));
  rig.start();
  assert.equal(rig.chip.engine.state, "waiting");
  assert.equal(rig.chip.selectedBy(other, 5), false, "not its id");
  assert.equal(rig.chip.selectedBy(other, 7), true);
  assert.equal(rig.long(Reg.DSPS), 2, describeStop(rig.chip));
  assert.deepEqual([...rig.memory.read(0x3000, 1)], [0x80]);
  assert.deepEqual([...rig.memory.read(0x3010, 6)], [0x12, 0, 0, 0, 36, 0]);
  assert.deepEqual(other.received, [
    [Phase.DataIn, 1, 2, 3, 4],
    [Phase.Status, 0],
    [Phase.MessageIn, 0],
  ]);
  assert.equal(other.isConnected, false);
  assert.equal(rig.read(Reg.LCRC), 0x84);
});

test("selected while it waits for reselection, the chip takes the alternate address and refuses as Linux does", () => {
  const rig = makeRig();
  const other = new OtherInitiator();
  rig.load("WAIT RESELECT selected\nINT 1\nselected: SET TARGET\nDISCONNECT\nCLEAR TARGET\nINT 2\n");
  rig.start();
  assert.equal(rig.chip.selectedBy(other, 7), true);
  assert.equal(rig.long(Reg.DSPS), 2);
  assert.equal(other.isConnected, false);
  assert.equal(rig.wire.owner, undefined);
});

test("a move in the wrong role is illegal", () => {
  const rig = makeRig();
  rig.load(`SELECT ATN 0x40, 0\nMOVE 1, ${places.identify}, WITH MSG_OUT\nINT 1\n`);
  rig.start();
  assert.equal(rig.causes().dstat, 0x81);
});
