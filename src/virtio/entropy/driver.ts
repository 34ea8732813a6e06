/** The driver half of virtio-entropy (virtio 1.2 §5.4; 0.9.5 appendix F). */
import { ProtocolError } from "../../errors/index.js";
import {
  type DriverLink,
  type DriverTransport,
  featureSet,
  modernRingFeatures,
  ringFeatures,
} from "../../transport/index.js";
import { DeviceDriver, type DeviceDriverOptions, FillQueue } from "../driver-base/index.js";
import { entropyQueue } from "./protocol.js";

/** What the driver takes and how long it waits. */
export interface EntropyDriverOptions extends DeviceDriverOptions {
  /** Milliseconds until nobody waits for a buffer any more. Default 30 000; 0 for ever: devices may limit their rate. */
  readonly timeout?: number;
}

/** All features that the driver half knows. */
export const knownEntropyFeatures = featureSet(
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
  ...modernRingFeatures,
);

/** The driver of one source. */
export class VirtioEntropyDriver extends DeviceDriver {
  readonly #features: bigint;
  readonly #timeout: number;
  #queue: FillQueue | undefined;

  private constructor(transport: DriverTransport, options: EntropyDriverOptions) {
    super(transport, options);
    this.#features = options.features ?? knownEntropyFeatures;
    this.#timeout = options.timeout ?? 30_000;
  }

  /** Brings the device up. @throws ProtocolError when the device breaks the rules of initialisation. */
  static async open(transport: DriverTransport, options: EntropyDriverOptions = {}): Promise<VirtioEntropyDriver> {
    const driver = new VirtioEntropyDriver(transport, options);
    await driver.bringUp();
    return driver;
  }

  /** Buffers that the device has. */
  get inFlight(): number {
    return this.#queue?.inFlight ?? 0;
  }

  /**
   * Has `bytes` filled as far as the device likes, at least one byte.
   * @returns how many came. @throws ProtocolError when none came; RequestAborted; the reason when the driver is taken off.
   */
  async read(bytes: Uint8Array): Promise<number> {
    if (bytes.length === 0) return 0;
    const length = await this.inUse(this.#queue).fill(bytes, this.#timeout);
    if (length === 0) throw new ProtocolError("response-short", { queue: entropyQueue, detail: "no random byte came" });
    return length;
  }

  /** Has all of `bytes` filled, by as many requests as the device wants. @throws as `read` */
  async fill(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) done += await this.read(bytes.subarray(done));
  }

  protected wanted() {
    return { features: this.#features, queues: 1 };
  }

  protected setUp(link: DriverLink): void {
    this.#queue = this.own(entropyQueue, new FillQueue(link, entropyQueue));
  }

  protected override takenDown(): void {
    this.#queue = undefined;
  }
}
