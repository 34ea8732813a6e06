/** Random requests, mostly plausible, to the device half of virtio-blk: every answer against a model that says it anew. */
import assert from "node:assert/strict";
import type { Endianness } from "../../src/bytes/index.js";
import { Scatter } from "../../src/memory/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { BareQueues, blkRequestBytes, type HostileContent, type SeededRandom } from "../../src/testing/index.js";
import { BlkStatus, BlkType, barrierFlag, VirtioBlkDevice } from "../../src/virtio/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

/** Sectors of the disk that the requests are for. */
export const blockSectors = 64;
const requestsPerRound = 24;
const filler = 0xa6;
const maxRanges = 3;
const maxSectors = 16;
const limits = { maxRanges, maxSectors };
/** The device that the requests are for. */
export const blockDeviceOptions = { serial: "soak", discard: limits, writeZeroes: limits } as const;

/** What should come back. */
interface Expected {
  /** Undefined: no byte for it. */
  readonly status: number | undefined;
  /** Bytes at the start of the writable part. */
  readonly data?: Uint8Array;
}

const allTypes: readonly number[] = Object.values(BlkType);

/** A sector that mostly exists, or lies near an edge where numbers wrap. */
function anySector(random: SeededRandom): bigint {
  if (random.chance(0.85)) return BigInt(random.below(blockSectors));
  const edges = [BigInt(blockSectors), 1n << 32n, 1n << 53n, 1n << 55n, 1n << 63n, 1n << 64n];
  return BigInt.asUintN(64, edges[random.below(edges.length)] + BigInt(random.below(5) - 2));
}

function anyRanges(random: SeededRandom, endianness: Endianness): Uint8Array {
  const count = random.below(maxRanges + 2);
  const bytes = new Uint8Array(count * 16);
  const view = new DataView(bytes.buffer);
  const little = endianness === "little";
  for (let index = 0; index < count; index++) {
    view.setBigUint64(16 * index, anySector(random), little);
    view.setUint32(16 * index + 8, random.chance(0.9) ? random.below(9) : random.below(2 ** 32), little);
    view.setUint32(16 * index + 12, random.chance(0.8) ? 0 : random.below(random.chance(0.7) ? 2 : 2 ** 32), little);
  }
  return random.chance(0.95) ? bytes : bytes.subarray(0, random.below(bytes.length + 1));
}

/** A request that is mostly plausible. */
export function anyBlockRequest(random: SeededRandom, endianness: Endianness): HostileContent {
  const known = random.chance(0.95);
  const type = known ? allTypes[random.below(allTypes.length)] : random.below(2 ** 32);
  const flag = random.chance(0.05) && type < barrierFlag ? barrierFlag : 0;
  const length = random.chance(0.9) ? 512 * random.below(6) : random.below(2000);
  const isRange = type === BlkType.Discard || type === BlkType.WriteZeroes;
  const isOut = type === BlkType.Out ? random.chance(0.97) : random.chance(0.03);
  const isIn = type === BlkType.In ? random.chance(0.97) : random.chance(0.03);
  const data = isRange ? anyRanges(random, endianness) : new Uint8Array(isOut ? length : 0).fill(random.below(256));
  const readable = blkRequestBytes(endianness, type + flag, anySector(random), data);
  const room = type === BlkType.GetId && random.chance(0.9) ? 20 : isIn ? length : 0;
  const writable = random.chance(0.97) ? room + 1 : random.below(room + 1);
  return { readable: random.chance(0.98) ? readable : readable.subarray(0, random.below(17)), writable };
}

/** The model: what a request does to `disk`, and how it ends. */
function carryOut(
  disk: Uint8Array,
  { readable, writable }: HostileContent,
  endianness: Endianness,
  hasBarrier: boolean,
): Expected {
  const { Ok, IoError, Unsupported } = BlkStatus;
  const little = endianness === "little";
  if (writable === 0) return { status: undefined };
  if (readable.length < 16) return { status: IoError };
  const view = new DataView(readable.buffer, readable.byteOffset, readable.byteLength);
  const raw = view.getUint32(0, little);
  const type = hasBarrier ? raw & 0x7fff_ffff : raw;
  const sector = view.getBigUint64(8, little);
  const fits = (first: bigint, count: number) => first + BigInt(count) <= BigInt(blockSectors);
  const out = readable.subarray(16);
  const room = writable - 1;
  switch (type) {
    case BlkType.In: {
      if (out.length > 0 || room % 512 !== 0 || !fits(sector, room / 512)) return { status: IoError };
      const at = Number(sector) * 512;
      return { status: Ok, data: disk.slice(at, at + room) };
    }
    case BlkType.Out:
      if (room > 0 || out.length % 512 !== 0 || !fits(sector, out.length / 512)) return { status: IoError };
      disk.set(out, Number(sector) * 512);
      return { status: Ok };
    case BlkType.Flush:
    case BlkType.FlushOut:
      return { status: Ok };
    case BlkType.GetId:
      if (room < 20) return { status: IoError };
      return { status: Ok, data: Uint8Array.from("soak".padEnd(20, "\0"), (letter) => letter.charCodeAt(0)) };
    case BlkType.Discard:
    case BlkType.WriteZeroes: {
      const count = out.length / 16;
      if (!Number.isInteger(count) || count === 0 || count > maxRanges) return { status: IoError };
      const ranges = Array.from({ length: count }, (_, index) => ({
        first: view.getBigUint64(16 + 16 * index, little),
        count: view.getUint32(24 + 16 * index, little),
        flags: view.getUint32(28 + 16 * index, little),
      }));
      const allowed = type === BlkType.WriteZeroes ? 1 : 0;
      if (ranges.some(({ flags }) => flags > 1)) return { status: Unsupported };
      if (ranges.some((range) => range.count > maxSectors || !fits(range.first, range.count)))
        return { status: IoError };
      if (ranges.some(({ flags }) => flags > allowed)) return { status: Unsupported };
      for (const { first, count: length } of ranges) {
        disk.fill(0, Number(first) * 512, (Number(first) + length) * 512);
      }
      return { status: Ok };
    }
    default:
      return { status: Unsupported };
  }
}

/** Ascending places within `length`, few or many. */
function anyCuts(random: SeededRandom, length: number): number[] {
  const count = random.chance(0.5) ? 0 : random.below(6);
  return Array.from({ length: count }, () => random.below(length + 1)).sort((one, other) => one - other);
}

function run(round: Round): void {
  const { random } = round;
  const endianness: Endianness = random.chance(0.5) ? "little" : "big";
  const hasBarrier = random.chance(0.5);
  const disk = Uint8Array.from({ length: blockSectors * 512 }, () => random.below(256));
  const store = MemoryStore.of(disk);
  const device = new VirtioBlkDevice(store, { ...blockDeviceOptions, barrier: hasBarrier, queueSize: 32 });
  const queues = new BareQueues(device, { endianness, queueSize: 32, startIndex: 65_520 + random.below(16) });
  for (let number = 0; number < requestsPerRound; number++) {
    const sent = anyBlockRequest(random, endianness);
    if (sent.readable.length + sent.writable === 0) continue;
    const cuts = anyCuts(random, sent.readable.length);
    const submission = queues.submit(0, sent.readable, sent.writable, cuts, anyCuts(random, sent.writable));
    submission.answer.fill(filler);
    queues.notify(0);
    const expected = carryOut(disk, sent, endianness, hasBarrier);
    const name = `request ${number}: ${Buffer.from(sent.readable.subarray(0, 64)).toString("hex")} + ${sent.writable}`;
    assert.equal(submission.done, true, `${name}: not answered`);
    const { answer, written } = submission;
    round.count(`status ${expected.status}`);
    if (expected.status === undefined) {
      assert.equal(written, 0, name);
      continue;
    }
    assert.equal(answer[sent.writable - 1], expected.status, `${name}: status`);
    const { data = new Uint8Array(0) } = expected;
    assert.equal(written, data.length + 1, `${name}: used length`);
    assert.ok(Buffer.compare(answer.subarray(0, data.length), data) === 0, `${name}: data`);
    const rest = answer.subarray(data.length, sent.writable - 1);
    assert.ok(
      rest.every((byte) => byte === filler),
      `${name}: wrote what it does not say`,
    );
  }
  const after = new Uint8Array(disk.length);
  void store.read(0, Scatter.of(after), after.length);
  assert.ok(Buffer.compare(after, disk) === 0, "the disk holds something else than the model");
  assert.equal(queues.failures.length, 0, "a bad request ended the device");
  for (const code of queues.violations) round.count(code);
}

export const blockRequests: Soak = {
  name: "block-requests",
  title: "random requests to virtio-blk against a model of what they do",
  quickRounds: 400,
  start: () => run,
  goals(counts, rounds) {
    if (rounds < 1000) return;
    requireCounts(counts, ["status 0", "status 1", "status 2", "status undefined"], 100);
    requireCounts(counts, ["request-data-length", "request-data-direction", "sector-past-capacity"], 100);
    requireCounts(counts, ["request-over-limit", "request-header-short", "response-space-short"], 50);
  },
};
