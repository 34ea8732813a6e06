/**
 * The face in one call: a miniport on an adapter of a machine, and the disk behind it as Windows would see it. Everything
 * goes through SCSI commands in SRBs.
 */
import { DeviceError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import {
  cdb,
  type InquiryData,
  parseCapacity10,
  parseCapacity16,
  parseInquiry,
  parseModeSense6,
  parseSerialNumber,
} from "../../scsi/index.js";
import { featureNames, ringFeatures } from "../../transport/index.js";
import { blkFeatures } from "../../virtio/index.js";
import { behaviourWith } from "./behaviour.js";
import { DebugPrint, type DebugSink } from "./debug-print.js";
import { PortDriver } from "./port-driver.js";
import type { PortOptions } from "./port-options.js";
import { type StorportProfile, storportProfiles } from "./profile.js";
import { executeSrb, SrbError } from "./srb-sender.js";
import type { StorportAdapter, StorportMachine } from "./storport-machine.js";

/** How the face is opened. */
export interface OpenStorportOptions
  extends Pick<PortOptions, "interrupts" | "messageLimit" | "processors" | "unwantedFeatures" | "resetTimeout"> {
  /** Default `current`. */
  readonly profile?: StorportProfile["name"] | undefined;
  /** Defects of chapter 3 to put back, by number. */
  readonly defects?: readonly number[] | undefined;
  /** 0 none to 5 verbose. Default 0. */
  readonly debugLevel?: number | undefined;
  /** Where debug prints go: a file, or the machine's own port (`com1Sink`). */
  readonly com1?: DebugSink | undefined;
  readonly observer?: Observer | undefined;
  /** Milliseconds that a command may take before the bus is reset. Default 10 000. */
  readonly timeout?: number | undefined;
}

/** The disk as discovery found it. */
export interface StorportUnit {
  readonly target: 0;
  readonly lun: 0;
  readonly inquiry: InquiryData;
  readonly serial: string | undefined;
  readonly blockSize: number;
  readonly blocks: number;
  readonly writeProtected: boolean;
}

/** Opens the driver on an adapter. @throws UnsupportedError, DeviceError, ProtocolError, RangeError */
export async function openStorport(
  machine: StorportMachine,
  adapter: StorportAdapter,
  options: OpenStorportOptions = {},
): Promise<StorportDisk> {
  const { profile = "current", defects = [], debugLevel = 0, com1, timeout, ...rest } = options;
  const port = await PortDriver.load(machine, adapter, {
    ...rest,
    profile: storportProfiles[profile],
    behaviour: behaviourWith(defects),
    debug: new DebugPrint(debugLevel, com1),
  });
  return new StorportDisk(port, timeout ?? 10_000);
}

/** A disk behind the port driver. After `discover` it is a reader of blocks that partition readers take. */
export class StorportDisk {
  readonly port: PortDriver;
  readonly #timeout: number;
  #unit: StorportUnit | undefined;

  constructor(port: PortDriver, timeout: number) {
    this.port = port;
    this.#timeout = timeout;
  }

  /** Names of the accepted features. */
  get features(): readonly string[] {
    return featureNames(this.port.extension.negotiated, blkFeatures, ringFeatures);
  }

  /** `pci-legacy` or `pci-modern`. */
  get transport(): string {
    return this.port.extension.deviceBase?.kind ?? "none";
  }

  /** Bytes of a block. @throws TypeError before `discover`. */
  get blockSize(): number {
    return this.#known().blockSize;
  }

  /** Blocks of the disk. @throws TypeError before `discover`. */
  get blocks(): number {
    return this.#known().blocks;
  }

  /** INQUIRY, serial number, capacity, write protection: what Windows asks of a disk. @throws SrbError */
  async discover(): Promise<StorportUnit> {
    const data = await this.#ask(cdb.inquiry(36), 36);
    // The driver of 2010 says that there is nothing behind byte 4, and Windows reads it all the same.
    if (data.length === 36 && data[4] < 31) data[4] = 31;
    const inquiry = parseInquiry(data);
    if (inquiry === undefined) throw new DeviceError("the disk's INQUIRY data cannot be read");
    const serialPage = await this.#askIfKnown(cdb.inquiry(255, 0x80), 255);
    const long = await this.#askIfKnown(cdb.readCapacity16(), 32);
    const short = parseCapacity10(await this.#ask(cdb.readCapacity10(), 8));
    const capacity = (long && parseCapacity16(long)) ?? short;
    if (capacity?.blocks === undefined) throw new DeviceError("the disk's capacity cannot be read");
    const mode = await this.#askIfKnown(cdb.modeSense6(0x08), 192);
    this.#unit = {
      target: 0,
      lun: 0,
      inquiry,
      serial: serialPage && parseSerialNumber(serialPage),
      blockSize: capacity.blockSize,
      blocks: capacity.blocks,
      writeProtected: (mode && parseModeSense6(mode)?.writeProtected) ?? false,
    };
    return this.#unit;
  }

  /** `count` blocks from block `lba` on, in a new array. @throws SrbError */
  async readBlocks(lba: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count * this.blockSize);
    await this.read(lba, bytes);
    return bytes;
  }

  /** Fills `bytes`, a whole number of blocks, from block `lba` on. @throws SrbError, RangeError */
  async read(lba: number, bytes: Uint8Array): Promise<void> {
    for (const { at, blocks, part } of this.#commands(lba, bytes)) {
      await executeSrb(this.port, { cdb: cdb.read(at, blocks), dataIn: part, timeout: this.#timeout });
    }
  }

  /** Writes `bytes`, a whole number of blocks, from block `lba` on. @throws SrbError, RangeError */
  async write(lba: number, bytes: Uint8Array): Promise<void> {
    for (const { at, blocks, part } of this.#commands(lba, bytes)) {
      await executeSrb(this.port, { cdb: cdb.write(at, blocks), dataOut: part, timeout: this.#timeout });
    }
  }

  /** SYNCHRONIZE CACHE. @throws SrbError */
  async flush(): Promise<void> {
    await executeSrb(this.port, { cdb: cdb.synchronizeCache10(), timeout: this.#timeout });
  }

  /** Takes the driver off. @throws DeviceError when the device does not reset. */
  close(): Promise<void> {
    return this.port.close();
  }

  #known(): StorportUnit {
    if (this.#unit === undefined) throw new TypeError("discover comes first");
    return this.#unit;
  }

  async #ask(command: Uint8Array, room: number): Promise<Uint8Array> {
    const dataIn = new Uint8Array(room);
    const { length } = await executeSrb(this.port, { cdb: command, dataIn, timeout: this.#timeout });
    return dataIn.subarray(0, length);
  }

  async #askIfKnown(command: Uint8Array, room: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#ask(command, room);
    } catch (error) {
      if (error instanceof SrbError) return undefined;
      throw error;
    }
  }

  *#commands(lba: number, bytes: Uint8Array): Generator<{ at: number; blocks: number; part: Uint8Array }> {
    const { blockSize, blocks: size } = this.#known();
    const total = bytes.length / blockSize;
    if (!Number.isInteger(total)) throw new RangeError(`${bytes.length} bytes are no whole number of blocks`);
    if (!(lba >= 0 && lba + total <= size)) throw new RangeError(`${total} blocks at ${lba} of ${size}`);
    const { maximumTransferLength } = this.port.configuration;
    const most = Math.max(1, Math.min(Math.floor(maximumTransferLength / blockSize), 0xffff));
    for (let done = 0; done < total; done += most) {
      const blocks = Math.min(most, total - done);
      yield { at: lba + done, blocks, part: bytes.subarray(done * blockSize, (done + blocks) * blockSize) };
    }
  }
}
