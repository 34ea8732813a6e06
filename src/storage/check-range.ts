import type { Scatter } from "../memory/index.js";

/**
 * Stops a caller that asks for bytes outside the store, or for more than its scatter holds. Costs a few compares.
 * @throws RangeError before anything was read or written.
 */
export function checkRange(byteLength: number, position: number, length: number, scatter?: Scatter): void {
  if (!(position >= 0 && length >= 0 && position + length <= byteLength)) {
    throw new RangeError(`${length} bytes at ${position} lie outside a store of ${byteLength} bytes`);
  }
  if (scatter !== undefined && length > scatter.byteLength) {
    throw new RangeError(`${length} bytes do not fit a scatter of ${scatter.byteLength} bytes`);
  }
}
