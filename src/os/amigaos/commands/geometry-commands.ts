/** TD_GETGEOMETRY, NSCMD_TD_GETGEOMETRY64 and TD_GETNUMTRACKS (5.4 of the reference). */
import { cdb as scsiCdb } from "../../../scsi/index.js";
import type { UnitRequest } from "../device/command-entry.js";
import type { UnitAccess } from "../device/unit.js";
import { IoError } from "../exec/index.js";
import type { CommandBehaviour } from "./behaviour.js";
import { learnCapacity, outcomeError } from "./capacity.js";
import {
  bufferMemory,
  driveGeometry64Size,
  driveGeometrySize,
  type GeometryExtras,
  geometryOf,
  writeGeometry,
  writeGeometry64,
} from "./geometry.js";
import { cdType } from "./medium-commands.js";

/** TD_GETGEOMETRY. */
export async function getGeometry(unit: UnitAccess, request: UnitRequest): Promise<void> {
  const { memory, profile } = unit;
  const { shape, geometryReserved } = profile.commands;
  if (!(await knowsGeometry(unit, request, driveGeometrySize)) || unit.capacity === undefined) return;
  const bytes = memory.read(request.ioData, driveGeometrySize);
  writeGeometry(bytes, geometryOf(unit.capacity, shape, extrasOf(unit)), geometryReserved === "cleared");
  memory.write(request.ioData, bytes);
  request.ioActual = driveGeometrySize;
}

/** NSCMD_TD_GETGEOMETRY64. */
export async function getGeometry64(unit: UnitAccess, request: UnitRequest): Promise<void> {
  if (!(await knowsGeometry(unit, request, driveGeometry64Size)) || unit.capacity === undefined) return;
  const bytes = new Uint8Array(driveGeometry64Size);
  writeGeometry64(bytes, unit.capacity, extrasOf(unit));
  unit.memory.write(request.ioData, bytes);
  request.ioActual = driveGeometry64Size;
}

async function knowsGeometry(unit: UnitAccess, request: UnitRequest, size: number): Promise<boolean> {
  request.ioActual = 0;
  if (request.ioLength < size) request.ioError = IoError.BadLength;
  else if (!unit.memory.isMapped(request.ioData, size)) request.ioError = IoError.BadAddress;
  else request.ioError = await learnCapacity(unit);
  return request.ioError === 0;
}

function extrasOf({ profile, peripheralType }: UnitAccess): GeometryExtras {
  const { geometryType, bufferMemory: memory, totalSectors } = profile.commands;
  const tells = geometryType === "peripheral";
  return {
    deviceType: tells ? peripheralType : 0,
    removable: tells && peripheralType === cdType,
    bufferMemory: memory === "public" ? bufferMemory.public : bufferMemory.local,
    totalSectors,
  };
}

/** What a disk without a readable size has. */
const usualTracks = 32768;
/** A rigid disk block is in one of so many blocks. */
const rdbBlocks = 16;
/** Bytes that `UnitAccess.scratch` has at least. */
const scratchSize = 4096;
const rdsk = { id: 0x5244534b, longs: 1, cylinders: 16 } as const;

/** TD_GETNUMTRACKS: cylinders of the RDB, or blocks. */
export async function numberOfTracks(unit: UnitAccess, request: UnitRequest): Promise<void> {
  const error = await learnCapacity(unit);
  const { capacity } = unit;
  if (error !== 0 || capacity === undefined) {
    request.ioActual = usualTracks;
    return;
  }
  request.ioActual = (await rdbCylinders(unit, capacity.blocks)) ?? Math.min(capacity.blocks, 0xffff_ffff);
}

/** Cylinders that a valid RDB names; undefined without one. */
async function rdbCylinders(unit: UnitAccess, blocks: number): Promise<number | undefined> {
  const { blockSize, memory, scratch } = unit;
  const atOnce = Math.floor(scratchSize / blockSize);
  if (atOnce === 0) return undefined;
  for (let lba = 0; lba < Math.min(rdbBlocks, blocks); lba += atOnce) {
    const count = Math.min(atOnce, rdbBlocks - lba, blocks - lba);
    const length = count * blockSize;
    const data = { address: scratch, length, isWrite: false };
    const outcome = await unit.sendCdb({ cdb: scsiCdb.read10(lba, count), data });
    if (outcomeError(unit, outcome) !== 0 || outcome.actual < length) return undefined;
    const view = new DataView(memory.read(scratch, length).buffer);
    for (let at = 0; at < length; at += blockSize) {
      if (isRigidDisk(view, at, blockSize, unit.profile.commands.rdb)) return view.getUint32(at + 4 * rdsk.cylinders);
    }
  }
  return undefined;
}

function isRigidDisk(view: DataView, at: number, blockSize: number, rule: CommandBehaviour["rdb"]): boolean {
  if (view.getUint32(at) !== rdsk.id) return false;
  if (rule === "name") return true;
  const longs = view.getUint32(at + 4 * rdsk.longs);
  if (longs < 1 || longs > blockSize / 4) return false;
  let sum = 0;
  for (let index = 0; index < longs; index++) sum = (sum + view.getUint32(at + 4 * index)) >>> 0;
  return sum === 0;
}
