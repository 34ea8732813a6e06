/** Random and plausible commands through both halves of virtio-scsi to a disk. */
import assert from "node:assert/strict";
import { Disk, parseSense, ScsiStatus, SenseKey, unitAddress } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { createLoopback, hostileCdb, type Loopback, memoryDisk } from "../../src/testing/index.js";
import { type ScsiRequest, ScsiResponse } from "../../src/virtio/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const blocks = 2048;
const unit = unitAddress(0, 0);
const readOnlyUnit = unitAddress(0, 1);
const statuses = new Set<number>(Object.values(ScsiStatus));
const responses = new Set<number>(Object.values(ScsiResponse));
const senseKeys = new Set<number>(Object.values(SenseKey));
const filler = 0xa6;
const room = 0x1_0000;

class CommandFuzz {
  readonly #loop: Loopback;
  readonly #request: ScsiRequest;
  readonly #data: Uint8Array;
  readonly #address: number;

  constructor(loop: Loopback) {
    this.#loop = loop;
    this.#request = loop.driver.acquireRequest();
    const block = loop.machine.dma.allocate(room, 512);
    this.#data = block.region.bytes.subarray(block.offset, block.offset + room);
    this.#address = block.address;
  }

  run(round: Round): void {
    const { random } = round;
    const { driver } = this.#loop;
    const request = this.#request;
    const cdb = hostileCdb(random, blocks);
    const length = random.chance(0.1) ? 1 + random.below(5000) : 512 * random.below(9);
    const isOut = random.chance(0.4);
    const at = random.below(4096);
    const data = this.#data.fill(filler, 0, at + length + 64);
    driver.address(request, random.chance(0.9) ? unit : readOnlyUnit);
    request.cdb.fill(0).set(cdb);
    request.clearData();
    const pieces = this.#pieces(round, length);
    let offset = at;
    for (const piece of pieces) {
      if (isOut) request.addOut(this.#address + offset, piece);
      else request.addIn(this.#address + offset, piece);
      offset += piece;
    }
    assert.ok(driver.submit(request));
    driver.flush();
    driver.poll();
    assert.equal(request.outcome, "done", "a memory disk answers at once");
    this.#check(round, cdb, length);
    // What was not announced as transferred is as it was.
    const written = isOut ? 0 : length - Math.min(length, request.residual);
    for (let index = 0; index < at; index++) assert.equal(data[index], filler, "wrote before the buffer");
    for (let index = at + written; index < at + length + 64; index++) {
      assert.equal(data[index], filler, "wrote past what it says it wrote");
    }
  }

  /** Cuts a buffer into pieces, of odd lengths too. */
  #pieces(round: Round, length: number): number[] {
    const pieces: number[] = [];
    for (let left = length; left > 0; ) {
      const step = pieces.length > 20 || round.random.chance(0.4) ? left : 1 + round.random.below(left);
      pieces.push(step);
      left -= step;
    }
    return pieces;
  }

  #check(round: Round, cdb: Uint8Array, length: number): void {
    const request = this.#request;
    const name = `cdb ${Buffer.from(cdb).toString("hex")}`;
    assert.ok(responses.has(request.response), `${name}: response ${request.response}`);
    assert.ok(request.residual <= length, `${name}: residual ${request.residual} of ${length}`);
    round.count(`response ${request.response}`);
    if (request.response !== ScsiResponse.Ok) return;
    assert.ok(statuses.has(request.status), `${name}: status ${request.status}`);
    round.count(`status ${request.status}`);
    assert.equal(request.senseLength > 0, request.status === ScsiStatus.CheckCondition, name);
    if (request.senseLength === 0) return;
    const sense = parseSense(request.sense.subarray(0, request.senseLength));
    assert.ok(sense !== undefined && senseKeys.has(sense.key), `${name}: sense that cannot be read`);
    assert.notEqual(sense.key, SenseKey.HardwareError, `${name}: a memory disk never fails inside`);
    round.count(`sense key ${sense.key}`);
  }
}

export const commands: Soak = {
  name: "commands",
  title: "random and plausible commands to a disk, through both halves",
  quickRounds: 5000,
  start() {
    let fuzz: CommandFuzz | undefined;
    return async (round) => {
      if (fuzz === undefined) {
        const readOnly = { target: 0, lun: 1, unit: new Disk(new MemoryStore(1 << 20), { readOnly: true }) };
        const units = [memoryDisk(0, 0, blocks * 512), readOnly];
        fuzz = new CommandFuzz(await createLoopback({ units, poison: false, driver: { timeout: 0 } }));
      }
      // Many commands a round: a round that has to be awaited costs more than a command.
      for (let command = 0; command < 16; command++) fuzz.run(round);
    };
  },
  goals(counts, rounds) {
    if (rounds >= 1000) requireCounts(counts, ["response 0", "response 1", "status 0", "sense key 5"], 100);
  },
};
