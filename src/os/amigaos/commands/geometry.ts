/** Disk shapes (5.4 of the reference): what TD_GETGEOMETRY and NSCMD_TD_GETGEOMETRY64 answer. Pure functions. */

/** Capacity of a unit. */
export interface UnitCapacity {
  /** Bytes of a block. */
  readonly blockSize: number;
  /** Blocks, a safe integer. */
  readonly blocks: number;
}

/**
 * Which shape TD_GETGEOMETRY gives. `fixed-64`: cylinders of 64 blocks, the rest is cut off (v1.5). `exact-product`:
 * cylinders of a power of two that divides the disk, so that their product is the disk (v1.11).
 */
export type GeometryShape = "fixed-64" | "exact-product";

/** A struct DriveGeometry with names. */
export interface DriveGeometry {
  readonly sectorSize: number;
  readonly totalSectors: number;
  readonly cylinders: number;
  readonly cylinderSectors: number;
  readonly heads: number;
  readonly trackSectors: number;
  readonly bufferMemory: number;
  readonly deviceType: number;
  readonly flags: number;
}

/** Bytes of struct DriveGeometry. */
export const driveGeometrySize = 32;
/** Bytes of struct DriveGeometry64. */
export const driveGeometry64Size = 32;

const most = 0xffff_ffff;
const largestCylinder = 256;
/** MEMF_PUBLIC, and MEMF_PUBLIC | MEMF_LOCAL. */
export const bufferMemory = { public: 0x001, local: 0x101 } as const;
/** DGF_REMOVABLE */
export const removableFlag = 1;

/** What a geometry tells besides the size. */
export interface GeometryExtras {
  /** Peripheral device type; the original tells 0 for everything. */
  readonly deviceType: number;
  readonly removable: boolean;
  /** MEMF bits for buffers. */
  readonly bufferMemory: number;
  /** More sectors than fit 32 bits become the largest number, or lose their high bits (B29). */
  readonly totalSectors: "clamped" | "wrapped";
}

/** The geometry that a shape gives a capacity. */
export function geometryOf(
  { blockSize, blocks }: UnitCapacity,
  shape: GeometryShape,
  extras: GeometryExtras,
): DriveGeometry {
  const common = {
    sectorSize: blockSize,
    totalSectors: extras.totalSectors === "clamped" ? Math.min(blocks, most) : blocks % 2 ** 32,
    deviceType: extras.deviceType,
    flags: extras.removable ? removableFlag : 0,
    bufferMemory: extras.bufferMemory,
  };
  if (shape === "fixed-64") {
    const cylinders = Math.max(1, Math.floor(blocks / 64) % 2 ** 32);
    return { ...common, cylinders, cylinderSectors: 64, heads: 4, trackSectors: 16 };
  }
  const cylinderSectors = largestPowerDividing(blocks);
  return {
    ...common,
    cylinders: Math.min(blocks / cylinderSectors, most),
    ...{ cylinderSectors, heads: cylinderSectors, trackSectors: 1 },
  };
}

function largestPowerDividing(blocks: number): number {
  let power = 1;
  while (power < largestCylinder && blocks % (power * 2) === 0 && blocks > 0) power *= 2;
  return power;
}

/**
 * Writes struct DriveGeometry.
 * @param clear false: the reserved word (bytes 30 and 31) keeps what the buffer holds, as v1.5 left it.
 */
export function writeGeometry(target: Uint8Array, geometry: DriveGeometry, clear: boolean): void {
  const view = new DataView(target.buffer, target.byteOffset, driveGeometrySize);
  view.setUint32(0, geometry.sectorSize);
  view.setUint32(4, geometry.totalSectors);
  view.setUint32(8, geometry.cylinders);
  view.setUint32(12, geometry.cylinderSectors);
  view.setUint32(16, geometry.heads);
  view.setUint32(20, geometry.trackSectors);
  view.setUint32(24, geometry.bufferMemory);
  view.setUint8(28, geometry.deviceType);
  view.setUint8(29, geometry.flags);
  if (clear) view.setUint16(30, 0);
}

/** Reads struct DriveGeometry. */
export function readGeometry(source: Uint8Array): DriveGeometry {
  const view = new DataView(source.buffer, source.byteOffset, driveGeometrySize);
  return {
    sectorSize: view.getUint32(0),
    totalSectors: view.getUint32(4),
    cylinders: view.getUint32(8),
    cylinderSectors: view.getUint32(12),
    heads: view.getUint32(16),
    trackSectors: view.getUint32(20),
    bufferMemory: view.getUint32(24),
    deviceType: view.getUint8(28),
    flags: view.getUint8(29),
  };
}

/**
 * Writes struct DriveGeometry64, naturally aligned: sector size, a reserved quadword at 8, sectors as 64 bits at 16, no
 * tags, type and flags.
 */
export function writeGeometry64(
  target: Uint8Array,
  { blockSize, blocks }: UnitCapacity,
  { deviceType, removable }: Pick<GeometryExtras, "deviceType" | "removable">,
): void {
  const view = new DataView(target.buffer, target.byteOffset, driveGeometry64Size);
  view.setUint32(0, blockSize);
  for (const at of [4, 8, 12, 24, 28]) view.setUint32(at, 0);
  view.setUint32(16, Math.floor(blocks / 2 ** 32));
  view.setUint32(20, blocks % 2 ** 32);
  view.setUint8(28, deviceType);
  view.setUint8(29, removable ? removableFlag : 0);
}

/** Reads struct DriveGeometry64. */
export function readGeometry64(source: Uint8Array): { readonly sectorSize: number; readonly totalSectors: number } {
  const view = new DataView(source.buffer, source.byteOffset, driveGeometry64Size);
  return { sectorSize: view.getUint32(0), totalSectors: view.getUint32(16) * 2 ** 32 + view.getUint32(20) };
}
