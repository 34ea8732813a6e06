/** What the A4091's driver is opened with, and what it needs of the machine that the board is in. */
import type { RegisterWindow } from "../../bytes/index.js";
import type { DmaMemory } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import type { ConfigArea, ZorroInterrupt } from "../../zorro/index.js";

/** A machine as the driver sees it: every `Machine` with a Zorro III bus is one. */
export interface AdapterPlatform {
  /** The processor's physical address space. */
  readonly memorySpace: RegisterWindow;
  readonly dma: DmaMemory;
  readonly interrupts: {
    attachZorro?(line: ZorroInterrupt, handler: () => void): () => void;
  };
  readonly board: {
    readonly name: string;
    /** Undefined on a board without Zorro III. */
    readonly zorro?:
      | {
          readonly configAreas: readonly ConfigArea[];
          readonly firstBase: number;
        }
      | undefined;
  };
}

/** How the driver tells time; replaced in tests. */
export interface AdapterClock {
  /** Milliseconds from any beginning. */
  now(): number;
  /** Calls back after a time; returns the way to call it off. */
  after(milliseconds: number, callback: () => void): () => void;
}

/**
 * How far the driver goes, as the original's bring-up did: it finds the board and its switches; besides that asks units
 * who they are; besides that reads; does everything.
 */
export const adapterStages = ["detect", "inquiry", "read-only", "read-write"] as const;
/** A stage of {@link adapterStages}. */
export type AdapterStage = (typeof adapterStages)[number];

/** How the driver works; every field has a default. */
export interface HostAdapterOptions {
  /** The board's SCSI id. Default what its switches say. */
  readonly hostId?: number;
  /**
   * How ends of commands are learnt of. Default `interrupt`: from the board's INT2, where the machine has it.
   * `poll`: ISTAT is read, a bounded number of times at once and then again each time the event loop has turned.
   */
  readonly completion?: "interrupt" | "poll";
  /** Allow targets to leave the bus during a command. Default true. */
  readonly disconnect?: boolean;
  /** Negotiate synchronous transfers. Default what the switches say. */
  readonly synchronous?: boolean;
  /** Commands that a unit with command queueing gets at once, 1 to 256; 0 sends no queue tags. Default 32. */
  readonly tags?: number;
  /** LUNs that are looked for, 1 to 8. Default what the switches say. */
  readonly luns?: number;
  /** Default `read-write`. */
  readonly stage?: AdapterStage;
  /** Milliseconds until a command that did not end is called off. Default 30000; 0 for never. */
  readonly timeout?: number;
  /** Milliseconds for each step of calling off (ABORT, BUS DEVICE RESET) before the next one. Default 2000. */
  readonly grace?: number;
  /** Milliseconds that targets get after a bus reset. Default 250. */
  readonly busSettle?: number;
  /** Whether the bus is reset when the driver opens and when it closes. Default true. */
  readonly resetsBus?: boolean;
  /** Milliseconds between looks for lost interrupts and late commands. Default 100. */
  readonly watch?: number;
  readonly clock?: AdapterClock;
  readonly observer?: Observer | undefined;
}

/** The clock of the system. */
export const systemAdapterClock: AdapterClock = {
  now: () => performance.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Defaults of {@link HostAdapterOptions}. */
export const usual = { timeout: 30_000, grace: 2000, busSettle: 250, watch: 100, tags: 32 } as const;

/** @throws RangeError when an option makes no sense. */
export function checkOptions({ hostId = 7, tags = usual.tags, luns = 8 }: HostAdapterOptions): void {
  const check = (name: string, value: number, least: number, most: number) => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    throw new RangeError(`${name} must be within ${least}…${most}, got ${value}`);
  };
  check("hostId", hostId, 0, 7);
  check("tags", tags, 0, 256);
  check("luns", luns, 1, 8);
}
