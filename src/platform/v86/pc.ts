/** A PC in v86 with our PCI functions in it. */
import { SavedReader } from "../../bytes/index.js";
import { UnsupportedError } from "../../errors/index.js";
import type { GuestMemory } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import type { PciBar, PciFunction } from "../../pci/index.js";
import { type DeviceType, VirtioPciDevice, type VirtioPciState } from "../../transport/index.js";
import { CoherentQueue } from "./coherent-queue.js";
import { hostConfiguration } from "./config-host.js";
import { probeV86, type V86Cpu, type V86Emulator } from "./emulator.js";
import { InterruptLines } from "./interrupt-lines.js";
import { MemoryDecoder } from "./memory-decoder.js";
import { PortDecoder } from "./port-decoder.js";
import { V86Ram } from "./ram.js";
import { RegisterGate } from "./register-gate.js";

/** Slots that v86 has nothing in. */
const freeSlots = [2, 3, 4, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29] as const;
/** How long a snapshot waits for requests that are under way. */
const settleTime = 10_000;

/** Which registers a virtio device shows: the legacy header, or the modern structures in memory or in I/O space. */
export type V86Registers = "legacy" | "modern" | "modern-io";

/** How a virtio device is plugged in. */
export interface V86VirtioOptions {
  /** PCI class code, 24 bits. */
  readonly classCode: number;
  /** Default `modern`. */
  readonly registers?: V86Registers;
  /** Ring features that the device offers. */
  readonly ringFeatures?: bigint;
  /** Default the next free one. */
  readonly slot?: number;
}

/** A PC that can be gone back to: plain data. The content of disks is not in it, it must be what it was. */
export interface V86Snapshot {
  /** {@link v86SnapshotVersion}. */
  readonly version: number;
  /** Bytes of memory. */
  readonly memory: number;
  /** v86's own state. */
  readonly emulator: ArrayBuffer;
  /** Our devices, in the order in which they were plugged in, and their slots. */
  readonly devices: readonly (VirtioPciState & { readonly slot: number })[];
}

/** The version of snapshots that this makes and takes. What device types keep has versions of its own. */
export const v86SnapshotVersion = 2;

interface PluggedVirtio {
  readonly device: VirtioPciDevice;
  readonly slot: number;
}

interface Plugged {
  readonly fn: PciFunction;
  readonly pirq: number;
  level: boolean;
}

/** The PC. Plug devices in before the emulator runs: firmware looks for them once. */
export class V86Pc {
  readonly emulator: V86Emulator;
  /** Called when one of our devices threw: a bug, and the guest's access read all ones. */
  onFailure: ((error: unknown) => void) | undefined;
  /** Called when the guest restarted the PC, before the firmware runs. */
  onRestart: (() => void) | undefined;
  readonly #cpu: V86Cpu;
  readonly #observer: Observer | undefined;
  readonly #gate: RegisterGate;
  readonly #lines: InterruptLines;
  readonly #ports: PortDecoder;
  readonly #mapped: MemoryDecoder;
  readonly #ram: V86Ram;
  readonly #functions = new Map<number, Plugged>();
  readonly #devices: PluggedVirtio[] = [];
  #quiet = false;

  /**
   * Takes an emulator that has loaded and does not run yet.
   * @throws UnsupportedError when this version of v86 has not the parts that this needs
   */
  constructor(emulator: V86Emulator, observer?: Observer) {
    const cpu = probeV86(emulator);
    this.emulator = emulator;
    this.#cpu = cpu;
    this.#observer = observer;
    this.#ram = new V86Ram(cpu, () => {
      for (const { device } of this.#devices) device.core.memoryMoved();
    });
    this.#lines = new InterruptLines(cpu);
    this.#gate = new RegisterGate({
      entering: () => this.#ram.look(),
      leaving: () => this.#lines.deliver(true),
      failed: (error) => this.onFailure?.(error),
    });
    this.#ports = new PortDecoder(cpu, this.#gate);
    this.#mapped = new MemoryDecoder(cpu, this.#gate);
    hostConfiguration(
      cpu,
      this.#gate,
      (place) => this.#functions.get(place)?.fn,
      () => this.#ports.refresh(),
    );
    const { v86 } = emulator;
    const tick = v86.do_tick.bind(v86);
    v86.do_tick = () => {
      tick();
      // What answers between two turns of the processor writes to memory, too.
      this.#ram.look();
    };
    const reboot = cpu.reboot_internal.bind(cpu);
    cpu.reboot_internal = () => {
      for (const { fn } of this.#functions.values()) fn.reset();
      this.onRestart?.();
      reboot();
    };
  }

  get memory(): GuestMemory {
    return this.#ram.memory;
  }

  /** Puts a virtio device into a slot. @throws RangeError when there is none left */
  plugVirtio(type: DeviceType, options: V86VirtioOptions): VirtioPciDevice {
    const { registers = "modern", classCode, ringFeatures, slot } = options;
    const device = new VirtioPciDevice(type, {
      classCode,
      flavour: registers === "legacy" ? "legacy" : "modern",
      modernSpace: registers === "modern-io" ? "io" : "memory",
      // v86 has no message interrupts.
      vectors: 0,
      memory: this.memory,
      observer: this.#observer,
      wrapQueue: (queue) => new CoherentQueue(queue, (from, to) => this.#cpu.jit_dirty_cache(from, to)),
      ...(ringFeatures === undefined ? {} : { ringFeatures }),
    });
    this.#devices.push({ device, slot: this.plug(device.function, slot) });
    return device;
  }

  /** Puts a PCI function into a slot of bus 0, and says which. @throws RangeError when it is taken, or there is none left */
  plug(fn: PciFunction, slot?: number): number {
    const { device_spaces } = this.#cpu.devices.pci;
    const isFree = (at: number) => !this.#functions.has(at << 3) && device_spaces[at << 3] === undefined;
    const place = slot ?? freeSlots.find(isFree);
    if (place === undefined) throw new RangeError("the PC has no free slot left");
    if (place < 0 || place > 31 || !isFree(place)) throw new RangeError(`slot ${place} is taken`);
    const pirq = InterruptLines.pirqOf(place, fn.interruptPin);
    const plugged: Plugged = { fn, pirq, level: false };
    this.#functions.set(place << 3, plugged);
    fn.attach({
      interruptChanged: () => this.#interruptChanged(plugged),
      mappingChanged: () => this.#remap(),
      sendMessage: () => {},
    });
    this.#interruptChanged(plugged);
    this.#remap();
    return place;
  }

  /**
   * Stops the PC between two instructions and keeps all of it but the disks' content, then lets it go on.
   * @throws UnsupportedError when requests do not end, or there are functions besides virtio's
   */
  async save(): Promise<V86Snapshot> {
    if (this.#devices.length < this.#functions.size) {
      throw new UnsupportedError("only virtio devices can be in a snapshot");
    }
    const wasRunning = this.emulator.is_running();
    if (wasRunning) await this.emulator.stop();
    try {
      const end = Date.now() + settleTime;
      while (this.#devices.some(({ device }) => device.core.requestsInFlight > 0)) {
        if (Date.now() > end) throw new UnsupportedError("a request does not end, so no snapshot can be made");
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      this.#ram.look();
      const devices = this.#devices.map(({ device, slot }) => ({ ...device.save(), slot }));
      const memory = this.#cpu.memory_size[0];
      return { version: v86SnapshotVersion, memory, emulator: await this.emulator.save_state(), devices };
    } finally {
      if (wasRunning) await this.emulator.run();
    }
  }

  /**
   * Goes back to a snapshot, of a PC with the same memory and the same devices in the same slots. The emulator must not run.
   * @throws RangeError when it is damaged or of another PC, UnsupportedError when it has another version: nothing has changed
   * then, unless it is v86's part that is damaged
   */
  async restore(snapshot: V86Snapshot): Promise<void> {
    const goOn = this.#read(snapshot);
    this.#quiet = true;
    try {
      await this.#restoreEmulator(snapshot.emulator);
      this.#ram.look();
      for (const step of goOn) step();
    } finally {
      this.#quiet = false;
    }
    const levels = [0, 0, 0, 0];
    for (const plugged of this.#functions.values()) {
      plugged.level = plugged.fn.interruptLevel;
      if (plugged.level) levels[plugged.pirq]++;
    }
    this.#lines.restore(levels);
    this.#remap();
  }

  /** Looks at all of a snapshot but v86's part, and gives the steps that put devices back. */
  #read(snapshot: V86Snapshot): (() => void)[] {
    const saved = new SavedReader(snapshot, "the PC");
    saved.version(v86SnapshotVersion);
    const memory = this.#cpu.memory_size[0];
    if (snapshot.memory !== memory) saved.refuse("memory", `is ${snapshot.memory} bytes, this PC has ${memory}`);
    if (!(snapshot.emulator instanceof ArrayBuffer)) saved.refuse("emulator", "is no ArrayBuffer");
    const { length } = this.#devices;
    const slots = saved.list("devices", Number.MAX_SAFE_INTEGER, (device) => device.whole("slot", 31));
    if (slots.length !== length) saved.refuse("devices", `are ${slots.length}, this PC has ${length}`);
    return this.#devices.map(({ device, slot }, index) => {
      if (slots[index] !== slot) saved.refuse("devices", `has one in slot ${slots[index]}, this PC in slot ${slot}`);
      return device.readState(snapshot.devices[index]);
    });
  }

  async #restoreEmulator(state: ArrayBuffer): Promise<void> {
    try {
      await this.emulator.restore_state(state);
    } catch (error) {
      throw new RangeError(`v86 does not take its part of the snapshot: ${String(error)}`, { cause: error });
    }
  }

  #interruptChanged(plugged: Plugged): void {
    const level = plugged.fn.interruptLevel;
    if (this.#quiet || plugged.fn.interruptPin === 0 || level === plugged.level) return;
    plugged.level = level;
    this.#lines.change(plugged.pirq, level);
    if (!this.#gate.isInside) this.#lines.deliver(false);
  }

  #remap(): void {
    const bars: PciBar[] = [];
    for (const { fn } of this.#functions.values()) bars.push(...fn.bars.filter(({ decoding }) => decoding));
    this.#ports.map(bars.filter(({ space }) => space === "io"));
    this.#mapped.map(bars.filter(({ space }) => space === "memory"));
  }
}
