/** What a disk can be told, checked. */
import type { Store } from "../storage/index.js";
import { type DiskIdentity, type DiskLimits, fnv1a64, locallyAssignedNaa } from "./disk-identity.js";
import type { ReservationKeeper } from "./reservation-keeper.js";

/** What a disk is like; every field has a default. */
export interface DiskOptions {
  /** Bytes of a logical block: a power of two within 512…65536. Default 512. */
  readonly blockSize?: number;
  /** Bytes of a physical block, at least a logical one: 512e is 512 and 4096. Default: the logical block. */
  readonly physicalBlockSize?: number;
  /** INQUIRY names, 8, 16 and 4 characters at most. */
  readonly vendor?: string;
  readonly product?: string;
  readonly revision?: string;
  /** 1…36 characters. Default: one that follows from the store's description and the order in which disks are made. */
  readonly serial?: string;
  /** NAA identifier, 64 bits. Default: locally assigned, from the names and the serial number. */
  readonly naa?: bigint;
  /** Refuses writes. Default: whether the store is read-only (such a store is never written, whatever is said here). */
  readonly readOnly?: boolean;
  /** RMB. Default false. */
  readonly removable?: boolean;
  /** False: every write is flushed before GOOD, and WCE says so until an initiator changes it. Default true. */
  readonly writeCache?: boolean;
  /** Offers UNMAP and WRITE SAME with UNMAP. Default true where writing is possible. */
  readonly thinProvisioning?: boolean;
  /** Revolutions per minute; 1 for none. Default 1. */
  readonly rotationRate?: number;
  /** Longest read, write or verify in blocks, announced in page B0h. Default 65535. */
  readonly maximumTransferBlocks?: number;
  /** Longest COMPARE AND WRITE in blocks, 1…255. Default 255. */
  readonly maximumCompareAndWriteBlocks?: number;
  /** Longest WRITE SAME in blocks. Default: 32 MiB of them. */
  readonly maximumWriteSameBlocks?: number;
  /** Most blocks of an UNMAP, 1…2^32 − 1, which is "no limit". Default: 4 GiB of them. */
  readonly maximumUnmapBlocks?: number;
  /** Most descriptors of an UNMAP, 1…4095. Default 256. */
  readonly maximumUnmapDescriptors?: number;
  /** Whether a nexus finds 29h/00h at first. Default true. */
  readonly powerOnAttention?: boolean;
  /** Sense data in descriptor format (D_SENSE) until an initiator changes it. Default false. */
  readonly descriptorSense?: boolean;
  /** Keeps persistent reservations over a restart (APTPL). Default: nobody, and APTPL is refused. */
  readonly reservationKeeper?: ReservationKeeper;
}

/** Bytes that WRITE SAME writes at most: it answers at once with most stores, and meanwhile nobody else does. */
const writeSameBytes = 32 << 20;
const unmapBytes = 2 ** 32;
/** Stores give space back in pages. */
const pageBytes = 4096;

/** Makes default serial numbers differ, since two disks with one identity look like two paths to one disk. */
let disksWithoutSerial = 0;

/** The sizes of blocks. @throws RangeError */
export function blockSizesOf(options: DiskOptions): { readonly logical: number; readonly physical: number } {
  const logical = options.blockSize ?? 512;
  const physical = options.physicalBlockSize ?? logical;
  checkPowerOfTwo("block size", logical, 512);
  checkPowerOfTwo("physical block size", physical, logical);
  return { logical, physical };
}

/** What is announced in page B0h, and enforced. @throws RangeError */
export function limitsOf(options: DiskOptions, blockSize: number): DiskLimits {
  const limit = (name: keyof DiskOptions, preset: number, most: number) =>
    checkInteger(name, (options[name] as number | undefined) ?? preset, 1, most);
  const maximumTransfer = limit("maximumTransferBlocks", 65535, 2 ** 32 - 1);
  return {
    maximumTransfer,
    maximumPrefetch: Math.min(maximumTransfer, 0xffff),
    maximumCompareAndWrite: limit("maximumCompareAndWriteBlocks", 255, 255),
    maximumWriteSame: limit("maximumWriteSameBlocks", writeSameBytes / blockSize, 2 ** 32 - 1),
    maximumUnmapBlocks: limit("maximumUnmapBlocks", unmapBytes / blockSize, 2 ** 32 - 1),
    maximumUnmapDescriptors: limit("maximumUnmapDescriptors", 256, 4095),
    optimalUnmapGranularity: Math.max(1, pageBytes / blockSize),
  };
}

/** The names. @throws RangeError */
export function identityOf(store: Store, options: DiskOptions): DiskIdentity {
  const vendor = checkText("vendor", options.vendor ?? "RINGSIDE", 8);
  const product = checkText("product", options.product ?? "DISK", 16);
  const serial = checkText("serial", options.serial ?? defaultSerial(store), 36);
  const naa = options.naa ?? locallyAssignedNaa(vendor, product, serial);
  if (naa < 0n || naa >= 1n << 64n) throw new RangeError(`naa must be a number of 64 bits, got ${naa}`);
  return { vendor, product, revision: checkText("revision", options.revision ?? "0001", 4), serial, naa };
}

function defaultSerial(store: Store): string {
  const hash = fnv1a64(`${store.description}\0${disksWithoutSerial++}`);
  return (hash & 0xffff_ffff_ffffn).toString(16).toUpperCase().padStart(12, "0");
}

/** Number of blocks in a store. @throws RangeError when that is no whole number, or none. */
export function blocksOf(byteLength: number, blockSize: number): number {
  if (!Number.isSafeInteger(byteLength) || byteLength < blockSize || byteLength % blockSize !== 0) {
    throw new RangeError(
      `a disk needs a whole number of blocks of ${blockSize} bytes, the store has ${byteLength} bytes`,
    );
  }
  return byteLength / blockSize;
}

function checkPowerOfTwo(name: string, value: number, least: number): void {
  checkInteger(name, value, least, 65536);
  if ((value & (value - 1)) !== 0) throw new RangeError(`${name} must be a power of two, got ${value}`);
}

/** @throws RangeError */
export function checkInteger(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${name} must be an integer within ${least}…${most}, got ${value}`);
}

/** @throws RangeError */
export function checkText(name: string, text: string, limit: number): string {
  if (/^[\x20-\x7e]+$/.test(text) && text.length <= limit) return text;
  throw new RangeError(`${name} must be 1…${limit} printable ASCII characters, got "${text}"`);
}
