/** The port driver's interrupts: messages that are programmed into the function, or its line. */
import { MsixVectors, type PciFunctionHandle } from "../../pci/index.js";
import type { StorportMachine } from "./storport-machine.js";

/** Who is called. */
export interface InterruptRoutines {
  line(): void;
  message(id: number): void;
}

/** Interrupts of one function. */
export class PortInterrupts {
  readonly #machine: StorportMachine;
  readonly #fn: PciFunctionHandle;
  readonly #routines: InterruptRoutines;
  readonly #detach: (() => void)[] = [];
  #msix: MsixVectors | undefined;
  #messages = 0;

  constructor(machine: StorportMachine, fn: PciFunctionHandle, routines: InterruptRoutines) {
    this.#machine = machine;
    this.#fn = fn;
    this.#routines = routines;
  }

  /** Messages that are connected. */
  get messages(): number {
    return this.#messages;
  }

  /** What is connected. */
  get mode(): "messages" | "line" | "none" {
    return this.#messages > 0 ? "messages" : this.#detach.length > 0 ? "line" : "none";
  }

  /** Connects as many messages as function, machine and `limit` allow; perhaps none. */
  connectMessages(limit: number): void {
    const { interrupts } = this.#machine;
    if (limit === 0 || interrupts.attachMessage === undefined) return;
    const msix = MsixVectors.open(this.#fn);
    if (msix === undefined) return;
    const count = Math.min(limit, msix.count);
    msix.enable();
    for (let id = 0; id < count; id++) {
      const message = interrupts.attachMessage(() => this.#routines.message(id));
      this.#detach.push(message.detach);
      msix.program(id, message);
    }
    this.#msix = msix;
    this.#messages = count;
  }

  /** Connects the line instead of whatever was connected. */
  connectLine(): void {
    this.disconnect();
    const { interruptPin: pin, bridgeIndex: bridge, bus, slot } = this.#fn;
    if (pin === 0) return;
    this.#fn.setInterruptDisabled(false);
    this.#detach.push(this.#machine.interrupts.attachLine({ bridge, bus, slot, pin }, () => this.#routines.line()));
  }

  /** Interrupts off, whoever had turned them on: what a crash dump starts with. */
  silence(): void {
    this.disconnect();
    MsixVectors.open(this.#fn)?.disable();
    this.#fn.setInterruptDisabled(true);
  }

  /** Lets go of everything. */
  disconnect(): void {
    for (const detach of this.#detach.splice(0)) detach();
    this.#msix?.disable();
    this.#msix = undefined;
    this.#messages = 0;
  }
}
