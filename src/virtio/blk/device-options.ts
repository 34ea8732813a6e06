/** What a virtio-blk device offers, checked, and the feature bits that follow from it. */
import type { FaultHook, Observer } from "../../observe/index.js";
import type { LogicalUnit } from "../../scsi/index.js";
import type { Store } from "../../storage/index.js";
import { featureSet } from "../../transport/index.js";
import { blkFeatures, blkIdLength } from "./protocol.js";

/** Limits of DISCARD or WRITE_ZEROES, announced and enforced. */
export interface RangeLimits {
  /** Sectors of one range. Default 4194304, 2 GiB. */
  readonly maxSectors?: number;
  /** Ranges of one request. Default 64. */
  readonly maxRanges?: number;
}

/** The shape of a disk of its time, for BIOS calls. */
export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

/** What the device offers. */
export interface VirtioBlkOptions {
  /** Request queues; more than one offers MQ. Default 1. */
  queues?: number;
  /** Largest size of every queue. Default 256. */
  queueSize?: number;
  /** Bytes of a logical block, a power of two from 512 on. Addresses stay sectors of 512 bytes. Default 512. */
  blockSize?: number;
  /** Bytes of a physical block, a power of two; default the block size. */
  physicalBlockSize?: number;
  /** Logical blocks to the first aligned one. Default 0. */
  alignmentOffset?: number;
  /** Suggested smallest and best request, in logical blocks. Default one physical block, and 0 for unknown. */
  minimumIo?: number;
  optimalIo?: number;
  /** Data segments that a request may have. Default: queue size − 2. */
  segMax?: number;
  /** Bytes that a data segment may have; default no limit, and SIZE_MAX is not offered. */
  sizeMax?: number;
  /** At most 20 ASCII characters for GET_ID. Default `ringside`. */
  serial?: string;
  /** Default: what the store says. */
  readOnly?: boolean;
  /**
   * `switchable` (default): FLUSH and CONFIG_WCE, on after a reset. `back`: FLUSH only. `through`: neither, and what is
   * written is durable when its request ends.
   */
  cache?: "switchable" | "back" | "through";
  /** False leaves DISCARD out. Default offered. */
  discard?: (RangeLimits & { readonly alignment?: number }) | false;
  /** False leaves WRITE_ZEROES out. Default offered. */
  writeZeroes?: RangeLimits | false;
  /** Offered when given. */
  geometry?: Geometry;
  /** Offer 0.9.5's request barriers to legacy drivers. Default false. */
  barrier?: boolean;
  /** Offer 0.9.5's SCSI packet commands to legacy drivers: the unit that they go to. Default none. */
  scsi?: LogicalUnit;
  observer?: Observer | undefined;
  faults?: FaultHook | undefined;
}

/** The options with their defaults, checked. */
export interface BlkTraits {
  readonly queues: number;
  readonly queueSize: number;
  readonly blockSize: number;
  readonly physicalExponent: number;
  readonly alignmentOffset: number;
  readonly minimumIo: number;
  readonly optimalIo: number;
  readonly segMax: number;
  /** Undefined: no limit. */
  readonly sizeMax: number | undefined;
  /** 20 bytes. */
  readonly serial: Uint8Array;
  readonly readOnly: boolean;
  readonly cache: "switchable" | "back" | "through";
  readonly discard: (Required<RangeLimits> & { readonly alignment: number }) | undefined;
  readonly writeZeroes: Required<RangeLimits> | undefined;
  readonly geometry: Geometry | undefined;
  readonly barrier: boolean;
  readonly scsi: LogicalUnit | undefined;
}

const largestRange = 0xffff_ffff;
const defaultRange = 1 << 22;
const defaultRanges = 64;
/** Ranges are copied before they are looked at: this bounds the copy. */
const mostRanges = 4096;

/** @throws RangeError when an option is out of range. */
export function blkTraits(store: Store, options: VirtioBlkOptions): BlkTraits {
  const queueSize = checkInteger("queueSize", options.queueSize ?? 256, 1, 32768);
  const blockSize = checkPowerOfTwo("blockSize", options.blockSize ?? 512, 512);
  const physical = checkPowerOfTwo("physicalBlockSize", options.physicalBlockSize ?? blockSize, blockSize);
  const { discard = {}, writeZeroes = {}, sizeMax, geometry } = options;
  const readOnly = store.isReadOnly || (options.readOnly ?? false);
  if (geometry !== undefined) {
    checkInteger("cylinders", geometry.cylinders, 1, 0xffff);
    checkInteger("heads", geometry.heads, 1, 255);
    checkInteger("sectors", geometry.sectors, 1, 255);
  }
  return {
    queues: checkInteger("queues", options.queues ?? 1, 1, 1024),
    queueSize,
    blockSize,
    physicalExponent: Math.log2(physical / blockSize),
    alignmentOffset: checkInteger("alignmentOffset", options.alignmentOffset ?? 0, 0, 255),
    minimumIo: checkInteger("minimumIo", options.minimumIo ?? Math.min(physical / blockSize, 0xffff), 0, 0xffff),
    optimalIo: checkInteger("optimalIo", options.optimalIo ?? 0, 0, 0xffff_ffff),
    // A chain has two descriptors besides its data, and no more than its queue.
    segMax: checkInteger("segMax", options.segMax ?? Math.max(1, queueSize - 2), 1, 32768),
    sizeMax: sizeMax === undefined ? undefined : checkInteger("sizeMax", sizeMax, 1, 0xffff_ffff),
    serial: serialBytes(options.serial ?? "ringside"),
    readOnly,
    cache: options.cache ?? "switchable",
    discard:
      discard === false
        ? undefined
        : {
            ...rangeLimits("discard", discard),
            alignment: checkInteger("discard.alignment", discard.alignment ?? blockSize / 512, 0, 0xffff_ffff),
          },
    writeZeroes: writeZeroes === false ? undefined : rangeLimits("writeZeroes", writeZeroes),
    geometry,
    barrier: options.barrier ?? false,
    scsi: options.scsi,
  };
}

/** The bits that a device with these traits offers; which of them are for legacy drivers only is `legacyBlkFeatures`. */
export function offeredFeatures(traits: BlkTraits): bigint {
  const { BARRIER, SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE, SCSI, FLUSH, TOPOLOGY, CONFIG_WCE } = blkFeatures;
  return featureSet(
    SEG_MAX,
    BLK_SIZE,
    TOPOLOGY,
    ...(traits.sizeMax === undefined ? [] : [SIZE_MAX]),
    ...(traits.geometry === undefined ? [] : [GEOMETRY]),
    ...(traits.readOnly ? [RO] : []),
    ...(traits.cache === "through" ? [] : [FLUSH]),
    ...(traits.cache === "switchable" ? [CONFIG_WCE] : []),
    ...(traits.queues > 1 ? [blkFeatures.MQ] : []),
    ...(traits.discard === undefined ? [] : [blkFeatures.DISCARD]),
    ...(traits.writeZeroes === undefined ? [] : [blkFeatures.WRITE_ZEROES]),
    ...(traits.barrier ? [BARRIER] : []),
    ...(traits.scsi === undefined ? [] : [SCSI]),
  );
}

/** Bits that mean nothing, or something else, to modern drivers. */
export const legacyBlkFeatures = featureSet(blkFeatures.BARRIER, blkFeatures.SCSI);

function rangeLimits(name: string, limits: RangeLimits): Required<RangeLimits> {
  return {
    maxSectors: checkInteger(`${name}.maxSectors`, limits.maxSectors ?? defaultRange, 1, largestRange),
    maxRanges: checkInteger(`${name}.maxRanges`, limits.maxRanges ?? defaultRanges, 1, mostRanges),
  };
}

function serialBytes(serial: string): Uint8Array {
  if (!/^[\x20-\x7e]*$/.test(serial) || serial.length > blkIdLength) {
    throw new RangeError(`serial must be at most ${blkIdLength} printable ASCII characters, got "${serial}"`);
  }
  const bytes = new Uint8Array(blkIdLength);
  for (let index = 0; index < serial.length; index++) bytes[index] = serial.charCodeAt(index);
  return bytes;
}

function checkPowerOfTwo(name: string, value: number, least: number): number {
  checkInteger(name, value, least, 2 ** 26);
  if ((value & (value - 1)) !== 0) throw new RangeError(`${name} must be a power of two, got ${value}`);
  return value;
}

function checkInteger(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${name} must be an integer within ${least}…${most}, got ${value}`);
}
