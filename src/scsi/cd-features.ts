/** GET CONFIGURATION (MMC-5 §6.5): profiles and features of a drive that reads CDs and DVDs. */
import { writeU16, writeU32 } from "./big-endian.js";

/** MMC-5 table 88, profiles. */
export const Profile = { None: 0x0000, CdRom: 0x0008, DvdRom: 0x0010 } as const;

/** What the answer depends on. */
export interface DriveState {
  readonly medium: unknown;
  readonly isDvd: boolean;
}

interface Feature {
  readonly code: number;
  readonly version: number;
  /** Always there, whatever the medium. */
  readonly persistent: boolean;
  readonly current: boolean;
  readonly data: readonly number[];
}

function featuresOf({ medium, isDvd }: DriveState): readonly Feature[] {
  const hasMedium = medium !== undefined;
  const isCd = hasMedium && !isDvd;
  const profile = (code: number, current: boolean) => [code >>> 8, code & 0xff, current ? 1 : 0, 0];
  return [
    {
      code: 0x0000,
      version: 0,
      persistent: true,
      current: true,
      data: [...profile(Profile.DvdRom, hasMedium && isDvd), ...profile(Profile.CdRom, isCd)],
    },
    // Core: interface standard 1, SCSI family; device busy events are not told.
    { code: 0x0001, version: 2, persistent: true, current: true, data: [0, 0, 0, 1, 0, 0, 0, 0] },
    // Removable medium: a tray that opens, closes and can be locked.
    { code: 0x0003, version: 2, persistent: true, current: true, data: [0x39, 0, 0, 0] },
    // Random readable: blocks of 2048 bytes, one at a time, no error recovery page to speak of.
    { code: 0x0010, version: 0, persistent: false, current: hasMedium, data: [0, 0, 8, 0, 0, 1, 0, 0] },
    // CD read: no CD-text, no C2 errors.
    { code: 0x001e, version: 2, persistent: false, current: isCd, data: [0, 0, 0, 0] },
    { code: 0x001f, version: 0, persistent: false, current: hasMedium && isDvd, data: [] },
  ];
}

/**
 * The answer: a header with the current profile, then features from `first` on.
 * @param type 0 all features, 1 the current ones, 2 the one called `first`.
 */
export function buildConfiguration(drive: DriveState, type: number, first: number): Uint8Array {
  const features = featuresOf(drive).filter(({ code, current }) => {
    if (type === 2) return code === first;
    return code >= first && (type === 0 || current);
  });
  const data = new Uint8Array(features.reduce((size, feature) => size + 4 + feature.data.length, 8));
  writeU32(data, 0, data.length - 4);
  if (drive.medium !== undefined) writeU16(data, 6, drive.isDvd ? Profile.DvdRom : Profile.CdRom);
  let at = 8;
  for (const { code, version, persistent, current, data: body } of features) {
    writeU16(data, at, code);
    data[at + 2] = (version << 2) | (persistent ? 2 : 0) | (current ? 1 : 0);
    data[at + 3] = body.length;
    data.set(body, at + 4);
    at += 4 + body.length;
  }
  return data;
}
