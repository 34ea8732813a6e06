/** SCSI commands that the device answers itself (6.3 of the reference), byte for byte. Pure functions. */

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));

/**
 * The vital product data page, or undefined for one that the device does not know.
 * @param lun undefined: it is in none of them, as in the original, where two LUNs of a target look alike.
 */
export function vpdPage(page: number, target: number, lun?: number): Uint8Array | undefined {
  const place = `T${target}${lun === undefined ? "" : `L${lun}`}`;
  switch (page) {
    case 0x00:
      return Uint8Array.of(0x00, 0x00, 0x00, 3, 0x00, 0x80, 0x83);
    case 0x80: {
      const serial = ascii(`VIRTIOSCSI-${place}`);
      return Uint8Array.of(0x00, 0x80, 0x00, serial.length, ...serial);
    }
    case 0x83: {
      // One designator: ASCII, T10 vendor identification.
      const id = ascii(`${"QEMU".padEnd(8)}${"virtioscsi".padEnd(16)}${place}`);
      return Uint8Array.of(0x00, 0x83, 0x00, 4 + id.length, 0x02, 0x01, 0x00, id.length, ...id);
    }
    default:
      return undefined;
  }
}

/** The log page, or undefined for one that the device does not know. */
export function logPage(page: number): Uint8Array | undefined {
  switch (page) {
    case 0x00:
      return Uint8Array.of(0x00, 0x00, 0x00, 2, 0x00, 0x2f);
    case 0x2f: {
      const general = [0x00, 0x00, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00];
      const text = ascii("VirtIO Dummy OK");
      return Uint8Array.of(0x2f, 0x00, 0x00, 0x1b, ...general, 0x80, 0x00, 0x03, text.length, ...text);
    }
    default:
      return undefined;
  }
}

/** What a LOG SENSE asks for. */
export function logSenseFields(cdb: Uint8Array): { page: number; allocation: number } {
  return { page: (cdb[2] ?? 0) & 0x3f, allocation: cdb.length > 8 ? cdb[7] * 256 + cdb[8] : 0 };
}

/** ATA command register of SMART. */
export const ataSmart = 0xb0;

/** The ATA command in an ATA PASS-THROUGH(16) or (12). */
export function ataCommandOf(cdb: Uint8Array): number {
  return (cdb[0] === 0x85 ? cdb[14] : cdb[9]) ?? 0;
}

/** Attributes: id, flags, current and worst value, raw value. */
const smartAttributes: readonly (readonly [number, number, number, readonly number[]])[] = [
  [1, 0x000b, 100, []],
  [9, 0x0003, 100, [1]],
  [12, 0x0003, 100, [1]],
  [194, 0x0002, 120, [0x1e, 0, 0, 0, 0x1e]],
  [197, 0x0000, 100, []],
  [198, 0x0000, 100, []],
];

/** Bytes of SMART READ DATA. */
export const smartDataLength = 512;

/** SMART READ DATA of a disk that is well. @param checksum false: byte 511 stays 0, as the original leaves it. */
export function smartData(checksum: boolean): Uint8Array {
  const data = new Uint8Array(smartDataLength);
  data[0] = 0x06;
  for (const [index, [id, flags, value, raw]] of smartAttributes.entries()) {
    data.set([id, flags & 0xff, flags >>> 8, value, value, ...raw], 2 + 12 * index);
  }
  data[510] = 0xc0;
  if (checksum) data[511] = -data.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return data;
}
