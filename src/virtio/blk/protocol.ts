/**
 * The wire of virtio-blk: structures, codes and feature bits, for both halves (virtio 1.2 §5.2; 0.9.5 appendix D).
 * Structures are packed, in the byte order of the transport; the unit of addresses and counts is always the sector.
 */
import { bytes, struct, u8, u16, u32, u64 } from "../../bytes/index.js";
import type { FeatureTable } from "../../transport/index.js";

/** The virtio device ID, virtio 1.2 §5. */
export const virtioBlkId = 2;

/** Bytes of a sector: the unit of the protocol whatever the device's block size is (0.9.5: blk_size changes no unit). */
export const sectorSize = 512;

/** §5.2.3. BARRIER and SCSI are 0.9.5's and no modern driver's. */
export const blkFeatures = {
  BARRIER: 0,
  SIZE_MAX: 1,
  SEG_MAX: 2,
  GEOMETRY: 4,
  RO: 5,
  BLK_SIZE: 6,
  SCSI: 7,
  FLUSH: 9,
  TOPOLOGY: 10,
  CONFIG_WCE: 11,
  MQ: 12,
  DISCARD: 13,
  WRITE_ZEROES: 14,
  LIFETIME: 15,
  SECURE_ERASE: 16,
  ZONED: 17,
} as const satisfies FeatureTable;

/** §5.2.4. All fields lie where they lie, each means something only with its feature. */
export const blkConfig = struct({
  capacity: u64,
  sizeMax: u32,
  segMax: u32,
  cylinders: u16,
  heads: u8,
  sectors: u8,
  blkSize: u32,
  physicalBlockExp: u8,
  alignmentOffset: u8,
  minIoSize: u16,
  optIoSize: u32,
  writeback: u8,
  unused0: u8,
  numQueues: u16,
  maxDiscardSectors: u32,
  maxDiscardSeg: u32,
  discardSectorAlignment: u32,
  maxWriteZeroesSectors: u32,
  maxWriteZeroesSeg: u32,
  writeZeroesMayUnmap: u8,
  unused1: bytes(3),
});

/** The readable header of a request; 0.9.5 calls `reserved` ioprio. §5.2.6. */
export const blkHeader = struct({ type: u32, reserved: u32, sector: u64 });

/** Request types, §5.2.6 and 0.9.5. */
export const BlkType = {
  In: 0,
  Out: 1,
  ScsiCommand: 2,
  /** Equal to `ScsiCommand` (0.9.5). */
  ScsiCommandOut: 3,
  Flush: 4,
  /** Equal to `Flush` (0.9.5). */
  FlushOut: 5,
  GetId: 8,
  GetLifetime: 10,
  Discard: 11,
  WriteZeroes: 13,
  SecureErase: 14,
} as const;

/** In `type`, with the BARRIER feature: what came before ends before it, what follows starts after it (0.9.5). */
export const barrierFlag = 0x8000_0000;

/** The name of a request type. */
export function blkTypeName(type: number): string {
  const bare = (type & ~barrierFlag) >>> 0;
  const name = Object.entries(BlkType).find(([, value]) => value === bare)?.[0] ?? `type ${bare}`;
  return bare === type ? name : `${name} with barrier`;
}

/** Status of a request, its last writable byte. §5.2.6. */
export const BlkStatus = { Ok: 0, IoError: 1, Unsupported: 2 } as const;

/** The name of a status. */
export function blkStatusName(status: number): string {
  return Object.entries(BlkStatus).find(([, value]) => value === status)?.[0] ?? `status ${status}`;
}

/** Bytes that GET_ID gives: ASCII, zero-padded, without a terminator when all are used. */
export const blkIdLength = 20;

/** One range of a DISCARD or WRITE_ZEROES request, §5.2.6. */
export const blkRange = struct({ sector: u64, sectors: u32, flags: u32 });

/** In `flags` of a range: WRITE_ZEROES may give the space back. Every other bit is reserved. */
export const unmapFlag = 1;

/** Sense data of a SCSI packet command (0.9.5). */
export const scsiSenseLength = 96;

/** What follows the sense data of a SCSI packet command, before the status (0.9.5). */
export const scsiTrailer = struct({ errors: u32, dataLength: u32, senseLength: u32, residual: u32 });
