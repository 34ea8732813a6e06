/**
 * Verifies a unit: reads places of it through the driver and compares them with the image, then writes patterns to
 * them and reads those back. A unit that may not be written must refuse.
 */
import { Buffer } from "node:buffer";
import { blockBytes, type DmaBlock, type DmaMemory } from "../memory/index.js";
import { allEnded } from "./all-ended.js";
import type { DrivenBlocks } from "./driven.js";
import { WorkFailed } from "./errors.js";
import type { Pace } from "./pace.js";
import { choosePlaces, type Place } from "./places.js";
import { fillPattern, numbersFrom } from "./random.js";

/** How the write test treats the disk. */
export type WriteTest =
  /** Writes go to a scratch overlay and may stay there. */
  | "scratch"
  /** Writes go to the image; what was there is put back. */
  | "put-back"
  /** Writes must be refused. */
  | "refused"
  /** A medium that nobody writes: it is only read. */
  | "none";

/** What the unit is compared with. */
export interface Reference {
  /** For messages. */
  readonly path: string;
  /** Fills `bytes` from byte `position` on. */
  read(position: number, bytes: Uint8Array): void | Promise<void>;
}

/** What a verification reads, writes and compares with. */
export interface VerifyOptions {
  readonly unit: DrivenBlocks;
  /** Whether a write failed because the unit may not be written. */
  readonly isRefusal: (error: unknown) => boolean;
  readonly image: Reference;
  readonly dma: DmaMemory;
  readonly writeTest: WriteTest;
  readonly seed: number;
  readonly pace: Pace;
  /** Bytes of random places. Default 16 MiB. */
  readonly randomBytes?: number | undefined;
}

/** How fast commands were carried out. */
export interface Speed {
  readonly bytesPerSecond: number;
  readonly commandsPerSecond: number;
}

/** What a verification did. */
export interface Verification {
  readonly places: number;
  /** Bytes of all places. */
  readonly bytes: number;
  readonly read: Speed;
  /** Undefined when the unit may not be written. */
  readonly written?: Speed;
}

/** Commands that are under way at once. */
const depth = 8;

/** Bytes that {@link verifyUnit} moves, for a progress bar. */
export function verificationBytes(
  blocks: number,
  blockSize: number,
  writeTest: WriteTest,
  randomBytes?: number,
): number {
  const bytes = sizeOf(choosePlaces(blocks, blockSize, numbersFrom(0), randomBytes), blockSize);
  return bytes * { none: 1, refused: 1, scratch: 3, "put-back": 6 }[writeTest];
}

/** @throws WorkFailed when something differs, and what the driver throws when a request fails. */
export async function verifyUnit(options: VerifyOptions): Promise<Verification> {
  const { unit, dma, writeTest } = options;
  const places = choosePlaces(unit.blocks, unit.blockSize, numbersFrom(options.seed), options.randomBytes);
  const largest = Math.max(...places.map(({ blocks }) => blocks)) * unit.blockSize;
  const block = dma.allocate(largest * depth, 4096);
  try {
    const work = new Verifier(options, places, block, largest);
    const read = await work.compareWithImage();
    const size = { places: places.length, bytes: sizeOf(places, unit.blockSize) };
    if (writeTest === "refused") await work.expectRefusal();
    if (writeTest === "refused" || writeTest === "none") return { ...size, read };
    return { ...size, read, written: await work.testWrites(writeTest === "put-back") };
  } finally {
    dma.free(block);
  }
}

function sizeOf(places: readonly Place[], blockSize: number): number {
  return places.reduce((sum, { blocks }) => sum + blocks, 0) * blockSize;
}

/** Time spent in commands. */
class Stopwatch {
  #milliseconds = 0;
  #bytes = 0;
  #commands = 0;

  async time(places: readonly Place[], blockSize: number, work: () => Promise<unknown>): Promise<void> {
    const start = performance.now();
    await work();
    this.#milliseconds += performance.now() - start;
    this.#bytes += sizeOf(places, blockSize);
    this.#commands += places.length;
  }

  speed(): Speed {
    const seconds = Math.max(this.#milliseconds, 0.001) / 1000;
    return { bytesPerSecond: this.#bytes / seconds, commandsPerSecond: this.#commands / seconds };
  }
}

class Verifier {
  readonly #options: VerifyOptions;
  readonly #places: readonly Place[];
  readonly #buffers: readonly Uint8Array[];
  readonly #expected: Uint8Array;

  constructor(options: VerifyOptions, places: readonly Place[], block: DmaBlock, largest: number) {
    this.#options = options;
    this.#places = places;
    const bytes = blockBytes(block);
    this.#buffers = Array.from({ length: depth }, (_, index) => bytes.subarray(index * largest, (index + 1) * largest));
    this.#expected = new Uint8Array(largest);
  }

  async compareWithImage(): Promise<Speed> {
    const { unit, image } = this.#options;
    const watch = new Stopwatch();
    for (const batch of this.#batches()) {
      await watch.time(batch, unit.blockSize, () => this.#readAll(batch));
      await this.#compare(batch, "is not what the image holds", ({ lba }, expected) =>
        image.read(lba * unit.blockSize, expected),
      );
      await this.#step(batch);
    }
    return watch.speed();
  }

  /** The write that is tried would change nothing, so a unit that wrongly takes it does no harm. */
  async expectRefusal(): Promise<void> {
    const { unit, image, isRefusal } = this.#options;
    const block = await unit.readBlocks(0, 1);
    try {
      await unit.write(0, block);
    } catch (error) {
      if (isRefusal(error)) return;
      throw error;
    }
    throw new WorkFailed(`${image.path} is read-only, but its unit took a write`);
  }

  /**
   * On scratch space everything is written before anything is read back, which shows writes that went to a wrong place.
   * An image holds foreign data for as short a time as possible.
   */
  async testWrites(putBack: boolean): Promise<Speed> {
    const { unit, pace } = this.#options;
    const watch = new Stopwatch();
    if (putBack) {
      for (const batch of this.#batches()) {
        await pace.protect(() => this.#writeAndPutBack(batch, watch));
        await this.#step(batch, 5);
      }
    } else {
      for (const batch of this.#batches()) {
        await this.#writePattern(batch, watch);
        await this.#step(batch);
      }
      for (const batch of this.#batches()) {
        await this.#comparePattern(batch);
        await this.#step(batch);
      }
    }
    await unit.flush();
    return watch.speed();
  }

  async #writeAndPutBack(batch: readonly Place[], watch: Stopwatch): Promise<void> {
    const { unit, image } = this.#options;
    await this.#readAll(batch);
    const originals = batch.map((place, index) => this.#buffer(place, index).slice());
    try {
      await this.#writePattern(batch, watch);
      await this.#comparePattern(batch);
    } finally {
      try {
        for (const [index, place] of batch.entries()) this.#buffer(place, index).set(originals[index]);
        await this.#writeAll(batch);
        await this.#readAll(batch);
        await this.#compare(batch, "was not put back", (_, expected, index) => expected.set(originals[index]));
      } catch (cause) {
        const blocks = batch.map((place) => `${place.lba}…${place.lba + place.blocks - 1}`).join(", ");
        const reason = cause instanceof Error ? cause.message : String(cause);
        // biome-ignore lint/correctness/noUnsafeFinally: data that was lost matters more than the first failure
        throw new WorkFailed(`the data of ${image.path} at blocks ${blocks} could not be put back: ${reason}`, {
          cause,
        });
      }
    }
    await unit.flush();
  }

  async #writePattern(batch: readonly Place[], watch: Stopwatch): Promise<void> {
    const { unit, seed } = this.#options;
    for (const [index, place] of batch.entries()) {
      fillPattern(this.#buffer(place, index), seed, place.lba * unit.blockSize);
    }
    await watch.time(batch, unit.blockSize, () => this.#writeAll(batch));
  }

  async #comparePattern(batch: readonly Place[]): Promise<void> {
    const { unit, seed } = this.#options;
    for (const [index, place] of batch.entries()) this.#buffer(place, index).fill(0);
    await this.#readAll(batch);
    await this.#compare(batch, "is not what was written", ({ lba }, expected) =>
      fillPattern(expected, seed, lba * unit.blockSize),
    );
  }

  #readAll(batch: readonly Place[]): Promise<void> {
    return allEnded(batch.map((place, index) => this.#options.unit.read(place.lba, this.#buffer(place, index))));
  }

  #writeAll(batch: readonly Place[]): Promise<void> {
    return allEnded(batch.map((place, index) => this.#options.unit.write(place.lba, this.#buffer(place, index))));
  }

  async #compare(
    batch: readonly Place[],
    complaint: string,
    fill: (place: Place, expected: Uint8Array, index: number) => void | Promise<void>,
  ): Promise<void> {
    const { unit, image } = this.#options;
    for (const [index, place] of batch.entries()) {
      const found = this.#buffer(place, index);
      const expected = this.#expected.subarray(0, found.length);
      await fill(place, expected, index);
      if (Buffer.compare(found, expected) === 0) continue;
      const at = found.findIndex((byte, offset) => byte !== expected[offset]);
      const block = place.lba + Math.floor(at / unit.blockSize);
      throw new WorkFailed(`block ${block} of ${image.path}, read through the driver, ${complaint}`);
    }
  }

  #buffer({ blocks }: Place, index: number): Uint8Array {
    return this.#buffers[index].subarray(0, blocks * this.#options.unit.blockSize);
  }

  *#batches(): Generator<readonly Place[]> {
    for (let at = 0; at < this.#places.length; at += depth) yield this.#places.slice(at, at + depth);
  }

  #step(batch: readonly Place[], passes = 1): Promise<void> {
    return this.#options.pace.step(sizeOf(batch, this.#options.unit.blockSize) * passes);
  }
}
