/** Files on mounted volumes, by the names that AmigaDOS knows: `DH0:S/Startup-Sequence`, `Workbench:C`, `SYS:`. */
import { AffsFileSystem, type FileFacts, FileSystemError, listPath } from "../../../filesystem/index.js";
import type { BlockReader } from "../../../partition/index.js";
import type { DosNode } from "./dos-node.js";
import type { Mounter } from "./mounter.js";

/** Opens a reader of the unit that a node is on; it stays open as long as the volumes are used. */
export type UnitReaderOf = (node: DosNode) => Promise<BlockReader>;

/** A node with what is on it. */
export interface VolumeReport {
  readonly node: DosNode;
  /** The volume's name; undefined where it cannot be read. */
  readonly name: string | undefined;
  /** Why it cannot be read. */
  readonly problem: string | undefined;
}

/** Every volume of a mounter. */
export class AmigaVolumes {
  readonly #mounter: Mounter;
  readonly #readerOf: UnitReaderOf;
  readonly #open = new Map<DosNode, Promise<AffsFileSystem>>();

  constructor(mounter: Mounter, readerOf: UnitReaderOf) {
    this.#mounter = mounter;
    this.#readerOf = readerOf;
  }

  /** The file system on a node. @throws FileSystemError, what reading the unit rejects with */
  fileSystem(node: DosNode): Promise<AffsFileSystem> {
    let opened = this.#open.get(node);
    if (opened === undefined) {
      opened = this.#mount(node);
      this.#open.set(node, opened);
    }
    return opened;
  }

  /** Every node and the name of its volume; what cannot be read is told, not thrown. */
  async report(): Promise<VolumeReport[]> {
    const reports: VolumeReport[] = [];
    for (const node of this.#mounter.nodes) {
      try {
        const { volume } = await this.fileSystem(node);
        reports.push({ node, name: volume.name, problem: undefined });
      } catch (error) {
        reports.push({ node, name: undefined, problem: error instanceof Error ? error.message : String(error) });
      }
    }
    return reports;
  }

  /** The entries of a directory, or the file there. @throws FileSystemError */
  async list(path: string): Promise<FileFacts[]> {
    const { fileSystem, rest } = await this.#resolve(path);
    try {
      return await listPath(fileSystem, rest);
    } catch (error) {
      throw asTyped(error, path);
    }
  }

  /** The content of a file, piece by piece. @throws FileSystemError */
  async *content(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const { fileSystem, rest } = await this.#resolve(path);
    try {
      yield* fileSystem.pieces(rest);
    } catch (error) {
      throw asTyped(error, path);
    }
  }

  async #mount(node: DosNode): Promise<AffsFileSystem> {
    const { environment, firstBlock, blocks, dosType, bare } = node;
    const place = { firstBlock, blocks, dosType };
    const reader = await this.#readerOf(node);
    // Without a table nobody says how large blocks are.
    if (bare) return AffsFileSystem.open(reader, place);
    const blockSize = environment.sizeBlock * 4 * Math.max(1, environment.sectorsPerBlock);
    try {
      return await AffsFileSystem.open(reader, { ...place, blockSize, reserved: environment.reserved });
    } catch (error) {
      if (error instanceof RangeError) throw new FileSystemError("damaged", `${node.name}: ${error.message}`);
      throw error;
    }
  }

  async #resolve(path: string): Promise<{ fileSystem: AffsFileSystem; rest: string }> {
    const colon = path.indexOf(":");
    const device = colon < 0 ? "SYS" : path.slice(0, colon);
    const rest = path.slice(colon + 1);
    const node = await this.#nodeOf(device);
    return { fileSystem: await this.fileSystem(node), rest };
  }

  /** A node by its own name, by its volume's, or the one that the system boots from. @throws FileSystemError */
  async #nodeOf(name: string): Promise<DosNode> {
    const byName = this.#mounter.find(name);
    if (byName !== undefined) return byName;
    if (name === "" || name.toLowerCase() === "sys") {
      const boot = this.#mounter.bootNode ?? this.#mounter.nodes[0];
      if (boot !== undefined) return boot;
    }
    const reports = await this.report();
    const byVolume = reports.find((report) => report.name?.toLowerCase() === name.toLowerCase());
    if (byVolume !== undefined) return byVolume.node;
    const there = reports.map(({ node, name: volume }) => `${node.name}:${volume === undefined ? "" : ` (${volume})`}`);
    const known = there.length === 0 ? "nothing is mounted" : `there are ${there.join(", ")}`;
    throw new FileSystemError("not-found", `there is no volume ${name}: ${known}${this.#reasonWithout(name)}`);
  }

  /** What is wrong on the units, if it may be why there is no such node: what names it, or else the first that there is. */
  #reasonWithout(name: string): string {
    const notes = this.#mounter.units.flatMap(({ unit, notes }) => notes.map((note) => `unit ${unit}: ${note}`));
    const ofNode = notes.find((note) => name !== "" && note.toLowerCase().includes(`: ${name.toLowerCase()} `));
    const note = ofNode ?? (this.#mounter.nodes.length === 0 ? notes[0] : undefined);
    return note === undefined ? "" : ` (${note})`;
  }
}

/** The same error, with the path as it was typed: a file system knows neither device nor volume. */
function asTyped(error: unknown, path: string): unknown {
  if (!(error instanceof FileSystemError)) return error;
  const { code } = error;
  if (code === "not-found") return new FileSystemError(code, `${path}: there is no such file`);
  if (code === "not-a-file") return new FileSystemError(code, `${path} is a directory`);
  return error;
}
