/** `attach bench`: one load at one depth for some seconds, with percentiles of its latencies. */
import { blockBytes } from "../memory/index.js";
import type { AttachOptions, BenchOp } from "./attach-options.js";
import type { AttachedDisk } from "./attached-disk.js";
import { UsageError, WorkFailed } from "./errors.js";
import { LatencyHistogram } from "./latency-histogram.js";
import type { Pace } from "./pace.js";
import { fillPattern, numbersFrom } from "./random.js";
import { formatRate } from "./table.js";

/** The object that `attach bench --json` prints. Programs rely on these names. */
export interface BenchReport {
  readonly op: BenchOp;
  /** Bytes of a request. */
  readonly blockSize: number;
  /** Requests under way at once. */
  readonly depth: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Requests that failed. */
  readonly errors: number;
  readonly p999Us: number;
  readonly maxUs: number;
  readonly requests: number;
  readonly seconds: number;
  readonly queues: number;
}

/** Bytes of memory that a benchmark wants to share. */
export function benchMemory({ depth, blockSize }: AttachOptions): number {
  const mebibyte = 1 << 20;
  return 64 * mebibyte + Math.ceil((depth * blockSize) / mebibyte) * mebibyte;
}

/** @throws UsageError when the load does not fit the disk, WorkFailed when the disk is lost */
export async function benchDisk(disk: AttachedDisk, options: AttachOptions, pace: Pace): Promise<BenchReport> {
  const { op, blockSize, depth, seconds, queues } = options;
  const { blocks, blockSize: granule } = disk.blocks;
  const isWrite = op === "write" || op === "randwrite";
  if (isWrite && !options.write) throw new UsageError(`--op ${op} overwrites what the disk holds: add --write`);
  if (isWrite && disk.isReadOnly) throw new WorkFailed("the disk is read-only");
  if (blockSize % granule !== 0) {
    throw new UsageError(`--block-size ${blockSize} is no multiple of the disk's blocks of ${granule} bytes`);
  }
  const step = blockSize / granule;
  const places = Math.floor(blocks / step);
  if (places === 0) throw new UsageError(`--block-size ${blockSize} is more than the disk holds`);
  const below = numbersFrom(options.seed ?? 1);
  const isRandom = op === "randread" || op === "randwrite";
  let next = 0;
  const place = () => (isRandom ? below(places) : next++ % places) * step;
  const room = disk.dma.allocate(depth * blockSize, 4096);
  const bytes = blockBytes(room);
  fillPattern(bytes, options.seed ?? 1, 0);
  const histogram = new LatencyHistogram();
  let errors = 0;
  let isOver = false;
  const worker = async (index: number) => {
    const buffer = bytes.subarray(index * blockSize, (index + 1) * blockSize);
    while (!isOver) {
      const begin = performance.now();
      try {
        await disk.transfer(isWrite, place(), buffer, index % queues);
        histogram.add((performance.now() - begin) * 1000);
      } catch (error) {
        errors++;
        if (disk.failure() !== undefined) throw error;
      }
    }
  };
  const start = performance.now();
  await pace.begin(seconds * 1000, false);
  pace.name(`${op} ${blockSize} bytes, depth ${depth}`);
  try {
    const work = Promise.allSettled(Array.from({ length: depth }, (_, index) => worker(index)));
    await clock(seconds * 1000, pace, () => disk.failure() !== undefined);
    isOver = true;
    await work;
  } finally {
    isOver = true;
    pace.end();
  }
  const failure = disk.failure();
  if (failure !== undefined) throw new WorkFailed(`the disk was lost: ${failure.message}`, { cause: failure });
  const elapsed = (performance.now() - start) / 1000;
  disk.dma.free(room);
  const iops = histogram.count / elapsed;
  const tenths = (value: number) => Math.round(value * 10) / 10;
  return {
    ...{ op, blockSize, depth, iops: Math.round(iops), bytesPerSecond: Math.round(iops * blockSize) },
    ...{ p50Us: tenths(histogram.percentile(0.5)), p99Us: tenths(histogram.percentile(0.99)), errors },
    ...{ p999Us: tenths(histogram.percentile(0.999)), maxUs: tenths(histogram.largest) },
    ...{ requests: histogram.count, seconds: Math.round(elapsed * 1000) / 1000, queues },
  };
}

/** Lets time pass. @throws Interrupted */
async function clock(milliseconds: number, pace: Pace, isLost: () => boolean): Promise<void> {
  const tick = 100;
  const end = performance.now() + milliseconds;
  for (let left = milliseconds; left > 0 && !isLost(); left = end - performance.now()) {
    const nap = Math.min(tick, left);
    await new Promise((resolve) => setTimeout(resolve, nap));
    await pace.step(nap);
  }
}

/** The result for people. */
export function formatBench(report: BenchReport): string {
  const { op, blockSize, depth, iops, bytesPerSecond, p50Us, p99Us, p999Us, maxUs, errors } = report;
  return (
    `${op} ${blockSize} bytes, depth ${depth}: ${iops} IOPS, ${formatRate(bytesPerSecond)}; ` +
    `latency p50 ${p50Us} µs, p99 ${p99Us} µs, p99.9 ${p999Us} µs, most ${maxUs} µs; ${errors} errors\n`
  );
}
