/** Makes rigid disk blocks: a drive, its partitions and the file systems that it brings along. */

/** A partition to put on an RDB disk. */
export interface RdbPartitionSpec {
  readonly name: string;
  /** `0x444f5303` is `DOS\3`. */
  readonly dosType: number;
  readonly lowCylinder: number;
  readonly highCylinder: number;
  /** Default false. */
  readonly bootable?: boolean;
  /** −128…127. Default 0. */
  readonly bootPriority?: number;
  /** Default false. */
  readonly noMount?: boolean;
}

/** A file system to put into an RDB. */
export interface RdbFileSystemSpec {
  readonly dosType: number;
  readonly version: number;
  readonly revision: number;
  /** The handler's code, kept in LSEG blocks. */
  readonly code?: Uint8Array;
}

/** An RDB disk to build. */
export interface RdbSpec {
  /** Bytes. Default 512. */
  readonly blockSize?: number;
  /** Where the RDSK block is, 0…15; the others follow it. Default 0. */
  readonly rdbBlock?: number;
  readonly cylinders: number;
  /** Default 4. */
  readonly surfaces?: number;
  /** Default 32. */
  readonly blocksPerTrack?: number;
  readonly partitions: readonly RdbPartitionSpec[];
  readonly fileSystems?: readonly RdbFileSystemSpec[];
  /** Default `RINGSIDE`, `TEST DISK`, `1.0`. */
  readonly vendor?: string;
  readonly product?: string;
  readonly revision?: string;
}

const endOfList = 0xffffffff;

/** Makes the first `longs` longwords at `at` sum up to 0, by the checksum in the third. */
export function sealRdbBlock(view: DataView, at: number): void {
  const longs = view.getUint32(at + 4);
  view.setUint32(at + 8, 0);
  let sum = 0;
  for (let index = 0; index < longs; index++) sum = (sum + view.getUint32(at + index * 4)) >>> 0;
  view.setUint32(at + 8, -sum >>> 0);
}

/** The disk's first bytes, up to the last block that the RDB needs. */
export function makeRdb(spec: RdbSpec): Uint8Array {
  const blockSize = spec.blockSize ?? 512;
  const rdbBlock = spec.rdbBlock ?? 0;
  const surfaces = spec.surfaces ?? 4;
  const blocksPerTrack = spec.blocksPerTrack ?? 32;
  const fileSystems = spec.fileSystems ?? [];
  const codeBytes = blockSize - 20;
  const codeBlocks = fileSystems.map(({ code }) => Math.ceil((code?.length ?? 0) / codeBytes));
  const firstPart = rdbBlock + 1;
  const firstFile = firstPart + spec.partitions.length;
  const total = firstFile + fileSystems.length + codeBlocks.reduce((sum, count) => sum + count, 0);
  const bytes = new Uint8Array(total * blockSize);
  const view = new DataView(bytes.buffer);

  const text = (at: number, value: string) => {
    for (let index = 0; index < value.length; index++) bytes[at + index] = value.charCodeAt(index);
  };
  /** Begins a block: its id, its size and the block that follows it in its list. Answers where it lies. */
  const begin = (block: number, id: string, longs: number, next: number): number => {
    const at = block * blockSize;
    text(at, id);
    view.setUint32(at + 4, longs);
    view.setUint32(at + 12, 7);
    view.setUint32(at + 16, next);
    return at;
  };

  const disk = begin(rdbBlock, "RDSK", 64, blockSize);
  const longs: [number, number][] = [
    [6, endOfList],
    [7, spec.partitions.length > 0 ? firstPart : endOfList],
    [8, fileSystems.length > 0 ? firstFile : endOfList],
    [9, endOfList],
    [16, spec.cylinders],
    [17, blocksPerTrack],
    [18, surfaces],
    [33, total - 1],
    [34, Math.ceil(total / (surfaces * blocksPerTrack))],
    [35, spec.cylinders - 1],
    [36, surfaces * blocksPerTrack],
    [38, total - 1],
  ];
  for (const [index, value] of longs) view.setUint32(disk + index * 4, value);
  text(disk + 160, (spec.vendor ?? "RINGSIDE").padEnd(8).slice(0, 8));
  text(disk + 168, (spec.product ?? "TEST DISK").padEnd(16).slice(0, 16));
  text(disk + 184, (spec.revision ?? "1.0").padEnd(4).slice(0, 4));
  sealRdbBlock(view, disk);

  for (const [index, partition] of spec.partitions.entries()) {
    const isLast = index === spec.partitions.length - 1;
    const at = begin(firstPart + index, "PART", 64, isLast ? endOfList : firstPart + index + 1);
    view.setUint32(at + 20, (partition.bootable ? 1 : 0) | (partition.noMount ? 2 : 0));
    bytes[at + 36] = partition.name.length;
    text(at + 37, partition.name);
    const environment = [16, blockSize / 4, 0, surfaces, 1, blocksPerTrack, 2, 0, 0];
    environment.push(partition.lowCylinder, partition.highCylinder, 30, 0, 0x1fe00, 0x7ffffffe);
    environment.push((partition.bootPriority ?? 0) >>> 0, partition.dosType);
    for (const [long, value] of environment.entries()) view.setUint32(at + 128 + long * 4, value);
    sealRdbBlock(view, at);
  }

  let block = firstFile + fileSystems.length;
  for (const [index, { dosType, version, revision, code }] of fileSystems.entries()) {
    const isLast = index === fileSystems.length - 1;
    const at = begin(firstFile + index, "FSHD", 64, isLast ? endOfList : firstFile + index + 1);
    view.setUint32(at + 32, dosType);
    view.setUint32(at + 36, ((version << 16) | revision) >>> 0);
    view.setUint32(at + 72, codeBlocks[index] > 0 ? block : endOfList);
    sealRdbBlock(view, at);
    for (let part = 0; part < codeBlocks[index]; part++, block++) {
      const segment = begin(block, "LSEG", blockSize / 4, part === codeBlocks[index] - 1 ? endOfList : block + 1);
      bytes.set((code as Uint8Array).subarray(part * codeBytes, (part + 1) * codeBytes), segment + 20);
      sealRdbBlock(view, segment);
    }
  }
  return bytes;
}
