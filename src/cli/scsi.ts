/** `ringside scsi`: one raw command through driver and device. */
import { writeFileSync } from "node:fs";
import { parseHexBytes } from "../bytes/index.js";
import { boardNamed } from "../machine/index.js";
import type { TraceCategory } from "../observe/index.js";
import {
  type CommandAnswer,
  cdb,
  findCommand,
  lunLimit,
  parseSense,
  type ScsiInitiator,
  ScsiResponse,
  SenseKey,
  targetLimit,
  type UnitAddress,
  unitAddress,
} from "../scsi/index.js";
import type { InterruptPreference } from "../transport/index.js";
import { Interrupted, UsageError, WorkFailed } from "./errors.js";
import { type PlacedImage, parseImageArgument } from "./image-argument.js";
import { readInputFile } from "./input-file.js";
import type { Interruption } from "./interruption.js";
import { writeOutput } from "./output.js";
import { placeOn } from "./place-on.js";
import { checkPlatform, hasA4091, type RegisterChoice, startPlatform, usualMachineOf } from "./platform.js";
import { formatScsi, type ScsiReport, scsiReport } from "./scsi-report.js";
import { openA4091 } from "./session-a4091.js";
import { ScsiSession } from "./session-scsi.js";
import { traceTo } from "./trace.js";

/** The options as the command line gives them. */
export interface ScsiOptions {
  readonly machine?: string;
  readonly platform: string;
  readonly qemu?: string;
  readonly ram?: number;
  readonly registers: RegisterChoice;
  /** As for `run`. */
  readonly packed?: boolean;
  readonly interrupts: InterruptPreference;
  readonly write: boolean;
  readonly format?: "raw";
  readonly trace?: readonly TraceCategory[];
  readonly to?: string;
  readonly dataIn?: number;
  readonly dataOut?: string;
  readonly output?: string;
  readonly keepAttention: boolean;
  readonly json: boolean;
}

/** Room that a command gets whose data length we do not know. */
const usualRoom = 64 * 1024;
const largestRoom = 64 * 1024 * 1024;
const attentionLimit = 16;

/** Carries the command out. @throws WorkFailed, after everything was printed, when its status is not GOOD */
export async function scsi(
  imageText: string,
  words: readonly string[],
  options: ScsiOptions,
  interruption: Interruption,
): Promise<void> {
  const board = boardNamed(options.machine ?? usualMachineOf(options.platform));
  checkPlatform(board, options);
  const [image] = placeOn(board, [parseImageArgument(imageText)]);
  const command = parseCdb(words);
  const address = options.to === undefined ? unitAddress(image.target, image.lun) : parseAddress(options.to);
  const dataOut = options.dataOut === undefined ? undefined : await readDataOut(options.dataOut, interruption);
  const room = options.dataIn ?? (dataOut === undefined ? expectedRoom(command, image.blockSize) : 0);
  const observer = traceTo(options.trace);
  const platform = await startPlatform(options.platform, {
    board,
    device: "scsi",
    inWindows: false,
    tolerant: false,
    images: [image],
    write: options.write,
    registers: options.registers,
    packed: options.packed,
    ram: options.ram,
    insistRaw: options.format === "raw",
    qemuPath: options.qemu,
    observer,
  });
  const started = platform.command === undefined ? {} : { qemu: platform.command };
  const dataIn = new Uint8Array(room);
  let result: CommandAnswer;
  try {
    interruption.check();
    const open = hasA4091(board) ? openA4091 : ScsiSession.open;
    const session = await open(platform.machine, { ...options, observer });
    try {
      if (!options.keepAttention) await clearAttentions(session.driver, address);
      result = await session.driver.execute(address, command, {
        ...(dataOut === undefined || dataOut.length === 0 ? {} : { dataOut }),
        ...(room === 0 ? {} : { dataIn }),
      });
      if (options.write) await flush(session.driver, image);
    } finally {
      await session.close();
    }
  } finally {
    await platform.close();
  }
  const data = dataIn.subarray(0, Math.max(0, room - result.residual));
  const report = { ...scsiReport(command, address, result, data), ...started };
  await tell(report, data, options);
}

async function tell(report: ScsiReport, data: Uint8Array, options: ScsiOptions): Promise<void> {
  if (options.output !== undefined) writeOutputFile(options.output, data);
  const text = options.json ? JSON.stringify(report, undefined, 2) : formatScsi(report, options.output).join("\n");
  await writeOutput(`${text}\n`);
  if (!report.succeeded) throw new WorkFailed(`${report.command} ended with ${report.outcome}`);
}

/** @throws UsageError when these are no hexadecimal bytes or no CDB */
export function parseCdb(words: readonly string[]): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = parseHexBytes(words.join(" "));
  } catch (cause) {
    throw new UsageError(`"${words.join(" ")}" is no CDB: write its bytes in hexadecimal, such as 12 00 00 00 24 00`, {
      cause,
    });
  }
  if (bytes.length >= 6 && bytes.length <= 32) return bytes;
  throw new UsageError(`a CDB has 6 to 32 bytes, this one has ${bytes.length}`);
}

/** `0/3`. @throws UsageError */
export function parseAddress(text: string): UnitAddress {
  const match = /^(\d{1,5})\/(\d{1,5})$/.exec(text);
  if (match !== null && Number(match[1]) < targetLimit && Number(match[2]) < lunLimit) {
    return unitAddress(Number(match[1]), Number(match[2]));
  }
  throw new UsageError(`"${text}" is no place: write TARGET/LUN, 0/0 to ${targetLimit - 1}/${lunLimit - 1}`);
}

/** Bytes that a command moves to the initiator, as its CDB says; enough for most where we do not know the command. */
export function expectedRoom(command: Uint8Array, blockSize: number): number {
  const definition = findCommand(command);
  if (definition === undefined) return usualRoom;
  if (definition.data !== "in") return 0;
  const number = ([at, size]: readonly [number, number]) =>
    command.subarray(at, at + size).reduce((value, byte) => value * 256 + byte, 0);
  let room = usualRoom;
  if (definition.length !== undefined) room = number(definition.length);
  else if (definition.blocks !== undefined) {
    // READ(6) means 256 by 0.
    room = (number(definition.blocks) || (definition.opcode === 0x08 ? 256 : 0)) * blockSize;
  }
  if (room <= largestRoom) return room;
  throw new UsageError(`the CDB asks for ${room} bytes, more than 64 MiB: ask for less, or say --data-in`);
}

/** A file, or bytes in hexadecimal when there is no such file. */
async function readDataOut(text: string, interruption: Interruption): Promise<Uint8Array> {
  try {
    return await readInputFile(text, largestRoom, interruption);
  } catch (error) {
    if (error instanceof UsageError || error instanceof Interrupted) throw error;
    const { code } = error as NodeJS.ErrnoException;
    // Bytes in hexadecimal can be longer than any file name.
    if (code !== "ENOENT" && code !== "ENAMETOOLONG")
      throw new UsageError(`${text} cannot be read (${code}): give a file for --data-out`);
  }
  try {
    return parseHexBytes(text);
  } catch {
    throw new UsageError(`"${text}" is neither a file nor bytes in hexadecimal: give one of them for --data-out`);
  }
}

function writeOutputFile(path: string, data: Uint8Array): void {
  try {
    writeFileSync(path, data);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new WorkFailed(`${path} cannot be written (${code}): give another file for --output`, { cause });
  }
}

async function clearAttentions(driver: ScsiInitiator, address: UnitAddress): Promise<void> {
  for (let count = 0; count < attentionLimit; count++) {
    const { response, sense } = await driver.execute(address, cdb.testUnitReady());
    if (response !== ScsiResponse.Ok || parseSense(sense)?.key !== SenseKey.UnitAttention) return;
  }
}

/** What was written shall be in the image when the program ends. */
async function flush(driver: ScsiInitiator, image: PlacedImage): Promise<void> {
  await driver.execute(unitAddress(image.target, image.lun), cdb.synchronizeCache10());
}
