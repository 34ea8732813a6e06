/**
 * A program with a unit open: what file systems and mounter.library do. Blocks are read and written by I/O requests, sizes
 * are asked for by NSCMD_TD_GETGEOMETRY64, and nothing but exec is used.
 */
import { DeviceError } from "../../../errors/index.js";
import { Command, commandName } from "../commands/command-numbers.js";
import { driveGeometry64Size, readGeometry64 } from "../commands/geometry.js";
import { readScsiCmdResult, type ScsiCmdResult, ScsiFlag, scsiCmdSize, writeScsiCmd } from "../commands/scsi-cmd.js";
import { type Exec, type ExecMemory, ExecTask, IoError, IoRequest, MessagePort } from "../exec/index.js";

/** Bytes of one request. */
const largestRequest = 1 << 20;
/** Bytes of sense that a SCSI command may leave. */
const senseRoom = 96;

/** A request failed: which command, and io_Error. */
export class AmigaIoError extends DeviceError {
  override readonly name = "AmigaIoError";
  /** {@link IoError} */
  readonly ioError: number;

  constructor(what: string, ioError: number) {
    const name = Object.entries(IoError).find(([, value]) => value === ioError)?.[0];
    super(`${what}: io_Error ${ioError}${name === undefined ? "" : ` (${name})`}`);
    this.ioError = ioError;
  }
}

/** Where a program works. */
export interface ProgramPlace {
  readonly exec: Exec;
  readonly memory: ExecMemory;
}

/** One unit, opened by a task of its own. */
export class AmigaDisk {
  readonly device: string;
  readonly unit: number;
  /** Bytes. */
  readonly blockSize: number;
  readonly blocks: number;
  readonly #place: ProgramPlace;
  readonly #request: IoRequest;
  readonly #buffer: number;
  #turn: Promise<unknown> = Promise.resolve();
  #isOpen = true;

  private constructor(
    place: ProgramPlace,
    opened: { device: string; unit: number; request: IoRequest; buffer: number; blockSize: number; blocks: number },
  ) {
    this.#place = place;
    this.device = opened.device;
    this.unit = opened.unit;
    this.blockSize = opened.blockSize;
    this.blocks = opened.blocks;
    this.#request = opened.request;
    this.#buffer = opened.buffer;
  }

  /** Opens a unit and asks how large it is. @throws AmigaIoError */
  static async open(place: ProgramPlace, device: string, unit: number): Promise<AmigaDisk> {
    const { exec, memory } = place;
    const port = new MessagePort(new ExecTask(`program on ${device} ${unit}`));
    const request = new IoRequest(port);
    const error = await exec.openDevice(device, unit, request);
    if (error !== 0) throw new AmigaIoError(`${device} unit ${unit} does not open`, error);
    let buffer: number | undefined;
    try {
      buffer = memory.allocate(largestRequest, "contiguous");
      request.ioCommand = Command.NSCMD_TD_GETGEOMETRY64;
      request.ioData = buffer;
      request.ioLength = driveGeometry64Size;
      const failure = await exec.doIo(request);
      if (failure !== 0) throw new AmigaIoError(`${device} unit ${unit}: NSCMD_TD_GETGEOMETRY64`, failure);
      const { sectorSize, totalSectors } = readGeometry64(memory.read(buffer, driveGeometry64Size));
      return new AmigaDisk(place, { device, unit, request, buffer, blockSize: sectorSize, blocks: totalSectors });
    } catch (failure) {
      await exec.closeDevice(request);
      if (buffer !== undefined) memory.free(buffer);
      throw failure;
    }
  }

  /** `count` blocks from block `lba` on, in a new array. @throws AmigaIoError */
  async readBlocks(lba: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count * this.blockSize);
    await this.read(lba, bytes);
    return bytes;
  }

  /** Fills `bytes`, a whole number of blocks, from block `lba` on. @throws AmigaIoError */
  read(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#transfer(Command.NSCMD_TD_READ64, lba, bytes);
  }

  /** Writes `bytes`, a whole number of blocks, from block `lba` on. @throws AmigaIoError */
  write(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#transfer(Command.NSCMD_TD_WRITE64, lba, bytes);
  }

  /** CMD_UPDATE. @throws AmigaIoError */
  flush(): Promise<void> {
    return this.#inTurn(() => this.#do(Command.CMD_UPDATE, { offset: 0, length: 0 }));
  }

  /** HD_SCSICMD with a command that reads. @throws AmigaIoError when there is no answer in its structure. */
  scsi(
    cdb: Uint8Array,
    room: number,
  ): Promise<ScsiCmdResult & { readonly ioError: number; readonly data: Uint8Array }> {
    return this.#inTurn(async () => {
      const { exec, memory } = this.#place;
      const request = this.#request;
      const command = this.#buffer + scsiCmdSize + 2;
      const sense = command + 32;
      const data = sense + senseRoom;
      if (room > largestRequest / 2) throw new RangeError(`${room} bytes are more than a program here asks for`);
      memory.write(command, cdb);
      writeScsiCmd(memory, this.#buffer, {
        ...{ data: room === 0 ? 0 : data, length: room, command, commandLength: cdb.length },
        ...{ flags: ScsiFlag.Read | ScsiFlag.AutoSense, senseData: sense, senseLength: senseRoom },
      });
      request.ioCommand = Command.HD_SCSICMD;
      request.ioData = this.#buffer;
      request.ioLength = scsiCmdSize;
      const ioError = await exec.doIo(request);
      const result = readScsiCmdResult(memory, this.#buffer);
      return { ...result, ioError, data: memory.read(data, Math.min(room, result.actual)) };
    });
  }

  /** CloseDevice. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isOpen) return;
      this.#isOpen = false;
      await this.#place.exec.closeDevice(this.#request);
      this.#place.memory.free(this.#buffer);
    });
  }

  #transfer(command: number, lba: number, bytes: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      const { memory } = this.#place;
      const isRead = command === Command.NSCMD_TD_READ64;
      const most = largestRequest - (largestRequest % this.blockSize);
      for (let at = 0; at < bytes.length; at += most) {
        const length = Math.min(most, bytes.length - at);
        if (!isRead) memory.write(this.#buffer, bytes.subarray(at, at + length));
        await this.#do(command, { offset: lba * this.blockSize + at, length });
        if (isRead) bytes.set(memory.read(this.#buffer, length), at);
      }
    });
  }

  async #do(command: number, { offset, length }: { offset: number; length: number }): Promise<void> {
    const request = this.#request;
    request.ioCommand = command;
    request.ioData = this.#buffer;
    request.ioLength = length;
    request.ioOffset = offset % 2 ** 32;
    request.ioActual = Math.floor(offset / 2 ** 32);
    const error = await this.#place.exec.doIo(request);
    const what = `${this.device} unit ${this.unit}: ${commandName(command)} of ${length} bytes at ${offset}`;
    if (error !== 0) throw new AmigaIoError(what, error);
    if (length > 0 && request.ioActual !== length) throw new DeviceError(`${what}: ${request.ioActual} were moved`);
  }

  /** One request after the other: there is one. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
