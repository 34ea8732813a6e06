/** Whether a request keeps to the limits on segments that the configuration announces, virtio 1.2 §5.2.4. */
import type { Scatter } from "../../memory/index.js";

/** What is announced; 0 for a limit that was not negotiated. */
export interface SegmentLimits {
  readonly segMax: number;
  readonly sizeMax: number;
}

/**
 * Looks at the first `length` bytes of a request's data.
 * @returns the limit that it exceeds in words, or undefined.
 */
export function limitExceeded(data: Scatter, length: number, { segMax, sizeMax }: SegmentLimits): string | undefined {
  // Pieces are descriptors, or parts of one where regions of memory touch: counted as they are, they are never too few.
  if (sizeMax === 0 && (segMax === 0 || data.end - data.first <= segMax)) return undefined;
  let segments = 0;
  let segment = 0;
  let left = length;
  for (let index = data.first; index < data.end && left > 0; index++) {
    const step = Math.min(data.lengths[index], left);
    if (continues(data, index)) segment += step;
    else {
      segments++;
      segment = step;
    }
    if (sizeMax !== 0 && segment > sizeMax) return `a segment of ${segment} bytes, size_max is ${sizeMax}`;
    left -= step;
  }
  return segMax !== 0 && segments > segMax ? `${segments} segments, seg_max is ${segMax}` : undefined;
}

/** Whether a piece is the rest of the one before, cut where two regions of memory touch. */
function continues(data: Scatter, index: number): boolean {
  if (index === data.first || data.offsets[index] !== 0) return false;
  const before = data.regions[index - 1];
  const isAtEnd = data.offsets[index - 1] + data.lengths[index - 1] === before.size;
  return isAtEnd && before.end === data.regions[index].base && before !== data.regions[index];
}
