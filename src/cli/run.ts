/** `ringside run`: brings a machine up, finds what is behind its adapters, verifies it and tells. */
import { join } from "node:path";
import type { DrivenSession, DriveOptions } from "./driven.js";
import { driveFunctions } from "./driven-functions.js";
import type { Face, ProfileName } from "./faces.js";
import { type PlacedImage, parseImageArgument } from "./image-argument.js";
import type { Interruption } from "./interruption.js";
import { MessageSink } from "./message-sink.js";
import { writeOutput } from "./output.js";
import { Pace } from "./pace.js";
import { placeOn } from "./place-on.js";
import { hasA4091, type PlatformMachine, startPlatform } from "./platform.js";
import { filesOf, formatListing, printContent } from "./run-files.js";
import { type Plan, planOf, type RunOptions } from "./run-plan.js";
import type { RunReport } from "./run-report.js";
import { formatRun } from "./run-table.js";
import { RunWork } from "./run-work.js";
import { writeSampleDisk } from "./sample-disk.js";
import { driveA4091 } from "./session-a4091.js";
import { driveBlk } from "./session-blk.js";
import { driveScsi } from "./session-scsi.js";
import { TemporaryFolder } from "./temporary-folder.js";
import { traceTo } from "./trace.js";

/** Debug level of everything. */
const mostVerbose = 5;

/** Carries the command out. @throws what {@link exitStatusOf} knows */
export async function run(images: readonly string[], options: RunOptions, interruption: Interruption): Promise<void> {
  const plan = planOf(options, images.length);
  const own = await plan.face?.ownMachine?.();
  const place = (texts: readonly string[]) => {
    const parsed = texts.map(parseImageArgument);
    return own?.place(parsed, plan, options) ?? placeOn(plan.board, parsed, plan.device);
  };
  const placed = place(images);
  if (placed.length > 0) return runWith(placed, false, plan, options, interruption);
  const folder = new TemporaryFolder();
  try {
    const path = join(folder.path, "sample.img");
    writeSampleDisk(path);
    const sample = place([path.replaceAll(",", "\\,")]);
    await runWith(sample, true, plan, options, interruption);
  } finally {
    folder.remove();
  }
}

async function runWith(
  images: readonly PlacedImage[],
  isSample: boolean,
  plan: Plan,
  options: RunOptions,
  interruption: Interruption,
): Promise<void> {
  const { board, device, inWindows, face, profile } = plan;
  const observer = traceTo(options.trace);
  const tolerant = face?.tolerated.includes(profile) === true;
  const wanted = {
    ...{ board, device, inWindows, images, observer, tolerant },
    ...{ write: options.write, registers: options.registers, ram: options.ram, qemuPath: options.qemu },
    packed: options.packed,
    functions: options.with,
    insistRaw: options.format === "raw",
  };
  const own = await face?.ownMachine?.();
  const platform = await (own?.start(wanted, plan, options) ?? startPlatform(options.platform, wanted));
  const pace = new Pace(interruption);
  let report: RunReport | undefined;
  let story: readonly string[] = [];
  try {
    pace.check();
    const drive = {
      images,
      ...{ registers: options.registers, interrupts: options.interrupts, observer, check: () => pace.check() },
      // Where our device half is on the other end, it tells of commands itself.
      commands: options.platform === "embedded" ? undefined : observer,
    };
    // Before the disks, so that their rates are theirs alone; a face is all the system that its machine has.
    const functions =
      face === undefined && !hasA4091(board)
        ? await driveFunctions(platform.machine, { ...drive, isStopped: platform.isStopped })
        : [];
    const session = await (face === undefined
      ? openSession(platform, plan, drive)
      : openFace(platform, face, profile, drive, options));
    story = session.story?.lines ?? [];
    try {
      if (options.cat !== undefined) await printContent(filesOf(session), options.cat, pace);
      else if (options.ls !== undefined && !options.json) {
        const entries = await filesOf(session).list(options.ls);
        await writeOutput(formatListing(entries));
      } else report = await new RunWork({ plan, isSample, options, session, functions, platform, pace }).carryOut();
    } finally {
      await session.close();
    }
  } finally {
    await platform.close();
  }
  if (report === undefined) return;
  const { command } = platform;
  // Not before: a run that fails leaves one line, which says why.
  if (options.json && command !== undefined) process.stderr.write(`${command}\n`);
  const lines = options.json
    ? [JSON.stringify(report, undefined, 2)]
    : formatRun(report, { title: board.title, write: options.write, story });
  await writeOutput(`${lines.join("\n")}\n`);
}

async function openSession(platform: PlatformMachine, plan: Plan, options: DriveOptions): Promise<DrivenSession> {
  const { machine } = platform;
  if (hasA4091(plan.board)) return driveA4091(machine, options);
  return plan.device === "blk" ? driveBlk(machine, options) : driveScsi(machine, options);
}

/** Opens a face, whose own messages go where the options say. */
async function openFace(
  { machine }: PlatformMachine,
  face: Face,
  profile: ProfileName,
  drive: DriveOptions,
  { debugLevel, com1, autocon }: RunOptions,
): Promise<DrivenSession> {
  const open = await face.load();
  // A file alone shows everything.
  const level = debugLevel ?? (com1 === undefined ? 0 : mostVerbose);
  const sink = level === 0 && com1 === undefined ? undefined : new MessageSink(com1);
  try {
    const session = await open(machine, { ...drive, profile, debugLevel: level, com1: sink, autocon });
    const close = async () => {
      try {
        await session.close();
      } finally {
        sink?.close();
      }
    };
    return { ...session, close };
  } catch (error) {
    sink?.close();
    throw error;
  }
}
