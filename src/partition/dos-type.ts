/** Amiga DosTypes: four bytes, the last often a small number, written `DOS\3`. */

/** The name of a DosType: three letters, and the last byte as it is or as `\n`. What has no three letters is a number. */
export function dosTypeName(code: number): string {
  const bytes = [24, 16, 8, 0].map((shift) => (code >>> shift) & 0xff);
  const letters = bytes.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : undefined));
  if (letters.slice(0, 3).includes(undefined)) return `0x${(code >>> 0).toString(16).padStart(8, "0")}`;
  return letters.slice(0, 3).join("") + (letters[3] ?? `\\${bytes[3]}`);
}

/** Whether four bytes look like a DosType: three letters or digits, then one of these or a number below 32. */
function looksLikeDosType(code: number): boolean {
  const isLetter = (byte: number) => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x30 && byte <= 0x39);
  const last = code & 0xff;
  return [24, 16, 8].every((shift) => isLetter((code >>> shift) & 0xff)) && (last < 0x20 || isLetter(last));
}

/** Families whose boot blocks begin with their DosType. */
const families = new Set(["DOS", "PFS", "PDS", "muF", "SFS", "AFS", "KIC", "BFF", "UNI", "NDO", "JXF"]);

/** The DosType with which a boot block begins, by name, or undefined when it begins with something else. */
export function bootBlockType(firstLongword: number): string | undefined {
  const name = dosTypeName(firstLongword);
  if (!families.has(name.slice(0, 3))) return undefined;
  return looksLikeDosType(firstLongword) || name.startsWith("muF") ? name : undefined;
}
