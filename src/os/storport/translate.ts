/**
 * SCSI to virtio-blk as a pure function: a CDB, its data and what is known of the disk give an answer, sense, or the
 * request to send. Reads and writes have a way of their own that allocates nothing (`build-io`); both decode with
 * `transfer-decoder` and check with {@link isPastEnd}.
 */
import { findCommand, serviceActionOf } from "../../scsi/index.js";
import type { Behaviour } from "./behaviour.js";
import type { BlkConfigInfo } from "./block-config.js";
import { type DiskFacts, diskBlocks, sectorsPerBlock } from "./disk-facts.js";
import * as data from "./emulated-data.js";
import { good, refuse, type ScsiTranslation, senseOf } from "./scsi-answer.js";
import { SrbStatus } from "./srb.js";
import { decodeTransfer, newTransferFields, type TransferFields } from "./transfer-decoder.js";
import { translateModeSelect, translateModeSense } from "./translate-mode.js";
import { translateSame, translateUnmap } from "./translate-ranges.js";

const invalidRequest: ScsiTranslation = { kind: "status", status: SrbStatus.InvalidRequest };

/** Whether `blocks` blocks from `lba` on go past the end. `sectors` is the disk's size, `perBlock` sectors are a block. */
export function isPastEnd(
  lba: number,
  blocks: number,
  sectors: number,
  perBlock: number,
  behaviour: Behaviour,
): boolean {
  if (lba >= sectors / perBlock) return true;
  // Defect 13: the number of blocks is added to a number of sectors.
  const end = behaviour.endCheck === "sectors" ? (lba + blocks) * perBlock : lba * perBlock + blocks;
  return end > sectors;
}

/** What {@link checkTransfer} finds. */
export const TransferCheck = {
  Send: 0,
  /** GOOD without a request. */
  Nothing: 1,
  BadLength: 2,
  WriteProtected: 3,
  InvalidField: 4,
  Refused: 5,
} as const;

/** Whether a decoded transfer can be sent. Allocates nothing. */
export function checkTransfer(
  fields: TransferFields,
  opcode: number,
  info: BlkConfigInfo,
  limitKnown: boolean,
  behaviour: Behaviour,
): (typeof TransferCheck)[keyof typeof TransferCheck] {
  if (behaviour.opcodes === "few" && laterTransfers.has(opcode)) return TransferCheck.Refused;
  const { lba, blocks } = fields;
  if (!limitKnown || isPastEnd(lba, blocks, info.capacity, info.blockSize / 512, behaviour)) {
    return TransferCheck.BadLength;
  }
  if (fields.write && info.isReadOnly) return TransferCheck.WriteProtected;
  if (fields.compares) return TransferCheck.InvalidField;
  const pretends = fields.verify && behaviour.writeAndVerify === "pretended";
  return pretends || blocks === 0 ? TransferCheck.Nothing : TransferCheck.Send;
}

/** Whether a write is durable only after a flush, and wants to be durable (FUA, WRITE AND VERIFY). */
export function needsFlush(fields: TransferFields, info: BlkConfigInfo): boolean {
  return fields.write && (fields.fua || fields.verify) && info.writeCache && info.canFlush;
}

/** @param parameters the data that comes with the command, for those that have some; `room` bytes of its buffer. */
export function translateScsi(
  cdb: Uint8Array,
  parameters: Uint8Array,
  room: number,
  facts: DiskFacts,
): ScsiTranslation {
  const fields = newTransferFields();
  if (decodeTransfer(cdb, facts.behaviour, fields)) return translateTransfer(fields, cdb, facts);
  if (facts.behaviour.opcodes === "few" && laterOpcodes.has(cdb[0])) return invalidRequest;
  switch (cdb[0]) {
    case 0x00: // TEST UNIT READY
    case 0x16: // RESERVE(6)
    case 0x17: // RELEASE(6)
    case 0x56: // RESERVE(10)
    case 0x57: // RELEASE(10)
    case 0x1b: // START STOP UNIT
    case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
      return good;
    case 0x03:
      return answer(noSense(), cdb);
    case 0x12:
      return inquiry(cdb, facts);
    case 0x15:
    case 0x55:
      return translateModeSelect(cdb, parameters, facts);
    case 0x1a:
    case 0x5a:
      return translateModeSense(cdb, facts);
    case 0x25:
      return capacity(cdb, room, facts, false);
    case 0x9e:
      return serviceActionOf(cdb) === 0x10 ? capacity(cdb, room, facts, true) : invalidRequest;
    case 0x2f:
    case 0x8f:
    case 0xaf:
      return verify(cdb, facts);
    case 0x35:
    case 0x91:
      return synchronize(facts);
    case 0x41:
    case 0x93:
      return translateSame(cdb, parameters, facts);
    case 0x42:
      return translateUnmap(cdb, parameters, facts);
    case 0xa0:
      return answer(data.oneLun(), cdb);
  }
  return invalidRequest;
}

/** What drivers of today refuse (defect 30). */
const laterOpcodes = new Set([0xa8, 0xaa, 0x5a, 0x55, 0x41, 0x93]);
const laterTransfers = new Set([0xa8, 0xaa, 0x08, 0x0a, 0x2e, 0x8e, 0xae]);

/** A read or a write. */
function translateTransfer(fields: TransferFields, cdb: Uint8Array, facts: DiskFacts): ScsiTranslation {
  const { behaviour, info } = facts;
  switch (checkTransfer(fields, cdb[0], info, facts.limitKnown, behaviour)) {
    case TransferCheck.Send:
      break;
    case TransferCheck.Nothing:
      return good;
    case TransferCheck.BadLength:
      return { kind: "status", status: SrbStatus.BadSrbBlockLength };
    case TransferCheck.WriteProtected:
      return refuse(senseOf.writeProtected);
    case TransferCheck.InvalidField:
      return refuse(senseOf.invalidField);
    default:
      return invalidRequest;
  }
  const perBlock = sectorsPerBlock(facts);
  return {
    kind: "transfer",
    write: fields.write,
    sector: fields.lba * perBlock,
    sectors: fields.blocks * perBlock,
    durable: needsFlush(fields, info),
  };
}

/** Bytes cut to the command's allocation length. */
function answer(bytes: Uint8Array, cdb: Uint8Array): ScsiTranslation {
  const place = findCommand(cdb)?.length;
  let length = bytes.length;
  if (place !== undefined) {
    let allocation = 0;
    for (let index = 0; index < place[1]; index++) allocation = allocation * 256 + cdb[place[0] + index];
    length = Math.min(length, allocation);
  }
  return { kind: "answer", data: bytes.subarray(0, length) };
}

/** REQUEST SENSE: there is never any, since sense goes with each command. */
function noSense(): Uint8Array {
  const sense = new Uint8Array(18);
  sense[0] = 0x70;
  sense[7] = 10;
  return sense;
}

function inquiry(cdb: Uint8Array, facts: DiskFacts): ScsiTranslation {
  const page = cdb[2];
  const evpd = (cdb[1] & 1) !== 0;
  if (!evpd && page !== 0) {
    return facts.behaviour.pageWithoutEvpd === "sense"
      ? refuse(senseOf.invalidField)
      : { kind: "bare-check-condition" };
  }
  if (!evpd) return answer(data.standardInquiry(facts), cdb);
  if (!data.supportedPages(facts).includes(page)) return refuse(senseOf.invalidField);
  const needsSerial = page === data.Vpd.Serial || page === data.Vpd.Identification;
  if (needsSerial && facts.generation !== "2010" && facts.serial === undefined) return { kind: "identify" };
  return answer(vpdPage(page, facts), cdb);
}

function vpdPage(page: number, facts: DiskFacts): Uint8Array {
  switch (page) {
    case data.Vpd.Supported: {
      const pages = data.supportedPages(facts);
      return Uint8Array.from([0, 0, 0, pages.length, ...pages]);
    }
    case data.Vpd.Serial:
      return data.serialPage(facts);
    case data.Vpd.Identification:
      return data.identificationPage(facts);
    case data.Vpd.Limits:
      return data.blockLimitsPage(facts);
    case data.Vpd.Character:
      return data.characteristicsPage();
    default:
      return data.provisioningPage(facts);
  }
}

function capacity(cdb: Uint8Array, room: number, facts: DiskFacts, isLong: boolean): ScsiTranslation {
  const pmi = (cdb[isLong ? 14 : 8] & 1) !== 0;
  const first = isLong ? 2 : 2;
  const hasLba = cdb.subarray(first, first + (isLong ? 8 : 4)).some((byte) => byte !== 0);
  if (!pmi && hasLba) return refuse(senseOf.invalidField);
  const long = facts.behaviour.answerForm === "opcode" ? isLong : room !== 8;
  if (!long) return { kind: "answer", data: data.shortCapacity(facts) };
  return isLong ? answer(data.longCapacity(facts), cdb) : { kind: "answer", data: data.longCapacity(facts) };
}

/** VERIFY: the range is checked. Comparing would need the data, so it is refused. */
function verify(cdb: Uint8Array, facts: DiskFacts): ScsiTranslation {
  if ((cdb[1] & 0x06) !== 0) return refuse(senseOf.invalidField);
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const isLong = cdb[0] === 0x8f;
  const lba = isLong ? Number(view.getBigUint64(2)) : view.getUint32(2);
  const blocks = isLong ? view.getUint32(10) : cdb[0] === 0xaf ? view.getUint32(6) : view.getUint16(7);
  return lba + blocks > diskBlocks(facts) ? refuse(senseOf.invalidField) : good;
}

/** SYNCHRONIZE CACHE: the whole device. Without a cache everything is durable; on a read-only disk too. */
function synchronize(facts: DiskFacts): ScsiTranslation {
  const { info, behaviour } = facts;
  if (info.isReadOnly || behaviour.writeCache === "claimed" || !info.canFlush) return good;
  return { kind: "flush" };
}
