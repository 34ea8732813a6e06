/** What `ringside run` found: the object that `--json` prints. Programs rely on these names. */
import type { AdapterInterrupts, FileEntry } from "./driven.js";
import type { FunctionFacts } from "./function-facts.js";

export interface RunReport {
  readonly machine: string;
  readonly platform: string;
  /** The operating-system face, and its profile. */
  readonly os?: string;
  readonly profile?: string;
  /** Of the random places and patterns. */
  readonly seed: number;
  /** The QEMU command that was started, for a shell. */
  readonly qemu?: string;
  /** What the operating system does at its start, where the face tells: cards, root, swap, panic of Amix. */
  readonly boot?: Readonly<Record<string, unknown>>;
  readonly adapters: readonly AdapterReport[];
  /** With `--ls`. */
  readonly files?: FileReport;
}

/** What `--ls` found at a path. */
export interface FileReport {
  readonly path: string;
  readonly entries: readonly FileEntry[];
}

/** One adapter in the output of `run --json`. */
export interface AdapterReport {
  /** `virtio-scsi`, `virtio-blk`, `a4091`; those without units are last: `virtio-net` …, and `virtio-18` for another type */
  readonly kind: string;
  /** `pci-modern`, `pci-legacy`, `mmio`, `zorro` */
  readonly transport: string;
  /** Where the adapter is: bridge, bus, slot and function; a window; a Zorro board's base. */
  readonly place: string;
  readonly interrupts: AdapterInterrupts;
  /** Negotiated features by name. */
  readonly features: readonly string[];
  /** In the order of the command line; none of an adapter that is not for storage. */
  readonly units: readonly UnitReport[];
  /** What there is to tell of an adapter that is not for storage. */
  readonly facts?: FunctionFacts;
}

/** One unit in the output of `run --json`. */
export interface UnitReport {
  readonly unit: number;
  readonly target: number;
  readonly lun: number;
  /** Bytes. */
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  readonly blocks: number;
  /** Names that the unit gives itself; empty for virtio-blk, which has none. */
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  readonly serial?: string;
  /** Path as given; missing for the sample disk. */
  readonly image?: string;
  readonly readOnly: boolean;
  /** True for a CD-ROM, missing otherwise. */
  readonly cd?: boolean;
  /** `rdb`, `gpt`, `mbr`, `none` */
  readonly scheme: string;
  readonly partitions: readonly PartitionReport[];
  /** What is odd about the partition table, a sentence each. */
  readonly notes: readonly string[];
  /** Always true: a unit that differs from its image ends the run with exit status 1. */
  readonly verified: boolean;
  readonly verification: VerificationReport;
  /** With `--hash`. */
  readonly sha256?: string;
}

/** One partition in the output of `run --json`. */
export interface PartitionReport {
  readonly name: string;
  readonly type: string;
  /** In blocks of the unit. */
  readonly firstBlock: number;
  readonly blocks: number;
  readonly bootable: boolean;
}

/** How a unit was verified, and how fast. */
export interface VerificationReport {
  readonly places: number;
  readonly bytes: number;
  readonly readBytesPerSecond: number;
  readonly readIops: number;
  /** Missing for units that may not be written. */
  readonly writeBytesPerSecond?: number;
  readonly writeIops?: number;
}
