/**
 * A CD-ROM or DVD-ROM drive (MMC-5, read-only profiles) with a tray: an initiator may open and close it, and lock it;
 * the host puts media in and takes them out. Both learn of what the other did.
 */
import type { SavedFields, SavedReader } from "../bytes/index.js";
import type { Store } from "../storage/index.js";
import { cdEntries } from "./cd-commands.js";
import { CdEvents } from "./cd-events.js";
import { CommandSet } from "./command-set.js";
import { checkText } from "./disk-options.js";
import { buildInquiry, DeviceType, Qualifier, ScsiVersion, StandardCode } from "./inquiry.js";
import type { AttentionCode, ResetKind } from "./logical-unit.js";
import { buildModePage, ModePage, type ModeParameters } from "./mode.js";
import type { ModeUnit, PageControl } from "./mode-commands.js";
import type { Nexus } from "./nexus.js";
import { ScsiUnit } from "./scsi-unit.js";
import { Attentions, Conditions, type SenseCondition } from "./sense-codes.js";
import { buildDesignators, buildVpdPage, DesignatorCodeSet, DesignatorType, VpdPage } from "./vpd.js";

/** Bytes of a block. */
export const cdBlockSize = 2048;
/** More blocks than this fit no CD of 80 minutes: the medium is a DVD. */
const largestCd = 80 * 60 * 75;

/** What a drive is like; every field has a default. */
export interface CdDriveOptions {
  /** INQUIRY names, 8, 16 and 4 characters at most. */
  readonly vendor?: string;
  readonly product?: string;
  readonly revision?: string;
  /** At most 36 characters. Default: no serial number. */
  readonly serial?: string;
  /** Whether a nexus finds 29h/00h at first. Default true. */
  readonly powerOnAttention?: boolean;
}

const cdCommands = new CommandSet<CdDrive>(cdEntries);

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A drive with a tray, with or without a medium. */
export class CdDrive extends ScsiUnit implements ModeUnit {
  readonly kind = "cd-rom";
  override readonly hasRemovableMedium = true;
  /** Longest READ in blocks. */
  readonly maximumTransferBlocks = 65535;
  /** What GET EVENT STATUS NOTIFICATION tells. */
  readonly events = new CdEvents();
  readonly #options: CdDriveOptions;
  /** Nexuses that prevent removal. */
  readonly #locks = new Set<Nexus>();
  #store: Store | undefined;
  #isOpen = false;
  #blocks = 0;

  /** @param store the medium that is in at first. @throws RangeError when a name is too long or the store no medium. */
  constructor(store?: Store, options: CdDriveOptions = {}) {
    super(cdCommands as CommandSet<ScsiUnit>, options.powerOnAttention ?? true);
    checkText("vendor", options.vendor ?? "RINGSIDE", 8);
    checkText("product", options.product ?? "CD-ROM", 16);
    checkText("revision", options.revision ?? "0001", 4);
    if (options.serial !== undefined) checkText("serial", options.serial, 36);
    this.#options = options;
    if (store !== undefined) this.#put(store);
  }

  /** The medium, if one can be read: it is in, and the tray is closed. */
  get medium(): Store | undefined {
    return this.#isOpen ? undefined : this.#store;
  }

  /** The medium that lies in the drive, also while the tray is open. */
  get inserted(): Store | undefined {
    return this.#store;
  }

  /** Blocks of the medium that can be read; 0 without one. */
  get blocks(): number {
    return this.#isOpen ? 0 : this.#blocks;
  }

  /** The medium holds more than a CD does. */
  get isDvd(): boolean {
    return this.blocks > largestCd;
  }

  get isTrayOpen(): boolean {
    return this.#isOpen;
  }

  /** An initiator prevents removal. */
  get isLocked(): boolean {
    return this.#locks.size > 0;
  }

  /**
   * Puts a medium in and closes the tray. Initiators find 28h/00h, and their drivers are told.
   * @throws RangeError when a medium is in already (`eject` it first), or `store` holds no whole block.
   */
  insert(store: Store): void {
    if (this.#store !== undefined) throw new RangeError("there is a medium in the drive: eject it first");
    this.#put(store);
    this.#isOpen = false;
    this.#arrived();
  }

  /**
   * Opens the tray and takes the medium out; whoever ejects it closes it. When an initiator has locked the tray it is
   * asked to let go instead, and nothing else happens, unless `force` is set.
   * @returns the medium; undefined when there was none, or the tray is locked (`isLocked` tells).
   */
  eject(how: { readonly force?: boolean } = {}): Store | undefined {
    if (this.isLocked && how.force !== true) {
      this.events.ejectRequested();
      this.mediumChanged("eject-requested", Attentions.operatorRequest);
      return undefined;
    }
    this.#locks.clear();
    const store = this.#store;
    this.#store = undefined;
    this.#blocks = 0;
    this.#open(store !== undefined);
    return store;
  }

  /** START STOP UNIT with LOEJ: opens the tray; the medium stays in it until the host takes it, or it is closed. */
  openTray(): void {
    this.#open(this.#store !== undefined);
  }

  /** START STOP UNIT with LOEJ and START. */
  closeTray(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#store !== undefined) this.#arrived();
  }

  /** PREVENT ALLOW MEDIUM REMOVAL. */
  lock(nexus: Nexus, isLocked: boolean): void {
    if (isLocked) this.#locks.add(nexus);
    else this.#locks.delete(nexus);
  }

  override notReady(): SenseCondition | undefined {
    if (this.medium !== undefined) return undefined;
    return this.#isOpen ? Conditions.mediumNotPresentTrayOpen : Conditions.mediumNotPresentTrayClosed;
  }

  override reset(kind: ResetKind, nexus?: Nexus): void {
    super.reset(kind, nexus);
    if (nexus === undefined) this.#locks.clear();
    else this.#locks.delete(nexus);
  }

  /** The medium is not in it: the same one has to lie in the drive. */
  override saveState(nexus: Nexus): SavedFields {
    const tray = { isOpen: this.#isOpen, isLocked: this.#locks.has(nexus) };
    return { ...super.saveState(nexus), ...tray, events: this.events.save(nexus) };
  }

  override readState(saved: SavedReader, nexus: Nexus): () => void {
    const step = super.readState(saved, nexus);
    const [isOpen, isLocked] = [saved.flag("isOpen"), saved.flag("isLocked")];
    const events = this.events.read(saved.part("events"), nexus);
    return () => {
      step();
      this.#isOpen = isOpen;
      this.lock(nexus, isLocked);
      events();
    };
  }

  override blockAt(position: number): number {
    return Math.floor(position / cdBlockSize);
  }

  override inquiryData(): Uint8Array {
    const { vendor = "RINGSIDE", product = "CD-ROM", revision = "0001" } = this.#options;
    return buildInquiry({
      qualifier: Qualifier.Connected,
      deviceType: DeviceType.CdRom,
      removable: true,
      version: ScsiVersion.Spc4,
      commandQueuing: true,
      vendor,
      product,
      revision,
      standards: [StandardCode.Sam5, StandardCode.Spc4, StandardCode.Mmc5],
    });
  }

  override vitalPage(code: number): Uint8Array | undefined {
    const { vendor = "RINGSIDE", product = "CD-ROM", serial } = this.#options;
    if (code === VpdPage.Supported) {
      const numbered = serial === undefined ? [] : [VpdPage.SerialNumber];
      const codes = [VpdPage.Supported, ...numbered, VpdPage.DeviceIdentification];
      return buildVpdPage(DeviceType.CdRom, code, Uint8Array.from(codes));
    }
    if (code === VpdPage.SerialNumber && serial !== undefined) {
      return buildVpdPage(DeviceType.CdRom, code, ascii(serial));
    }
    if (code !== VpdPage.DeviceIdentification) return undefined;
    const value = ascii(vendor.padEnd(8) + product.padEnd(16) + (serial ?? ""));
    const designator = { codeSet: DesignatorCodeSet.Ascii, association: 0, type: DesignatorType.T10Vendor, value };
    return buildVpdPage(DeviceType.CdRom, code, buildDesignators([designator]));
  }

  modeHeader(): Omit<ModeParameters, "pages"> {
    return { mediumType: 0, deviceSpecific: 0, blockDescriptor: undefined };
  }

  /** Pages 01h and 2Ah; nothing can be changed. */
  modePages(control: PageControl): readonly Uint8Array[] {
    const isMask = control === "changeable";
    // MMC-3 §5.5.10: reads CD-R, CD-RW, DVD-ROM, DVD-R; a tray that can be locked and opened; 176 kB/s × 48, 256 KiB.
    const capabilities = {
      2: 0x1b,
      6: 0x29 | (this.isLocked ? 0x02 : 0),
      ...speedAt(8),
      12: 0x01,
      13: 0x00,
      ...speedAt(14),
    };
    return [
      buildModePage(ModePage.ErrorRecovery, 12),
      buildModePage(ModePage.CdCapabilities, 20, isMask ? undefined : capabilities),
    ];
  }

  override close(): undefined | Promise<void> {
    return this.#store?.close();
  }

  #put(store: Store): void {
    const blocks = Math.floor(store.byteLength / cdBlockSize);
    if (blocks < 1)
      throw new RangeError(`a medium needs a block of ${cdBlockSize} bytes, got ${store.byteLength} bytes`);
    this.#store = store;
    this.#blocks = blocks;
  }

  #open(hadMedium: boolean): void {
    const wasReadable = hadMedium && !this.#isOpen;
    this.#isOpen = true;
    if (wasReadable) this.#changed("removed", mediumGone);
  }

  #arrived(): void {
    this.attention(Attentions.mediumChanged);
    this.#changed("inserted", Attentions.mediumChanged);
  }

  #changed(change: "inserted" | "removed", code: AttentionCode): void {
    this.events.mediumChanged(change);
    this.mediumChanged(change, code);
  }
}

const mediumGone: AttentionCode = Conditions.mediumNotPresentTrayOpen;

/** 48 × 176 kB/s, 16 bits at a byte of the page. */
function speedAt(byte: number): Readonly<Record<number, number>> {
  const speed = 48 * 176;
  return { [byte]: speed >>> 8, [byte + 1]: speed & 0xff };
}
