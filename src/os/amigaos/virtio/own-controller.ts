/** One controller as version 1.5 has it: registers, three rings of which one is used, its interrupt server. */
import type { Endianness } from "../../../bytes/index.js";
import { ProtocolError, UnsupportedError } from "../../../errors/index.js";
import type { Observer } from "../../../observe/index.js";
import { type InterruptMode, IsrStatus, ringFeatures } from "../../../transport/index.js";
import type { DeviceBehaviour } from "../device/behaviour.js";
import type { ExecMemory, PageOrder } from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import { type AmigaAdapter, type AmigaMachine, virtioScsiIds } from "./amiga-machine.js";
import { type ControllerRegisters, requestQueue } from "./controller-registers.js";
import { openLegacyController } from "./legacy-registers.js";
import { openModernController } from "./modern-registers.js";
import { OwnQueue } from "./own-queue.js";
import { enableFunction, repairUpperBar } from "./pci-set-up.js";
import { allocateRing, type RingBlock } from "./ring-block.js";

/** How a controller is opened. */
export interface ControllerOptions {
  readonly machine: AmigaMachine;
  readonly adapter: AmigaAdapter;
  readonly memory: ExecMemory;
  readonly profile: AmigaProfile;
  /** False: the interrupt server cannot be installed. */
  readonly hasInterrupt: boolean;
  /** How exec's memory lies when the rings are made. Default `contiguous`: it is early in a system's life. */
  readonly ringPages?: PageOrder | undefined;
  readonly debug: (text: string) => void;
  readonly startIndex?: number | undefined;
  readonly observer?: Observer | undefined;
}

const eventIndexBit = (1 << ringFeatures.EVENT_IDX) >>> 0;

export class OwnController {
  readonly machine: AmigaMachine;
  readonly memory: ExecMemory;
  readonly profile: AmigaProfile;
  readonly behaviour: DeviceBehaviour;
  readonly kind: ControllerRegisters["kind"];
  readonly endianness: Endianness;
  readonly features: bigint;
  readonly interruptMode: InterruptMode;
  readonly queue: OwnQueue;
  /** Called by the interrupt server for a queue interrupt. */
  onInterrupt: () => void = () => {};
  readonly #registers: ControllerRegisters;
  readonly #rings: RingBlock[];
  #detach: (() => void) | undefined;

  private constructor(
    options: ControllerOptions,
    registers: ControllerRegisters,
    taken: number,
    isVersion1: boolean,
    rings: RingBlock[],
    queue: OwnQueue,
    detach: (() => void) | undefined,
  ) {
    const { machine, memory, profile } = options;
    this.machine = machine;
    this.memory = memory;
    this.profile = profile;
    this.behaviour = profile.behaviour;
    this.kind = registers.kind;
    this.endianness = registers.endianness;
    this.features = BigInt(taken) | (isVersion1 ? 1n << BigInt(ringFeatures.VERSION_1) : 0n);
    this.#registers = registers;
    this.#rings = rings;
    this.queue = queue;
    this.interruptMode = detach === undefined ? "none" : "intx";
    this.#detach = detach;
    if (detach === undefined) options.debug("no interrupt: polling");
  }

  /**
   * Brings a controller up.
   * @throws UnsupportedError or ProtocolError when there is no way to; the reason is the message.
   */
  static open(options: ControllerOptions): OwnController {
    const { machine, adapter, memory, profile, debug, startIndex, observer } = options;
    const { fn } = adapter;
    const { behaviour } = profile;
    const registers = openRegisters(options);
    if (registers === undefined) throw new UnsupportedError(`${fn.place} has no registers that can be reached`);
    const rings: RingBlock[] = [];
    let requests: OwnQueue | undefined;
    const free = () => {
      for (const ring of rings) if (ring !== undefined) memory.free(ring.allocation);
    };
    // A device may interrupt as soon as it is up. Firmware routes its line before that; here the first server does.
    let controller: OwnController | undefined;
    const place = { bridge: fn.bridgeIndex, bus: fn.bus, slot: fn.slot, pin: fn.interruptPin };
    const isWired = options.hasInterrupt && fn.interruptPin !== 0;
    const detach = isWired ? machine.interrupts.attachLine(place, () => controller?.interrupt()) : undefined;
    try {
      const agreed = registers.bringUp({
        features: eventIndexBit,
        debug,
        ring(queue, size, features) {
          if (!Number.isInteger(Math.log2(size)) || size > 32768) {
            throw new ProtocolError("ring-size-invalid", { queue, detail: `size ${size}` });
          }
          const ring = allocateRing(memory, size, behaviour.ringContiguity, options.ringPages ?? "contiguous");
          rings[queue] = ring;
          if (queue === requestQueue) {
            const eventIndex = (features & eventIndexBit) !== 0;
            requests = new OwnQueue({ registers, ring, size, eventIndex, memory, behaviour, startIndex, observer });
          }
          return ring;
        },
      });
      if (agreed === undefined) throw new ProtocolError("features-refused");
      if (requests === undefined) throw new ProtocolError("queue-missing", { queue: requestQueue });
      const { features, isVersion1 } = agreed;
      controller = new OwnController(options, registers, features, isVersion1, rings, requests, detach);
      return controller;
    } catch (error) {
      detach?.();
      // The device may know the rings already: only one that resets gives them back.
      if (rings.length === 0 || registers.reset()) free();
      throw error;
    }
  }

  /** Resets the device. True when it did. */
  reset(): boolean {
    return this.#registers.reset();
  }

  /** Takes the interrupt server out and resets the device. True when it did: it owns no memory then. */
  close(): boolean {
    this.#detach?.();
    this.#detach = undefined;
    return this.reset();
  }

  /** Frees the rings, unless the device may still use them. */
  free(keepsMemory: boolean): void {
    if (keepsMemory) return;
    for (const ring of this.#rings.splice(0)) if (ring !== undefined) this.memory.free(ring.allocation);
  }

  /** The interrupt server. */
  interrupt(): void {
    const isr = this.#registers.readIsr();
    // 0: another device on the same line. The configuration bit is ignored.
    if (isr !== 0xff && (isr & IsrStatus.Queue) !== 0) this.onInterrupt();
  }
}

/** Version 1.5 decides by the PCI id alone. */
function openRegisters({ machine, adapter, profile, observer }: ControllerOptions): ControllerRegisters | undefined {
  const { fn } = adapter;
  const { behaviour } = profile;
  if (fn.deviceId === virtioScsiIds.transitional) return openLegacyController(fn, machine.board.endianness, observer);
  if (behaviour.upperBar === "repaired") repairUpperBar(fn);
  enableFunction(fn, behaviour.commandBits);
  return openModernController(fn, { behaviour, memorySpace: machine.memorySpace, observer });
}
