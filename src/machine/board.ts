/**
 * A board as data: where its memory, its PCI host bridges and their windows are. Platforms build it (`embedded`) or
 * find it (`qemu`); drivers only see this description and a {@link Machine}.
 */
import type { Endianness } from "../bytes/index.js";
import type { BridgeDescription } from "../pci/index.js";

export interface Board {
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** The processor's byte order: that of legacy virtio rings and configuration (virtio 0.9.5). */
  readonly endianness: Endianness;
  readonly ramBase: number;
  /** Bytes of memory unless the caller wants more. */
  readonly defaultRamSize: number;
  /** Host bridges in the order in which an operating system finds them. */
  readonly bridges: readonly BridgeDescription[];
}
