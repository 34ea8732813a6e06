/** Host bridges, device half: what all of them have in common. */
import { subWindow } from "../bytes/index.js";
import { type DecodePiece, emptyWindow } from "./address-decoder.js";
import type { BridgeDescription, OnboardFunction } from "./bridge-description.js";
import { PciBus } from "./bus.js";
import { ConfigMechanismDevice } from "./config-mechanism.js";
import { PciDeviceFunction } from "./device-function.js";

/** A bus behind a bridge, with the description that it was made from. */
export interface BridgeBus {
  readonly description: BridgeDescription;
  readonly bus: PciBus;
}

/** A host bridge chip as the processor sees it. */
export interface HostBridge {
  readonly buses: readonly BridgeBus[];
  /** What the chip decodes now, for an `AddressDecoder`. */
  pieces(): readonly DecodePiece[];
  /** Called when `pieces` would answer differently. */
  onPiecesChanged: (() => void) | undefined;
  /** Power-on reset of the chip and everything on its buses. */
  reset(): void;
}

/** A function of the board itself: its identity and its BARs, with nothing behind them. */
export function makeOnboardFunction(onboard: OnboardFunction): PciDeviceFunction {
  const { slot: _slot, function: _function, name: _name, bars, ...identity } = onboard;
  return new PciDeviceFunction({
    subsystemVendorId: 0x1af4,
    subsystemId: 0x1100,
    ...identity,
    bars: (bars ?? []).map((bar) => (bar === undefined ? undefined : { ...bar, window: emptyWindow })),
  });
}

/** A bus with what the description says is on it. */
export function makeBridgeBus(description: BridgeDescription): BridgeBus {
  const bus = new PciBus(description.bus, description.interrupts);
  for (const onboard of description.onboard) bus.plug(onboard.slot, onboard.function, makeOnboardFunction(onboard));
  return { description, bus };
}

/** A bridge whose registers and windows are fixed by its board: Articia S, i440FX, Q35. */
export class FixedHostBridge implements HostBridge {
  readonly buses: readonly [BridgeBus];
  onPiecesChanged: (() => void) | undefined;
  readonly #pieces: readonly DecodePiece[];
  readonly #config: ConfigMechanismDevice;

  constructor(description: BridgeDescription) {
    const made = makeBridgeBus(description);
    this.buses = [made];
    this.#config = new ConfigMechanismDevice(made.bus);
    const { space, addressRegister, dataRegister } = description.config;
    this.#pieces = [
      // First, since a port window covers them.
      { space, base: addressRegister, size: 4, window: this.#config.addressRegister },
      { space, base: dataRegister, size: 4, window: this.#config.dataRegister },
      ...description.memory.map((window) => ({
        ...{ space: window.space, base: window.cpuBase, size: window.size },
        window: subWindow(made.bus.memory, window.pciBase),
      })),
      ...description.io.map((window) => ({
        ...{ space: window.space, base: window.cpuBase, size: window.size },
        window: subWindow(made.bus.io, window.pciBase),
      })),
    ];
  }

  pieces(): readonly DecodePiece[] {
    return this.#pieces;
  }

  reset(): void {
    this.#config.reset();
    this.buses[0].bus.reset();
  }
}
