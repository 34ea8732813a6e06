/** The kernel on a machine: boards get their addresses as a boot loader gives them, and drivers for them are opened. */
import type { RegisterWindow } from "../../bytes/index.js";
import type { DmaMemory, GuestMemory } from "../../memory/index.js";
import { configureZorro } from "../../zorro/index.js";
import type { OnboardScsi } from "./a3091.js";
import type { ConfigRecord } from "./autocon.js";
import { AmixKernel, type AmixOptions } from "./kernel.js";

/** The machine: every `Machine` with a Zorro III bus is one. */
export interface AmixMachine {
  readonly memorySpace: RegisterWindow;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  /** The A3000's own SCSI, on machines that have it. */
  readonly onboardScsi?: OnboardScsi | undefined;
}

/** A kernel that runs. */
export interface OpenedAmix {
  readonly kernel: AmixKernel;
  readonly records: readonly ConfigRecord[];
  close(): Promise<void>;
}

/** Starts the kernel. */
export async function openAmix(machine: AmixMachine, options: AmixOptions = {}): Promise<OpenedAmix> {
  const boards = configureZorro(machine.memorySpace);
  const records = boards.flatMap(({ manufacturer, product, base, size }): ConfigRecord[] => {
    return base === undefined ? [] : [{ product: ((manufacturer << 16) | product) >>> 0, base, size }];
  });
  const { memorySpace, memory, dma, onboardScsi: onboard } = machine;
  const kernel = new AmixKernel({ memorySpace, memory, dma, records, onboard }, options);
  return { kernel, records, close: async () => kernel.close() };
}
