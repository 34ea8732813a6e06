/** Vital product data pages (SPC-4 §7.8, SBC-3 §6.6) 00h, 80h, 83h, 86h, both ways. The block pages are in `vpd-block`. */
import { readU16, writeU16 } from "./big-endian.js";
import { textOf } from "./text.js";

/** Page codes. */
export const VpdPage = {
  Supported: 0x00,
  SerialNumber: 0x80,
  DeviceIdentification: 0x83,
  ExtendedInquiry: 0x86,
  BlockLimits: 0xb0,
  BlockCharacteristics: 0xb1,
  LogicalBlockProvisioning: 0xb2,
} as const;

/** A page with its header: `peripheral` (byte 0 of INQUIRY), code, length, body. */
export function buildVpdPage(peripheral: number, code: number, body: Uint8Array): Uint8Array {
  const page = new Uint8Array(4 + body.length);
  page[0] = peripheral;
  page[1] = code;
  writeU16(page, 2, body.length);
  page.set(body, 4);
  return page;
}

/** A page as a driver got it. */
export interface VpdPageData {
  readonly code: number;
  /** What came of the page behind its header; may be shorter than `bodyLength`. */
  readonly body: Uint8Array;
  /** Bytes of the body that the device has. */
  readonly bodyLength: number;
}

/**
 * Reads a page. Undefined when it is shorter than a header, or not page `expected` (some devices answer with their
 * standard INQUIRY data instead).
 */
export function parseVpdPage(data: Uint8Array, expected: number): VpdPageData | undefined {
  if (data.length < 4 || data[1] !== expected) return undefined;
  const bodyLength = readU16(data, 2);
  return { code: data[1], body: data.subarray(4, 4 + bodyLength), bodyLength };
}

/** Page 00h: the codes that the device has, or undefined. */
export function parseSupportedPages(data: Uint8Array): readonly number[] | undefined {
  const page = parseVpdPage(data, VpdPage.Supported);
  return page && Array.from(page.body);
}

/** Page 80h: the serial number without padding, or undefined. */
export function parseSerialNumber(data: Uint8Array): string | undefined {
  const page = parseVpdPage(data, VpdPage.SerialNumber);
  return page && textOf(page.body).trim();
}

/** SPC-4 §7.8.6: one designation descriptor of page 83h. */
export interface Designator {
  readonly codeSet: number;
  /** 0 the unit, 1 the target port, 2 the target. */
  readonly association: number;
  readonly type: number;
  readonly value: Uint8Array;
}

/** Code sets of designators. */
export const DesignatorCodeSet = { Binary: 1, Ascii: 2, Utf8: 3 } as const;
/** Types of designators. */
export const DesignatorType = {
  VendorSpecific: 0,
  T10Vendor: 1,
  Eui64: 2,
  Naa: 3,
  RelativePort: 4,
  PortGroup: 5,
  ScsiName: 8,
} as const;

/** The body of page 83h. */
export function buildDesignators(designators: readonly Designator[]): Uint8Array {
  const parts = designators.map(({ codeSet, association, type, value }) => [
    codeSet,
    (association << 4) | type,
    0,
    value.length,
    ...value,
  ]);
  return Uint8Array.from(parts.flat());
}

/** Page 83h: the designators that came whole, or undefined when this is not the page. */
export function parseDesignators(data: Uint8Array): readonly Designator[] | undefined {
  const page = parseVpdPage(data, VpdPage.DeviceIdentification);
  if (page === undefined) return undefined;
  const { body } = page;
  const designators: Designator[] = [];
  for (let at = 0; at + 4 <= body.length; at += 4 + body[at + 3]) {
    const end = at + 4 + body[at + 3];
    if (end > body.length) break;
    designators.push({
      codeSet: body[at] & 0x0f,
      association: (body[at + 1] >>> 4) & 3,
      type: body[at + 1] & 0x0f,
      value: body.slice(at + 4, end),
    });
  }
  return designators;
}

/** What page 86h tells. */
export interface ExtendedInquiry {
  /** The unit takes SIMPLE, ORDERED and HEAD OF QUEUE tasks as such. */
  readonly simple: boolean;
  readonly ordered: boolean;
  readonly headOfQueue: boolean;
  /** V_SUP: there is a volatile cache. */
  readonly volatileCache: boolean;
  /** Longest sense data; 0 means not told. */
  readonly maximumSenseLength: number;
}

/** The body of page 86h, 60 bytes. */
export function buildExtendedInquiry(fields: ExtendedInquiry): Uint8Array {
  const body = new Uint8Array(60);
  body[1] = (fields.headOfQueue ? 4 : 0) | (fields.ordered ? 2 : 0) | (fields.simple ? 1 : 0);
  body[2] = fields.volatileCache ? 1 : 0;
  body[9] = fields.maximumSenseLength;
  return body;
}

/** Page 86h, or undefined. */
export function parseExtendedInquiry(data: Uint8Array): ExtendedInquiry | undefined {
  const page = parseVpdPage(data, VpdPage.ExtendedInquiry);
  if (page === undefined) return undefined;
  const at = (index: number) => page.body[index] ?? 0;
  return {
    simple: (at(1) & 1) !== 0,
    ordered: (at(1) & 2) !== 0,
    headOfQueue: (at(1) & 4) !== 0,
    volatileCache: (at(2) & 1) !== 0,
    maximumSenseLength: at(9),
  };
}
