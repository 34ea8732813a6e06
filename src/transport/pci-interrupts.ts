/**
 * How a driver of a virtio PCI function gets its interrupts: MSI-X with a vector for each queue, with shared vectors
 * when the table is small or the device refuses, INTx otherwise (virtio 1.2 §4.1.5.1.2; 0.9.5: read back every mapping,
 * retry with fewer).
 */
import { MsixVectors, type PciFunctionHandle } from "../pci/index.js";
import type { InterruptHandlers, InterruptMode } from "./driver-transport.js";
import { IsrStatus, noVector } from "./status.js";

/** What the machine gives for one function. It decides when a handler runs; never from inside a register access. */
export interface FunctionInterrupts {
  /** Calls `handler` while the function's INTx line is raised. Returns the way to stop. */
  attachLine(handler: () => void): () => void;
  /** A message interrupt: the device writes `data` to `address`. Missing where the machine has none. */
  attachMessage?(handler: () => void): { address: number; data: number; detach: () => void };
}

/** Which interrupts to try first; what does not work falls through to the next. */
export type InterruptPreference = "msix" | "intx" | "none";

/** The vector registers of a transport. */
export interface VectorRegisters {
  readIsr(): number;
  /** Maps the configuration interrupt; returns what the register reads afterwards. */
  mapConfig(vector: number): number;
  /** Maps a queue's interrupt; returns what the register reads afterwards. */
  mapQueue(queue: number, vector: number): number;
}

/** The interrupts of one function. */
export class PciInterrupts {
  readonly #fn: PciFunctionHandle;
  readonly #source: FunctionInterrupts;
  readonly #preference: InterruptPreference;
  #detach: (() => void)[] = [];
  #msix: MsixVectors | undefined;

  constructor(fn: PciFunctionHandle, source: FunctionInterrupts, preference: InterruptPreference) {
    this.#fn = fn;
    this.#source = source;
    this.#preference = preference;
  }

  open(queues: number, handlers: InterruptHandlers, registers: VectorRegisters): InterruptMode {
    if (this.#preference === "none") return "none";
    if (this.#preference === "msix") {
      if (this.#openMessages(queues, handlers, registers, queues + 1)) return "msix";
      for (const vectors of [2, 1]) {
        if (this.#openMessages(queues, handlers, registers, vectors)) return "msix-shared";
      }
    }
    if (this.#fn.interruptPin === 0) return "none";
    this.#openLine(queues, handlers, registers);
    return "intx";
  }

  close(): void {
    for (const detach of this.#detach.splice(0).reverse()) detach();
    this.#msix?.disable();
    this.#msix = undefined;
  }

  #openLine(queues: number, handlers: InterruptHandlers, registers: VectorRegisters): void {
    this.#fn.setInterruptDisabled(false);
    const handler = () => {
      const isr = registers.readIsr();
      // All ones is a device that was removed; its driver finds out from the status.
      if ((isr & IsrStatus.Config) !== 0) handlers.config();
      if ((isr & IsrStatus.Queue) !== 0) for (let queue = 0; queue < queues; queue++) handlers.queue(queue);
    };
    this.#detach.push(this.#source.attachLine(handler));
  }

  /** Tries MSI-X with `count` vectors: the configuration on 0, the queues on the others (or on the only one). */
  #openMessages(queues: number, handlers: InterruptHandlers, registers: VectorRegisters, count: number): boolean {
    if (this.#source.attachMessage === undefined) return false;
    const msix = MsixVectors.open(this.#fn);
    if (msix === undefined || msix.count < count) return false;
    this.#msix = msix;
    msix.enable();
    const serve = (vector: number) => {
      if (vector === 0) handlers.config();
      if (count > 2) {
        if (vector > 0) handlers.queue(vector - 1);
      } else if (vector === count - 1) for (let queue = 0; queue < queues; queue++) handlers.queue(queue);
    };
    for (let vector = 0; vector < count; vector++) {
      const message = this.#source.attachMessage(() => serve(vector));
      this.#detach.push(message.detach);
      msix.program(vector, message);
    }
    let works = registers.mapConfig(0) === 0;
    for (let queue = 0; queue < queues && works; queue++) {
      const vector = count > 2 ? queue + 1 : count - 1;
      works = registers.mapQueue(queue, vector) === vector;
    }
    if (works) return true;
    registers.mapConfig(noVector);
    for (let queue = 0; queue < queues; queue++) registers.mapQueue(queue, noVector);
    this.close();
    return false;
  }
}
