/**
 * QEMU as a {@link Machine}: our drivers on QEMU's hardware, with QEMU's memory mapped into this process and the
 * registers behind qtest.
 */
import type { RegisterWindow } from "../../bytes/index.js";
import type { Board, Machine } from "../../machine/index.js";
import { DmaAllocator, type DmaMemory, GuestDma, GuestMemory, MemoryRegion } from "../../memory/index.js";
import { diskProperties, driveNodes, type QemuAdapter, type QemuDisk, removeDriveLayer } from "./drives.js";
import { interceptedDevice } from "./interrupt-lines.js";
import { QemuInterrupts } from "./interrupts.js";
import { launchQemu, type QemuProcess } from "./launch.js";
import type { QmpClient } from "./qmp.js";

/** The machine that QEMU shall be. */
export interface QemuMachineOptions {
  readonly board: Board;
  /** A QEMU to use (`--qemu PATH`) instead of the one that is found. */
  readonly qemuPath?: string | undefined;
  /** Bytes, a multiple of 1 MiB; default what the board says. */
  readonly ramSize?: number | undefined;
  readonly adapters?: readonly QemuAdapter[] | undefined;
  /** Further arguments for QEMU. */
  readonly extraArguments?: readonly string[] | undefined;
  /** Limit for QEMU's start and for each of its answers, milliseconds; default 10 000. */
  readonly timeout?: number | undefined;
}

const mebibyte = 1 << 20;
/** `idle` looks again at once for so long, then sleeps 1 ms at a time, and after a while longer. Milliseconds. */
const eagerFor = 1;
const attentiveFor = 50;
const longSleep = 4;

/** Starts QEMU as `board`. @throws UnsupportedError (no such QEMU or machine), QemuError, RangeError */
export async function startQemuMachine(options: QemuMachineOptions): Promise<QemuMachine> {
  const { board } = options;
  const ramSize = options.ramSize ?? board.defaultRamSize;
  if (!Number.isSafeInteger(ramSize) || ramSize < 16 * mebibyte || ramSize % mebibyte !== 0) {
    throw new RangeError(`memory must be whole MiB and at least 16 MiB, got ${ramSize} bytes`);
  }
  const most = board.qemu?.largestRam ?? Number.POSITIVE_INFINITY;
  if (ramSize > most) throw new RangeError(`${board.name} can have up to ${most / mebibyte} MiB of memory here`);
  const qemu = await launchQemu({
    board,
    ramSize,
    ...(options.qemuPath === undefined ? {} : { qemuPath: options.qemuPath }),
    ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
    adapters: options.adapters ?? [],
    extraArguments: options.extraArguments ?? [],
  });
  try {
    const device = await interceptedDevice(board, qemu.qmp);
    if (device !== undefined) qemu.qtest.interceptInputs(device);
    return new QemuMachine(board, qemu);
  } catch (error) {
    await qemu.close();
    throw error;
  }
}

/** What disks are called that come later, with their number. */
const plugged = "plugged";

/** A QEMU that was started as a board. */
export class QemuMachine implements Machine {
  readonly board: Board;
  readonly memorySpace: RegisterWindow;
  readonly portSpace: RegisterWindow | undefined;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly interrupts: QemuInterrupts;
  readonly #qemu: QemuProcess;
  /** What {@link QemuMachine.plugDisk} put in and nobody took out: block nodes by number. */
  readonly #plugged = new Map<number, string[]>();
  #idles = 0;

  /** Use {@link startQemuMachine}. */
  constructor(board: Board, qemu: QemuProcess) {
    this.board = board;
    this.#qemu = qemu;
    this.memorySpace = qemu.qtest.memorySpace();
    this.portSpace = board.bridges.some((bridge) => bridge.config.space === "port")
      ? qemu.qtest.portSpace()
      : undefined;
    const ram = new MemoryRegion(board.ramBase, qemu.ram.bytes, { shared: true });
    this.memory = new GuestMemory([ram]);
    // The lower quarter is where an operating system would be (and a PC's video memory and firmware are).
    const dmaStart = Math.ceil(ram.size / 4 / mebibyte) * mebibyte;
    const allocator = new DmaAllocator(this.memory, ram.base + dmaStart, ram.size - dmaStart);
    this.dma = new GuestDma(this.memory, allocator);
    this.interrupts = new QemuInterrupts(board, this, qemu.qtest, this.dma);
  }

  /** QEMU's monitor: hotplug, resizing and the like. */
  get qmp(): QmpClient {
    return this.#qemu.qmp;
  }

  /** The command that was started: program and arguments. */
  get commandLine(): readonly string[] {
    return this.#qemu.commandLine;
  }

  /** `10.0.2` */
  get version(): string {
    return this.#qemu.program.version;
  }

  /** Process number of QEMU. */
  get pid(): number {
    return this.#qemu.pid;
  }

  /** Register accesses (and other qtest commands) so far: what a driver's work costs here. */
  get accesses(): number {
    return this.#qemu.qtest.accesses;
  }

  /** The private folder with sockets and scratch layers; gone after {@link QemuMachine.close}. */
  get folder(): string {
    return this.#qemu.folder;
  }

  async idle(milliseconds: number): Promise<void> {
    if ((++this.#idles & 0xfff) === 0) this.#qemu.trimLog();
    const start = performance.now();
    for (;;) {
      const delivered = this.interrupts.deliver();
      const elapsed = performance.now() - start;
      if (delivered || elapsed < eagerFor) await new Promise<void>((resolve) => setImmediate(resolve));
      if (delivered || elapsed >= milliseconds) return;
      if (elapsed < eagerFor) continue;
      const nap = elapsed < attentiveFor ? 1 : longSleep;
      await new Promise<void>((resolve) => setTimeout(resolve, Math.min(nap, milliseconds - elapsed)));
    }
  }

  /**
   * Plugs a disk into a virtio-scsi adapter. Its number, and its target and LUN unless they are given, is the lowest that no
   * plugged disk has. @param adapter index among the adapters the machine was started with.
   * @returns what {@link QemuMachine.unplugDisk} takes. @throws QemuError
   */
  async plugDisk(adapter: number, disk: QemuDisk): Promise<string> {
    let index = 0;
    while (this.#plugged.has(index)) index++;
    const id = `${plugged}${index}`;
    const { nodes, top } = driveNodes(disk, `${id}-disk`, this.#qemu.folder);
    const added: string[] = [];
    this.#plugged.set(index, added);
    try {
      for (const node of nodes) {
        await this.qmp.execute("blockdev-add", node);
        added.unshift(`${node["node-name"]}`);
      }
      await this.qmp.execute("device_add", { ...diskProperties(disk, index, top, `adapter${adapter}.0`), id });
      return id;
    } catch (error) {
      await this.#putAway(index);
      throw error;
    }
  }

  /** Takes a disk out that {@link QemuMachine.plugDisk} put in; ends once QEMU says it is gone. @throws QemuError */
  async unplugDisk(id: string): Promise<void> {
    const gone = this.qmp.waitForEvent("DEVICE_DELETED", (event) => event.data["device"] === id);
    gone.catch(() => {});
    await this.qmp.execute("device_del", { id });
    await gone;
    // Disks that the machine was started with have no such number.
    const index = id.startsWith(plugged) ? Number(id.slice(plugged.length)) : -1;
    if (this.#plugged.has(index)) await this.#putAway(index);
  }

  /** What was behind a disk that is gone; its number is free again. */
  async #putAway(index: number): Promise<void> {
    for (const node of this.#plugged.get(index) ?? []) await this.qmp.execute("blockdev-del", { "node-name": node });
    removeDriveLayer(`${plugged}${index}-disk`, this.#qemu.folder);
    this.#plugged.delete(index);
  }

  close(): Promise<void> {
    return this.#qemu.close();
  }
}
