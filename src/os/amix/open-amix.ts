/** The kernel on a machine: boards get their addresses as a boot loader gives them, and drivers for them are opened. */
import type { GuestMemory } from "../../memory/index.js";
import {
  type AdapterPlatform,
  a4091Layout,
  configureBoards,
  type HostAdapterOptions,
  NcrHostAdapter,
} from "../../ncr53c710/index.js";
import type { FoundBoard } from "../../zorro/index.js";
import type { OnboardScsi } from "./a3091.js";
import type { ConfigRecord } from "./autocon.js";
import { AmixKernel, type AmixOptions } from "./kernel.js";
import { amixProfiles } from "./profile.js";
import { controllerTypes } from "./sd.js";

/** The machine: every `Machine` with a Zorro III bus is one. */
export interface AmixMachine extends AdapterPlatform {
  readonly memory: GuestMemory;
  /** The A3000's own SCSI, on machines that have it. */
  readonly onboardScsi?: OnboardScsi | undefined;
}

/** How the kernel is started, and how the extended profile drives host adapters. */
export interface OpenAmixOptions extends AmixOptions {
  readonly adapter?: HostAdapterOptions;
}

/** A kernel that runs. */
export interface OpenedAmix {
  readonly kernel: AmixKernel;
  readonly records: readonly ConfigRecord[];
  /** Drivers of the boards, by their bases; none in the strict profile. */
  readonly adapters: ReadonlyMap<number, NcrHostAdapter>;
  close(): Promise<void>;
}

/**
 * Starts the kernel.
 * @throws UnsupportedError on a machine without Zorro III; AdapterFault when a board is broken
 */
export async function openAmix(machine: AmixMachine, options: OpenAmixOptions = {}): Promise<OpenedAmix> {
  const { memorySpace, memory, dma, onboardScsi: onboard } = machine;
  const { profile: wanted = "extended", observer } = options;
  const profile = typeof wanted === "string" ? amixProfiles[wanted] : wanted;
  const boards = configureBoards(machine).filter((board): board is ConfiguredBoard => board.base !== undefined);
  const records = boards.map(({ base, size, ...board }) => ({ product: productOf(board), base, size }));
  const adapters = new Map<number, NcrHostAdapter>();
  const closeAdapters = async () => {
    for (const adapter of adapters.values()) await adapter.close();
  };
  try {
    for (const board of profile.a4091 === "host-adapter" ? boards.filter(isOfFamily) : []) {
      const { base } = board;
      const found = { board, base, dip: memorySpace.read8(base + a4091Layout.dip) };
      adapters.set(base, await NcrHostAdapter.open(machine, found, { observer, ...options.adapter }));
    }
    const kernel = new AmixKernel({ memorySpace, memory, dma, records, onboard, adapters }, options);
    const close = async () => {
      await closeAdapters();
      kernel.close();
    };
    return { kernel, records, adapters, close };
  } catch (error) {
    await closeAdapters();
    throw error;
  }
}

type ConfiguredBoard = FoundBoard & { readonly base: number };

function productOf({ manufacturer, product }: Pick<FoundBoard, "manufacturer" | "product">): number {
  return ((manufacturer << 16) | product) >>> 0;
}

/** A4091, A4092, A4770: boards with a 53C710 where the A4091 has it. */
function isOfFamily(board: FoundBoard): boolean {
  const type = controllerTypes.find(({ product }) => product === productOf(board));
  return type?.functionName === "a4091queue";
}
