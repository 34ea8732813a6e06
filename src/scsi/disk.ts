/** A disk: a direct-access block device (SBC-3) over a store. */
import type { SavedFields, SavedReader } from "../bytes/index.js";
import type { Store } from "../storage/index.js";
import { blockEntries } from "./block-commands.js";
import type { Capacity } from "./capacity.js";
import { type CommandEntry, CommandSet } from "./command-set.js";
import { Commands } from "./command-table.js";
import { compareAndWriteEntry } from "./compare-and-write.js";
import { type DiskIdentity, type DiskLimits, type DiskTraits, diskInquiry, diskVitalPage } from "./disk-identity.js";
import { changedModes, type DiskModes, diskModePages } from "./disk-modes.js";
import { blockSizesOf, blocksOf, checkInteger, type DiskOptions, identityOf, limitsOf } from "./disk-options.js";
import { getLbaStatusEntry } from "./lba-status.js";
import { logSenseEntry } from "./log-sense.js";
import type { ResetKind } from "./logical-unit.js";
import { DeviceSpecific, type ModeParameters } from "./mode.js";
import { modeSenseEntries, type PageControl } from "./mode-commands.js";
import { type ModeSelectUnit, modeSelectEntries } from "./mode-select.js";
import type { Nexus } from "./nexus.js";
import { preFetchEntries } from "./pre-fetch.js";
import { primaryEntries } from "./primary-commands.js";
import { RangeTurns } from "./range-turns.js";
import { reportOpcodesEntry } from "./report-opcodes.js";
import { reservationEntries } from "./reservation-commands.js";
import { Reservations } from "./reservations.js";
import { ScsiUnit } from "./scsi-unit.js";
import { Attentions, Conditions } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";
import { unmapEntry } from "./unmap.js";
import { verifyEntries } from "./verify.js";
import { writeSameEntries } from "./write-same.js";

const fullyProvisionedEntries: readonly CommandEntry<Disk>[] = [
  ...primaryEntries,
  reportOpcodesEntry,
  ...(modeSenseEntries as readonly CommandEntry<Disk>[]),
  ...(modeSelectEntries as readonly CommandEntry<Disk>[]),
  ...(reservationEntries as readonly CommandEntry<Disk>[]),
  ...blockEntries,
  ...verifyEntries,
  ...writeSameEntries,
  ...preFetchEntries,
  compareAndWriteEntry,
  getLbaStatusEntry,
  logSenseEntry,
];
const thinCommands = new CommandSet<Disk>([...fullyProvisionedEntries, unmapEntry]);
const fullyProvisionedCommands = new CommandSet<Disk>(
  fullyProvisionedEntries.filter(({ definition }) => definition !== Commands.getLbaStatus),
);

/** A disk with the commands of tiers A and B, and those of tier C that systems send. */
export class Disk extends ScsiUnit implements ModeSelectUnit {
  readonly kind = "disk";
  override readonly reservations: Reservations;
  readonly store: Store;
  readonly blockSize: number;
  /** The store is never written. */
  readonly isReadOnly: boolean;
  /** Writes are refused: the disk is read-only, or an initiator set SWP. */
  isWriteProtected: boolean;
  /** Writes are durable only after SYNCHRONIZE CACHE or with FUA. */
  hasWriteCache: boolean;
  /** UNMAP is there, and WRITE SAME with UNMAP. */
  readonly isThin: boolean;
  readonly limits: DiskLimits;
  readonly maximumTransferBlocks: number;
  readonly rotationRate: number;
  readonly identity: DiskIdentity;
  /** Who writes where, for COMPARE AND WRITE. */
  readonly turns = new RangeTurns();
  /** Number of logical blocks. */
  blocks: number;
  readonly #traits: DiskTraits;
  readonly #defaultModes: DiskModes;

  /**
   * @throws RangeError when an option is out of range, the store holds no whole number of blocks, or the reservations
   * that are kept cannot be read.
   */
  constructor(store: Store, options: DiskOptions = {}) {
    const isReadOnly = store.isReadOnly || (options.readOnly ?? false);
    const isThin = !isReadOnly && (options.thinProvisioning ?? true);
    const commands = isThin ? thinCommands : fullyProvisionedCommands;
    const reservations = new Reservations(options.reservationKeeper);
    super(commands as CommandSet<ScsiUnit>, options.powerOnAttention ?? true, reservations);
    this.reservations = reservations;
    const { logical, physical } = blockSizesOf(options);
    this.store = store;
    this.blockSize = logical;
    this.blocks = blocksOf(store.byteLength, logical);
    this.isReadOnly = isReadOnly;
    this.isThin = isThin;
    this.limits = limitsOf(options, logical);
    this.maximumTransferBlocks = this.limits.maximumTransfer;
    this.rotationRate = checkInteger("rotationRate", options.rotationRate ?? 1, 0, 0xfffe);
    this.identity = identityOf(store, options);
    this.#defaultModes = {
      hasWriteCache: !isReadOnly && (options.writeCache ?? true),
      descriptorSense: options.descriptorSense ?? false,
      softwareWriteProtect: false,
    };
    this.isWriteProtected = isReadOnly;
    this.hasWriteCache = this.#defaultModes.hasWriteCache;
    this.#takeModes(this.#defaultModes);
    this.#traits = {
      removable: options.removable ?? false,
      isReadOnly,
      isThin,
      rotationRate: this.rotationRate,
      limits: this.limits,
      blocksPerPhysical: physical / logical,
    };
  }

  /** READ CAPACITY as an object. */
  capacity(): Capacity {
    return {
      blocks: this.blocks,
      blockSize: this.blockSize,
      physicalExponent: Math.log2(this.#traits.blocksPerPhysical),
      lowestAlignedLba: 0,
      thinProvisioned: this.isThin,
      unmappedReadZero: this.isThin,
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

  /** Ends a command that would write with what forbids it. */
  refuseWrite(task: ScsiTask): undefined {
    this.fail(task, this.isReadOnly ? Conditions.writeProtected : Conditions.softwareWriteProtected);
    return undefined;
  }

  override blockAt(position: number): number {
    return Math.floor(position / this.blockSize);
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
      deviceSpecific: DeviceSpecific.DpoFua | (this.isWriteProtected ? DeviceSpecific.WriteProtect : 0),
      blockDescriptor: { blocks: this.blocks, blockSize: this.blockSize },
    };
  }

  modePages(control: PageControl): readonly Uint8Array[] {
    return diskModePages(control, control === "default" ? this.#defaultModes : this.#modes(), this.isReadOnly);
  }

  /** What was cached goes to the medium before the cache is off. Other nexuses find 2Ah/01h. */
  selectModes(pages: readonly Uint8Array[], task: ScsiTask): undefined | Promise<void> {
    const before = this.#modes();
    const after = changedModes(before, pages);
    const isSame = (Object.keys(before) as (keyof DiskModes)[]).every((name) => before[name] === after[name]);
    if (isSame) return undefined;
    this.#takeModes(after);
    this.attention(Attentions.modeParametersChanged, task.nexus);
    return before.hasWriteCache && !after.hasWriteCache ? this.store.flush() : undefined;
  }

  override reset(kind: ResetKind, nexus?: Nexus): void {
    super.reset(kind, nexus);
    // SPC-4 §5.8: nothing is saved, so a reset of the unit brings the defaults back.
    if (kind !== "nexus-loss") this.#takeModes(this.#defaultModes);
  }

  override saveState(nexus: Nexus): SavedFields {
    return { ...super.saveState(nexus), modes: { ...this.#modes() } };
  }

  override readState(saved: SavedReader, nexus: Nexus): () => void {
    const step = super.readState(saved, nexus);
    const part = saved.part("modes");
    const modes: DiskModes = {
      hasWriteCache: part.flag("hasWriteCache"),
      descriptorSense: part.flag("descriptorSense"),
      softwareWriteProtect: part.flag("softwareWriteProtect"),
    };
    if (modes.hasWriteCache && this.isReadOnly) part.refuse("hasWriteCache", "is set: this disk is never written");
    return () => {
      step();
      this.#takeModes(modes);
    };
  }

  override close(): undefined | Promise<void> {
    return this.store.close();
  }

  #modes(): DiskModes {
    return {
      hasWriteCache: this.hasWriteCache,
      descriptorSense: this.senseFormat === "descriptor",
      softwareWriteProtect: this.isWriteProtected && !this.isReadOnly,
    };
  }

  #takeModes(modes: DiskModes): void {
    this.hasWriteCache = modes.hasWriteCache;
    this.senseFormat = modes.descriptorSense ? "descriptor" : "fixed";
    this.isWriteProtected = this.isReadOnly || modes.softwareWriteProtect;
  }
}
