/** A logical unit with one vendor-specific command that moves data both ways, for tests of INOUT. */
import {
  buildInquiry,
  CommandSet,
  Conditions,
  checkCondition,
  DeviceType,
  primaryEntries,
  Qualifier,
  type ScsiTask,
  ScsiUnit,
  ScsiVersion,
  StandardCode,
} from "../scsi/index.js";

/** The opcode, of the vendor-specific range (SPC-4 table 23). */
export const exchangeOpcode = 0xc3;

/**
 * The command: bytes 2…5 say how many bytes the unit takes, bytes 6…9 how many it gives (big-endian). It takes the
 * data first, whole, then gives back the same bytes with every bit turned round, over and over.
 */
export function exchangeCdb(take: number, give: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  bytes[0] = exchangeOpcode;
  view.setUint32(2, take);
  view.setUint32(6, give);
  return bytes;
}

/** What the unit answers to `dataOut`. */
export function exchanged(dataOut: Uint8Array, give: number): Uint8Array {
  return Uint8Array.from({ length: give }, (_, index) =>
    dataOut.length === 0 ? 0xff : ~dataOut[index % dataOut.length] & 0xff,
  );
}

const commands = new CommandSet<BidirectionalUnit>([...primaryEntries]);

/** How far a command goes, for the residual rules of virtio 1.2 §5.6.6.1. */
export interface ExchangeLimits {
  /** Bytes that the unit takes at most; with less than the command says it ends there and gives nothing. */
  take?: number;
  /** Bytes that the unit gives at most. */
  give?: number;
}

/** The unit: the primary commands, and {@link exchangeCdb}. */
export class BidirectionalUnit extends ScsiUnit {
  readonly kind = "bidirectional";
  readonly #limits: ExchangeLimits;

  constructor(limits: ExchangeLimits = {}) {
    super(commands as CommandSet<ScsiUnit>, false);
    this.#limits = limits;
  }

  override prepare(task: ScsiTask): void {
    if (task.cdb[0] !== exchangeOpcode) {
      super.prepare(task);
      return;
    }
    task.expectedOut = word(task.cdb, 2);
    task.expectedIn = word(task.cdb, 6);
  }

  override execute(task: ScsiTask): undefined | Promise<void> {
    if (task.cdb[0] !== exchangeOpcode) return super.execute(task);
    if (task.dataOut.byteLength < task.expectedOut || task.dataIn.byteLength < task.expectedIn) {
      checkCondition(task, Conditions.invalidFieldInCdb, undefined, this.senseFormat);
      return undefined;
    }
    const take = Math.min(task.expectedOut, this.#limits.take ?? task.expectedOut);
    const taken = new Uint8Array(take);
    task.transferredOut = task.dataOut.copyOut(taken, 0, take);
    if (take < task.expectedOut) return undefined;
    const give = Math.min(task.expectedIn, this.#limits.give ?? task.expectedIn);
    task.transferredIn = task.dataIn.write(exchanged(taken, give));
    return undefined;
  }

  override inquiryData(): Uint8Array {
    return buildInquiry({
      qualifier: Qualifier.Connected,
      deviceType: DeviceType.Disk,
      removable: false,
      version: ScsiVersion.Spc4,
      commandQueuing: true,
      vendor: "RINGSIDE",
      product: "TWO-WAY",
      revision: "0001",
      standards: [StandardCode.Sam5, StandardCode.Spc4],
    });
  }

  override vitalPage(): undefined {
    return undefined;
  }

  override close(): undefined {
    return undefined;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
