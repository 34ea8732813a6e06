/** UNMAP and WRITE SAME: commands that become ranges of sectors. */
import { BlkType, type SectorRange, splitRanges, unmapFlag } from "../../virtio/index.js";
import { type DiskFacts, diskBlocks, sectorsPerBlock } from "./disk-facts.js";
import { unmapLimits } from "./emulated-data.js";
import { good, refuse, type ScsiTranslation, senseOf } from "./scsi-answer.js";
import { SrbStatus } from "./srb.js";
import { mostRanges } from "./srb-extension.js";

const error: ScsiTranslation = { kind: "status", status: SrbStatus.Error };
const invalidRequest: ScsiTranslation = { kind: "status", status: SrbStatus.InvalidRequest };
const headerSize = 8;
const descriptorSize = 16;

/** UNMAP: at most 16 ranges, as the device takes them. */
export function translateUnmap(cdb: Uint8Array, list: Uint8Array, facts: DiskFacts): ScsiTranslation {
  const { info } = facts;
  if (facts.generation === "2010") return invalidRequest;
  if (info.discard === undefined) return error;
  if (info.isReadOnly) return refuse(senseOf.writeProtected);
  const length = Math.min((cdb[7] << 8) | cdb[8], list.length);
  if (length === 0) return good;
  if (length < headerSize) return error;
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const described = Math.min(view.getUint16(2), length - headerSize);
  const count = Math.floor(described / descriptorSize);
  if (count > mostRanges) return error;
  const ranges: SectorRange[] = [];
  for (let index = 0; index < count; index++) {
    const at = headerSize + index * descriptorSize;
    const lba = Number(view.getBigUint64(at));
    const blocks = view.getUint32(at + 8);
    if (lba + blocks > diskBlocks(facts)) return refuse(senseOf.lbaOutOfRange);
    ranges.push(cutToGranules(lba, blocks, facts));
  }
  const limits = { maxSectors: info.discard.maxSectors, maxRanges: Math.min(info.discard.maxRanges, mostRanges) };
  return asOneRequest(ranges, BlkType.Discard, 0, limits);
}

/** Whole ranges; the device minds unaligned ends. Defect 16 cuts them to its 32 KiB. */
function cutToGranules(lba: number, blocks: number, facts: DiskFacts): SectorRange {
  const perBlock = sectorsPerBlock(facts);
  if (facts.behaviour.discardGranularity === "device") return { sector: lba * perBlock, sectors: blocks * perBlock };
  const { granularity } = unmapLimits(facts);
  const first = Math.ceil(lba / granularity) * granularity;
  const end = Math.floor((lba + blocks) / granularity) * granularity;
  return { sector: first * perBlock, sectors: Math.max(0, end - first) * perBlock };
}

/** WRITE SAME: zeros and unmapping are ranges, any other block is written again and again. */
export function translateSame(cdb: Uint8Array, block: Uint8Array, facts: DiskFacts): ScsiTranslation {
  const { info } = facts;
  const isLong = cdb[0] === 0x93;
  // ANCHOR, LBDATA, PBDATA.
  if ((cdb[1] & 0x16) !== 0) return refuse(senseOf.invalidField);
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const lba = isLong ? Number(view.getBigUint64(2)) : view.getUint32(2);
  const told = isLong ? view.getUint32(10) : view.getUint16(7);
  const blocks = told === 0 ? diskBlocks(facts) - lba : told;
  if (blocks < 0 || lba + blocks > diskBlocks(facts)) return refuse(senseOf.lbaOutOfRange);
  if (info.isReadOnly) return refuse(senseOf.writeProtected);
  if (blocks === 0) return good;
  const perBlock = sectorsPerBlock(facts);
  const range = { sector: lba * perBlock, sectors: blocks * perBlock };
  const noData = isLong && (cdb[1] & 0x01) !== 0;
  if (!noData && block.length !== info.blockSize) return refuse(senseOf.invalidField);
  const isZero = noData || block.every((byte) => byte === 0);
  const limits = info.writeZeroes;
  if (isZero && limits !== undefined) {
    const flags = (cdb[1] & 0x08) !== 0 ? unmapFlag : 0;
    const most = { maxSectors: limits.maxSectors, maxRanges: Math.min(limits.maxRanges, mostRanges) };
    const request = asOneRequest([range], BlkType.WriteZeroes, flags, most);
    if (request.kind !== "status" || noData) return request;
  }
  return noData ? refuse(senseOf.invalidField) : { kind: "same", ...range };
}

/** The ranges as one request, or ERROR when they are too many for one. */
function asOneRequest(
  ranges: readonly SectorRange[],
  type: number,
  flags: number,
  limits: { readonly maxSectors: number; readonly maxRanges: number },
): ScsiTranslation {
  const requests = splitRanges(ranges, limits);
  if (requests.length === 0) return good;
  return requests.length > 1 ? error : { kind: "ranges", type, flags, ranges: requests[0] };
}
