/** `ringside run`: brings a machine up, finds what is behind its adapter, verifies it and tells. */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { boardNamed } from "../machine/index.js";
import type { TraceCategory } from "../observe/index.js";
import { readPartitions } from "../partition/index.js";
import { featureNames, type InterruptPreference, ringFeatures } from "../transport/index.js";
import { type DiscoveredUnit, discoverUnits, scsiFeatures, UnitBlocks } from "../virtio/index.js";
import { WorkFailed } from "./errors.js";
import { hashUnit } from "./hash-unit.js";
import { type PlacedImage, parseImageArgument, placeImages } from "./image-argument.js";
import { ImageBytes } from "./image-bytes.js";
import type { Interruption } from "./interruption.js";
import { writeOutput } from "./output.js";
import { Pace } from "./pace.js";
import { type PlatformMachine, type RegisterChoice, startPlatform } from "./platform.js";
import type { AdapterReport, RunReport, UnitReport } from "./run-report.js";
import { formatRun } from "./run-table.js";
import { writeSampleDisk } from "./sample-disk.js";
import { Session } from "./session.js";
import { TemporaryFolder } from "./temporary-folder.js";
import { traceTo } from "./trace.js";
import { verificationBytes, verifyUnit, type WriteTest } from "./verify.js";

/** The options as the command line gives them. */
export interface RunOptions {
  readonly machine: string;
  readonly platform: string;
  readonly qemu?: string;
  readonly ram?: number;
  readonly write: boolean;
  readonly json: boolean;
  readonly hash: boolean;
  readonly trace?: readonly TraceCategory[];
  readonly registers: RegisterChoice;
  readonly interrupts: InterruptPreference;
  readonly seed?: number;
  readonly format?: "raw";
}

/** Carries the command out. @throws what {@link exitStatusOf} knows */
export async function run(images: readonly string[], options: RunOptions, interruption: Interruption): Promise<void> {
  const placed = placeImages(images.map(parseImageArgument));
  if (placed.length > 0) return runWith(placed, false, options, interruption);
  const folder = new TemporaryFolder();
  try {
    const path = join(folder.path, "sample.img");
    writeSampleDisk(path);
    await runWith(placeImages([parseImageArgument(path.replaceAll(",", "\\,"))]), true, options, interruption);
  } finally {
    folder.remove();
  }
}

async function runWith(
  images: readonly PlacedImage[],
  isSample: boolean,
  options: RunOptions,
  interruption: Interruption,
): Promise<void> {
  const board = boardNamed(options.machine);
  const observer = traceTo(options.trace);
  const platform = await startPlatform(options.platform, {
    board,
    images,
    write: options.write,
    registers: options.registers,
    ram: options.ram,
    insistRaw: options.format === "raw",
    qemuPath: options.qemu,
    observer,
  });
  let report: RunReport;
  try {
    interruption.check();
    const session = await Session.open(platform.machine, { ...options, observer });
    try {
      // Where our device half is on the other end, it tells of commands itself.
      const commands = options.platform === "embedded" ? undefined : observer;
      const work = new Run({ images, isSample, options, session, platform, pace: new Pace(interruption), commands });
      report = await work.carryOut();
    } finally {
      await session.close();
    }
  } finally {
    await platform.close();
  }
  const { command } = platform;
  // Not before: a run that fails leaves one line, which says why.
  if (options.json && command !== undefined) process.stderr.write(`${command}\n`);
  const lines = options.json
    ? [JSON.stringify(report, undefined, 2)]
    : formatRun(report, { title: board.title, write: options.write });
  await writeOutput(`${lines.join("\n")}\n`);
}

interface RunParts {
  readonly images: readonly PlacedImage[];
  readonly isSample: boolean;
  readonly options: RunOptions;
  readonly session: Session;
  readonly platform: PlatformMachine;
  readonly pace: Pace;
  readonly commands: ReturnType<typeof traceTo>;
}

class Run {
  readonly #parts: RunParts;
  readonly #seed: number;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#seed = parts.options.seed ?? randomInt(2 ** 32);
  }

  async carryOut(): Promise<RunReport> {
    const { images, options, session, platform, pace, commands } = this.#parts;
    const { driver, adapter } = session;
    const found = await discoverUnits(driver, { check: () => pace.check(), observer: commands });
    const pairs = images.map((image) => ({ image, unit: unitOf(image, found) }));
    await pace.begin(this.#totalBytes(pairs), options.trace !== undefined);
    const units: UnitReport[] = [];
    try {
      for (const [index, { image, unit }] of pairs.entries()) units.push(await this.#unit(index, image, unit));
    } finally {
      pace.end();
    }
    const adapterReport: AdapterReport = {
      kind: "virtio-scsi",
      transport: driver.link.transport.kind,
      place: adapter.place,
      interrupts: driver.link.interruptMode,
      features: featureNames(driver.link.features, scsiFeatures, ringFeatures),
      units,
    };
    const { name } = platform.machine.board;
    const started = platform.command === undefined ? {} : { qemu: platform.command };
    return { machine: name, platform: options.platform, seed: this.#seed, ...started, adapters: [adapterReport] };
  }

  async #unit(index: number, image: PlacedImage, unit: DiscoveredUnit): Promise<UnitReport> {
    const { options, session, platform, pace, isSample, commands } = this.#parts;
    const { dma } = platform.machine;
    const blocks = new UnitBlocks(session.driver, unit, { observer: commands });
    const table = await readPartitions(blocks);
    pace.name(`reading ${image.path}`);
    const sha256 = options.hash ? await hashUnit(blocks, dma, pace) : undefined;
    pace.name(`verifying ${image.path}`);
    const bytes = new ImageBytes(image.path);
    try {
      const writeTest = this.#writeTest(image);
      const verification = await verifyUnit({ unit: blocks, image: bytes, dma, writeTest, seed: this.#seed, pace });
      const { read, written } = verification;
      return {
        unit: index,
        target: unit.target,
        lun: unit.lun,
        blockSize: blocks.blockSize,
        physicalBlockSize: blocks.blockSize * 2 ** (unit.capacity?.physicalExponent ?? 0),
        blocks: blocks.blocks,
        vendor: unit.inquiry.vendor,
        product: unit.inquiry.product,
        revision: unit.inquiry.revision,
        ...(unit.serial ? { serial: unit.serial } : {}),
        ...(isSample ? {} : { image: image.path }),
        readOnly: image.readOnly,
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
    if (image.readOnly) return "refused";
    return this.#parts.options.write ? "put-back" : "scratch";
  }

  #totalBytes(pairs: readonly { image: PlacedImage; unit: DiscoveredUnit }[]): number {
    let total = 0;
    for (const { image, unit } of pairs) {
      const { blocks = 0, blockSize = 512 } = unit.capacity ?? {};
      total += verificationBytes(blocks, blockSize, this.#writeTest(image));
      if (this.#parts.options.hash) total += blocks * blockSize;
    }
    return total;
  }
}

/** @throws WorkFailed when the unit was not found where its image was put, or is no disk of the right kind */
function unitOf(image: PlacedImage, found: readonly DiscoveredUnit[]): DiscoveredUnit {
  const unit = found.find(({ target, lun }) => target === image.target && lun === image.lun);
  const place = `target ${image.target} lun ${image.lun}`;
  if (unit === undefined) throw new WorkFailed(`${image.path} was put at ${place}, but no unit was found there`);
  if (unit.capacity === undefined) throw new WorkFailed(`the unit at ${place} (${image.path}) tells no capacity`);
  if (unit.capacity.blockSize !== image.blockSize) {
    throw new WorkFailed(
      `${image.path} was given blocks of ${image.blockSize} bytes, its unit has ${unit.capacity.blockSize}`,
    );
  }
  return unit;
}
