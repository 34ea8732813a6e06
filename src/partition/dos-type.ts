/** Amiga DosTypes: four bytes, the last often a small number, written `DOS\3`. */

/** The name of a DosType: letters as they are, other bytes as `\n`. */
export function dosTypeName(code: number): string {
  let name = "";
  for (const shift of [24, 16, 8, 0]) {
    const byte = (code >>> shift) & 0xff;
    name += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${byte}`;
  }
  return name;
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
