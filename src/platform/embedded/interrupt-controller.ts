/**
 * The embedded platform's interrupts. Devices set levels and send messages from inside register accesses; handlers run
 * after the access, in a microtask, and again while a level stays raised.
 */
import type { Interrupts } from "../../machine/index.js";
import type { DmaMemory, GuestMemory } from "../../memory/index.js";
import type { FaultHook } from "../../observe/index.js";
import { type BridgeBus, type BridgeDescription, interruptLineOf } from "../../pci/index.js";
import type { ZorroBus, ZorroInterrupt } from "../../zorro/index.js";

/** A handler that leaves its level raised this often is not called again before the level changes. */
const deliveryLimit = 1000;

interface Line {
  readonly handlers: Set<() => void>;
  raised: boolean;
  /** Deliveries since the level was raised. */
  deliveries: number;
}

/** What the controller is wired to. */
export interface InterruptControllerOptions {
  bridges: readonly BridgeDescription[];
  buses: readonly BridgeBus[];
  memory: GuestMemory;
  dma: DmaMemory;
  faults?: FaultHook | undefined;
  /** Numbers of the inputs that virtio-mmio windows have. */
  inputs?: readonly number[];
  /** The Zorro bus whose lines are inputs, too. */
  zorro?: ZorroBus | undefined;
}

const newLine = (): Line => ({ handlers: new Set(), raised: false, deliveries: 0 });

export class InterruptController implements Interrupts {
  readonly attachMessage?: NonNullable<Interrupts["attachMessage"]>;
  readonly #options: InterruptControllerOptions;
  /** By bridge, then line. */
  readonly #lines: Line[][];
  /** Inputs that virtio-mmio devices have, by number. */
  readonly #inputs = new Map<number, Line>();
  readonly attachInput?: NonNullable<Interrupts["attachInput"]>;
  readonly attachZorro?: NonNullable<Interrupts["attachZorro"]>;
  readonly #zorroLines: Readonly<Record<ZorroInterrupt, Line>> = { INT2: newLine(), INT6: newLine() };
  readonly #messages = new Map<number, () => void>();
  readonly #pending = new Set<() => void>();
  /** Made once: a closure in {@link InterruptController.#schedule} would cost each change of level its context. */
  readonly #onTurn = () => this.#deliver();
  #scheduled = false;
  #waiters = new Set<() => void>();

  constructor(options: InterruptControllerOptions) {
    this.#options = options;
    this.#lines = options.bridges.map((bridge) => Array.from({ length: bridge.interrupts.lines }, newLine));
    for (const irq of options.inputs ?? []) this.#inputs.set(irq, newLine());
    if (this.#inputs.size > 0) this.attachInput = (irq, handler) => this.#attach(this.#input(irq), handler);
    if (options.zorro !== undefined) {
      this.attachZorro = (line, handler) => this.#attach(this.#zorroLines[line], handler);
      options.zorro.onInterrupt((line, level) => this.#lineChanged(this.#zorroLines[line], level));
    }
    for (const [index, { bus }] of options.buses.entries()) {
      bus.listener = {
        lineChanged: (line, level) => this.#lineChanged(this.#lines[index][line], level),
        message: (address, data) => this.#message(address, data),
      };
    }
    const messages = options.bridges.some((bridge) => bridge.messageInterrupts);
    if (messages) this.attachMessage = (handler) => this.#attachMessage(handler);
  }

  attachLine(place: { bridge: number; bus: number; slot: number; pin: number }, handler: () => void): () => void {
    const routing = this.#options.bridges[place.bridge].interrupts;
    const line = this.#lines[place.bridge][interruptLineOf(routing, place.slot, place.pin)];
    return this.#attach(line, handler);
  }

  /** A virtio-mmio device's line changed. Devices with the same input share it. */
  setInput(irq: number, raised: boolean): void {
    this.#lineChanged(this.#input(irq), raised);
  }

  /** Resolves after the next delivery, or after `milliseconds`. */
  wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter = () => {
        clearTimeout(timer);
        resolve();
      };
      // Who has waited long enough is not kept until something is delivered: where nothing is, there would be ever more.
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        resolve();
      }, milliseconds);
      this.#waiters.add(waiter);
    });
  }

  #input(irq: number): Line {
    const line = this.#inputs.get(irq);
    if (line === undefined) throw new RangeError(`no device is on interrupt input ${irq}`);
    return line;
  }

  #attach(line: Line, handler: () => void): () => void {
    line.handlers.add(handler);
    if (line.raised) this.#schedule();
    return () => line.handlers.delete(handler);
  }

  #attachMessage(handler: () => void): { address: number; data: number; detach: () => void } {
    const { dma } = this.#options;
    const block = dma.allocate(4, 4);
    this.#messages.set(block.address, handler);
    const detach = () => {
      this.#messages.delete(block.address);
      dma.free(block);
    };
    return { address: block.address, data: 1, detach };
  }

  #lineChanged(line: Line, level: boolean): void {
    line.raised = level;
    line.deliveries = 0;
    if (level && this.#options.faults?.loseInterrupt?.() !== true) this.#schedule();
  }

  /** A message is a memory write; where a handler waits for that address it is called. */
  #message(address: number, data: number): void {
    const region = this.#options.memory.findRange(address, 4);
    if (region !== undefined) region.view.setUint32(address - region.base, data, true);
    const handler = this.#messages.get(address);
    if (handler === undefined || this.#options.faults?.loseInterrupt?.() === true) return;
    this.#pending.add(handler);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#onTurn);
  }

  #deliver(): void {
    this.#scheduled = false;
    const messages = [...this.#pending];
    this.#pending.clear();
    for (const handler of messages) handler();
    let again = false;
    for (const lines of [...this.#lines, this.#inputs.values(), Object.values(this.#zorroLines)]) {
      for (const line of lines) {
        if (!line.raised || line.handlers.size === 0 || line.deliveries >= deliveryLimit) continue;
        line.deliveries++;
        for (const handler of [...line.handlers]) handler();
        again ||= line.raised;
      }
    }
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const waiter of waiters) waiter();
    // A level that nobody lowered: once more, but let the event loop turn.
    if (again) setTimeout(() => this.#schedule(), 0);
  }
}
