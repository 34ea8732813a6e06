/** The bytes that the driver answers SCSI commands with by itself: INQUIRY and its pages, capacity, mode pages. */
import { buildDesignators, buildVpdPage, DesignatorCodeSet, DesignatorType } from "../../scsi/index.js";
import { type DiskFacts, diskBlocks, sectorsPerBlock } from "./disk-facts.js";
import { mostRanges } from "./srb-extension.js";

const largest32 = 0xffff_ffff;
/** Vital product data pages. */
export const Vpd = {
  Supported: 0x00,
  Serial: 0x80,
  Identification: 0x83,
  Limits: 0xb0,
  Character: 0xb1,
  Provisioning: 0xb2,
} as const;

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Standard INQUIRY data: 36 bytes in 2010, 96 today. */
export function standardInquiry(facts: DiskFacts): Uint8Array {
  const isOld = facts.generation === "2010";
  const data = new Uint8Array(isOld ? 36 : 96);
  data[2] = 4;
  data[3] = 2;
  // ADDITIONAL LENGTH was 0 in 2010: readers that believe it see five bytes.
  data[4] = isOld ? 0 : 91;
  // CmdQue and Wide32.
  data[7] = 0x42;
  data.set(ascii("Red Hat VirtIO          0001"), 8);
  if (!isOld) data.set(ascii("0001"), 36);
  return data;
}

/** The pages that are there. */
export function supportedPages({ generation, info }: DiskFacts): readonly number[] {
  const basic = [Vpd.Supported, Vpd.Serial, Vpd.Identification];
  if (generation === "2010") return basic;
  return info.discard === undefined ? [...basic, Vpd.Limits] : [...basic, Vpd.Limits, Vpd.Character, Vpd.Provisioning];
}

/** Page 80h: GET_ID's answer; one character `0` in 2010. */
export function serialPage({ generation, serial }: DiskFacts): Uint8Array {
  return buildVpdPage(0, Vpd.Serial, ascii(generation === "2010" ? "0" : (serial ?? "")));
}

/** Page 83h: the serial number, else an EUI-64 made of the adapter's place: four nibbles of the bus, four of the slot. */
export function identificationPage(facts: DiskFacts): Uint8Array {
  const { serial = "", bus, slot, behaviour, generation } = facts;
  const isConstant = behaviour.identity === "constant";
  if (generation !== "2010" && serial !== "" && !isConstant) {
    const { VendorSpecific } = DesignatorType;
    return identification(DesignatorCodeSet.Ascii, VendorSpecific, ascii(serial));
  }
  const nibbles = (value: number) => [12, 8, 4, 0].map((shift) => (value >>> shift) & 0xf);
  const value = isConstant ? ascii("1AF41001") : Uint8Array.from([...nibbles(bus), ...nibbles(slot)]);
  return identification(DesignatorCodeSet.Binary, DesignatorType.Eui64, value);
}

function identification(codeSet: number, type: number, value: Uint8Array): Uint8Array {
  return buildVpdPage(0, Vpd.Identification, buildDesignators([{ codeSet, association: 0, type, value }]));
}

/** The granularity of unmapping in blocks, and the largest range in blocks. */
export function unmapLimits(facts: DiskFacts): { readonly granularity: number; readonly largest: number } {
  const { info, behaviour } = facts;
  const { discard } = info;
  const perBlock = sectorsPerBlock(facts);
  if (discard === undefined) return { granularity: 0, largest: 0 };
  // An alignment that is told is raised to 4 KiB.
  const told = discard.alignment === 0 ? 0 : Math.max(8, discard.alignment);
  const granularity = behaviour.discardGranularity === "fixed-32k" ? 64 / perBlock : Math.ceil(told / perBlock);
  const { maxSectors } = discard;
  if (maxSectors === largest32) return { granularity, largest: largest32 };
  return { granularity, largest: behaviour.unmapLimit === "blocks" ? Math.floor(maxSectors / perBlock) : maxSectors };
}

/** Page B0h: 16 bytes, 60 with UNMAP. */
export function blockLimitsPage(facts: DiskFacts): Uint8Array {
  const { info } = facts;
  const body = new Uint8Array(info.discard === undefined ? 0x10 : 0x3c);
  const view = new DataView(body.buffer);
  view.setUint16(2, info.minimumIo);
  view.setUint32(4, Math.floor(facts.maximumTransferLength / info.blockSize));
  view.setUint32(8, info.optimalIo);
  if (info.discard !== undefined) {
    const { granularity, largest } = unmapLimits(facts);
    view.setUint32(16, largest);
    view.setUint32(20, Math.min(info.discard.maxRanges, mostRanges));
    view.setUint32(24, granularity);
    // UGAVALID, alignment 0.
    view.setUint32(28, 0x8000_0000);
  }
  return buildVpdPage(0, Vpd.Limits, body);
}

/** Page B1h: nothing is told of rotation and form. */
export function characteristicsPage(): Uint8Array {
  return buildVpdPage(0, Vpd.Character, new Uint8Array(0x3c));
}

/** Page B2h: LBPU; thin when the device tells an alignment, resource provisioned otherwise. */
export function provisioningPage({ info }: DiskFacts): Uint8Array {
  const isThin = (info.discard?.alignment ?? 0) > 0;
  return buildVpdPage(0, Vpd.Provisioning, Uint8Array.of(0, 0x80, isThin ? 2 : 1, 0));
}

/** READ CAPACITY(10): 8 bytes. */
export function shortCapacity(facts: DiskFacts): Uint8Array {
  const data = new Uint8Array(8);
  const view = new DataView(data.buffer);
  view.setUint32(0, Math.min(diskBlocks(facts) - 1, largest32));
  view.setUint32(4, facts.info.blockSize);
  return data;
}

/** READ CAPACITY(16): the 32 bytes of the standard. */
export function longCapacity(facts: DiskFacts): Uint8Array {
  const { info } = facts;
  const data = new Uint8Array(32);
  const view = new DataView(data.buffer);
  view.setBigUint64(0, BigInt(diskBlocks(facts)) - 1n);
  view.setUint32(8, info.blockSize);
  data[13] = info.physicalExponent;
  view.setUint16(14, (info.discard === undefined ? 0 : 0x8000) | (info.alignmentOffset & 0x3fff));
  return data;
}

/** REPORT LUNS: one unit, number 0. */
export function oneLun(): Uint8Array {
  const data = new Uint8Array(16);
  data[3] = 8;
  return data;
}

/** The caching page's code, and the one that stands for all pages. */
export const ModePage = { Blocks: 0x00, Caching: 0x08, All: 0x3f } as const;

/** DEVICE-SPECIFIC PARAMETER: DPOFUA where writes can be made durable, and write protection. */
export function deviceSpecific({ info, generation }: DiskFacts): number {
  const isProtected = generation !== "2010" && info.isReadOnly;
  return (info.canFlush || info.writeCache ? 0x10 : 0) | (isProtected ? 0x80 : 0);
}

/** The caching page, 12 bytes in 2010 and today; `changeable`: the mask of what MODE SELECT may change. */
export function cachingPage({ info }: DiskFacts, changeable: boolean): Uint8Array {
  const page = new Uint8Array(12);
  page[0] = ModePage.Caching;
  page[1] = 10;
  const wce = changeable ? info.canSwitchCache : info.writeCache;
  page[2] = wce ? 0x04 : 0;
  return page;
}
