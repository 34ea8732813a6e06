/** Makes big-endian UFS volumes for tests, with directories as SVR4 or as 4.4BSD writes them, and holes in files. */
import {
  type UfsDirectoryFormat,
  UfsMode,
  ufsDirectBlocks,
  ufsDirectoryPiece,
  ufsEntry,
  ufsIndirectLevels,
  ufsInlineBytes,
  ufsInode,
} from "../filesystem/index.js";
import { UfsGroupMaker, type UfsShape, ufsMadeAt } from "./ufs-groups.js";

/** A directory by its names. */
export type UfsTree = ReadonlyMap<string, UfsNode>;

/** Text or bytes are a file, a map a directory. */
export type UfsNode =
  | string
  | Uint8Array
  | UfsTree
  | { readonly target: string }
  /** A path from the root, made before. */
  | { readonly hardLink: string }
  /** A file of which only these pieces, by their offsets, were written. */
  | { readonly size: number; readonly pieces: ReadonlyMap<number, Uint8Array> }
  /** Anything else: its mode. */
  | { readonly mode: number };

/** The volume to make. */
export interface UfsVolumeSpec extends UfsShape {
  readonly root?: UfsTree;
}

/** The bytes of a volume. @throws RangeError when something does not fit */
export function makeUfsVolume(spec: UfsVolumeSpec = {}): Uint8Array {
  return new VolumeMaker(spec).image;
}

/** A directory's entries as they lie on disk, in pieces of 512 bytes; the last entry of a piece takes what is left. */
export function makeUfsDirectory(
  entries: readonly { name: string; inode: number; type: number }[],
  format: UfsDirectoryFormat,
): Uint8Array {
  const pieces: Uint8Array[] = [];
  let view = new DataView(new ArrayBuffer(0));
  let at = 0;
  let last = 0;
  for (const { name, inode, type } of entries) {
    const bytes = new TextEncoder().encode(name);
    // A zero follows every name.
    const length = ufsEntry.name + ((bytes.length + 4) & ~3);
    if (at + length > view.byteLength) {
      const piece = new Uint8Array(ufsDirectoryPiece);
      pieces.push(piece);
      view = new DataView(piece.buffer);
      at = 0;
    } else {
      view.setUint16(last + ufsEntry.length, at - last);
    }
    view.setUint32(at + ufsEntry.inode, inode);
    view.setUint16(at + ufsEntry.length, view.byteLength - at);
    if (format === "svr4") {
      view.setUint16(at + ufsEntry.nameLength, bytes.length);
    } else {
      view.setUint8(at + ufsEntry.type, type >>> 12);
      view.setUint8(at + ufsEntry.shortNameLength, bytes.length);
    }
    new Uint8Array(view.buffer).set(bytes, at + ufsEntry.name);
    last = at;
    at += length;
  }
  const whole = new Uint8Array(pieces.length * ufsDirectoryPiece);
  for (const [index, piece] of pieces.entries()) whole.set(piece, index * ufsDirectoryPiece);
  return whole;
}

class VolumeMaker {
  readonly #groups: UfsGroupMaker;
  readonly #format: UfsDirectoryFormat;
  readonly #inodes = new Map<string, { inode: number; type: number }>();
  #used = 0;

  constructor(spec: UfsVolumeSpec) {
    this.#groups = new UfsGroupMaker(spec);
    this.#format = spec.format ?? "svr4";
    const root = this.#takeInode();
    this.#directory("", root, root, spec.root ?? new Map());
  }

  get image(): Uint8Array {
    return this.#groups.image;
  }

  #takeInode(): number {
    return this.#groups.inodeNumber(this.#used++);
  }

  #directory(path: string, own: number, parent: number, tree: UfsTree): void {
    const entries = [
      { name: ".", inode: own, type: UfsMode.Directory as number },
      { name: "..", inode: parent, type: UfsMode.Directory as number },
    ];
    for (const [name, node] of tree) {
      const made = this.#node(`${path}/${name}`, own, node);
      this.#inodes.set(`${path}/${name}`, made);
      entries.push({ name, ...made });
    }
    const bytes = makeUfsDirectory(entries, this.#format);
    this.#write(own, UfsMode.Directory | 0o755, bytes.length, (block) => this.#pieceOf(bytes, block));
  }

  #node(path: string, parent: number, node: UfsNode): { inode: number; type: number } {
    if (isKind(node, "hardLink")) {
      const found = this.#inodes.get(`/${node.hardLink}`);
      if (found === undefined) throw new RangeError(`${path}: no ${node.hardLink} yet`);
      const links = this.#groups.inodeAt(found.inode) + ufsInode.links;
      this.#groups.view.setUint16(links, this.#groups.view.getUint16(links) + 1);
      return found;
    }
    const inode = this.#takeInode();
    if (node instanceof Map) {
      this.#directory(path, inode, parent, node as UfsTree);
      return { inode, type: UfsMode.Directory };
    }
    if (isKind(node, "target")) {
      this.#link(inode, new TextEncoder().encode(node.target));
      return { inode, type: UfsMode.Link };
    }
    if (isKind(node, "mode")) {
      this.#write(inode, node.mode, 0, () => undefined);
      return { inode, type: node.mode & UfsMode.Mask };
    }
    if (isKind(node, "pieces")) {
      this.#write(inode, UfsMode.File | 0o644, node.size, (block) => this.#holed(node.pieces, block));
    } else {
      const bytes = typeof node === "string" ? new TextEncoder().encode(node) : (node as Uint8Array);
      this.#write(inode, UfsMode.File | 0o644, bytes.length, (block) => this.#pieceOf(bytes, block));
    }
    return { inode, type: UfsMode.File };
  }

  /** Short texts lie in the inode, on 4.4BSD's volumes without a final zero. */
  #link(inode: number, text: Uint8Array): void {
    const mode = UfsMode.Link | 0o777;
    const fits = text.length < ufsInlineBytes;
    this.#write(inode, mode, text.length, (block) => (fits ? undefined : this.#pieceOf(text, block)));
    if (fits) this.image.set(text, this.#groups.inodeAt(inode) + ufsInode.addresses);
  }

  #pieceOf(bytes: Uint8Array, block: number): Uint8Array {
    const { blockSize } = this.#groups;
    return bytes.subarray(block * blockSize, (block + 1) * blockSize);
  }

  #holed(pieces: ReadonlyMap<number, Uint8Array>, block: number): Uint8Array | undefined {
    const { blockSize } = this.#groups;
    const from = block * blockSize;
    let found: Uint8Array | undefined;
    for (const [offset, bytes] of pieces) {
      if (offset >= from + blockSize || offset + bytes.length <= from) continue;
      found ??= new Uint8Array(blockSize);
      const skip = Math.max(0, from - offset);
      found.set(bytes.subarray(skip, skip + from + blockSize - Math.max(offset, from)), Math.max(0, offset - from));
    }
    return found;
  }

  /** Writes an inode and its blocks; `content` answers a block's bytes, or undefined where there is a hole. */
  #write(inode: number, mode: number, size: number, content: (block: number) => Uint8Array | undefined): void {
    const { view, blockSize } = this.#groups;
    const at = this.#groups.inodeAt(inode);
    view.setUint16(at + ufsInode.mode, mode);
    view.setUint16(at + ufsInode.links, 1);
    view.setUint32(at + ufsInode.size, Math.floor(size / 2 ** 32));
    view.setUint32(at + ufsInode.size + 4, size >>> 0);
    view.setUint32(at + ufsInode.modified, ufsMadeAt);
    const count = Math.ceil(size / blockSize);
    let taken = 0;
    for (let block = 0; block < count; block++) {
      const bytes = content(block);
      if (bytes === undefined) {
        block = this.#skipHole(block, count, content);
        continue;
      }
      // Only files without indirect blocks end in fragments.
      const isTail = block === count - 1 && count <= ufsDirectBlocks;
      const address = this.#groups.take(isTail ? size - block * blockSize : blockSize);
      this.image.set(bytes, address * this.#groups.fragmentSize);
      taken += 1 + this.#point(at, block, address);
    }
    view.setUint32(at + ufsInode.blocks, taken * (blockSize / 512));
  }

  /** Holes are long: the last block before the next that is none. */
  #skipHole(block: number, count: number, content: (block: number) => Uint8Array | undefined): number {
    let step = block;
    while (step + 1 < count && content(step + 1) === undefined) step++;
    return step;
  }

  /** Writes the address of a block into the inode or its indirect blocks. @returns indirect blocks that were made */
  #point(inodeAt: number, block: number, address: number): number {
    const { view, blockSize, fragmentSize } = this.#groups;
    const addresses = inodeAt + ufsInode.addresses;
    if (block < ufsDirectBlocks) {
      view.setUint32(addresses + 4 * block, address);
      return 0;
    }
    const perBlock = blockSize / 4;
    let rest = block - ufsDirectBlocks;
    let level = 1;
    let span = perBlock;
    for (; rest >= span; level++, span *= perBlock) rest -= span;
    if (level > ufsIndirectLevels) throw new RangeError(`no file has a block ${block}`);
    let at = addresses + 4 * (ufsDirectBlocks + level - 1);
    let made = 0;
    for (; level > 0; level--) {
      if (view.getUint32(at) === 0) {
        view.setUint32(at, this.#groups.take());
        made++;
      }
      span /= perBlock;
      at = view.getUint32(at) * fragmentSize + 4 * Math.floor(rest / span);
      rest %= span;
    }
    view.setUint32(at, address);
    return made;
  }
}

function isKind<K extends string>(node: UfsNode, key: K): node is Extract<UfsNode, Record<K, unknown>> {
  return typeof node === "object" && !(node instanceof Uint8Array) && !(node instanceof Map) && key in node;
}
