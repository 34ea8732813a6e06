/** Adapters, units and their blocks as a driver sees them, whatever driver or operating-system face that is. */
import type { Observer } from "../observe/index.js";
import type { BlockReader } from "../partition/index.js";
import type { InterruptMode, InterruptPreference } from "../transport/index.js";
import type { FunctionFacts } from "./function-facts.js";
import type { PlacedImage } from "./image-argument.js";
import type { RegisterChoice } from "./platform.js";

/** The blocks of a unit. Transfers are a whole number of blocks, of any length. */
export interface DrivenBlocks extends BlockReader {
  /** Fills `bytes` from block `lba` on. */
  read(lba: number, bytes: Uint8Array): Promise<void>;
  /** Writes `bytes` from block `lba` on. */
  write(lba: number, bytes: Uint8Array): Promise<void>;
  /** Makes what was written durable. */
  flush(): Promise<void>;
}

/** A unit that was found where an image was put. */
export interface DrivenUnit {
  readonly image: PlacedImage;
  readonly target: number;
  readonly lun: number;
  /** Names that the unit gives itself; empty where it has none. */
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  readonly serial: string | undefined;
  /** Bytes. */
  readonly physicalBlockSize: number;
  readonly blocks: DrivenBlocks;
  /** Whether a write failed because the unit may not be written. */
  isRefusal(error: unknown): boolean;
}

/** How an adapter's interrupts come; `int2` is a Zorro bus's line. */
export type AdapterInterrupts = InterruptMode | "int2";

/** An adapter with its units, in the order of the command line. */
export interface DrivenAdapter {
  /** `virtio-scsi`, `virtio-blk`, `a4091` */
  readonly kind: string;
  /** `pci-modern`, `pci-legacy`, `mmio`, `zorro` */
  readonly transport: string;
  readonly place: string;
  readonly interrupts: AdapterInterrupts;
  /** Negotiated features by name; of an A4091, what its driver makes use of. */
  readonly features: readonly string[];
  readonly units: readonly DrivenUnit[];
}

/** A virtio function that is no storage adapter. */
export interface DrivenFunction extends Omit<DrivenAdapter, "units"> {
  readonly facts: FunctionFacts;
}

/** An entry of a directory, or a file. */
export interface FileEntry {
  readonly name: string;
  readonly inode: number;
  readonly type: string;
  /** Bytes. */
  readonly size: number;
}

/** Files, where a face reads a file system. */
export interface FileReader {
  /** The entries of the directory at `path`, or the file there. */
  list(path: string): Promise<readonly FileEntry[]>;
  /** The content of the file at `path`, piece by piece. */
  content(path: string): AsyncIterable<Uint8Array>;
}

/** Drivers on the adapters of a machine, kept going until they are closed. */
export interface DrivenSession {
  readonly adapters: readonly DrivenAdapter[];
  /** What an operating system does at its start: for people, a line each, and for programs. */
  readonly story?: { readonly lines: readonly string[]; readonly facts: Readonly<Record<string, unknown>> };
  readonly files?: FileReader;
  close(): Promise<void>;
}

/** How drivers are opened. */
export interface DriveOptions {
  readonly images: readonly PlacedImage[];
  readonly registers: RegisterChoice;
  readonly interrupts: InterruptPreference;
  readonly observer?: Observer | undefined;
  /** Who is told of commands by the driver half; missing where the device half tells of them. */
  readonly commands?: Observer | undefined;
  /** Asked now and then; throws to stop. */
  readonly check: () => void;
}

/** Virtio adapters that are driven, by the value of `--device`; an A4091 has `scsi` disks. */
export type DeviceKind = "blk" | "scsi";
