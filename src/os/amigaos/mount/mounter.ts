/**
 * What `mounter.library` does for a device: a unit that is announced is opened and read, and each partition that wants
 * to be mounted becomes a device node; a unit that is denounced loses its nodes. Units may be announced at the same time;
 * the same unit twice gives the nodes that there are.
 */
import { type BlockReader, type PartitionTable, readPartitions } from "../../../partition/index.js";
import { type DosNode, type NodeSource, neverBoot, nodeOfBareDisk, nodesOfTable } from "./dos-node.js";

/** A unit that was opened for reading its table. */
export interface OpenedUnit extends BlockReader {
  close(): Promise<void>;
}

/** Opens a unit of an exec device. Rejects when it does not open. */
export type OpenUnit = (device: string, unit: number) => Promise<OpenedUnit>;

/** A unit that was announced. */
export interface MountedUnit {
  readonly device: string;
  readonly unit: number;
  readonly nodes: readonly DosNode[];
  /** Undefined when the unit could not be read. */
  readonly table: PartitionTable | undefined;
  /** What is broken or odd, a sentence each. */
  readonly notes: readonly string[];
}

/** Names of nodes for disks without a table, and how often a name is made unique, before a node is left out. */
const mostNames = 256;

export class Mounter {
  readonly #open: OpenUnit;
  readonly #announced = new Map<string, Promise<MountedUnit>>();
  readonly #mounted = new Map<string, MountedUnit>();
  readonly #names = new Set<string>();
  /** The unit that was announced last: names are given in the order of announcements. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(open: OpenUnit) {
    this.#open = open;
  }

  /** Every node, the one to boot from first: by priority, then as announced. */
  get nodes(): readonly DosNode[] {
    const all = [...this.#mounted.values()].flatMap(({ nodes }) => nodes);
    return all.sort((a, b) => b.bootPriority - a.bootPriority);
  }

  /** Every unit that was announced and read. */
  get units(): readonly MountedUnit[] {
    return [...this.#mounted.values()];
  }

  /** The node that the system boots from, if there is one. */
  get bootNode(): DosNode | undefined {
    return this.nodes.find(({ bootPriority }) => bootPriority > neverBoot);
  }

  /** The node with a name, whatever its case, with or without a colon. */
  find(name: string): DosNode | undefined {
    const wanted = name.replace(/:$/, "").toLowerCase();
    return this.nodes.find((node) => node.name.toLowerCase() === wanted);
  }

  /** Opens and reads a unit and adds its nodes. A unit that cannot be read has no nodes and a note. Never rejects. */
  announce(device: string, unit: number): Promise<MountedUnit> {
    const key = keyOf(device, unit);
    let answer = this.#announced.get(key);
    if (answer === undefined) {
      answer = this.#mount(device, unit, this.#last).then((mounted) => {
        this.#mounted.set(key, mounted);
        return mounted;
      });
      this.#last = answer;
      this.#announced.set(key, answer);
    }
    return answer;
  }

  /** Takes a unit's nodes away, also when it is being read now. @returns them. */
  async denounce(device: string, unit: number): Promise<readonly DosNode[]> {
    const key = keyOf(device, unit);
    const announced = this.#announced.get(key);
    if (announced === undefined) return [];
    const { nodes } = await announced;
    // Somebody else may have done it, and announced the unit again, meanwhile.
    if (this.#announced.get(key) !== announced) return [];
    this.#announced.delete(key);
    this.#mounted.delete(key);
    for (const { name } of nodes) this.#names.delete(name.toLowerCase());
    return nodes;
  }

  async #mount(device: string, unit: number, before: Promise<unknown>): Promise<MountedUnit> {
    try {
      const reader = await this.#open(device, unit);
      let read: UnitContent;
      try {
        read = await readUnit(device, unit, reader);
      } finally {
        await reader.close();
      }
      await before;
      return this.#name(read);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { device, unit, nodes: [], table: undefined, notes: [`it cannot be read: ${why}`] };
    }
  }

  #name({ source, table, firstBlock }: UnitContent): MountedUnit {
    const { device, unit } = source;
    const notes = [...table.notes];
    const found = nodesOfTable(source, table);
    const bare = firstBlock && nodeOfBareDisk(source, firstBlock, this.#freeName());
    if (bare !== undefined) found.push(bare);
    const nodes: DosNode[] = [];
    for (const node of found) {
      const name = this.#uniqueName(node.name);
      if (name === undefined) {
        notes.push(`${node.name} is left out: there are ${mostNames} nodes of that name`);
        continue;
      }
      if (name !== node.name) notes.push(`there is a ${node.name} already: this one is ${name}`);
      this.#names.add(name.toLowerCase());
      nodes.push(name === node.name ? node : { ...node, name });
    }
    return { device, unit, nodes, table, notes };
  }

  #freeName(): string {
    for (let index = 0; index < mostNames; index++) {
      if (!this.#names.has(`dh${index}`)) return `DH${index}`;
    }
    return "DH";
  }

  #uniqueName(name: string): string | undefined {
    if (!this.#names.has(name.toLowerCase())) return name;
    for (let index = 1; index < mostNames; index++) {
      const candidate = `${name}.${index}`;
      if (!this.#names.has(candidate.toLowerCase())) return candidate;
    }
    return undefined;
  }
}

/** What was read of a unit. */
interface UnitContent {
  readonly source: NodeSource;
  readonly table: PartitionTable;
  /** Of a disk without a table. */
  readonly firstBlock: Uint8Array | undefined;
}

async function readUnit(device: string, unit: number, reader: BlockReader): Promise<UnitContent> {
  const { blockSize, blocks } = reader;
  const table = await readPartitions(reader);
  const firstBlock = table.scheme === "none" && blocks > 0 ? await reader.readBlocks(0, 1) : undefined;
  return { source: { device, unit, blockSize, blocks }, table, firstBlock };
}

function keyOf(device: string, unit: number): string {
  return `${device}/${unit}`;
}
