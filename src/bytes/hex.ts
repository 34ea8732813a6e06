/** Numbers and bytes in hexadecimal, as messages and traces print them. */

/** `0x` and at least `digits` digits. */
export function hex(value: number | bigint, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** Two digits a byte, separated by spaces: `12 00 00 00 24 00`. */
export function hexBytes(bytes: Uint8Array, separator = " "): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(separator);
}

/**
 * Reads bytes from text such as `12 00 0x24` or `1200002400`.
 * @throws TypeError when a word is not an even number of hexadecimal digits.
 */
export function parseHexBytes(text: string): Uint8Array {
  const digits = text
    .trim()
    .split(/[\s,:]+/)
    .filter(Boolean)
    .map((word) => word.replace(/^0x(?=.)/i, "").padStart(/^0x./i.test(word) || word.length === 1 ? 2 : 0, "0"))
    .join("");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new TypeError(`not hexadecimal bytes: "${text.trim()}"`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
