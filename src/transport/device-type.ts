/** The contract between a device type (scsi, blk, …) and the transport that carries it, device half. */
import type { Endianness } from "../bytes/index.js";
import type { ProtocolError, ViolationCode } from "../errors/index.js";
import type { QueueDevice } from "../virtqueue/index.js";
import type { FeatureTable } from "./features.js";

export interface DeviceType {
  /** Virtio device ID (virtio 1.2 §5): 8 for SCSI host. */
  readonly deviceId: number;
  /** For people: `virtio-scsi`. */
  readonly name: string;
  /** Names of its feature bits. */
  readonly featureTable: FeatureTable;
  /** The bits of its own that it offers. */
  readonly features: bigint;
  /** Largest size of each queue; its length is the number of queues. */
  readonly queueSizes: readonly number[];
  /** Bytes of device-specific configuration. */
  readonly configSize: number;
  /** Called once. */
  attach(host: DeviceHost): void;
  /** Writes the configuration as it is now into `view`. */
  readConfig(view: DataView, endianness: Endianness): void;
  /** Takes over what the driver may write, from a configuration that was changed at `offset`, `length` bytes. */
  writeConfig(view: DataView, endianness: Endianness, offset: number, length: number): void;
  /** The driver notified queue `index`, or the queue just became usable. */
  notified(index: number): void;
  /** Gives up everything in flight: after it nothing is written to guest memory and no chain is pushed. */
  reset(): void;
}

/** What a device type gets from its transport. */
export interface DeviceHost {
  /** Byte order of the configuration and of the structures in the queues: guest-native without VERSION_1. */
  readonly endianness: Endianness;
  /** Whether a feature was negotiated. */
  has(feature: number): boolean;
  /** A queue, or undefined while it cannot be used. */
  queue(index: number): QueueDevice | undefined;
  /** Asks for the interrupt of a queue; call it when `publish` says that the driver wants one. */
  signal(index: number): void;
  /** The configuration changed: new generation, configuration interrupt. */
  configChanged(): void;
  /** The driver broke a rule: the device needs a reset (virtio 1.2 §2.1.2). Counted and observed. */
  fail(error: ProtocolError): void;
  /** Counts a broken rule that concerns one request only. */
  count(code: ViolationCode): void;
}
