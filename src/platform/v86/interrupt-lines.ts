/**
 * Interrupts of the PC: levels of our functions, OR-ed where they share a line, among each other and with v86's own devices.
 *
 * v86 enters the guest's handler from within `device_raise_irq`. Inside a store to a memory BAR that breaks code that was
 * compiled: it goes on after the store as if nothing had happened. So a function only sets a level here, and a line is
 * raised when the access is over and with interrupts masked, which leaves it pending; v86 finds it at its next look.
 */
import type { V86Cpu } from "./emulator.js";

/** Lines of the two interrupt controllers. */
const lineCount = 16;
const interruptFlag = 1 << 9;
/** In the south bridge: where each PIRQ goes. Bit 7: nowhere. */
const routingAt = 0x60;

/** The lines, as seen from both sides. */
export class InterruptLines {
  readonly #cpu: V86Cpu;
  readonly #raise: (line: number) => void;
  readonly #lower: (line: number) => void;
  /** Level of each PIRQ: how many functions hold it. */
  readonly #held = [0, 0, 0, 0];
  /** By line: ours, as passed on; v86's own devices'. */
  readonly #ours = new Array<boolean>(lineCount).fill(false);
  readonly #theirs = new Array<boolean>(lineCount).fill(false);
  #flags: Int32Array;
  #changed = false;
  #again = false;

  /** Takes the place of v86's own two functions: its devices share lines with ours. */
  constructor(cpu: V86Cpu) {
    this.#cpu = cpu;
    this.#flags = this.#viewOfFlags();
    this.#raise = cpu.device_raise_irq.bind(cpu);
    this.#lower = cpu.device_lower_irq.bind(cpu);
    cpu.device_raise_irq = (line) => {
      this.#theirs[line] = true;
      this.#raise(line);
    };
    cpu.device_lower_irq = (line) => {
      this.#theirs[line] = false;
      if (!this.#ours[line]) this.#lower(line);
    };
  }

  /** The PIRQ (0–3) that a pin (1–4) of a slot drives. */
  static pirqOf(slot: number, pin: number): number {
    return (pin - 1 + slot - 1) & 3;
  }

  /** A function's level changed. It is passed on by {@link InterruptLines.deliver}. */
  change(pirq: number, level: boolean): void {
    this.#held[pirq] += level ? 1 : -1;
    this.#changed = true;
    // Another function still holds the line: a driver that looked at that one already has to look again.
    if (!level && this.#held[pirq] > 0) this.#again = true;
  }

  /** After a snapshot: functions hold PIRQs so often, and v86's controllers know it. */
  restore(held: readonly number[]): void {
    this.#again = false;
    this.#changed = false;
    for (let pirq = 0; pirq < held.length; pirq++) this.#held[pirq] = held[pirq];
    for (let line = 0; line < lineCount; line++) this.#ours[line] = this.#levelOf(line);
  }

  /** Passes levels on. @param inside the processor is in the middle of an instruction */
  deliver(inside: boolean): void {
    if (!this.#changed) return;
    this.#changed = false;
    const again = this.#again;
    this.#again = false;
    for (let line = 0; line < lineCount; line++) {
      const level = this.#levelOf(line);
      if (level === this.#ours[line] && !(level && again)) continue;
      this.#ours[line] = level;
      if (!this.#theirs[line] && (!level || again)) this.#masked(this.#lower, line);
      if (level) {
        if (inside) this.#masked(this.#raise, line);
        else this.#raise(line);
      }
    }
  }

  #levelOf(line: number): boolean {
    const routing = this.#cpu.devices.pci.isa_bridge_space8;
    for (let pirq = 0; pirq < 4; pirq++) if (routing[routingAt + pirq] === line && this.#held[pirq] > 0) return true;
    return false;
  }

  /** Calls one of v86's functions with the processor's interrupts off: it notes the line and enters no handler. */
  #masked(change: (line: number) => void, line: number): void {
    if (this.#flags.byteLength === 0) this.#flags = this.#viewOfFlags();
    const flags = this.#flags[0];
    this.#flags[0] = flags & ~interruptFlag;
    try {
      change(line);
    } finally {
      this.#flags[0] = flags;
    }
  }

  #viewOfFlags(): Int32Array {
    return new Int32Array(this.#cpu.wasm_memory.buffer, this.#cpu.flags.byteOffset, 1);
  }
}
