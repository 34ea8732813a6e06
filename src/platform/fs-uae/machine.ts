/**
 * An Amiga that fs-uae is, as drivers see a machine. Its processor does our register accesses one by one, its memory is
 * mirrored, and nothing tells us of interrupts: who waits lets the machine look at its INT2 line
 * ({@link FsUaeMachine.idle}), or lets the processor wait for a register ({@link MonitorClient.poll}).
 */
import type { RegisterWindow } from "../../bytes/index.js";
import { UnsupportedError } from "../../errors/index.js";
import { a4000, type Board, type Interrupts, type Machine } from "../../machine/index.js";
import type { GuestMemory } from "../../memory/index.js";
import { a4091Layout, hostOffset, Istat, Reg } from "../../ncr53c710/index.js";
import {
  ConfigRegister,
  configAreas,
  partnerOffset,
  readIdentity,
  type ZorroIdentity,
  zorroConfigArea,
} from "../../zorro/index.js";
import { Custom, customBase } from "./custom-chips.js";
import { FsUaeError } from "./fs-uae-error.js";
import { type FsUaeOptions, type FsUaeProcess, launchFsUae } from "./launch.js";
import { MirrorMemory } from "./mirror-memory.js";
import type { MonitorClient, MonitorCost } from "./monitor-client.js";
import { monitorLayout } from "./monitor-protocol.js";

/** How the machine is had. */
export interface FsUaeMachineOptions extends FsUaeOptions {
  /** Bytes of chip memory that are mirrored for drivers; up to 0x1F0000. Default 1 MiB. */
  readonly memorySize?: number;
}

/** The interrupt request that INT2 makes. */
const portsRequest = 0x0008;
/** {@link FsUaeMachine.idle} looks this often. Milliseconds. */
const idleNap = 1;

const chipMemoryEnd = 0x20_0000;
const defaultMemorySize = 0x10_0000;

/** Starts fs-uae as a machine. @throws UnsupportedError (no fs-uae), FsUaeError, RangeError */
export async function startFsUaeMachine(options: FsUaeMachineOptions = {}): Promise<FsUaeMachine> {
  const size = options.memorySize ?? defaultMemorySize;
  if (!Number.isSafeInteger(size) || size < 4096 || size > chipMemoryEnd - monitorLayout.free || size % 2 !== 0) {
    throw new RangeError(`mirrored memory has 4096 to ${chipMemoryEnd - monitorLayout.free} bytes, got ${size}`);
  }
  const process = await launchFsUae(options);
  try {
    return new FsUaeMachine(process, size);
  } catch (error) {
    await process.close();
    throw error;
  }
}

/** The A4091 with its base. */
export interface FsUaeBoard {
  readonly identity: ZorroIdentity;
  readonly base: number;
}

/** A running machine. */
export class FsUaeMachine implements Machine {
  /**
   * The Amiga 4000, but for what this emulator does otherwise: its A4091 waits in the Zorro II window only, and of its
   * memory drivers have the mirrored part.
   */
  readonly board: Board;
  readonly portSpace = undefined;
  readonly interrupts: Interrupts;
  readonly monitor: MonitorClient;
  /**
   * The processor's address space. Values are those of the big-endian processor: of the 53C710 a byte register with
   * number n is at offset n ^ 3, and a 32-bit register at its own number reads as its value.
   */
  readonly memorySpace: RegisterWindow;
  readonly memory: GuestMemory;
  readonly dma: MirrorMemory;
  readonly #process: FsUaeProcess;
  readonly #handlers = new Set<() => void>();

  /** Use {@link startFsUaeMachine}. */
  constructor(process: FsUaeProcess, memorySize: number) {
    this.#process = process;
    this.monitor = process.monitor;
    this.memorySpace = process.monitor.space;
    this.dma = new MirrorMemory(process.monitor, monitorLayout.free, memorySize);
    this.memory = this.dma.memory;
    this.board = boardWith(memorySize);
    this.interrupts = {
      attachLine: () => {
        throw new UnsupportedError(`${this.board.name} has no PCI`);
      },
      attachZorro: (line, handler) => {
        if (line === "INT2") return this.attachInterrupt(handler);
        throw new UnsupportedError(`nothing looks at ${line} here`);
      },
    };
  }

  /** `3.1.66` */
  get version(): string {
    return this.#process.program.version;
  }

  /** Process number of fs-uae. */
  get pid(): number {
    return this.#process.pid;
  }

  /** The private folder; gone after {@link FsUaeMachine.close}. */
  get folder(): string {
    return this.#process.folder;
  }

  /** What the work so far has cost. */
  get cost(): MonitorCost {
    return this.monitor.cost;
  }

  /** What the board that waits for an address says about itself. @throws FsUaeError */
  readIdentity(): ZorroIdentity {
    return readIdentity(this.memorySpace, zorroConfigArea.zorro2, partnerOffset.zorro2);
  }

  /**
   * Gives the waiting board its address, as the system's start does. This emulator shows the A4091 in the Zorro II
   * window (0xE80000) only, also where the machine has Zorro III's at 0xFF000000.
   * @param base a multiple of 16 MiB. @throws RangeError, FsUaeError when no Zorro III board waits.
   */
  configureBoard(base = 0x4000_0000): FsUaeBoard {
    if (base % a4091Layout.size !== 0 || base < 0x1000_0000 || base >= 0xf000_0000) {
      throw new RangeError(`a Zorro III board cannot be at 0x${base.toString(16)}`);
    }
    const identity = this.readIdentity();
    if ((identity.type & 0xc0) !== 0x80 || identity.manufacturer === 0) {
      throw new FsUaeError("no Zorro III board waits for an address");
    }
    this.memorySpace.write16(zorroConfigArea.zorro2 + ConfigRegister.Base, base >>> 16);
    return { identity, base };
  }

  /**
   * Lets the processor wait until the 53C710 at `chip` has an interrupt pending.
   * @param lines limit, in raster lines of 64 µs of the machine's time.
   * @returns ISTAT, or undefined when the limit was reached.
   */
  waitForInterrupt(chip: number, lines = 20_000): number | undefined {
    const causes = Istat.Dip | Istat.Sip;
    const { value, matched } = this.monitor.poll(chip + hostOffset(Reg.ISTAT), 1, causes, 0, lines);
    return matched ? value : undefined;
  }

  /**
   * Whether a board pulls INT2 now. Paula keeps a request that was made: it is taken back first, and comes again while
   * the line is pulled. Two round trips.
   */
  readInterruptLine(): boolean {
    this.memorySpace.write16(customBase + Custom.Intreq, portsRequest);
    return (this.memorySpace.read16(customBase + Custom.Intreqr) & portsRequest) !== 0;
  }

  /** Calls `handler` from {@link FsUaeMachine.idle} while INT2 is pulled. Returns the way to stop. */
  attachInterrupt(handler: () => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** Waits up to `milliseconds`, which the machine runs anyway; resolves earlier when an interrupt was delivered. */
  async idle(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    for (;;) {
      if (this.#handlers.size > 0 && this.readInterruptLine()) {
        for (const handler of [...this.#handlers]) handler();
        return;
      }
      const left = end - performance.now();
      if (left <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(idleNap, left)));
    }
  }

  /** The registers of the board at `base`. */
  chipOf({ base }: FsUaeBoard): number {
    return base + a4091Layout.chip;
  }

  close(): Promise<void> {
    return this.#process.close();
  }
}

function boardWith(memorySize: number): Board {
  const { zorro } = a4000;
  return {
    ...a4000,
    ramBase: monitorLayout.free,
    defaultRamSize: memorySize,
    ...(zorro === undefined ? {} : { zorro: { ...zorro, configAreas: [configAreas.zorro2] } }),
  };
}
