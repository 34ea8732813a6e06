/** What the tests of targets share: an initiator that drives one byte by byte, without a chip. */
import assert from "node:assert/strict";
import { parseSense } from "../../scsi/index.js";
import { Message, Phase, type ScsiPhaseTarget, type TargetOptions } from "../index.js";
import { hostId, makeRig, type Rig, type RigOptions } from "../rig.test.js";

const id = 6;

/** An initiator that drives a target directly. */
export class Initiator {
  readonly rig: Rig;
  readonly target: ScsiPhaseTarget;
  readonly #byte = new Uint8Array(1);

  constructor(target: TargetOptions = {}, options: RigOptions = {}) {
    this.rig = makeRig({ ...options, target });
    this.target = this.rig.targets[id];
  }

  /** Selects with ATN and says who is meant. */
  begin(identify = 0x80, ...more: readonly number[]): this {
    assert.ok(this.target.selected(hostId, true));
    this.say([identify, ...more]);
    return this;
  }

  /** Bytes of a message phase; ATN falls before the last one. The ones at `spoiled` have wrong parity. */
  say(bytes: readonly number[], spoiled: readonly number[] = []): void {
    for (const [index, byte] of bytes.entries()) {
      assert.equal(this.target.phase(), Phase.MessageOut);
      this.target.attention(index < bytes.length - 1);
      this.put(byte, spoiled.includes(index));
    }
  }

  put(byte: number, isSpoiled = false): void {
    this.#byte[0] = byte;
    if (isSpoiled) this.target.parityWrong();
    assert.equal(this.target.send(this.#byte, 0, 1), 1);
  }

  command(bytes: Uint8Array, spoiled = -1): void {
    for (const [index, byte] of bytes.entries()) {
      assert.equal(this.target.phase(), Phase.Command);
      this.put(byte, index === spoiled);
    }
  }

  /** A byte; with `attention` ATN is asserted before its ACK falls. */
  get(phase: number, attention = false): number {
    assert.equal(this.target.phase(), phase);
    const live = this.target.peek();
    assert.equal(this.target.receive(this.#byte, 0, 1), 1);
    assert.equal(this.#byte[0], live);
    if (attention) this.target.attention(true);
    this.target.acknowledged();
    return live;
  }

  /** Status and the message after it; the bus is free then. */
  end(): number {
    const status = this.get(Phase.Status);
    assert.equal(this.get(Phase.MessageIn), Message.CommandComplete);
    assert.equal(this.target.phase(), -2);
    return status;
  }

  /** What REQUEST SENSE says, as bytes. */
  requestSense(): Uint8Array {
    this.begin();
    this.command(Uint8Array.of(3, 0, 0, 0, 18, 0));
    const bytes = Uint8Array.from({ length: 18 }, () => this.get(Phase.DataIn));
    assert.equal(this.end(), 0);
    return bytes;
  }

  /** The same: key, code. */
  sense(): string {
    const bytes = this.requestSense();
    const { key, asc, ascq } = parseSense(bytes) ?? { key: -1, asc: -1, ascq: -1 };
    return [key, asc, ascq].map((part) => part.toString(16)).join("/");
  }
}
