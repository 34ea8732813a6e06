/** Finds out what kind of Amiga volume there is, and where its root block lies: no block says how large blocks are. */
import { bootBlockType, dosTypeName } from "../../partition/index.js";
import { FileSystemError } from "../file-system-error.js";
import type { VolumeReader } from "../volume-reader.js";
import { AffsBlocks, damaged } from "./header.js";
import {
  AffsBlockType,
  AffsEntryType,
  affsBlockSizes,
  affsFlavour,
  affsFromEnd,
  affsHead,
  affsReservedBlocks,
  affsSum,
  affsTableSize,
  affsTail,
} from "./layout.js";

/** What a mount list says of a volume; what is missing is found out. */
export interface AffsMount {
  /** Default: what the boot block begins with. */
  readonly dosType?: number;
  /** Bytes of a block: SizeBlock × 4 × SectorPerBlock of the environment. */
  readonly blockSize?: number;
  /** Blocks in front of the volume's data. Default 2. */
  readonly reserved?: number;
}

/** A volume, and the number of its root block. */
export interface AffsRoot {
  readonly blocks: AffsBlocks;
  readonly root: number;
  readonly dosType: number;
}

/** @throws FileSystemError `not-this-format`, `not-supported`, `damaged`; RangeError for a mount that makes no sense */
export async function findAffsRoot(volume: VolumeReader, mount: AffsMount): Promise<AffsRoot> {
  const { reserved = affsReservedBlocks, blockSize } = mount;
  if (!(Number.isInteger(reserved) && reserved >= 1)) throw new RangeError(`no volume has ${reserved} reserved blocks`);
  if (blockSize !== undefined && !(affsBlockSizes as readonly number[]).includes(blockSize)) {
    throw new RangeError(`no volume has blocks of ${blockSize} bytes`);
  }
  if (!volume.has(0, 4 * affsBlockSizes[0])) {
    throw new FileSystemError("not-this-format", `${volume.byteLength} bytes are too few for an Amiga volume`);
  }
  const boot = await volume.view(0, affsBlockSizes[0]);
  const dosType = mount.dosType ?? boot.getUint32(0);
  const flavour = affsFlavour(dosType);
  if (flavour === undefined) throw foreign(dosType, mount.dosType !== undefined);

  const sizes = blockSize === undefined ? affsBlockSizes : [blockSize];
  // In the middle, as it is counted from the size; a size that was rounded down may put it one further.
  for (const size of sizes) {
    const blocks = new AffsBlocks(volume, size, reserved, flavour);
    const middle = Math.floor((reserved + blocks.count - 1) / 2);
    for (const root of [middle, middle + 1]) if (await isRoot(blocks, root)) return { blocks, root, dosType };
  }
  // On a volume that was cut off or copied to a larger place, the boot block may still know.
  for (const size of sizes) {
    const blocks = new AffsBlocks(volume, size, reserved, flavour);
    const root = boot.getUint32(8);
    if (root >= reserved && (await isRoot(blocks, root))) return { blocks, root, dosType };
  }
  throw damaged(`its boot block begins with ${dosTypeName(dosType)}, but there is no root block where it should be`);
}

async function isRoot({ volume, blockSize, count }: AffsBlocks, key: number): Promise<boolean> {
  if (!(key < count)) return false;
  const view = await volume.view(key * blockSize, blockSize);
  return (
    view.getUint32(affsHead.type) === AffsBlockType.Header &&
    affsFromEnd(view, affsTail.entryType) === AffsEntryType.Root &&
    view.getUint32(affsHead.tableSize) === affsTableSize(blockSize) &&
    affsSum(view) === 0
  );
}

function foreign(dosType: number, isSaid: boolean): FileSystemError {
  const name = bootBlockType(dosType);
  if (name !== undefined || isSaid) {
    return new FileSystemError(
      "not-supported",
      `${name ?? dosTypeName(dosType)} is no file system that can be read here`,
    );
  }
  return new FileSystemError("not-this-format", "there is no Amiga volume: its boot block begins with no DosType");
}
