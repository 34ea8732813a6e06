/** A device behind vhost-user, across connections: what it is, what it offers, and who serves its queues. */
import { ProtocolError, type ViolationCode } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import type { DeviceType } from "../device-type.js";
import { featureSet, ringFeatures } from "../features.js";
import { BackEndSession } from "./back-end-session.js";
import type { MemoryMapper } from "./memory-table.js";
import { maxConfigSize, ProtocolFeature } from "./protocol.js";
import type { QueueRunner } from "./queue-runner.js";

/** What the control plane needs of its system. Descriptors are numbers; who takes one closes it. */
export interface BackEndSystem extends MemoryMapper {
  /** Makes a descriptor fit for signalling and waiting. @throws ProtocolError `message-descriptors` when it is none. */
  prepareEvent(descriptor: number): void;
  signal(descriptor: number): void;
  close(descriptor: number): void;
  /** New zeroed memory that can be given away: its descriptor and a mapping. */
  createMemory(size: number): number;
  /** Opens the socket on which the back end sends requests of its own. */
  openBackChannel(descriptor: number): BackChannel;
}

/** The back end's own socket. */
export interface BackChannel {
  /** Sends a request without payload; a front end that does not take it is not waited for. */
  send(request: number): void;
  close(): void;
}

/** What of a device type the control plane asks for. */
export type BackEndDevice = Pick<
  DeviceType,
  "name" | "features" | "queueSizes" | "configSize" | "readConfig" | "writeConfig"
>;

/** How a device is offered. */
export interface BackEndOptions {
  device: BackEndDevice;
  runner: QueueRunner;
  system: BackEndSystem;
  /** Ring features to offer. Default: all that rings know, and VERSION_1. */
  ringFeatures?: bigint;
  /** Features not to offer after all. */
  withoutFeatures?: bigint;
  /**
   * Offer the configuration space. Block devices need it; front ends for SCSI hosts make it up themselves and do not
   * want it. Default true.
   */
  offersConfig?: boolean;
  /** Protocol features to leave out. */
  withoutProtocolFeatures?: bigint;
  observer?: Observer | undefined;
}

/** The device that front ends meet. */
export class VhostUserBackEnd {
  readonly device: BackEndDevice;
  readonly runner: QueueRunner;
  readonly system: BackEndSystem;
  /** Virtio features on offer, without the bit for protocol features. */
  readonly features: bigint;
  readonly protocolFeatures: bigint;
  /** How often each rule was broken by messages. */
  readonly violations = new Map<ViolationCode, number>();
  readonly #observer: Observer | undefined;
  readonly #config: Uint8Array;
  #session: BackEndSession | undefined;

  constructor(options: BackEndOptions) {
    const { NOTIFY_ON_EMPTY, INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED } = ringFeatures;
    this.device = options.device;
    this.runner = options.runner;
    this.system = options.system;
    const ring = options.ringFeatures ?? featureSet(NOTIFY_ON_EMPTY, INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED);
    this.features = (options.device.features | ring) & ~(options.withoutFeatures ?? 0n);
    const f = ProtocolFeature;
    const always = featureSet(
      f.MQ,
      f.REPLY_ACK,
      f.CROSS_ENDIAN,
      f.INFLIGHT_SHMFD,
      f.RESET_DEVICE,
      f.CONFIGURE_MEM_SLOTS,
    );
    const config = options.offersConfig === false ? 0n : featureSet(f.CONFIG, f.BACKEND_REQ);
    this.protocolFeatures = (always | config) & ~(options.withoutProtocolFeatures ?? 0n);
    this.#observer = options.observer;
    this.#config = new Uint8Array(Math.max(maxConfigSize, options.device.configSize));
    this.runner.connect({
      configChanged: () => this.#session?.configChanged(),
      ringFailed: (index) => this.#session?.ringFailed(index),
    });
  }

  /** A connection begins: everything is new but the device. One at a time. */
  connect(): BackEndSession {
    const session = new BackEndSession(this, () => {
      if (this.#session === session) this.#session = undefined;
    });
    this.#session = session;
    return session;
  }

  /** Configuration space from `offset` on; zeros past its end. */
  readConfig(offset: number, length: number): Uint8Array {
    const bytes = this.#config;
    bytes.fill(0);
    this.device.readConfig(new DataView(bytes.buffer, 0, this.device.configSize), "little");
    return bytes.slice(offset, offset + length);
  }

  /** Done when every queue is served accordingly. @throws ProtocolError `config-space-range` */
  async writeConfig(offset: number, data: Uint8Array): Promise<void> {
    const { configSize } = this.device;
    if (offset + data.length > configSize || data.length === 0) {
      throw new ProtocolError("config-space-range", { detail: `${data.length} bytes at ${offset} of ${configSize}` });
    }
    this.readConfig(0, 0);
    this.#config.set(data, offset);
    this.device.writeConfig(new DataView(this.#config.buffer, 0, configSize), "little", offset, data.length);
    await this.runner.configWritten?.(this.#config.slice(0, configSize), offset, data.length);
  }

  /** Counts and tells of a broken rule. */
  report(error: ProtocolError): void {
    this.violations.set(error.code, (this.violations.get(error.code) ?? 0) + 1);
    this.#observer?.emit({
      category: "violation",
      source: `vhost-user ${this.device.name}`,
      name: error.code,
      fields: { message: error.message },
    });
  }
}
