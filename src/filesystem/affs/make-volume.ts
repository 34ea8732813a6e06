/**
 * Makes Amiga volumes, OFS and FFS of all eight DosTypes, with files, directories and links: for tests, and for whoever needs
 * a formatted volume.
 */

import { AffsBlockMaker, type AffsBlocksSpec, affsDateParts } from "./block-maker.js";
import {
  AffsBlockType,
  AffsEntryType,
  type AffsFlavour,
  affsComment,
  affsData,
  affsFirstDosType,
  affsFlavour,
  affsHash,
  affsHead,
  affsHeadBytes,
  affsLongest,
  affsLongTail,
  affsSameName,
  affsTableSize,
  affsTail,
} from "./layout.js";

/** A directory by its names. */
export type AffsTree = ReadonlyMap<string, AffsNode>;

/** Text or bytes are a file, a map a directory; the rest says more. */
export type AffsNode = string | Uint8Array | AffsTree | AffsEntrySpec;

/** An entry with what it has besides its content. One of the first four says what it is. */
export interface AffsEntrySpec {
  readonly content?: string | Uint8Array;
  readonly entries?: AffsTree;
  /** Where a soft link leads, as AmigaDOS writes it: `/up`, `Work:dir/file`. */
  readonly softLink?: string;
  /** Path from the root of what a hard link leads to, which comes before it in the tree. */
  readonly hardLink?: string;
  readonly comment?: string;
  /** Protection bits as they are on disk. Default 0, `----rwed`. */
  readonly protection?: number;
  /** Default: the volume's date. */
  readonly modified?: Date;
}

/** The volume to make. */
export interface AffsVolumeSpec extends AffsBlocksSpec {
  /** Default `DOS\1`. */
  readonly dosType?: number;
  /** Default `Test`. */
  readonly name?: string;
  /** When it was made. Default 1 January 1993. */
  readonly date?: Date;
  readonly root?: AffsTree;
}

/** What is known of an entry that was written. */
interface Written {
  readonly key: number;
  readonly name: string;
  readonly entryType: number;
  readonly size: number;
  readonly spec: AffsEntrySpec;
}

/** The bytes of a volume. @throws RangeError when something does not fit */
export function makeAffsVolume(spec: AffsVolumeSpec = {}): Uint8Array {
  return new VolumeMaker(spec).image;
}

class VolumeMaker {
  readonly image: Uint8Array;
  readonly #blocks: AffsBlockMaker;
  readonly #flavour: AffsFlavour;
  readonly #date: Date;
  /** Everything written so far, by its path. */
  readonly #written = new Map<string, Written>();

  constructor(spec: AffsVolumeSpec) {
    const { dosType = affsFirstDosType + 1, name = "Test", date = new Date(Date.UTC(1993, 0, 1)) } = spec;
    const flavour = affsFlavour(dosType);
    if (flavour === undefined) throw new RangeError(`no DosType of OFS or FFS: 0x${dosType.toString(16)}`);
    this.#flavour = flavour;
    this.#date = date;
    this.#blocks = new AffsBlockMaker(spec);
    this.image = this.#blocks.image;
    checkText(name, affsLongest.name);
    this.#blocks.writeRoot(dosType, name, date);
    this.#directory(this.#blocks.root, "", spec.root ?? new Map());
    this.#blocks.finish();
  }

  /** Writes the entries of a directory whose block is there, then its cache. */
  #directory(key: number, path: string, tree: AffsTree): void {
    const entries: Written[] = [];
    for (const [name, node] of tree) {
      checkText(name, this.#flavour.longNames ? affsLongest.longName : affsLongest.name);
      if (entries.some((other) => affsSameName(other.name, name, this.#flavour.international))) {
        throw new RangeError(`${path}/${name} is there twice`);
      }
      const written = this.#entry(key, path, name, specOf(node));
      this.#written.set(`${path}/${name}`, written);
      entries.push(written);
      this.#insert(key, name, written.key);
    }
    if (this.#flavour.cached) this.#cache(key, entries);
    this.#blocks.seal(key);
  }

  #entry(parent: number, path: string, name: string, spec: AffsEntrySpec): Written {
    const real = spec.hardLink === undefined ? undefined : this.#written.get(`/${spec.hardLink}`);
    if (spec.hardLink !== undefined && real === undefined) throw new RangeError(`${name}: no ${spec.hardLink} yet`);
    const entryType = typeOf(spec, real);
    const blocks = this.#blocks;
    const key = blocks.takeTyped(AffsBlockType.Header, entryType, parent);
    const { longNames } = this.#flavour;
    blocks.tail(key, affsTail.protection, spec.protection ?? 0);
    blocks.date(key, blocks.blockSize - (longNames ? affsLongTail.date : affsTail.date), spec.modified ?? this.#date);
    this.#nameAndComment(key, name, spec.comment ?? "");
    const bytes = typeof spec.content === "string" ? latin1(spec.content) : (spec.content ?? new Uint8Array(0));
    if (real !== undefined) this.#link(key, real);
    else if (spec.softLink !== undefined) this.#softLink(key, spec.softLink);
    else if (spec.entries === undefined) this.#file(key, bytes);
    const written = { key, name, entryType, size: bytes.length, spec };
    if (spec.entries !== undefined) this.#directory(key, `${path}/${name}`, spec.entries);
    else blocks.seal(key);
    return written;
  }

  #nameAndComment(key: number, name: string, comment: string): void {
    const blocks = this.#blocks;
    checkText(comment, affsLongest.comment, true);
    if (!this.#flavour.longNames) {
      blocks.text(key, blocks.blockSize - affsTail.name, name);
      blocks.text(key, blocks.blockSize - affsTail.comment, comment);
      return;
    }
    const at = blocks.blockSize - affsLongTail.nameAndComment;
    blocks.text(key, at, name);
    if (name.length + comment.length <= affsLongest.nameAndComment) {
      blocks.text(key, at + 1 + name.length, comment);
      return;
    }
    const own = blocks.take();
    const view = blocks.view(own);
    view.setUint32(affsHead.type, AffsBlockType.Comment);
    view.setUint32(affsComment.ownKey, own);
    view.setUint32(affsComment.headerKey, key);
    blocks.text(own, affsComment.text, comment);
    blocks.seal(own);
    blocks.tail(key, affsLongTail.commentBlock, own);
  }

  /** The newest link stands first in the list that begins at the original. */
  #link(key: number, real: Written): void {
    const blocks = this.#blocks;
    const view = blocks.view(real.key);
    const older = view.getUint32(blocks.blockSize - affsTail.nextLink);
    blocks.tail(key, affsTail.realEntry, real.key);
    blocks.tail(key, affsTail.nextLink, older);
    blocks.tail(real.key, affsTail.nextLink, key);
    blocks.seal(real.key);
  }

  #softLink(key: number, target: string): void {
    checkText(target, affsTableSize(this.#blocks.blockSize) * 4 - 1);
    this.image.set(latin1(target), key * this.#blocks.blockSize + affsHeadBytes);
  }

  #file(key: number, bytes: Uint8Array): void {
    const blocks = this.#blocks;
    const { blockSize } = blocks;
    const { fast } = this.#flavour;
    const perBlock = fast ? blockSize : blockSize - affsHeadBytes;
    const perTable = affsTableSize(blockSize);
    blocks.tail(key, affsTail.byteSize, bytes.length);
    let table = key;
    let previous = 0;
    for (let done = 0, index = 0; done < bytes.length; done += perBlock, index++) {
      if (index > 0 && index % perTable === 0) {
        const next = blocks.takeTyped(AffsBlockType.List, AffsEntryType.File, key);
        blocks.tail(table, affsTail.extension, next);
        if (table !== key) blocks.seal(table);
        table = next;
      }
      const data = blocks.take();
      const view = blocks.view(table);
      view.setUint32(affsHead.highSequence, (index % perTable) + 1);
      view.setUint32(affsHead.table + 4 * (perTable - 1 - (index % perTable)), data);
      if (index === 0) view.setUint32(affsHead.firstData, data);
      const piece = bytes.subarray(done, done + perBlock);
      this.image.set(piece, data * blockSize + (fast ? 0 : affsHeadBytes));
      if (fast) continue;
      const header = blocks.view(data);
      header.setUint32(affsData.type, AffsBlockType.Data);
      header.setUint32(affsData.headerKey, key);
      header.setUint32(affsData.sequence, index + 1);
      header.setUint32(affsData.dataSize, piece.length);
      blocks.seal(data);
      if (previous !== 0) {
        blocks.view(previous).setUint32(affsData.nextData, data);
        blocks.seal(previous);
      }
      previous = data;
    }
    if (table !== key) blocks.seal(table);
  }

  /** Puts an entry at the end of its place in the hash table. */
  #insert(directory: number, name: string, key: number): void {
    const blocks = this.#blocks;
    const hash = affsHash(name, affsTableSize(blocks.blockSize), this.#flavour.international);
    const view = blocks.view(directory);
    const at = affsHead.table + 4 * hash;
    let last = view.getUint32(at);
    if (last === 0) {
      view.setUint32(at, key);
      return;
    }
    for (let next = last; next !== 0; ) {
      last = next;
      next = blocks.view(last).getUint32(blocks.blockSize - affsTail.hashChain);
    }
    blocks.tail(last, affsTail.hashChain, key);
    blocks.seal(last);
  }

  /** Writes the cache of a directory: what a listing shows, packed into blocks of their own. */
  #cache(directory: number, entries: readonly Written[]): void {
    const blocks = this.#blocks;
    let cache = 0;
    let at = blocks.blockSize;
    for (const { key, name, entryType, size, spec } of entries) {
      const comment = spec.comment ?? "";
      const length = 25 + name.length + comment.length;
      if (at + length > blocks.blockSize) {
        cache = this.#newCache(directory, cache);
        at = affsHeadBytes;
      }
      const view = blocks.view(cache);
      const { days, minutes, ticks } = affsDateParts(spec.modified ?? this.#date);
      for (const [index, value] of [key, size, spec.protection ?? 0, 0].entries())
        view.setUint32(at + 4 * index, value);
      for (const [index, value] of [days, minutes, ticks].entries()) view.setUint16(at + 16 + 2 * index, value);
      view.setUint8(at + 22, entryType & 0xff);
      blocks.text(cache, at + 23, name);
      blocks.text(cache, at + 24 + name.length, comment);
      view.setUint32(12, view.getUint32(12) + 1);
      at += length + (length & 1);
    }
    if (cache === 0) cache = this.#newCache(directory, 0);
    blocks.seal(cache);
  }

  #newCache(directory: number, previous: number): number {
    const blocks = this.#blocks;
    const cache = blocks.take();
    for (const [index, value] of [AffsBlockType.Cache, cache, directory].entries()) {
      blocks.view(cache).setUint32(4 * index, value);
    }
    if (previous === 0) {
      blocks.tail(directory, affsTail.extension, cache);
    } else {
      blocks.view(previous).setUint32(16, cache);
      blocks.seal(previous);
    }
    return cache;
  }
}

function specOf(node: AffsNode): AffsEntrySpec {
  if (typeof node === "string" || node instanceof Uint8Array) return { content: node };
  return node instanceof Map ? { entries: node as AffsTree } : (node as AffsEntrySpec);
}

function typeOf(spec: AffsEntrySpec, real: Written | undefined): number {
  if (real !== undefined) return real.spec.entries === undefined ? AffsEntryType.FileLink : AffsEntryType.DirectoryLink;
  if (spec.softLink !== undefined) return AffsEntryType.SoftLink;
  return spec.entries === undefined ? AffsEntryType.File : AffsEntryType.Directory;
}

function checkText(text: string, longest: number, mayBeEmpty = false): void {
  const isLatin1 = [...text].every((character) => character.charCodeAt(0) <= 0xff && character !== "\0");
  if (!isLatin1 || text.length > longest || (text === "" && !mayBeEmpty)) {
    throw new RangeError(`"${text}" is no text of 1 to ${longest} characters of Latin-1`);
  }
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
