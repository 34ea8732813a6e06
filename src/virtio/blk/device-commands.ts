/**
 * What the requests of virtio-blk do to a store, virtio 1.2 §5.2.6: every check, then the work. Rings, order and life
 * cycle are the device's.
 */
import type { Endianness } from "../../bytes/index.js";
import type { ViolationCode } from "../../errors/index.js";
import { type LogicalUnit, Nexus } from "../../scsi/index.js";
import type { Answer, Store } from "../../storage/index.js";
import { limitExceeded, type SegmentLimits } from "./device-limits.js";
import type { BlkTraits, RangeLimits } from "./device-options.js";
import { type ParsedRange, parseRanges } from "./device-ranges.js";
import type { BlkDeviceRequest } from "./device-request.js";
import { BlkStatus, BlkType, blkIdLength, blkRange, sectorSize } from "./protocol.js";
import { ScsiPacket } from "./scsi-packet.js";

/** A status, or one that comes later; a rejection is an I/O error. */
export type Outcome = number | Promise<number>;

/** What driver and device agreed on, kept because asking costs more than a request. */
export interface BlkModes {
  readonly endianness: Endianness;
  /** A write is durable before its request ends. */
  readonly writesThrough: boolean;
  readonly limits: SegmentLimits;
  readonly hasPackets: boolean;
  readonly hasDiscard: boolean;
  readonly hasWriteZeroes: boolean;
}

/** Told of a request that breaks a rule. */
export type ViolationReport = (request: BlkDeviceRequest, code: ViolationCode, detail: string) => void;

const toOk = (): number => BlkStatus.Ok;

/** The commands of one device. */
export class BlkCommands {
  readonly #store: Store;
  readonly #traits: BlkTraits;
  readonly #report: ViolationReport;
  readonly #nexus = new Nexus("virtio-blk");
  /** Sectors. */
  capacity: number;
  modes: BlkModes;

  constructor(store: Store, traits: BlkTraits, modes: BlkModes, report: ViolationReport) {
    this.#store = store;
    this.#traits = traits;
    this.#report = report;
    this.modes = modes;
    this.capacity = capacityOf(store.byteLength, traits.blockSize);
  }

  /** Carries a request out. May throw what the store throws: an I/O error. */
  execute(request: BlkDeviceRequest): Outcome {
    const { modes } = this;
    switch (request.type) {
      case BlkType.In:
        return this.#read(request);
      case BlkType.Out:
        return this.#write(request);
      case BlkType.Flush:
      case BlkType.FlushOut:
        return okAfter(this.#store.flush());
      case BlkType.GetId:
        return this.#identify(request);
      case BlkType.Discard:
        return modes.hasDiscard ? this.#discard(request) : BlkStatus.Unsupported;
      case BlkType.WriteZeroes:
        return modes.hasWriteZeroes ? this.#writeZeroes(request) : BlkStatus.Unsupported;
      case BlkType.ScsiCommand:
      case BlkType.ScsiCommandOut:
        return modes.hasPackets ? this.#packet(request, this.#traits.scsi) : BlkStatus.Unsupported;
      default:
        return BlkStatus.Unsupported;
    }
  }

  #read(request: BlkDeviceRequest): Outcome {
    const { readable, writable } = request.chain;
    const length = request.roomIn;
    if (readable.byteLength > 0) return this.#refuse(request, "request-data-direction", "a read with data to write");
    if (this.#isWrongTransfer(request, length)) return BlkStatus.IoError;
    const excess = limitExceeded(writable, length, this.modes.limits);
    if (excess !== undefined) return this.#refuse(request, "request-over-limit", excess);
    request.written = length + 1;
    return okAfter(this.#store.read(request.sector * sectorSize, writable, length));
  }

  #write(request: BlkDeviceRequest): Outcome {
    const { readable } = request.chain;
    const length = readable.byteLength;
    if (this.#traits.readOnly) return BlkStatus.IoError;
    if (request.roomIn > 0) return this.#refuse(request, "request-data-direction", "a write with room for data");
    if (this.#isWrongTransfer(request, length)) return BlkStatus.IoError;
    const excess = limitExceeded(readable, length, this.modes.limits);
    if (excess !== undefined) return this.#refuse(request, "request-over-limit", excess);
    return this.#durable(this.#store.write(request.sector * sectorSize, readable, length));
  }

  /** §5.2.6.1: whole sectors, all of them on the device. */
  #isWrongTransfer(request: BlkDeviceRequest, length: number): boolean {
    if (length % sectorSize !== 0) {
      this.#report(request, "request-data-length", `${length} bytes are no whole number of sectors`);
      return true;
    }
    return this.#isOutside(request, request.sector, length / sectorSize);
  }

  /** Whether sectors lie past the capacity; cannot wrap, since nothing is added to what came. */
  #isOutside(request: BlkDeviceRequest, sector: number, sectors: number): boolean {
    if (sector <= this.capacity - sectors) return false;
    this.#report(request, "sector-past-capacity", `${sectors} sectors at ${sector} of ${this.capacity}`);
    return true;
  }

  #identify(request: BlkDeviceRequest): Outcome {
    if (request.roomIn < blkIdLength) {
      return this.#refuse(request, "request-data-length", `${request.roomIn} of ${blkIdLength} bytes for the name`);
    }
    request.chain.writable.write(this.#traits.serial);
    request.written = blkIdLength + 1;
    return BlkStatus.Ok;
  }

  #discard(request: BlkDeviceRequest): Outcome {
    const ranges = this.#rangesOf(request, this.#traits.discard);
    if (typeof ranges === "number") return ranges;
    // §5.2.6.2: the unmap flag has no place here.
    if (ranges.some((range) => range.unmap)) return BlkStatus.Unsupported;
    return okAfter(
      this.#forEachRange(request, ranges, ({ sector, sectors }) =>
        this.#store.discard(sector * sectorSize, sectors * sectorSize),
      ),
    );
  }

  #writeZeroes(request: BlkDeviceRequest): Outcome {
    const ranges = this.#rangesOf(request, this.#traits.writeZeroes);
    if (typeof ranges === "number") return ranges;
    return this.#durable(
      this.#forEachRange(request, ranges, ({ sector, sectors, unmap }) =>
        this.#store.writeZeroes(sector * sectorSize, sectors * sectorSize, !unmap),
      ),
    );
  }

  /** The ranges when all of them can be worked on, otherwise the status that says why not. */
  #rangesOf(request: BlkDeviceRequest, limits: Required<RangeLimits> | undefined): ParsedRange[] | number {
    const { readable } = request.chain;
    const length = readable.byteLength;
    if (limits === undefined) return BlkStatus.Unsupported;
    if (this.#traits.readOnly) return BlkStatus.IoError;
    if (length === 0 || length % blkRange.size !== 0) {
      return this.#refuse(request, "request-data-length", `${length} bytes are no whole number of ranges`);
    }
    const count = length / blkRange.size;
    if (count > limits.maxRanges) {
      return this.#refuse(request, "request-over-limit", `${count} ranges, the limit is ${limits.maxRanges}`);
    }
    const ranges = parseRanges(readable, this.modes.endianness);
    if (ranges.some((range) => range.hasUnknownFlags)) return BlkStatus.Unsupported;
    for (const { sector, sectors } of ranges) {
      if (sectors > limits.maxSectors) {
        return this.#refuse(request, "request-over-limit", `${sectors} sectors, the limit is ${limits.maxSectors}`);
      }
      if (this.#isOutside(request, sector, sectors)) return BlkStatus.IoError;
    }
    return ranges;
  }

  /** One range after the other; at once where the store is. */
  #forEachRange(request: BlkDeviceRequest, ranges: ParsedRange[], work: (range: ParsedRange) => Answer): Answer {
    for (let index = 0; index < ranges.length; index++) {
      const answer = work(ranges[index]);
      if (answer !== undefined) return this.#remainingRanges(request, answer, ranges.slice(index + 1), work);
    }
    return undefined;
  }

  async #remainingRanges(
    request: BlkDeviceRequest,
    first: Promise<void>,
    ranges: ParsedRange[],
    work: (range: ParsedRange) => Answer,
  ): Promise<void> {
    await first;
    for (const range of ranges) {
      if (request.state === "cancelled") return;
      await work(range);
    }
  }

  #packet(request: BlkDeviceRequest, unit: LogicalUnit | undefined): Outcome {
    if (unit === undefined) return BlkStatus.Unsupported;
    const { chain } = request;
    const { endianness } = this.modes;
    const packet = (request.packet ??= new ScsiPacket());
    const problem = packet.begin(chain, this.#nexus);
    if (problem !== undefined) return this.#refuse(request, problem, "a SCSI packet command");
    const finish = (isDone: boolean): number => {
      if (!isDone) return BlkStatus.IoError;
      request.written = packet.finish(chain, endianness);
      return BlkStatus.Ok;
    };
    const done = packet.execute(unit);
    if (typeof done === "boolean") return finish(done);
    return done.then((isDone) => (request.state === "cancelled" ? BlkStatus.IoError : finish(isDone)));
  }

  /** A write's end: after a flush where the cache mode wants it. */
  #durable(answer: Answer): Outcome {
    if (!this.modes.writesThrough) return okAfter(answer);
    if (answer === undefined) return okAfter(this.#store.flush());
    return answer.then(() => this.#store.flush()).then(toOk);
  }

  #refuse(request: BlkDeviceRequest, code: ViolationCode, detail: string): number {
    this.#report(request, code, detail);
    return BlkStatus.IoError;
  }
}

function okAfter(answer: Answer): Outcome {
  return answer === undefined ? BlkStatus.Ok : answer.then(toOk);
}

/**
 * Sectors of a store: as many as whole blocks hold.
 * @throws RangeError when that is none.
 */
export function capacityOf(byteLength: number, blockSize: number): number {
  const blocks = Math.floor(byteLength / blockSize);
  if (blocks >= 1) return blocks * (blockSize / sectorSize);
  throw new RangeError(`a disk needs at least one block of ${blockSize} bytes, the store has ${byteLength} bytes`);
}
