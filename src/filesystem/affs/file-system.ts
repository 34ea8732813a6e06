/**
 * Reads the Amiga's OFS and FFS: DosTypes `DOS\0` to `DOS\7`, blocks of 512 to 32 768 bytes. The image is not trusted:
 * checksums, own numbers, parents and types of all blocks are checked. Bitmap and directory caches are not looked at.
 */
import { type BlockReader, dosTypeName } from "../../partition/index.js";
import { type FileFacts, type FileSystem, pathParts, type VolumeFacts } from "../file-system.js";
import { FileSystemError } from "../file-system-error.js";
import { type VolumePlace, VolumeReader } from "../volume-reader.js";
import { affsContent } from "./content.js";
import { type AffsMount, findAffsRoot } from "./find-root.js";
import { type AffsBlocks, type AffsHeader, affsFileTypes, damaged } from "./header.js";
import { affsHash, affsProtection, affsSameName } from "./layout.js";

/** Soft links that are followed in one path; hard links that lead to hard links. */
const mostLinks = 16;
/** Names in one path, those of links in it too. AmigaDOS itself ends at 255 characters. */
const mostSteps = 512;
/** More entries in a directory are taken for damage. */
const mostEntries = 1 << 20;

/** An Amiga volume that was opened. */
export class AffsFileSystem implements FileSystem {
  readonly volume: VolumeFacts;
  /** When the volume was changed last. */
  readonly modified: Date | undefined;
  readonly #blocks: AffsBlocks;
  readonly #root: AffsHeader;

  private constructor(blocks: AffsBlocks, root: AffsHeader, dosType: number) {
    this.#blocks = blocks;
    this.#root = root;
    this.modified = root.modified;
    const { blockSize, count } = blocks;
    this.volume = { type: dosTypeName(dosType), name: root.name, blockSize, blocks: count };
  }

  /**
   * Finds the root block.
   * @throws FileSystemError `not-this-format`, `not-supported` (SFS, PFS, …, by name), `damaged`
   */
  static async open(reader: BlockReader, place: VolumePlace & AffsMount = {}): Promise<AffsFileSystem> {
    const { blocks, root, dosType } = await findAffsRoot(new VolumeReader(reader, place), place);
    return new AffsFileSystem(blocks, await blocks.header(root, "the root directory"), dosType);
  }

  /** What is at a path. @throws FileSystemError */
  async stat(path: string): Promise<FileFacts> {
    return this.#facts((await this.#walk(path, false)).at(-1) ?? this.#root);
  }

  /** The entries of a directory, in the order of its hash table. @throws FileSystemError */
  async entries(path: string): Promise<FileFacts[]> {
    const directory = (await this.#walk(path, true)).at(-1) ?? this.#root;
    if (!isDirectory(directory)) throw new FileSystemError("not-a-directory", `${path} is no directory`);
    const entries: FileFacts[] = [];
    for await (const entry of this.#everyEntry(directory, path)) entries.push(await this.#facts(entry));
    return entries;
  }

  /** The content of a file. @throws FileSystemError */
  async *pieces(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const file = (await this.#walk(path, true)).at(-1) ?? this.#root;
    if (file.kind !== "file") throw new FileSystemError("not-a-file", `${path} is a directory`);
    yield* affsContent(this.#blocks, file, path);
  }

  async #facts(entry: AffsHeader): Promise<FileFacts> {
    const real = await this.#real(entry, entry.name);
    const comment = await this.#blocks.comment(real);
    return {
      name: entry.name,
      inode: real.key,
      type: affsFileTypes[real.kind],
      size: real.kind === "soft-link" ? real.target.length : real.byteSize,
      mode: affsProtection(real.protection),
      ...(real.modified === undefined ? {} : { modified: real.modified }),
      ...(comment === "" ? {} : { comment }),
      ...(real.kind === "soft-link" ? { target: real.target } : {}),
    };
  }

  /** What a hard link leads to, or the entry itself. */
  async #real(entry: AffsHeader, path: string): Promise<AffsHeader> {
    let real = entry;
    for (let links = 0; real.kind === "file-link" || real.kind === "directory-link"; links++) {
      if (links === mostLinks) throw new FileSystemError("too-many-links", `${path} is a link to a link, and so on`);
      const { kind } = real;
      real = await this.#blocks.header(real.realEntry, `what ${path} is a link to`);
      if (isDirectory(real) !== (kind === "directory-link") || real.kind === "soft-link") {
        throw damaged(`${path} is a ${kind}, which leads to a ${real.kind}`);
      }
    }
    return real;
  }

  /** Every entry of a directory, hard links not followed. */
  async *#everyEntry(directory: AffsHeader, path: string): AsyncGenerator<AffsHeader, void, undefined> {
    const seen = new Set<number>();
    for (const first of directory.table) {
      for (let key = first; key !== 0; ) {
        if (seen.has(key)) throw damaged(`the directory ${path || "/"} comes back to block ${key}`);
        if (seen.size === mostEntries)
          throw damaged(`the directory ${path || "/"} has more than ${mostEntries} entries`);
        seen.add(key);
        const entry = await this.#entry(directory, key, path);
        yield entry;
        key = entry.hashChain;
      }
    }
  }

  async #entry(directory: AffsHeader, key: number, path: string): Promise<AffsHeader> {
    const entry = await this.#blocks.header(key, `an entry of ${path || "/"}`);
    if (entry.kind === "root" || entry.parent !== directory.key) {
      throw damaged(`block ${key}, an entry of ${path || "/"}, does not belong there: its parent is ${entry.parent}`);
    }
    return entry;
  }

  /** The entry of this name in a directory. */
  async #find(directory: AffsHeader, name: string, path: string): Promise<AffsHeader | undefined> {
    const { international } = this.#blocks.flavour;
    const hash = affsHash(name, directory.table.length, international);
    const seen = new Set<number>();
    for (let key = directory.table[hash]; key !== 0; ) {
      if (seen.has(key)) throw damaged(`the directory ${path || "/"} comes back to block ${key}`);
      seen.add(key);
      const entry = await this.#entry(directory, key, path);
      if (affsSameName(entry.name, name, international)) return entry;
      key = entry.hashChain;
    }
    // Systems do not agree on the place of names with accents.
    if (!/[\x80-\xff]/.test(name)) return undefined;
    for await (const entry of this.#everyEntry(directory, path)) {
      if (affsSameName(entry.name, name, international)) return entry;
    }
    return undefined;
  }

  /**
   * Follows a path.
   * @returns what was gone through, without the root and with hard links followed but at the end; empty for the root
   */
  async #walk(path: string, followLast: boolean): Promise<AffsHeader[]> {
    const parts = pathParts(path);
    const way: AffsHeader[] = [];
    let walked = "";
    let links = 0;
    for (let steps = 0; parts.length > 0; steps++) {
      if (steps === mostSteps) throw new FileSystemError("too-many-links", `${path}: more than ${mostSteps} steps`);
      const part = parts.shift() as string;
      if (part === parentPart) {
        if (way.pop() === undefined) throw new FileSystemError("not-found", `${path}: a link leads above the root`);
        walked = walked.slice(0, walked.lastIndexOf("/"));
        continue;
      }
      const directory = way.at(-1) ?? this.#root;
      if (!isDirectory(directory)) throw new FileSystemError("not-a-directory", `${walked} is no directory`);
      const found = await this.#find(directory, part, walked);
      const name = `${walked}/${part}`;
      if (found === undefined) throw new FileSystemError("not-found", `${name}: there is no such file`);
      const isLast = parts.length === 0;
      if (found.kind === "soft-link" && (followLast || !isLast)) {
        if (++links > mostLinks) {
          throw new FileSystemError("too-many-links", `${path}: more than ${mostLinks} links`);
        }
        const target = this.#target(found.target, name);
        if (target.fromRoot) {
          way.length = 0;
          walked = "";
        }
        parts.unshift(...target.parts);
        continue;
      }
      walked = name;
      // A hard link at the end keeps its own name.
      way.push(isLast && !followLast ? found : await this.#real(found, name));
    }
    return way;
  }

  /** A soft link's text in parts; `parentPart` is a step up. */
  #target(text: string, path: string): { fromRoot: boolean; parts: string[] } {
    const colon = text.indexOf(":");
    const volume = text.slice(0, Math.max(0, colon));
    if (volume !== "" && !affsSameName(volume, this.#root.name, true)) {
      throw new FileSystemError("other-volume", `${path} is a link to ${text}, which is another volume`);
    }
    const names = text.slice(colon + 1).split("/");
    // Every slash that ends no name is a step up: "/a", "a//b".
    const isTail = (index: number) => index === names.length - 1;
    const parts = names.flatMap((name, index) => (name !== "" ? [name] : isTail(index) ? [] : [parentPart]));
    return { fromRoot: colon >= 0, parts };
  }
}

/** Cannot be a name: names have no slash. */
const parentPart = "/";

function isDirectory({ kind }: AffsHeader): boolean {
  return kind === "root" || kind === "directory" || kind === "directory-link";
}
