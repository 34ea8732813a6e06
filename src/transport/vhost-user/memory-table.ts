/**
 * The front end's memory as the back end sees it: regions of files, mapped, at guest addresses; and the way from the
 * front end's own addresses (in which rings are given) to guest addresses.
 */
import { ProtocolError } from "../../errors/index.js";
import { GuestMemory, MemoryRegion } from "../../memory/index.js";
import type { RegionDescription } from "./protocol.js";

/** A piece of a file in this process. */
export interface MappedMemory {
  readonly bytes: Uint8Array;
  /** Where it lies in this process: for system calls and other threads. */
  readonly address: number;
  /** The front end can make the file smaller: touching what is gone then ends the process (SIGBUS). */
  readonly canShrink: boolean;
  /** Lets go of the file. Views that are left read zeros. */
  close(): void;
}

/** Maps files. */
export interface MemoryMapper {
  /** The same for two descriptors of one file. @throws ProtocolError `memory-region-invalid` */
  identify(descriptor: number): string;
  /** @throws ProtocolError `memory-region-invalid` when the file is too small or cannot be mapped. */
  map(descriptor: number, offset: number, size: number): MappedMemory;
}

/** Regions of memory that a front end may have. */
export const maxMemorySlots = 509;
/** Larger regions are mapped in pieces: offsets in them stay numbers that are cheap. */
const largestPiece = 2 ** 30;

/** A region of the table. */
export interface TableRegion {
  readonly guestAddress: number;
  readonly size: number;
  readonly userAddress: number;
  readonly offset: number;
  /** Names the file. */
  readonly identity: string;
  /** Its pieces, in order. */
  readonly pieces: readonly { readonly memory: MappedMemory; readonly region: MemoryRegion }[];
}

/** What a change of the table gives. */
export interface TableChange {
  /** The table after the change. */
  readonly table: MemoryTable;
  /** Mappings that are not in it any more: to be closed when nothing uses them. */
  readonly dropped: readonly MappedMemory[];
}

/** A memory table. It does not change; changing gives a new one. */
export class MemoryTable {
  readonly regions: readonly TableRegion[];
  /** Undefined without regions. */
  readonly memory: GuestMemory | undefined;

  private constructor(regions: readonly TableRegion[]) {
    this.regions = regions;
    const pieces = regions.flatMap((region) => region.pieces.map((piece) => piece.region));
    this.memory = pieces.length === 0 ? undefined : new GuestMemory(pieces);
  }

  static readonly empty = new MemoryTable([]);

  /** Every mapping of the table. */
  get mappings(): MappedMemory[] {
    return this.regions.flatMap((region) => region.pieces.map((piece) => piece.memory));
  }

  /**
   * A table of other regions. What is the same memory as before keeps its mapping.
   * @param descriptors one for each region; they stay the caller's.
   * @throws ProtocolError `memory-region-invalid`; nothing has changed then.
   */
  replace(
    descriptions: readonly RegionDescription[],
    descriptors: readonly number[],
    mapper: MemoryMapper,
  ): TableChange {
    const regions: TableRegion[] = [];
    const fresh: TableRegion[] = [];
    try {
      for (const [index, description] of descriptions.entries()) {
        const wanted = checkRegion(description);
        const identity = mapper.identify(descriptors[index]);
        const kept = this.regions.find((region) => isSame(region, wanted) && region.identity === identity);
        checkOverlap(regions, wanted);
        const region = kept ?? mapRegion(wanted, identity, descriptors[index], mapper);
        if (kept === undefined) fresh.push(region);
        regions.push(region);
      }
      const dropped = this.regions.filter((region) => !regions.includes(region));
      return { table: new MemoryTable(regions), dropped: mappingsOf(dropped) };
    } catch (error) {
      for (const mapping of mappingsOf(fresh)) mapping.close();
      throw error;
    }
  }

  /** The table with one region more. @throws ProtocolError `memory-region-invalid` */
  add(description: RegionDescription, descriptor: number, mapper: MemoryMapper): TableChange {
    const wanted = checkRegion(description);
    checkOverlap(this.regions, wanted);
    const region = mapRegion(wanted, mapper.identify(descriptor), descriptor, mapper);
    return { table: new MemoryTable([...this.regions, region]), dropped: [] };
  }

  /** The table without one region, which is named by its addresses and size. @throws ProtocolError */
  remove(description: RegionDescription): TableChange {
    const { guestAddress, size, userAddress } = checkRegion(description);
    const found = this.regions.find(
      (region) => region.guestAddress === guestAddress && region.size === size && region.userAddress === userAddress,
    );
    if (found === undefined) throw invalid("there is no such region to remove", description);
    return { table: new MemoryTable(this.regions.filter((region) => region !== found)), dropped: mappingsOf([found]) };
  }

  /** The guest address of an address of the front end, or undefined when it lies in no region. */
  toGuest(userAddress: bigint): number | undefined {
    if (userAddress > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    const address = Number(userAddress);
    for (const region of this.regions) {
      const offset = address - region.userAddress;
      if (offset >= 0 && offset < region.size) return region.guestAddress + offset;
    }
    return undefined;
  }
}

/** Closes mappings. */
export function closeMappings(mappings: readonly MappedMemory[]): void {
  for (const mapping of mappings) mapping.close();
}

type WantedRegion = Pick<TableRegion, "guestAddress" | "size" | "userAddress" | "offset">;

/** Numbers that can be computed with, and starts at multiples of 4: indices in rings are accessed as words. */
function checkRegion(description: RegionDescription): WantedRegion {
  const { guestAddress, size, userAddress, offset } = description;
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  if (size === 0n) throw invalid("it is empty", description);
  if (guestAddress + size > limit || userAddress + size > limit || offset + size > limit) {
    throw invalid("it goes past 2^53", description);
  }
  if (guestAddress % 4n !== 0n || offset % 4n !== 0n) throw invalid("it is not aligned to 4", description);
  return {
    guestAddress: Number(guestAddress),
    size: Number(size),
    userAddress: Number(userAddress),
    offset: Number(offset),
  };
}

function checkOverlap(regions: readonly WantedRegion[], wanted: WantedRegion): void {
  const apart = (a: number, b: number, otherSize: number) => a + wanted.size <= b || b + otherSize <= a;
  for (const other of regions) {
    if (!apart(wanted.guestAddress, other.guestAddress, other.size)) throw invalid("guest addresses overlap", wanted);
    if (!apart(wanted.userAddress, other.userAddress, other.size)) throw invalid("user addresses overlap", wanted);
  }
}

function mapRegion(wanted: WantedRegion, identity: string, descriptor: number, mapper: MemoryMapper): TableRegion {
  const pieces: { memory: MappedMemory; region: MemoryRegion }[] = [];
  try {
    for (let done = 0; done < wanted.size; ) {
      const address = wanted.guestAddress + done;
      const size = Math.min(wanted.size - done, largestPiece - (address % largestPiece));
      const memory = mapper.map(descriptor, wanted.offset + done, size);
      pieces.push({
        memory,
        region: new MemoryRegion(address, memory.bytes, { shared: true, nativeAddress: memory.address }),
      });
      done += size;
    }
  } catch (error) {
    for (const { memory } of pieces) memory.close();
    throw error;
  }
  return { ...wanted, identity, pieces };
}

function isSame(region: TableRegion, wanted: WantedRegion): boolean {
  return (
    region.guestAddress === wanted.guestAddress &&
    region.size === wanted.size &&
    region.userAddress === wanted.userAddress &&
    region.offset === wanted.offset
  );
}

function mappingsOf(regions: readonly TableRegion[]): MappedMemory[] {
  return regions.flatMap((region) => region.pieces.map((piece) => piece.memory));
}

function invalid(reason: string, region: RegionDescription | WantedRegion): ProtocolError {
  const { guestAddress, size, offset } = region;
  const place = `guest address 0x${guestAddress.toString(16)}, 0x${size.toString(16)} bytes, file offset 0x${offset.toString(16)}`;
  return new ProtocolError("memory-region-invalid", { detail: `${reason} (${place})` });
}
