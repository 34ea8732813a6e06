/** The content of a file on an Amiga volume. */
import { type AffsBlocks, type AffsHeader, damaged, tableOf } from "./header.js";
import { AffsBlockType, AffsEntryType, affsData, affsFromEnd, affsHead, affsHeadBytes, affsTail } from "./layout.js";

/** Largest piece, in bytes. */
const largestPiece = 64 * 1024;

/**
 * The bytes of a file, piece by piece. The file's length decides how many blocks are read, the volume's how many there can
 * be, so a list that comes back to itself ends too.
 * @throws FileSystemError `damaged`
 */
export async function* affsContent(
  blocks: AffsBlocks,
  file: AffsHeader,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { blockSize, flavour } = blocks;
  const perBlock = flavour.fast ? blockSize : blockSize - affsHeadBytes;
  const count = Math.ceil(file.byteSize / perBlock);
  if (count > blocks.count) {
    throw damaged(`${path} says that it has ${file.byteSize} bytes, more than fit on the volume`);
  }
  let done = 0;
  for await (const keys of dataBlocks(blocks, file, path, count)) {
    if (!flavour.fast) {
      for (const key of keys) {
        yield await oldDataBlock(
          blocks,
          file,
          path,
          key,
          done + 1,
          Math.min(perBlock, file.byteSize - done * perBlock),
        );
        done++;
      }
      continue;
    }
    for (let from = 0; from < keys.length; ) {
      const run = runLength(keys, from, Math.max(1, largestPiece / blockSize));
      blocks.check(keys[from], `a data block of ${path}`);
      blocks.check(keys[from] + run - 1, `a data block of ${path}`);
      const length = Math.min(run * blockSize, file.byteSize - done * blockSize);
      yield await blocks.volume.bytes(keys[from] * blockSize, length);
      from += run;
      done += run;
    }
  }
}

/** How many of the blocks from `from` on follow each other on the disk, up to `most`. */
function runLength(keys: readonly number[], from: number, most: number): number {
  let run = 1;
  while (run < most && from + run < keys.length && keys[from + run] === keys[from] + run) run++;
  return run;
}

/** The numbers of a file's data blocks, those of one table at a time. */
async function* dataBlocks(
  blocks: AffsBlocks,
  file: AffsHeader,
  path: string,
  count: number,
): AsyncGenerator<readonly number[], void, undefined> {
  let { table, highSequence, extension } = file;
  for (let left = count; left > 0; ) {
    const wanted = Math.min(left, table.length);
    if (highSequence < wanted || highSequence > table.length) {
      throw damaged(`a table of ${path} has ${highSequence} block numbers where ${wanted} are needed`);
    }
    // A table is filled from its end.
    yield Array.from({ length: wanted }, (_, index) => table[table.length - 1 - index]);
    left -= wanted;
    if (left === 0) return;
    if (extension === 0) throw damaged(`the tables of ${path} end ${left} blocks too early`);
    const key = extension;
    const view = await blocks.checked(key, `a table of ${path}`);
    const isList =
      view.getUint32(affsHead.type) === AffsBlockType.List &&
      affsFromEnd(view, affsTail.entryType) === AffsEntryType.File &&
      view.getUint32(affsHead.ownKey) === key &&
      affsFromEnd(view, affsTail.parent) === file.key;
    if (!isList) throw damaged(`block ${key} does not continue the table of ${path}`);
    table = tableOf(view);
    highSequence = view.getUint32(affsHead.highSequence);
    extension = affsFromEnd(view, affsTail.extension);
  }
}

/** The data of an OFS data block, which says whose it is and which. */
async function oldDataBlock(
  blocks: AffsBlocks,
  file: AffsHeader,
  path: string,
  key: number,
  sequence: number,
  length: number,
): Promise<Uint8Array> {
  const view = await blocks.checked(key, `data block ${sequence} of ${path}`);
  const type = view.getUint32(affsData.type);
  const [header, found] = [view.getUint32(affsData.headerKey), view.getUint32(affsData.sequence)];
  if (type !== AffsBlockType.Data || header !== file.key || found !== sequence) {
    throw damaged(`block ${key} is not data block ${sequence} of ${path}`);
  }
  const size = view.getUint32(affsData.dataSize);
  if (size < length || size > view.byteLength - affsHeadBytes) {
    throw damaged(`data block ${sequence} of ${path} says that it has ${size} bytes, ${length} are needed`);
  }
  return new Uint8Array(view.buffer, view.byteOffset + affsHeadBytes, length);
}
