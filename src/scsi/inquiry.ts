/** Standard INQUIRY data (SPC-4 §6.6.2), both ways. */
import { bytes, type StructValue, struct, u8, u16 } from "../bytes/index.js";
import { scsiText, zeroExtended } from "./text.js";

/** Device types as the low five bits of byte 0 have them. */
export const DeviceType = {
  Disk: 0x00,
  Tape: 0x01,
  Processor: 0x03,
  CdRom: 0x05,
  MediumChanger: 0x08,
  Enclosure: 0x0d,
  WellKnown: 0x1e,
  None: 0x1f,
} as const;

/** SPC-4 table 175, peripheral qualifiers. */
export const Qualifier = { Connected: 0, NotConnected: 1, NotSupported: 3 } as const;

/** Versions that INQUIRY claims. */
export const ScsiVersion = { Scsi2: 0x02, Spc2: 0x04, Spc3: 0x05, Spc4: 0x06 } as const;

/** The layout up to the version descriptors. */
export const StandardInquiry = struct({
  peripheral: u8,
  removable: u8,
  version: u8,
  format: u8,
  additionalLength: u8,
  flags5: u8,
  flags6: u8,
  flags7: u8,
  vendor: scsiText(8),
  product: scsiText(16),
  revision: scsiText(4),
  vendorSpecific: bytes(20),
  clocking: u8,
  reserved: u8,
  standard1: u16,
  standard2: u16,
  standard3: u16,
  standard4: u16,
  standard5: u16,
  standard6: u16,
  standard7: u16,
  standard8: u16,
});

/** What a device says of itself. */
export interface InquiryFields {
  readonly qualifier: number;
  readonly deviceType: number;
  readonly removable: boolean;
  readonly version: number;
  /** Takes several commands at once. */
  readonly commandQueuing: boolean;
  /** At most 8, 16 and 4 characters of ASCII. */
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  /** Version descriptors (SPC-4 table 176), at most 8. */
  readonly standards: readonly number[];
}

/** Version descriptors of the standards that units here follow. */
export const StandardCode = { Sam5: 0x00a0, Spc4: 0x0460, Sbc3: 0x04c0, Mmc5: 0x0420 } as const;

/** Builds standard INQUIRY data, 74 bytes. */
export function buildInquiry(fields: InquiryFields): Uint8Array {
  const data = new Uint8Array(StandardInquiry.size);
  const [standard1 = 0, standard2 = 0, standard3 = 0, standard4 = 0, standard5 = 0, standard6 = 0] = fields.standards;
  StandardInquiry.write(new DataView(data.buffer), 0, "big", {
    peripheral: (fields.qualifier << 5) | fields.deviceType,
    removable: fields.removable ? 0x80 : 0,
    version: fields.version,
    // HISUP: LUNs as REPORT LUNS gives them; response data format 2.
    format: 0x12,
    additionalLength: data.length - 5,
    flags7: fields.commandQueuing ? 0x02 : 0,
    vendor: fields.vendor,
    product: fields.product,
    revision: fields.revision,
    standard1,
    standard2,
    standard3,
    standard4,
    standard5,
    standard6,
  });
  return data;
}

/** What INQUIRY told a driver. */
export interface InquiryData extends InquiryFields {
  /** Bytes that the device has of it, 5 + ADDITIONAL LENGTH. */
  readonly totalLength: number;
}

/** Reads INQUIRY data; what is missing reads as zeros and empty text. Undefined below 5 bytes. */
export function parseInquiry(data: Uint8Array): InquiryData | undefined {
  if (data.length < 5) return undefined;
  const totalLength = 5 + data[4];
  const valid = data.subarray(0, Math.min(data.length, totalLength));
  const values: StructValue<typeof StandardInquiry> = StandardInquiry.read(
    zeroExtended(valid, StandardInquiry.size),
    0,
    "big",
  );
  return {
    qualifier: values.peripheral >>> 5,
    deviceType: values.peripheral & 0x1f,
    removable: (values.removable & 0x80) !== 0,
    version: values.version,
    commandQueuing: (values.flags7 & 0x02) !== 0,
    vendor: values.vendor,
    product: values.product,
    revision: values.revision,
    standards: [
      values.standard1,
      values.standard2,
      values.standard3,
      values.standard4,
      values.standard5,
      values.standard6,
      values.standard7,
      values.standard8,
    ].filter((code) => code !== 0),
    totalLength,
  };
}
