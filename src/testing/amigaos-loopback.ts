/** The Amiga face on our own virtio-scsi device, in one process, and a program that uses it. */
import { amigaone, type Board, findVirtioAdapters, pegasos2, settle } from "../machine/index.js";
import type { FaultHook, Observer } from "../observe/index.js";
import {
  type AmigaMachine,
  type AmigaScsiDevice,
  type AmigaSystem,
  type AmigaUnit,
  Command,
  type ExecMemory,
  ExecTask,
  IoRequest,
  MessagePort,
  type OpenAmigaOptions,
  openAmigaos,
  writeScsiCmd,
} from "../os/index.js";
import type { PciFunctionHandle } from "../pci/index.js";
import { EmbeddedMachine, type EmbeddedVirtioOptions } from "../platform/embedded/index.js";
import { Disk, type LogicalUnit, ScsiBus } from "../scsi/index.js";
import { MemoryStore, type Store } from "../storage/index.js";
import type { VirtioPciDevice } from "../transport/index.js";
import { VirtioScsiDevice, type VirtioScsiOptions } from "../virtio/index.js";
import { PoisoningDma } from "./poisoning-dma.js";

/** A unit and its place. */
export interface AmigaLoopUnit {
  readonly target: number;
  readonly lun: number;
  readonly unit: LogicalUnit;
}

/** What the loop is made of. */
export interface AmigaLoopOptions extends OpenAmigaOptions {
  /** Default `pegasos2`. */
  readonly board?: "amigaone" | "pegasos2" | Board;
  /** Default: two disks of 1 MiB, at 0/0 and 1/1, as the original's examples have. */
  readonly units?: readonly AmigaLoopUnit[];
  readonly faults?: FaultHook;
  readonly virtio?: VirtioScsiOptions;
  readonly plug?: Partial<EmbeddedVirtioOptions>;
  /** Bytes. Default 8 MiB. */
  readonly ramSize?: number;
  /** Memory that is given back is poisoned and watched. Default true. */
  readonly poison?: boolean;
  readonly observer?: Observer;
  /** Called before the driver sees the function. */
  readonly prepare?: (fn: PciFunctionHandle) => void;
}

/** A machine whose driver was not started. */
export interface AmigaBay {
  readonly machine: AmigaMachine;
  readonly bus: ScsiBus;
  readonly device: VirtioScsiDevice;
  readonly function: VirtioPciDevice;
  readonly fn: PciFunctionHandle;
  readonly dma: PoisoningDma | undefined;
  start(more?: OpenAmigaOptions): Promise<AmigaSystem>;
  unplug(): Promise<void>;
}

/** A machine that runs the device. */
export interface AmigaLoop extends AmigaBay {
  readonly system: AmigaSystem;
  readonly driver: AmigaScsiDevice;
  readonly memory: ExecMemory;
  /** A program with one of the units open. @throws RangeError when it does not open. */
  open(unit?: number): Promise<AmigaProgram>;
  /** Closes programs, device and machine. @throws InternalError when memory did not come back. */
  close(): Promise<void>;
}

/** Bytes that differ from block to block. */
export function amigaPattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 7 + (index >>> 9) * 13 + seed) & 0xff;
  return bytes;
}

/** A disk that holds {@link amigaPattern}. */
export function patternDisk(target: number, lun: number, store: Store = patternStore(1 << 20)): AmigaLoopUnit {
  return { target, lun, unit: new Disk(store, { powerOnAttention: false }) };
}

/** Memory that holds {@link amigaPattern}. */
export function patternStore(byteLength: number, seed = 1): MemoryStore {
  return MemoryStore.of(amigaPattern(byteLength, seed));
}

/** Puts an adapter into a board. */
export function plugAmigaBay(options: AmigaLoopOptions = {}): AmigaBay {
  const { faults, observer, ramSize = 8 << 20, poison = true } = options;
  const named = options.board ?? "pegasos2";
  const board = typeof named === "string" ? { amigaone, pegasos2 }[named] : named;
  const bus = new ScsiBus();
  for (const { target, lun, unit } of options.units ?? [patternDisk(0, 0), patternDisk(1, 1)]) {
    bus.attach(target, lun, unit);
  }
  const embedded = new EmbeddedMachine(board, { ramSize, observer, faults });
  const dma = poison ? new PoisoningDma(embedded.dma) : undefined;
  const device = new VirtioScsiDevice(bus, { faults, observer, ...options.virtio });
  const plugged = embedded.plugVirtio(device, { classCode: 0x010000, ...options.plug });
  const machine = {
    board,
    memorySpace: embedded.memorySpace,
    portSpace: embedded.portSpace,
    memory: embedded.memory,
    dma: dma ?? embedded.dma,
    interrupts: embedded.interrupts,
    idle: (milliseconds: number) => embedded.idle(milliseconds),
    close: () => embedded.close(),
  };
  const adapter = findVirtioAdapters(machine)[0];
  if (adapter?.on !== "pci") throw new RangeError("the board shows no adapter");
  return {
    ...{ machine, bus, device, dma, fn: adapter.fn, function: plugged },
    start(more = {}) {
      options.prepare?.(adapter.fn);
      return settle(machine, openAmigaos(machine, [adapter], { timeout: 300, ...options, ...more }));
    },
    async unplug() {
      device.close();
      await bus.close();
      await embedded.close();
    },
  };
}

/** Puts an adapter into a board and starts the device on it. */
export async function openAmigaLoop(options: AmigaLoopOptions = {}): Promise<AmigaLoop> {
  const bay = plugAmigaBay(options);
  const system = await bay.start().catch(async (error: unknown) => {
    await bay.unplug();
    throw error;
  });
  const programs: AmigaProgram[] = [];
  return {
    ...{ ...bay, system, driver: system.device, memory: system.memory },
    async open(unit = 0) {
      const program = await AmigaProgram.open(system, unit);
      programs.push(program);
      return program;
    },
    async close() {
      for (const program of programs) await program.close();
      await system.close();
      await bay.unplug();
      bay.dma?.assertNothingAllocated();
    },
  };
}

/** One request of a program: command and fields by their meaning. */
export interface ProgramRequest {
  readonly command: number;
  readonly offset?: number;
  readonly actual?: number;
  readonly length?: number;
  readonly data?: number;
}

/** A program: a task, a unit that it opened, buffers. */
export class AmigaProgram {
  readonly system: AmigaSystem;
  /** The request that the unit was opened with. */
  readonly opened: IoRequest;
  readonly #buffers: number[] = [];
  #isClosed = false;

  private constructor(system: AmigaSystem, opened: IoRequest) {
    this.system = system;
    this.opened = opened;
  }

  /** Opens a unit. @throws RangeError with the error's number. */
  static async open(system: AmigaSystem, unit: number): Promise<AmigaProgram> {
    const opened = new IoRequest(new MessagePort(new ExecTask(`program on ${unit}`)));
    const error = await system.exec.openDevice(system.device.name, unit, opened);
    if (error !== 0) throw new RangeError(`OpenDevice: ${error}`);
    return new AmigaProgram(system, opened);
  }

  get unit(): AmigaUnit {
    return this.opened.ioUnit as AmigaUnit;
  }

  /** Memory of the program's, freed when it closes. */
  buffer(length: number, order?: "contiguous" | "scattered"): number {
    const address = this.system.memory.allocate(length, order);
    this.#buffers.push(address);
    return address;
  }

  /** A request with a port of its own. */
  request(what: ProgramRequest): IoRequest {
    const { ioDevice, ioUnit } = this.opened;
    const request = new IoRequest(new MessagePort(new ExecTask("program")));
    request.ioDevice = ioDevice;
    request.ioUnit = ioUnit;
    request.ioCommand = what.command;
    request.ioOffset = what.offset ?? 0;
    request.ioActual = what.actual ?? 0;
    request.ioLength = what.length ?? 0;
    request.ioData = what.data ?? 0;
    return request;
  }

  /** SendIO. */
  send(what: ProgramRequest): IoRequest {
    const request = this.request(what);
    this.system.exec.sendIo(request);
    return request;
  }

  /** WaitIO, as the error and io_Actual. */
  async wait(request: IoRequest): Promise<{ error: number; actual: number }> {
    const error = await this.system.exec.waitIo(request);
    return { error, actual: request.ioActual };
  }

  /** DoIO. */
  async do(what: ProgramRequest): Promise<{ error: number; actual: number }> {
    const request = this.request(what);
    const error = await this.system.exec.doIo(request);
    return { error, actual: request.ioActual };
  }

  /** CMD_READ into a new buffer. @throws RangeError when it fails. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const data = this.buffer(length);
    const { error, actual } = await this.do({ command: Command.CMD_READ, offset, length, data });
    if (error !== 0) throw new RangeError(`CMD_READ: ${error}`);
    return this.system.memory.read(data, actual);
  }

  /** A request for HD_SCSICMD that reads up to `room` bytes; the data and the SCSICmd are at the addresses. */
  scsi(cdb: Uint8Array, room: number, autoSense = false): { what: ProgramRequest; data: number; structure: number } {
    const { memory } = this.system;
    const [structure, command, data, sense] = [this.buffer(30), this.buffer(32), this.buffer(room), this.buffer(64)];
    memory.write(command, cdb);
    writeScsiCmd(memory, structure, {
      ...{ data, length: room, command, commandLength: cdb.length, flags: autoSense ? 3 : 1 },
      ...{ senseData: sense, senseLength: autoSense ? 64 : 0 },
    });
    return { what: { command: Command.HD_SCSICMD, length: 30, data: structure }, data, structure };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.system.exec.closeDevice(this.opened);
    for (const buffer of this.#buffers.splice(0)) this.system.memory.free(buffer);
  }
}
