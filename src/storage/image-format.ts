/**
 * Tells a disk image in a container (qcow2, VHD, a compressed file …) from a raw one by its first and last bytes. A raw
 * disk starts with whatever its operating system put there, so each mark is long enough, or checked far enough, that a
 * boot block does not show it by chance.
 */

/** How many bytes {@link recogniseImage} looks at: at the start and at the end. */
export const imageProbeSize = { head: 4096, tail: 1024 } as const;

/** What a file was recognised as. */
export interface ForeignFormat {
  /** For people: `qcow2`, `VHD`, `gzip`. */
  readonly name: string;
  /** A container of a disk, or a file that was compressed or packed. */
  readonly kind: "container" | "compressed";
}

interface Mark {
  readonly name: string;
  readonly kind: ForeignFormat["kind"];
  readonly at: number;
  /** The bytes, each character one byte. */
  readonly bytes: string;
}

const container = (name: string, bytes: string, at = 0): Mark => ({ name, kind: "container", at, bytes });
const compressed = (name: string, bytes: string): Mark => ({ name, kind: "compressed", at: 0, bytes });

const marks: readonly Mark[] = [
  container("qcow", "QFI\xfb\0\0\0\x01"),
  container("qcow2", "QFI\xfb\0\0\0\x02"),
  container("qcow2", "QFI\xfb\0\0\0\x03"),
  container("QED", "QED\0"),
  container("VHD", "conectix"),
  container("VHDX", "vhdxfile"),
  container("VMDK", "KDMV"),
  container("VMDK", "COWD"),
  container("VDI", "\x7f\x10\xda\xbe", 0x40),
  container("Parallels", "WithoutFreeSpace"),
  container("Parallels", "WithouFreSpacExt"),
  container("Bochs", "Bochs Virtual HD Image"),
  container("CHD", "MComprHD"),
  container("EWF", "EVF\x09\x0d\x0a\xff\0"),
  container("Android sparse", "\x3a\xff\x26\xed\x01\0"),
  compressed("gzip", "\x1f\x8b\x08"),
  compressed("xz", "\xfd7zXZ\0"),
  compressed("zstd", "\x28\xb5\x2f\xfd"),
  compressed("lz4", "\x04\x22\x4d\x18"),
  compressed("zip", "PK\x03\x04"),
  compressed("7z", "7z\xbc\xaf\x27\x1c"),
];

/**
 * The format of a file that is not a raw disk, or undefined.
 * @param head its first bytes, {@link imageProbeSize}.head of them or the whole file.
 * @param tail its last bytes, {@link imageProbeSize}.tail of them or the whole file.
 */
export function recogniseImage(head: Uint8Array, tail: Uint8Array): ForeignFormat | undefined {
  for (const mark of marks) {
    if (startsWith(head, mark.at, mark.bytes) && !isContradicted(mark, head))
      return { name: mark.name, kind: mark.kind };
  }
  if (startsWith(head, 0, "BZh") && head[3] >= 0x31 && head[3] <= 0x39 && startsWith(head, 4, "1AY&SY")) {
    return { name: "bzip2", kind: "compressed" };
  }
  if (isVmdkDescriptor(head)) return { name: "VMDK", kind: "container" };
  return recogniseFooter(tail);
}

/** Marks of three or four bytes are believed only when the field after them makes sense too. */
function isContradicted(mark: Mark, head: Uint8Array): boolean {
  // gzip: the three upper bits of the flags are reserved, and 0 (RFC 1952 §2.3.1).
  if (mark.name === "gzip") return head.length < 10 || (head[3] & 0xe0) !== 0;
  // Sparse VMDK: a version of 1…3.
  if (mark.bytes === "KDMV" || mark.bytes === "COWD") return !(head[4] >= 1 && head[4] <= 3 && head[5] === 0);
  // QED: clusters of 4 KiB…64 MiB, a power of two.
  if (mark.name === "QED") return !isPowerOfTwo(littleEndian32(head, 4), 12, 26);
  return false;
}

function isVmdkDescriptor(head: Uint8Array): boolean {
  let text = "";
  for (const byte of head.subarray(0, 128)) text += String.fromCharCode(byte);
  return /^\s*# ?Disk ?DescriptorFile\s*[\r\n]/i.test(text);
}

/** Formats that put their header into the last sector: a fixed VHD and a DMG. */
function recogniseFooter(tail: Uint8Array): ForeignFormat | undefined {
  for (const length of [512, 511]) {
    const footer = tail.subarray(tail.length - length);
    if (footer.length === length && startsWith(footer, 0, "conectix") && isVhdSumRight(footer)) {
      return { name: "VHD", kind: "container" };
    }
  }
  const footer = tail.subarray(Math.max(0, tail.length - 512));
  // Version 4 and its own size follow the mark, both big-endian.
  if (startsWith(footer, 0, "koly\0\0\0\x04\0\0\x02\0")) return { name: "DMG", kind: "container" };
  return undefined;
}

/** The checksum at 64 is the complement of the sum of all other bytes. */
function isVhdSumRight(footer: Uint8Array): boolean {
  let sum = 0;
  for (let index = 0; index < footer.length; index++) if (index < 64 || index >= 68) sum += footer[index];
  const stored = ((footer[64] << 24) | (footer[65] << 16) | (footer[66] << 8) | footer[67]) >>> 0;
  return ~sum >>> 0 === stored;
}

function startsWith(bytes: Uint8Array, at: number, mark: string): boolean {
  if (at + mark.length > bytes.length) return false;
  for (let index = 0; index < mark.length; index++) if (bytes[at + index] !== mark.charCodeAt(index)) return false;
  return true;
}

function littleEndian32(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 3] << 24) | (bytes[at + 2] << 16) | (bytes[at + 1] << 8) | bytes[at]) >>> 0;
}

function isPowerOfTwo(value: number, lowestBit: number, highestBit: number): boolean {
  return value >= 2 ** lowestBit && value <= 2 ** highestBit && (value & (value - 1)) === 0;
}
