/** A whole system for tests of commands: a board of our device halves, units, the device, and programs. */
import type { FaultHook } from "../../../observe/index.js";
import { Disk, type LogicalUnit } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { type AmigaLoopUnit, inTime, openAmigaLoop } from "../../../testing/index.js";
import { type ExecMemory, ExecTask, IoFlag, IoRequest, MessagePort, type PageOrder } from "../exec/index.js";
import type { AmigaSystem } from "../open-amigaos.js";
import { type AmigaProfile, amigaProfiles } from "../profile.js";
import type { CommandBehaviour } from "./behaviour.js";
import { driveGeometrySize } from "./geometry.js";
import { readScsiCmdResult, ScsiFlag, scsiCmdSize, writeScsiCmd } from "./scsi-cmd.js";

/** What the rig is made of. */
export interface CommandRigOptions {
  /** Default `pegasos2`. */
  readonly machine?: "amigaone" | "pegasos2";
  readonly profile?: AmigaProfile["name"];
  readonly change?: Partial<CommandBehaviour>;
  readonly units?: readonly AmigaLoopUnit[];
  readonly pages?: PageOrder;
  /** Bytes. Default 16 MiB. */
  readonly ramSize?: number;
  /** Default true. */
  readonly poison?: boolean;
  readonly faults?: FaultHook;
}

/** A disk with a pattern, at a place. */
export function patternDisk(
  target: number,
  lun: number,
  { byteLength = 1 << 20, blockSize = 512, seed = 1 } = {},
): AmigaLoopUnit {
  const store = MemoryStore.of(patternBytes(byteLength, seed));
  return { target, lun, unit: new Disk(store, { blockSize, powerOnAttention: false }) };
}

/** Bytes that differ from block to block. */
export function patternBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 7 + (index >>> 9) * 13 + seed) & 0xff;
  return bytes;
}

/** A place for a logical unit. */
export function unitAt(target: number, lun: number, unit: LogicalUnit): AmigaLoopUnit {
  return { target, lun, unit };
}

/** What a command ended with. */
export interface Ended {
  readonly error: number;
  readonly actual: number;
}

/** Fields of a request. */
export interface Fields {
  readonly command: number;
  readonly data?: number;
  readonly length?: number;
  /** Bytes; the high word goes where the command has it. */
  readonly offset?: number;
  readonly count?: number;
  readonly actual?: number;
}

/** A program: a task with a port and a request that is open on a unit. */
export class Program {
  readonly system: Pick<AmigaSystem, "exec" | "memory">;
  readonly port: MessagePort;
  readonly request: IoRequest;
  #isOpen = false;

  constructor(system: Pick<AmigaSystem, "exec" | "memory">, name = "test") {
    this.system = system;
    this.port = new MessagePort(new ExecTask(name));
    this.request = new IoRequest(this.port);
  }

  get memory(): ExecMemory {
    return this.system.memory;
  }

  /** OpenDevice. @returns its error. */
  async open(unit: number): Promise<number> {
    const error = await this.system.exec.openDevice("virtioscsi.device", unit, this.request);
    this.#isOpen = error === 0;
    return error;
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.system.exec.closeDevice(this.request);
  }

  /** Another request to the same unit, with the same port. */
  another(): IoRequest {
    const request = new IoRequest(this.port);
    request.ioDevice = this.request.ioDevice;
    request.ioUnit = this.request.ioUnit;
    return request;
  }

  /** DoIO with the program's own request. */
  async do(fields: Fields): Promise<Ended> {
    fill(this.request, fields);
    const error = await this.system.exec.doIo(this.request);
    return { error, actual: this.request.ioActual };
  }

  /** Whether a command was answered in the caller's context: IOF_QUICK is still set. */
  async isQuick(fields: Fields): Promise<boolean> {
    fill(this.request, fields);
    this.request.ioFlags |= IoFlag.Quick;
    await this.system.exec.doIo(this.request);
    return (this.request.ioFlags & IoFlag.Quick) !== 0;
  }

  /** Sends HD_SCSICMD. */
  async scsi(
    cdb: readonly number[],
    options: { room?: number; flags?: number; senseLength?: number; dataOut?: Uint8Array; data?: number } = {},
  ) {
    const { memory } = this;
    const { room = 255, flags = ScsiFlag.Read | ScsiFlag.AutoSense, senseLength = 96, dataOut } = options;
    const block = memory.allocate(4096 + Math.max(room, dataOut?.length ?? 0));
    const [command, sense, data] = [block + 64, block + 128, block + 512];
    memory.write(command, Uint8Array.from(cdb));
    if (dataOut !== undefined) memory.write(data, dataOut);
    memory.fill(sense, 0xaa, 128);
    writeScsiCmd(memory, block, {
      ...{ data: options.data ?? data, length: dataOut?.length ?? room, command, commandLength: cdb.length },
      ...{ flags, senseData: sense, senseLength },
    });
    const { error, actual } = await this.do({ command: 28, data: block, length: scsiCmdSize });
    const result = readScsiCmdResult(memory, block);
    const answer = {
      ...{ error, actual, status: result.status, scsiActual: result.actual, senseActual: result.senseActual },
      commandActual: result.commandActual,
      data: memory.read(data, Math.min(room, result.actual)),
      sense: memory.read(sense, Math.min(96, result.senseActual)),
    };
    memory.free(block);
    return answer;
  }

  /** The 32 bytes of a geometry command, on a buffer of AAh. */
  async geometry(command: number, length = driveGeometrySize): Promise<Ended & { bytes: Uint8Array }> {
    const data = this.memory.allocate(64);
    this.memory.fill(data, 0xaa, 64);
    const ended = await this.do({ command, data, length });
    const bytes = this.memory.read(data, driveGeometrySize);
    this.memory.free(data);
    return { ...ended, bytes };
  }

  /** Reads through a buffer of its own. */
  async read(command: number, offset: number, length: number): Promise<Ended & { bytes: Uint8Array }> {
    const data = this.memory.allocate(length);
    this.memory.fill(data, 0xee, length);
    const ended = await this.do({ command, data, length, offset });
    const bytes = this.memory.read(data, length);
    this.memory.free(data);
    return { ...ended, bytes };
  }

  /** Writes through a buffer of its own. */
  async write(command: number, offset: number, bytes: Uint8Array): Promise<Ended> {
    const data = this.memory.allocate(bytes.length);
    this.memory.write(data, bytes);
    const ended = await this.do({ command, data, length: bytes.length, offset });
    this.memory.free(data);
    return ended;
  }
}

/** Puts fields into a request. */
export function fill(
  request: IoRequest,
  { command, data = 0, length = 0, offset = 0, count = 0, actual }: Fields,
): void {
  request.ioCommand = command;
  request.ioData = data;
  request.ioLength = length;
  request.ioOffset = offset % 2 ** 32;
  request.ioActual = actual ?? Math.floor(offset / 2 ** 32);
  request.iotdCount = count;
}

/** A system that is up. */
export interface CommandRig {
  readonly system: AmigaSystem;
  /** A program with a unit open. */
  program(unit?: number): Promise<Program>;
  /** Closes programs and the device. @throws InternalError when memory is lent or allocated */
  close(): Promise<void>;
}

/** Brings a system up. */
export async function openCommandRig(options: CommandRigOptions = {}): Promise<CommandRig> {
  const { machine = "pegasos2", profile = "extended", change = {}, units = [patternDisk(0, 0)], faults } = options;
  const named = amigaProfiles[profile];
  const loop = await openAmigaLoop({
    ...{ board: machine, units, timeout: 2000, pages: options.pages },
    profile: { ...named, commands: { ...named.commands, ...change } },
    ...{ ramSize: options.ramSize ?? 16 << 20, poison: options.poison ?? true },
    ...(faults === undefined ? {} : { faults }),
  });
  const { system } = loop;
  const programs: Program[] = [];
  return {
    system,
    async program(unit = 0) {
      const program = new Program(system);
      const error = await program.open(unit);
      if (error !== 0) throw new RangeError(`unit ${unit} does not open: ${error}; ${system.messages.join("; ")}`);
      programs.push(program);
      return program;
    },
    async close() {
      for (const program of programs) await program.close();
      await loop.close();
    },
  };
}

/** Runs work on a system and takes it down. */
export async function withRig(options: CommandRigOptions, work: (rig: CommandRig) => Promise<void>): Promise<void> {
  const rig = await openCommandRig(options);
  try {
    await work(rig);
  } catch (error) {
    // What a broken rule left behind may not let itself be closed.
    await inTime(rig.close(), 500).catch(() => {});
    throw error;
  }
  await rig.close();
}
