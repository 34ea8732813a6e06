/** A PCI bus, device half: configuration cycles by slot, memory and I/O cycles by BAR, interrupt lines as wired OR. */
import type { AccessWidth, RegisterWindow } from "../bytes/index.js";
import { AddressDecoder, allOnes } from "./address-decoder.js";
import type { InterruptRouting } from "./bridge-description.js";
import type { FunctionAddress } from "./config-access.js";
import type { PciFunction } from "./function.js";

/** What a bus tells its platform. Called from inside register accesses: note it down, act on it later. */
export interface PciBusListener {
  /** The level of an interrupt line changed; `line` counts from 0 after the routing of the bridge. */
  lineChanged?(line: number, level: boolean): void;
  /** A function wrote a message; `address` is a PCI address. */
  message?(address: number, data: number): void;
}

interface Plugged {
  readonly fn: PciFunction;
  readonly line: number;
  level: boolean;
}

/** The line that a pin (1–4) of a slot drives, −1 for a function without a pin. */
export function interruptLineOf(routing: InterruptRouting, slot: number, pin: number): number {
  return pin === 0 ? -1 : (slot + pin - 1 + routing.offset) % routing.lines;
}

/** One bus with the functions plugged into it. */
export class PciBus {
  readonly number: number;
  /** Memory cycles by PCI address. */
  readonly memory: RegisterWindow;
  /** I/O cycles by PCI address. */
  readonly io: RegisterWindow;
  listener: PciBusListener | undefined;
  readonly #routing: InterruptRouting;
  readonly #functions = new Map<number, Plugged>();
  readonly #raised: number[];
  readonly #memory = new AddressDecoder();
  readonly #io = new AddressDecoder();

  constructor(number: number, routing: InterruptRouting) {
    this.number = number;
    this.#routing = routing;
    this.#raised = new Array<number>(routing.lines).fill(0);
    this.memory = this.#memory;
    this.io = this.#io;
  }

  /** The functions that are plugged in, with their places. */
  *functions(): Generator<{ readonly slot: number; readonly function: number; readonly fn: PciFunction }> {
    for (const [place, { fn }] of this.#functions) yield { slot: place >>> 3, function: place & 7, fn };
  }

  at(slot: number, fn: number): PciFunction | undefined {
    return this.#functions.get((slot << 3) | fn)?.fn;
  }

  /** @throws RangeError when the place does not exist or is taken. */
  plug(slot: number, number: number, fn: PciFunction): void {
    if (slot < 0 || slot > 31 || number < 0 || number > 7) throw new RangeError(`no slot ${slot}.${number} on a bus`);
    const place = (slot << 3) | number;
    if (this.#functions.has(place)) throw new RangeError(`slot ${slot}.${number} is taken`);
    const plugged = { fn, line: interruptLineOf(this.#routing, slot, fn.interruptPin), level: false };
    this.#functions.set(place, plugged);
    fn.attach({
      interruptChanged: (level) => this.#setLevel(plugged, level),
      mappingChanged: () => this.#remap(),
      sendMessage: (address, data) => this.listener?.message?.(address, data),
    });
    this.#setLevel(plugged, fn.interruptLevel);
    this.#remap();
  }

  /** Takes a function away; its interrupt goes with it. Nothing happens when the place is empty. */
  unplug(slot: number, number: number): void {
    const plugged = this.#functions.get((slot << 3) | number);
    if (plugged === undefined) return;
    this.#functions.delete((slot << 3) | number);
    plugged.fn.attach(undefined);
    this.#setLevel(plugged, false);
    this.#remap();
  }

  /** Takes a function away, wherever it is plugged in. */
  remove(fn: PciFunction): void {
    for (const at of [...this.functions()]) if (at.fn === fn) this.unplug(at.slot, at.function);
  }

  /** Level of an interrupt line now. */
  lineLevel(line: number): boolean {
    return this.#raised[line] > 0;
  }

  /** Configuration read cycle; all ones when nobody is there (PCI 3.0 §3.2.2.3.4). */
  readConfig(address: FunctionAddress, offset: number, width: AccessWidth): number {
    const fn = this.#target(address);
    return fn === undefined ? allOnes(width) : fn.readConfig(offset, width);
  }

  writeConfig(address: FunctionAddress, offset: number, width: AccessWidth, value: number): void {
    this.#target(address)?.writeConfig(offset, width, value);
  }

  /** RST# for every function. */
  reset(): void {
    for (const { fn } of this.#functions.values()) fn.reset();
  }

  #target(address: FunctionAddress): PciFunction | undefined {
    if (((address >>> 16) & 0xff) !== this.number) return undefined;
    return this.#functions.get((address >>> 8) & 0xff)?.fn;
  }

  #setLevel(plugged: Plugged, level: boolean): void {
    if (plugged.line < 0 || plugged.level === level) return;
    plugged.level = level;
    const before = this.lineLevel(plugged.line);
    this.#raised[plugged.line] += level ? 1 : -1;
    const after = this.lineLevel(plugged.line);
    if (before !== after) this.listener?.lineChanged?.(plugged.line, after);
  }

  #remap(): void {
    const memory: { base: number; size: number; window: RegisterWindow }[] = [];
    const io: { base: number; size: number; window: RegisterWindow }[] = [];
    for (const { fn } of this.#functions.values()) {
      for (const bar of fn.bars) if (bar.decoding) (bar.space === "io" ? io : memory).push(bar);
    }
    this.#memory.setPieces(memory.map(({ base, size, window }) => ({ base, size, window })));
    this.#io.setPieces(io.map(({ base, size, window }) => ({ base, size, window })));
  }
}
