/** The drivers that there are, as data: version 1.5 build 1079, and what it should have been. */
import { type CommandBehaviour, rightCommands, strictCommands } from "./commands/behaviour.js";
import { type DeviceBehaviour, rightDeviceBehaviour, strictDeviceBehaviour } from "./device/behaviour.js";

/** One driver. */
export interface AmigaProfile {
  readonly name: "strict" | "extended";
  readonly title: string;
  /** Version and revision of the library node. */
  readonly version: readonly [version: number, revision: number];
  /** Order in which PCI ids are looked for: version 1.5's, or that from 1.8 on. */
  readonly order: "modern-first" | "transitional-first";
  /** Controllers that are used; others are left alone. */
  readonly controllers: number;
  /** Targets and LUNs that are looked at on each, and units that there can be. */
  readonly targets: number;
  readonly luns: number;
  readonly units: number;
  /** Transfers in flight on one unit. */
  readonly slots: number;
  /** Of queues, units and discovery. */
  readonly behaviour: DeviceBehaviour;
  /** Of commands and DMA. */
  readonly commands: CommandBehaviour;
}

/** Both profiles by name. */
export const amigaProfiles: Readonly<Record<AmigaProfile["name"], AmigaProfile>> = {
  strict: {
    name: "strict",
    title: "virtioscsi.device 1.5 build 1079",
    version: [1, 5],
    order: "modern-first",
    controllers: 1,
    targets: 8,
    luns: 8,
    units: 8,
    slots: 16,
    behaviour: strictDeviceBehaviour,
    commands: strictCommands,
  },
  extended: {
    name: "extended",
    title: "virtioscsi.device as it should have been",
    version: [53, 13],
    order: "modern-first",
    controllers: 255,
    targets: 256,
    luns: 256,
    units: 256,
    slots: 64,
    behaviour: rightDeviceBehaviour,
    commands: rightCommands,
  },
};
