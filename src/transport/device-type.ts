/** The contract between a device type (scsi, blk, …) and the transport that carries it, device half. */
import type { Endianness, SavedFields, SavedReader } from "../bytes/index.js";
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
  /** Of these, the ones that only legacy drivers know: a modern driver does not see them offered. */
  readonly legacyFeatures?: bigint;
  /** Largest size of each queue; its length is the number of queues. */
  readonly queueSizes: readonly number[];
  /** Bytes of device-specific configuration. */
  readonly configSize: number;
  /** Called once. */
  attach(host: DeviceHost): void;
  /**
   * Whether the features that a modern driver chose go together; all of them were offered. Default true. What a legacy
   * driver chose is never refused: it has no FEATURES_OK.
   */
  acceptsFeatures?(features: bigint): boolean;
  /** The driver chose other features, or a reset took them back: what was kept of `host.has` is out of date. */
  featuresChanged?(): void;
  /** Writes the configuration as it is now into `view`. */
  readConfig(view: DataView, endianness: Endianness): void;
  /** Takes over what the driver may write, from a configuration that was changed at `offset`, `length` bytes. */
  writeConfig(view: DataView, endianness: Endianness, offset: number, length: number): void;
  /** The driver notified queue `index`, or the queue just became usable. */
  notified(index: number): void;
  /** Gives up everything in flight: after it nothing is written to guest memory and no chain is pushed. */
  reset(): void;
  /**
   * The same for one queue, which the driver stopped or reset. A type without it is not offered RING_RESET, and what
   * it still has in flight of a queue that is stopped is its own to mind.
   */
  resetQueue?(index: number): void;
  /**
   * Whether chains of this queue are kept until there is something to tell (events): stopping the queue then does not
   * wait for them, and the driver gets them back unused. Default false.
   */
  keepsChains?(index: number): boolean;
  /** What it keeps for itself besides features and queues, for a snapshot. Default nothing. */
  saveState?(): SavedFields;
  /**
   * Reads what `saveState` gave, all of it, and gives the step that puts it in force: that comes after a reset, with
   * the features chosen and before queues run. @throws RangeError, UnsupportedError when it cannot be used
   */
  readState?(saved: SavedReader): () => void;
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
