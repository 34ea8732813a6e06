/** The work of `ringside run` once the drivers are up: partitions, hashes, verification; and the report of it. */
import { randomInt } from "node:crypto";
import { readPartitions } from "../partition/index.js";
import type { DrivenFunction, DrivenSession, DrivenUnit } from "./driven.js";
import { hashUnit } from "./hash-unit.js";
import type { PlacedImage } from "./image-argument.js";
import { ImageBytes } from "./image-bytes.js";
import type { Pace } from "./pace.js";
import type { PlatformMachine } from "./platform.js";
import { filesOf } from "./run-files.js";
import type { Plan, RunOptions } from "./run-plan.js";
import type { AdapterReport, FileReport, RunReport, UnitReport } from "./run-report.js";
import { verificationBytes, verifyUnit, type WriteTest } from "./verify.js";

/** What the work is made of. */
export interface RunParts {
  readonly plan: Plan;
  readonly isSample: boolean;
  readonly options: RunOptions;
  readonly session: DrivenSession;
  /** What else the machine has. */
  readonly functions: readonly DrivenFunction[];
  readonly platform: PlatformMachine;
  readonly pace: Pace;
}

export class RunWork {
  readonly #parts: RunParts;
  readonly #seed: number;
  #units = 0;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#seed = parts.options.seed ?? randomInt(2 ** 32);
  }

  async carryOut(): Promise<RunReport> {
    const { plan, options, session, functions, platform, pace } = this.#parts;
    await pace.begin(this.#totalBytes(), options.trace !== undefined);
    const adapters: AdapterReport[] = [];
    let listing: FileReport | undefined;
    try {
      if (options.ls !== undefined) {
        listing = { path: options.ls, entries: await filesOf(session).list(options.ls) };
      }
      for (const { units, ...adapter } of session.adapters) {
        const reports: UnitReport[] = [];
        for (const unit of units) reports.push(await this.#unit(unit));
        adapters.push({ ...adapter, units: reports });
      }
      adapters.push(...functions.map(({ facts, ...adapter }) => ({ ...adapter, units: [], facts })));
    } finally {
      pace.end();
    }
    return {
      machine: platform.machine.board.name,
      platform: options.platform,
      ...(options.os === undefined ? {} : { os: options.os, profile: plan.profile }),
      seed: this.#seed,
      ...(platform.command === undefined ? {} : { qemu: platform.command }),
      ...(session.story === undefined ? {} : { boot: session.story.facts }),
      adapters,
      ...(listing === undefined ? {} : { files: listing }),
    };
  }

  async #unit(unit: DrivenUnit): Promise<UnitReport> {
    const { options, platform, pace, isSample } = this.#parts;
    const { dma } = platform.machine;
    const { randomBytes } = platform;
    const { image, blocks, target, lun, vendor, product, revision, serial, isRefusal } = unit;
    const table = await readPartitions(blocks);
    pace.name(`reading ${image.path}`);
    const sha256 = options.hash ? await hashUnit(blocks, dma, pace) : undefined;
    pace.name(`verifying ${image.path}`);
    const bytes = new ImageBytes(image.path);
    try {
      const writeTest = this.#writeTest(image);
      const seed = this.#seed;
      const work = { unit: blocks, isRefusal, image: bytes, dma, writeTest, seed, pace, randomBytes };
      const verification = await verifyUnit(work);
      const { read, written } = verification;
      return {
        unit: this.#units++,
        ...{ target, lun, blockSize: blocks.blockSize, physicalBlockSize: unit.physicalBlockSize },
        ...{ blocks: blocks.blocks, vendor, product, revision },
        ...(serial === undefined ? {} : { serial }),
        ...(isSample ? {} : { image: image.path }),
        readOnly: image.readOnly,
        ...(image.cd === true ? { cd: true } : {}),
        scheme: table.scheme,
        partitions: table.partitions.map(({ name, type, content, firstBlock, blocks, bootable }) => {
          const shown = content === undefined ? type : `${type} (boot block: ${content})`;
          return { name, type: shown, firstBlock, blocks, bootable };
        }),
        notes: table.notes,
        verified: true,
        verification: {
          places: verification.places,
          bytes: verification.bytes,
          readBytesPerSecond: Math.round(read.bytesPerSecond),
          readIops: Math.round(read.commandsPerSecond),
          ...(written === undefined
            ? {}
            : {
                writeBytesPerSecond: Math.round(written.bytesPerSecond),
                writeIops: Math.round(written.commandsPerSecond),
              }),
        },
        ...(sha256 === undefined ? {} : { sha256 }),
      };
    } finally {
      bytes.close();
    }
  }

  #writeTest(image: PlacedImage): WriteTest {
    if (image.cd === true) return "none";
    if (image.readOnly) return "refused";
    return this.#parts.options.write ? "put-back" : "scratch";
  }

  #totalBytes(): number {
    let total = 0;
    for (const { image, blocks } of this.#parts.session.adapters.flatMap(({ units }) => units)) {
      total += verificationBytes(
        blocks.blocks,
        blocks.blockSize,
        this.#writeTest(image),
        this.#parts.platform.randomBytes,
      );
      if (this.#parts.options.hash) total += blocks.blocks * blocks.blockSize;
    }
    return total;
  }
}
