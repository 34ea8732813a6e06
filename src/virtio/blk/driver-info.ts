/** What a driver knows of its device: the configuration, read with the features that give each field a meaning. */
import { ProtocolError, UnsupportedError } from "../../errors/index.js";
import { type DriverLink, type DriverTransport, featureNames, ringFeatures } from "../../transport/index.js";
import type { Geometry } from "./device-options.js";
import { blkConfig, blkFeatures, sectorSize } from "./protocol.js";

/** Limits of DISCARD or WRITE_ZEROES. */
export interface RangeCapability {
  /** Sectors of one range. */
  readonly maxSectors: number;
  /** Ranges of one request. */
  readonly maxRanges: number;
}

/** The device in numbers. */
export interface BlkInfo {
  /** Sectors of 512 bytes. */
  readonly capacity: number;
  /** Bytes of a logical block. */
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  /** Logical blocks to the first that starts a physical one. */
  readonly alignmentOffset: number;
  /** Suggested smallest and best request in bytes; 0 when the device does not say. */
  readonly minimumIo: number;
  readonly optimalIo: number;
  readonly geometry: Geometry | undefined;
  readonly isReadOnly: boolean;
  /** Data segments of a request; 1 when the device does not say, as drivers of old assume. */
  readonly segMax: number;
  /** Bytes of a segment; infinite when the device does not say. */
  readonly sizeMax: number;
  /** What is written is durable only after a flush. */
  readonly hasWriteCache: boolean;
  /** The cache can be switched. */
  readonly canSwitchCache: boolean;
  /** Request queues of the device. */
  readonly queues: number;
  readonly discard: (RangeCapability & { readonly alignment: number }) | undefined;
  readonly writeZeroes: (RangeCapability & { readonly mayUnmap: boolean }) | undefined;
  /** Negotiated features by name. */
  readonly features: readonly string[];
}

/** Reads of a legacy configuration, which has no generation, until two agree. */
const settleAttempts = 100;

/** @throws ProtocolError `config-never-settles` */
export function readBlkInfo(link: DriverLink): BlkInfo {
  const raw = link.readConfig((transport) => readFields(link, transport));
  const has = (feature: number) => link.has(feature);
  const blockSize = has(blkFeatures.BLK_SIZE) && isBlockSize(raw.blkSize) ? raw.blkSize : sectorSize;
  const hasTopology = has(blkFeatures.TOPOLOGY);
  const limit = (value: number) => Math.max(1, value);
  return {
    capacity: raw.capacity,
    blockSize,
    physicalBlockSize: hasTopology && raw.physicalBlockExp < 32 ? blockSize * 2 ** raw.physicalBlockExp : blockSize,
    alignmentOffset: hasTopology ? raw.alignmentOffset : 0,
    minimumIo: hasTopology ? raw.minIoSize * blockSize : 0,
    optimalIo: hasTopology ? raw.optIoSize * blockSize : 0,
    geometry: has(blkFeatures.GEOMETRY)
      ? { cylinders: raw.cylinders, heads: raw.heads, sectors: raw.sectors }
      : undefined,
    isReadOnly: has(blkFeatures.RO),
    segMax: has(blkFeatures.SEG_MAX) ? limit(raw.segMax) : 1,
    sizeMax: has(blkFeatures.SIZE_MAX) && raw.sizeMax > 0 ? raw.sizeMax : Number.POSITIVE_INFINITY,
    hasWriteCache: has(blkFeatures.CONFIG_WCE) ? raw.writeback !== 0 : has(blkFeatures.FLUSH),
    canSwitchCache: has(blkFeatures.CONFIG_WCE),
    queues: has(blkFeatures.MQ) ? limit(raw.numQueues) : 1,
    discard: has(blkFeatures.DISCARD)
      ? {
          maxSectors: limit(raw.maxDiscardSectors),
          maxRanges: limit(raw.maxDiscardSeg),
          alignment: raw.discardSectorAlignment,
        }
      : undefined,
    writeZeroes: has(blkFeatures.WRITE_ZEROES)
      ? {
          maxSectors: limit(raw.maxWriteZeroesSectors),
          maxRanges: limit(raw.maxWriteZeroesSeg),
          mayUnmap: raw.writeZeroesMayUnmap !== 0,
        }
      : undefined,
    features: featureNames(link.features, blkFeatures, ringFeatures),
  };
}

/** Whether the device is in every number as it was. */
export function isSameInfo(before: BlkInfo, now: BlkInfo): boolean {
  return JSON.stringify(before) === JSON.stringify(now);
}

/**
 * Requests that wait for a restore were laid out for the disk as it was before.
 * @throws UnsupportedError when it came back with other blocks or tighter limits. Another capacity is no matter.
 */
export function checkSameDisk(before: BlkInfo, now: BlkInfo): void {
  const problem = (what: string, had: number, has: number) =>
    new UnsupportedError(`the disk came back with ${what} ${has}, it had ${had}`);
  if (now.blockSize !== before.blockSize) throw problem("block size", before.blockSize, now.blockSize);
  const limits = limitsOf(now);
  for (const [name, had] of Object.entries(limitsOf(before))) {
    const has = limits[name];
    if (has < had) throw problem(name, had, has);
  }
}

/** Features do not change over a restore, so limits that one brings are there on both sides or on none. */
function limitsOf({ segMax, sizeMax, discard, writeZeroes }: BlkInfo): Readonly<Record<string, number>> {
  return {
    ...{ seg_max: segMax, size_max: sizeMax },
    ...{ max_discard_sectors: discard?.maxSectors ?? 0, max_discard_seg: discard?.maxRanges ?? 0 },
    ...{ max_write_zeroes_sectors: writeZeroes?.maxSectors ?? 0, max_write_zeroes_seg: writeZeroes?.maxRanges ?? 0 },
  };
}

/** Sizes that a driver can compute with; anything else is taken as 512. */
function isBlockSize(size: number): boolean {
  return size >= sectorSize && size % sectorSize === 0;
}

function readFields(link: DriverLink, transport: DriverTransport) {
  const { offset } = blkConfig;
  const read = (feature: number, at: number, width: 1 | 2 | 4) =>
    link.has(feature) ? transport.readConfig(at, width) : 0;
  const { SIZE_MAX, SEG_MAX, GEOMETRY, BLK_SIZE, TOPOLOGY, CONFIG_WCE, MQ, DISCARD, WRITE_ZEROES } = blkFeatures;
  return {
    capacity: readCapacity(transport),
    sizeMax: read(SIZE_MAX, offset.sizeMax, 4),
    segMax: read(SEG_MAX, offset.segMax, 4),
    cylinders: read(GEOMETRY, offset.cylinders, 2),
    heads: read(GEOMETRY, offset.heads, 1),
    sectors: read(GEOMETRY, offset.sectors, 1),
    blkSize: read(BLK_SIZE, offset.blkSize, 4),
    physicalBlockExp: read(TOPOLOGY, offset.physicalBlockExp, 1),
    alignmentOffset: read(TOPOLOGY, offset.alignmentOffset, 1),
    minIoSize: read(TOPOLOGY, offset.minIoSize, 2),
    optIoSize: read(TOPOLOGY, offset.optIoSize, 4),
    writeback: read(CONFIG_WCE, offset.writeback, 1),
    numQueues: read(MQ, offset.numQueues, 2),
    maxDiscardSectors: read(DISCARD, offset.maxDiscardSectors, 4),
    maxDiscardSeg: read(DISCARD, offset.maxDiscardSeg, 4),
    discardSectorAlignment: read(DISCARD, offset.discardSectorAlignment, 4),
    maxWriteZeroesSectors: read(WRITE_ZEROES, offset.maxWriteZeroesSectors, 4),
    maxWriteZeroesSeg: read(WRITE_ZEROES, offset.maxWriteZeroesSeg, 4),
    writeZeroesMayUnmap: read(WRITE_ZEROES, offset.writeZeroesMayUnmap, 1),
  };
}

/** 64 bits in two reads, so until two in a row agree. A capacity above 2^53 is cut to what numbers can say. */
function readCapacity(transport: DriverTransport): number {
  const at = blkConfig.offset.capacity;
  const little = transport.endianness === "little";
  let before = -1;
  for (let attempt = 0; attempt < settleAttempts; attempt++) {
    const first = transport.readConfig(at, 4);
    const second = transport.readConfig(at + 4, 4);
    const value = little ? second * 2 ** 32 + first : first * 2 ** 32 + second;
    if (value === before) return Math.min(value, Number.MAX_SAFE_INTEGER);
    before = value;
  }
  throw new ProtocolError("config-never-settles");
}
