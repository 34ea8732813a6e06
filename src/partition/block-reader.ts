/** What the partition readers need of a disk. */
export interface BlockReader {
  /** Bytes in a block: 512, 1024, … */
  readonly blockSize: number;
  /** Blocks of the disk, a safe integer. */
  readonly blocks: number;
  /** `count` blocks from block `lba` on. Rejects when the medium fails; partition readers pass that on. */
  readBlocks(lba: number, count: number): Promise<Uint8Array>;
}

/** Reads blocks if the disk has them: what a table says is not to be trusted. Undefined when they lie past the end. */
export async function readInside(reader: BlockReader, lba: number, count: number): Promise<DataView | undefined> {
  if (!(Number.isSafeInteger(lba) && lba >= 0 && count >= 1 && count <= reader.blocks - lba)) return undefined;
  const bytes = await reader.readBlocks(lba, count);
  if (bytes.byteLength !== count * reader.blockSize) {
    throw new RangeError(`asked for ${count} blocks at ${lba}, got ${bytes.byteLength} bytes`);
  }
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `length` characters of one byte each, from `at` on; stops at the first zero. */
export function textAt(view: DataView, at: number, length: number): string {
  let text = "";
  for (let index = at; index < at + length && index < view.byteLength; index++) {
    const code = view.getUint8(index);
    if (code === 0) break;
    text += code >= 0x20 && (code < 0x7f || code >= 0xa0) ? String.fromCharCode(code) : "?";
  }
  return text;
}
