/** The driver half of rpmsg (0.9.5 appendix H): the application processor's end of the bus. */
import {
  type DriverLink,
  type DriverTransport,
  featureSet,
  modernRingFeatures,
  ringFeatures,
} from "../../transport/index.js";
import { DeviceDriver, type DeviceDriverOptions, ReceiveQueue, SendQueue } from "../driver-base/index.js";
import { RpmsgBus, type RpmsgFault } from "./bus.js";
import { RpmsgQueue, rpmsgBufferSize, rpmsgFeatures, rpmsgHeader } from "./protocol.js";

/** What the driver takes. */
export interface RpmsgDriverOptions extends DeviceDriverOptions {
  /** Bytes of a buffer, header included. Default 512. */
  readonly bufferSize?: number;
  /** Buffers in each direction, at most. Default 64. */
  readonly buffers?: number;
  /** The bus, when its endpoints and listeners are to be there before the device is up. */
  readonly bus?: RpmsgBus;
  /** Called with why a message of the device's was refused. */
  readonly onFault?: (fault: RpmsgFault) => void;
}

/** All features that the driver half knows. */
export const knownRpmsgFeatures = featureSet(
  rpmsgFeatures.NS,
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
  ...modernRingFeatures,
);

/** The driver of one bus. */
export class VirtioRpmsgDriver extends DeviceDriver {
  /** Our endpoints, and the services of the device's side. */
  readonly bus: RpmsgBus;
  /** Messages of the device's that were refused. */
  readonly faults = new Map<RpmsgFault, number>();
  readonly #options: RpmsgDriverOptions;
  #receive: ReceiveQueue | undefined;
  #transmit: SendQueue | undefined;

  private constructor(transport: DriverTransport, options: RpmsgDriverOptions) {
    super(transport, options);
    this.#options = options;
    this.bus = options.bus ?? new RpmsgBus();
  }

  /** Brings the device up. @throws ProtocolError when it breaks the rules of initialisation. */
  static async open(transport: DriverTransport, options: RpmsgDriverOptions = {}): Promise<VirtioRpmsgDriver> {
    const driver = new VirtioRpmsgDriver(transport, options);
    await driver.bringUp();
    return driver;
  }

  protected wanted() {
    return { features: this.#options.features ?? knownRpmsgFeatures, queues: 2 };
  }

  protected setUp(link: DriverLink): void {
    const { buffers = 64, bufferSize = rpmsgBufferSize } = this.#options;
    const received = (bytes: Uint8Array) => this.#received(bytes);
    const receive = new ReceiveQueue(link, RpmsgQueue.Receive, { buffers, bufferSize, received });
    this.#receive = this.own(RpmsgQueue.Receive, receive);
    const transmit = new SendQueue(link, RpmsgQueue.Transmit, { slots: buffers, slotSize: bufferSize });
    this.#transmit = this.own(RpmsgQueue.Transmit, transmit);
  }

  protected override started(): void {
    const { bufferSize = rpmsgBufferSize } = this.#options;
    this.bus.carry({
      endianness: this.transport.endianness,
      payloadSize: bufferSize - rpmsgHeader.size,
      hasNameService: this.link.has(rpmsgFeatures.NS),
      send: async (message) => this.inUse(this.#transmit).send(message),
    });
    this.#receive?.start();
  }

  protected override takenDown(): void {
    this.#receive = undefined;
    this.#transmit = undefined;
    this.bus.carry(undefined);
  }

  #received(bytes: Uint8Array): void {
    const fault = this.bus.received(bytes, this.transport.endianness);
    if (fault === undefined) return;
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
    this.#options.onFault?.(fault);
  }
}
