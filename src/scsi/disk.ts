/** A disk: a direct-access block device (SBC-3) over a store. */
import type { Store } from "../storage/index.js";
import { blockEntries } from "./block-commands.js";
import type { Capacity } from "./capacity.js";
import { type CommandEntry, CommandSet } from "./command-set.js";
import {
  type DiskIdentity,
  type DiskTraits,
  diskInquiry,
  diskVitalPage,
  fnv1a64,
  locallyAssignedNaa,
} from "./disk-identity.js";
import { diskModePages } from "./disk-modes.js";
import { DeviceSpecific, type ModeParameters } from "./mode.js";
import { type ModeUnit, modeSenseEntries, type PageControl } from "./mode-commands.js";
import { primaryEntries } from "./primary-commands.js";
import { reportOpcodesEntry } from "./report-opcodes.js";
import { ScsiUnit } from "./scsi-unit.js";
import { Attentions } from "./sense-codes.js";

/** What a disk is like; every field has a default. */
export interface DiskOptions {
  /** Bytes of a logical block: a power of two within 512…65536. Default 512. */
  readonly blockSize?: number;
  /** Bytes of a physical block, at least a logical one: 512e is 512 and 4096. Default: the logical block. */
  readonly physicalBlockSize?: number;
  /** INQUIRY names, 8, 16 and 4 characters at most. */
  readonly vendor?: string;
  readonly product?: string;
  readonly revision?: string;
  /** 1…36 characters. Default: one that follows from the store's description and the order in which disks are made. */
  readonly serial?: string;
  /** NAA identifier, 64 bits. Default: locally assigned, from the names and the serial number. */
  readonly naa?: bigint;
  /** Refuses writes. Default: whether the store is read-only (such a store is never written, whatever is said here). */
  readonly readOnly?: boolean;
  /** RMB. Default false. */
  readonly removable?: boolean;
  /** False: every write is flushed before GOOD, and WCE says so. Default true. */
  readonly writeCache?: boolean;
  /** Revolutions per minute; 1 for none. Default 1. */
  readonly rotationRate?: number;
  /** Longest read or write in blocks, announced in page B0h. Default 65535. */
  readonly maximumTransferBlocks?: number;
  /** Whether a nexus finds 29h/00h at first. Default true. */
  readonly powerOnAttention?: boolean;
  /** Sense data in descriptor format (D_SENSE). Default false. */
  readonly descriptorSense?: boolean;
}

const diskCommands = new CommandSet<Disk>([
  ...primaryEntries,
  reportOpcodesEntry,
  ...(modeSenseEntries as readonly CommandEntry<Disk>[]),
  ...blockEntries,
]);

/** Makes default serial numbers differ, since two disks with one identity look like two paths to one disk. */
let disksWithoutSerial = 0;

/** A disk with the commands of tier A and those that systems send beside them. */
export class Disk extends ScsiUnit implements ModeUnit {
  readonly kind = "disk";
  readonly store: Store;
  readonly blockSize: number;
  /** Writes are refused. */
  readonly isReadOnly: boolean;
  /** Writes are durable only after SYNCHRONIZE CACHE or with FUA. */
  readonly hasWriteCache: boolean;
  readonly maximumTransferBlocks: number;
  readonly identity: DiskIdentity;
  /** Number of logical blocks. */
  blocks: number;
  readonly #traits: DiskTraits;

  /** @throws RangeError when an option is out of range or the store holds no whole number of blocks. */
  constructor(store: Store, options: DiskOptions = {}) {
    super(diskCommands as CommandSet<ScsiUnit>, options.powerOnAttention ?? true);
    const blockSize = options.blockSize ?? 512;
    const physical = options.physicalBlockSize ?? blockSize;
    checkPowerOfTwo("block size", blockSize, 512);
    checkPowerOfTwo("physical block size", physical, blockSize);
    this.store = store;
    this.blockSize = blockSize;
    this.blocks = blocksOf(store.byteLength, blockSize);
    this.isReadOnly = store.isReadOnly || (options.readOnly ?? false);
    this.hasWriteCache = !this.isReadOnly && (options.writeCache ?? true);
    this.maximumTransferBlocks = checkInteger(
      "maximumTransferBlocks",
      options.maximumTransferBlocks ?? 65535,
      1,
      2 ** 32 - 1,
    );
    this.senseFormat = options.descriptorSense ? "descriptor" : "fixed";
    this.identity = identityOf(store, options);
    this.#traits = {
      removable: options.removable ?? false,
      hasWriteCache: this.hasWriteCache,
      rotationRate: checkInteger("rotationRate", options.rotationRate ?? 1, 0, 0xfffe),
      maximumTransferBlocks: this.maximumTransferBlocks,
      blocksPerPhysical: physical / blockSize,
    };
  }

  /** READ CAPACITY as an object. */
  capacity(): Capacity {
    return {
      blocks: this.blocks,
      blockSize: this.blockSize,
      physicalExponent: Math.log2(this.#traits.blocksPerPhysical),
      lowestAlignedLba: 0,
      thinProvisioned: false,
      unmappedReadZero: false,
    };
  }

  /**
   * The store has another size now: 2Ah/09h for every nexus, and the listeners are told.
   * @throws RangeError when that is no whole number of blocks.
   */
  resized(storeByteLength: number): void {
    const blocks = blocksOf(storeByteLength, this.blockSize);
    if (blocks === this.blocks) return;
    this.blocks = blocks;
    this.parameterChanged(Attentions.capacityChanged);
  }

  override inquiryData(): Uint8Array {
    return diskInquiry(this.identity, this.#traits);
  }

  override vitalPage(code: number): Uint8Array | undefined {
    return diskVitalPage(code, this.identity, this.#traits);
  }

  modeHeader(): Omit<ModeParameters, "pages"> {
    return {
      mediumType: 0,
      deviceSpecific: DeviceSpecific.DpoFua | (this.isReadOnly ? DeviceSpecific.WriteProtect : 0),
      blockDescriptor: { blocks: this.blocks, blockSize: this.blockSize },
    };
  }

  modePages(control: PageControl): readonly Uint8Array[] {
    return diskModePages(control, {
      hasWriteCache: this.hasWriteCache,
      descriptorSense: this.senseFormat === "descriptor",
    });
  }

  override close(): undefined | Promise<void> {
    return this.store.close();
  }
}

function identityOf(store: Store, options: DiskOptions): DiskIdentity {
  const vendor = checkText("vendor", options.vendor ?? "RINGSIDE", 8);
  const product = checkText("product", options.product ?? "DISK", 16);
  const serial = checkText("serial", options.serial ?? defaultSerial(store), 36);
  const naa = options.naa ?? locallyAssignedNaa(vendor, product, serial);
  if (naa < 0n || naa >= 1n << 64n) throw new RangeError(`naa must be a number of 64 bits, got ${naa}`);
  return { vendor, product, revision: checkText("revision", options.revision ?? "0001", 4), serial, naa };
}

function defaultSerial(store: Store): string {
  const hash = fnv1a64(`${store.description}\0${disksWithoutSerial++}`);
  return (hash & 0xffff_ffff_ffffn).toString(16).toUpperCase().padStart(12, "0");
}

function blocksOf(byteLength: number, blockSize: number): number {
  if (!Number.isSafeInteger(byteLength) || byteLength < blockSize || byteLength % blockSize !== 0) {
    throw new RangeError(
      `a disk needs a whole number of blocks of ${blockSize} bytes, the store has ${byteLength} bytes`,
    );
  }
  return byteLength / blockSize;
}

function checkPowerOfTwo(name: string, value: number, least: number): void {
  checkInteger(name, value, least, 65536);
  if ((value & (value - 1)) !== 0) throw new RangeError(`${name} must be a power of two, got ${value}`);
}

function checkInteger(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${name} must be an integer within ${least}…${most}, got ${value}`);
}

function checkText(name: string, text: string, limit: number): string {
  if (/^[\x20-\x7e]+$/.test(text) && text.length <= limit) return text;
  throw new RangeError(`${name} must be 1…${limit} printable ASCII characters, got "${text}"`);
}
