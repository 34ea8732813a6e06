/** The wire of virtio-balloon, for both halves (virtio 1.2 §5.5; 0.9.5 appendix G). */
import { struct, u16, u32, u64 } from "../../bytes/index.js";
import type { FeatureTable } from "../../transport/index.js";

/** The virtio device ID, virtio 1.2 §5. */
export const virtioBalloonId = 5;

/** §5.5.3. DEFLATE_ON_OOM came with 1.0. */
export const balloonFeatures = {
  MUST_TELL_HOST: 0,
  STATS_VQ: 1,
  DEFLATE_ON_OOM: 2,
} as const satisfies FeatureTable;

/** Queue numbers, §5.5.2. */
export const BalloonQueue = { Inflate: 0, Deflate: 1, Statistics: 2 } as const;

/** Bytes of a page in the balloon, whatever pages the guest has: the unit of all numbers here. */
export const balloonPageSize = 4096;

/** §5.5.4, little-endian whatever the byte order of the guest: pages that the device wants, pages that it has. */
export const balloonConfig = struct({ numPages: u32, actual: u32 });

/** One statistic, packed to 10 bytes, in the byte order of the queues. §5.5.6.3 */
export const balloonStatistic = struct({ tag: u16, value: u64 });

/** Tags of statistics, §5.5.6.4. Bytes, but for the two counts of faults. Those from 6 on came with 1.0 and later. */
export const BalloonTag = {
  SwapIn: 0,
  SwapOut: 1,
  MajorFaults: 2,
  MinorFaults: 3,
  FreeMemory: 4,
  TotalMemory: 5,
  AvailableMemory: 6,
  DiskCaches: 7,
  HugePageAllocations: 8,
  HugePageFailures: 9,
} as const;

/** Statistics by tag. A tag that a driver does not know about is left out. */
export type BalloonStatistics = ReadonlyMap<number, bigint>;

/** The name of a tag. */
export function balloonTagName(tag: number): string {
  return Object.entries(BalloonTag).find(([, value]) => value === tag)?.[0] ?? `tag ${tag}`;
}
