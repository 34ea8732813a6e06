/** What a command costs in memory that is collected again: nothing, through driver, chip, wire and target. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb, unitAddress } from "../../scsi/index.js";
import type { TargetOptions } from "../index.js";
import { blockSize, withRig } from "./adapter-rig.test.js";

const blocks = 8;
/** Compilers need some until they know that nothing escapes. */
const warmUp = 60_000;
const measured = 4000;
/** Bytes; 0 once everything is optimized, up to 96 before. It was 450, and 1400 with disconnection. */
const most = 200;

for (const [name, targets, depth, target] of [
  ["one at a time", [3], 1, {}],
  ["28 over seven targets that disconnect", [0, 1, 2, 3, 4, 5, 6], 28, { disconnect: "always" }],
] as const satisfies readonly (readonly [string, readonly number[], number, TargetOptions])[]) {
  test(`READs allocate nothing, ${name}`, async () => {
    await withRig({ disks: targets, poisons: false, target }, async ({ adapter, machine }) => {
      for (const id of targets) adapter.setQueueing(unitAddress(id, 0), true);
      const data = machine.dma.allocate(depth * blocks * blockSize, 4096);
      const requests = Array.from({ length: depth }, (_, index) => {
        const request = adapter.acquireRequest();
        request.pointAt(unitAddress(targets[index % targets.length], 0));
        request.setCdb(cdb.read10(index, blocks));
        request.addIn(data.address + index * blocks * blockSize, blocks * blockSize);
        return request;
      });
      const run = (commands: number) => {
        for (let done = 0; done < commands; done += depth) {
          for (let index = 0; index < depth; index++) adapter.submit(requests[index]);
          while (adapter.inFlight > 0) adapter.poll();
        }
        assert.ok(requests.every(({ status, response, residual }) => status + response + residual === 0));
      };
      for (let part = 0; part < 6; part++) {
        run(warmUp / 6);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const costs = Array.from({ length: 9 }, () => {
        const before = process.memoryUsage().heapUsed;
        run(measured);
        return (process.memoryUsage().heapUsed - before) / measured;
      });
      // The middle one: what is collected in between makes one of them negative.
      const cost = costs.sort((one, other) => one - other)[4];
      assert.ok(cost < most, `${cost} bytes a command, of ${costs.map(Math.round).join()}`);
      for (const request of requests) adapter.releaseRequest(request);
      machine.dma.free(data);
    });
  });
}
