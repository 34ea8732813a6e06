/** Numbers and bytes of 0.9.5 appendix D that both halves take from one table: written out here once more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BlockFaultPoint } from "../../observe/index.js";
import { MemoryStore } from "../../storage/index.js";
import { BareQueues, createBlkLoopback } from "../../testing/index.js";
import { BlkStatus, BlkType, barrierFlag, VirtioBlkDevice, type VirtioBlkOptions } from "./index.js";

const content = Uint8Array.from({ length: 64 * 512 }, (_, index) => (index >> 9) * 3 + index);

function bare(options: VirtioBlkOptions = {}): BareQueues {
  return new BareQueues(new VirtioBlkDevice(MemoryStore.of(content), options), { endianness: "little" });
}

/** Type, priority and sector, each below 256. */
function header(type: number, sector: number, priority = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = type;
  bytes[4] = priority;
  bytes[8] = sector;
  return bytes;
}

test("R-806, R-808: types, the barrier flag and statuses by their numbers", () => {
  const { In, Out, ScsiCommand, ScsiCommandOut, Flush, FlushOut } = BlkType;
  assert.deepEqual([In, Out, ScsiCommand, ScsiCommandOut, Flush, FlushOut], [0, 1, 2, 3, 4, 5]);
  assert.equal(barrierFlag, 2 ** 31);
  assert.deepEqual([BlkStatus.Ok, BlkStatus.IoError, BlkStatus.Unsupported], [0, 1, 2]);
  const queues = bare();
  assert.deepEqual(
    [header(0, 63), header(0, 64), header(4, 0), header(5, 0), header(6, 0)].map((bytes) =>
      queues.send(0, bytes, bytes[0] === 0 ? 513 : 1).answer.at(-1),
    ),
    [0, 1, 0, 0, 2],
  );
});

test("R-803: a request that reaches past the capacity fails, counted in sectors of 512 bytes whatever blk_size is", () => {
  for (const blockSize of [512, 4096]) {
    const queues = bare({ blockSize });
    const status = (sector: number, sectors: number) =>
      queues.send(0, header(0, sector), 512 * sectors + 1).answer.at(-1);
    assert.deepEqual([status(0, 64), status(63, 1), status(56, 8)], [0, 0, 0]);
    assert.deepEqual([status(64, 1), status(63, 2), status(1, 64), status(255, 1)], [1, 1, 1, 1]);
    assert.deepEqual(queues.violations, new Array(4).fill("sector-past-capacity"), "before the store is asked");
  }
});

test("R-808: a priority changes nothing but the order, and our driver's flushes carry sector 0", async () => {
  const queues = bare();
  for (const priority of [0, 1, 255]) {
    const { answer } = queues.send(0, header(0, 5, priority), 513);
    assert.deepEqual(answer.subarray(0, 512), content.subarray(5 * 512, 6 * 512));
  }
  const seen: BlockFaultPoint[] = [];
  const blockRequest = (point: BlockFaultPoint) => void seen.push({ ...point });
  const loop = await createBlkLoopback({ transport: "legacy-be", faults: { blockRequest } });
  await loop.driver.writeSectors(7, new Uint8Array(512));
  await loop.driver.flushCache();
  assert.deepEqual(
    seen.map(({ type, sector }) => [type, sector]),
    [
      [1, 7],
      [4, 0],
    ],
  );
  await loop.close();
});

test("R-811, R-1506: xv6's request by its bytes: 16, a block of data, one byte; IN is 0 and OUT is 1", () => {
  const queues = bare();
  const read = queues.send(0, header(0, 6), 1025, [], [1024]);
  assert.deepEqual([read.written, read.answer[1024]], [1025, 0]);
  assert.deepEqual(read.answer.subarray(0, 1024), content.subarray(6 * 512, 8 * 512));
  const data = new Uint8Array(1024).fill(0x5a);
  const write = queues.send(0, Uint8Array.of(...header(1, 10), ...data), 1, [16]);
  assert.deepEqual([write.written, write.answer[0]], [1, 0]);
  const back = queues.send(0, header(0, 10), 1025, [], [1024]).answer;
  assert.deepEqual(back.subarray(0, 1024), data);
});
