/** Finds the logical units of an adapter: REPORT LUNS to each target, then INQUIRY, capacity and names of each unit. */
import type { Observer } from "../../observe/index.js";
import { type Capacity, parseCapacity10, parseCapacity16 } from "../capacity.js";
import * as cdb from "../cdb.js";
import { DeviceType, type InquiryData, parseInquiry, Qualifier } from "../inquiry.js";
import { type UnitAddress, unitAddress } from "../lun-address.js";
import { parseModeSense6 } from "../mode.js";
import { parseReportLuns } from "../report-luns.js";
import { SenseKey } from "../sense-codes.js";
import { parseSerialNumber, parseSupportedPages, VpdPage } from "../vpd.js";
import { parseBlockLimits } from "../vpd-block.js";
import type { ScsiInitiator } from "./initiator.js";
import { ScsiCommandError, sendCommand } from "./send-command.js";
import { ScsiResponse } from "./service-response.js";

/** How far to look. */
export interface DiscoverOptions {
  /** Targets to look at. Default: all that the adapter can have. */
  targets?: readonly number[];
  /** Commands that are under way at once. Default 32. */
  depth?: number;
  /** Asked before each target; throws to stop. */
  check?: () => void;
  observer?: Observer | undefined;
}

/** A logical unit as its driver knows it. */
export interface DiscoveredUnit {
  readonly address: UnitAddress;
  readonly target: number;
  readonly lun: number;
  /** `InquiryData.deviceType` tells disks from others. */
  readonly inquiry: InquiryData;
  /** Undefined when the unit has no serial number page. */
  readonly serial: string | undefined;
  /** Undefined for what is neither disk nor CD-ROM, or holds no medium. */
  readonly capacity: Capacity | undefined;
  readonly writeProtected: boolean;
  /** Blocks that one command may move, as far as unit and adapter tell. */
  readonly maximumTransferBlocks: number;
}

/** REPORT LUNS data for every LUN that virtio-scsi can name. */
const largestLunList = 8 + 8 * 16384;
const firstLunList = 4096;
/** LUNs of a target from before REPORT LUNS: INQUIRY tells which of them there are. */
const scsi2Luns = 8;

/**
 * Finds every unit, by target and LUN. Targets that do not exist cost one command.
 * @throws ScsiCommandError when a target answers with something else than "not here".
 */
export async function discoverUnits(driver: ScsiInitiator, options: DiscoverOptions = {}): Promise<DiscoveredUnit[]> {
  const targets = options.targets ?? driver.limits.targets;
  const found: DiscoveredUnit[] = [];
  await forEachAtOnce(targets, options.depth ?? 32, async (target) => {
    options.check?.();
    for (const lun of await reportLuns(driver, target, options.observer)) {
      const unit = await describeUnit(driver, unitAddress(target, lun), { target, lun }, options.observer);
      if (unit !== undefined) found.push(unit);
    }
  });
  return found.sort((one, other) => one.address - other.address);
}

/** Works on `items` in their order, `depth` at a time. */
async function forEachAtOnce<T>(items: readonly T[], depth: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) await work(items[next++]);
  };
  const outcomes = await Promise.allSettled(Array.from({ length: Math.min(depth, items.length) }, worker));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

/** The LUNs to look at in a target; empty when there is no such target. */
async function reportLuns(
  driver: ScsiInitiator,
  target: number,
  observer: Observer | undefined,
): Promise<readonly number[]> {
  let isRefused = false;
  const expected = (error: ScsiCommandError) => {
    isRefused = isRefusal(error);
    return isRefused || isAbsentTarget(error);
  };
  for (let room = firstLunList; ; ) {
    const command = cdb.reportLuns(room);
    const data = await ask(driver, unitAddress(target, 0), command, room, observer, expected);
    if (isRefused) return Array.from({ length: Math.min(scsi2Luns, driver.limits.luns) }, (_, lun) => lun);
    const report = data && parseReportLuns(data);
    if (report === undefined) return [];
    if (report.totalLength <= room || room === largestLunList) {
      return [...new Set(report.luns)].filter((lun) => lun < driver.limits.luns).sort((one, other) => one - other);
    }
    room = Math.min(report.totalLength, largestLunList);
  }
}

async function describeUnit(
  driver: ScsiInitiator,
  address: UnitAddress,
  place: { target: number; lun: number },
  observer: Observer | undefined,
): Promise<DiscoveredUnit | undefined> {
  const standard = await ask(driver, address, cdb.inquiry(96), 96, observer, isAbsentUnit);
  const inquiry = standard && parseInquiry(standard);
  if (inquiry === undefined || inquiry.qualifier !== Qualifier.Connected) return undefined;
  if (inquiry.deviceType === DeviceType.WellKnown || inquiry.deviceType === DeviceType.None) return undefined;

  const page = (code: number) => ask(driver, address, cdb.inquiry(252, code), 252, observer, isRefusal);
  const pages = parseSupportedPages((await page(VpdPage.Supported)) ?? new Uint8Array(0)) ?? [];
  const serialPage = pages.includes(VpdPage.SerialNumber) ? await page(VpdPage.SerialNumber) : undefined;
  const limitsPage = pages.includes(VpdPage.BlockLimits) ? await page(VpdPage.BlockLimits) : undefined;
  const isDisk = inquiry.deviceType === DeviceType.Disk;
  const hasBlocks = isDisk || inquiry.deviceType === DeviceType.CdRom;
  const capacity = hasBlocks ? await readCapacity(driver, address, observer) : undefined;
  const mode = isDisk ? await ask(driver, address, cdb.modeSense6(0x3f), 255, observer, isRefusal) : undefined;

  const adapterLimit = Math.floor(driver.limits.largestTransfer / (capacity?.blockSize ?? 512));
  const unitLimit = (limitsPage && parseBlockLimits(limitsPage)?.maximumTransfer) || adapterLimit;
  return {
    address,
    ...place,
    inquiry,
    serial: serialPage && parseSerialNumber(serialPage),
    capacity,
    writeProtected: (mode && parseModeSense6(mode)?.writeProtected) ?? false,
    maximumTransferBlocks: Math.max(1, Math.min(adapterLimit, unitLimit)),
  };
}

/** READ CAPACITY(16) where the unit has it, since it tells more; undefined without a medium. */
async function readCapacity(
  driver: ScsiInitiator,
  address: UnitAddress,
  observer: Observer | undefined,
): Promise<Capacity | undefined> {
  const short = await ask(driver, address, cdb.readCapacity10(), 8, observer, isNotReady);
  const ten = short && parseCapacity10(short);
  if (ten === undefined) return undefined;
  const long = await ask(driver, address, cdb.readCapacity16(), 32, observer, isRefusal);
  const sixteen = long && parseCapacity16(long);
  if (sixteen !== undefined) return sixteen;
  if (ten.blocks === undefined) return undefined;
  const unknown = { physicalExponent: 0, lowestAlignedLba: 0, thinProvisioned: false, unmappedReadZero: false };
  return { blocks: ten.blocks, blockSize: ten.blockSize, ...unknown };
}

/** What came, or undefined when the failure is one that `expected` knows. */
async function ask(
  driver: ScsiInitiator,
  address: UnitAddress,
  command: Uint8Array,
  room: number,
  observer: Observer | undefined,
  expected: (error: ScsiCommandError) => boolean,
): Promise<Uint8Array | undefined> {
  const dataIn = new Uint8Array(room);
  try {
    const { residual } = await sendCommand(driver, address, command, { dataIn, observer });
    return dataIn.subarray(0, room - residual);
  } catch (error) {
    if (error instanceof ScsiCommandError && expected(error)) return undefined;
    throw error;
  }
}

function isAbsentTarget({ result }: ScsiCommandError): boolean {
  return result.response === ScsiResponse.BadTarget || result.response === ScsiResponse.IncorrectLun;
}

function isRefusal({ sense }: ScsiCommandError): boolean {
  return sense?.key === SenseKey.IllegalRequest;
}

function isAbsentUnit(error: ScsiCommandError): boolean {
  return isAbsentTarget(error) || isRefusal(error);
}

function isNotReady(error: ScsiCommandError): boolean {
  return error.sense?.key === SenseKey.NotReady || isRefusal(error);
}
