/** Memory of a ring: 2.3 of the reference. Both transports use the legacy layout. */
import {
  availableRingSize,
  descriptorSize,
  legacyLayout,
  type RingLayout,
  usedRingSize,
} from "../../../virtqueue/index.js";
import { type ExecMemory, execPageSize, type PageOrder } from "../exec/index.js";

/** A ring in memory. */
export interface RingBlock {
  /** Where it was allocated, to be freed. */
  readonly allocation: number;
  /** Physical address of its first page. */
  readonly physical: number;
  readonly layout: RingLayout;
}

/** Bytes that are mapped: descriptor table, available ring, used ring at the next page. */
export function mappedRingBytes(size: number): number {
  return legacyLayout(size).used + usedRingSize(size);
}

/** Bytes that are allocated: a page more, so that it can be aligned. */
export function allocatedRingBytes(size: number): number {
  return mappedRingBytes(size) + execPageSize;
}

/**
 * Memory for a ring. A device knows one address: the pages behind it have to follow each other. `verified` sees to
 * that, `assumed` takes the first page's address and hopes.
 * @param pages what exec's memory is like when it is asked. @throws RangeError when memory is short.
 */
export function allocateRing(
  memory: ExecMemory,
  size: number,
  contiguity: "verified" | "assumed",
  pages: PageOrder,
): RingBlock {
  const bytes = allocatedRingBytes(size);
  let allocation = memory.allocate(bytes, pages);
  if (contiguity === "verified" && !isContiguous(memory, allocation, bytes)) {
    memory.free(allocation);
    allocation = memory.allocate(bytes, "contiguous");
  }
  return { allocation, physical: memory.physical(allocation), layout: legacyLayout(size) };
}

/** Whether the pages of a buffer follow each other in physical memory. */
export function isContiguous(memory: ExecMemory, address: number, length: number): boolean {
  const first = memory.physical(address);
  for (let at = execPageSize; at < length; at += execPageSize) {
    if (memory.physical(address + at) !== first + at) return false;
  }
  return true;
}

/** Where the driver says after how many used chains it wants an interrupt: behind the available ring. */
export function usedEventOffset(size: number): number {
  return descriptorSize * size + availableRingSize(size) - 2;
}
