/**
 * The driver half of virtio-console (virtio 1.2 §5.3; 0.9.5 appendix E): ports that come and go, bytes both ways, sizes,
 * and characters that need no queue.
 */
import { DeviceError } from "../../errors/index.js";
import {
  type DriverLink,
  type DriverTransport,
  featureSet,
  hasFeature,
  modernRingFeatures,
  ringFeatures,
} from "../../transport/index.js";
import { DeviceDriver, type DeviceDriverOptions, ReceiveQueue, SendQueue } from "../driver-base/index.js";
import { ConsolePort, type PortQueues, portSlotSize } from "./driver-port.js";
import {
  ConsoleEvent,
  ConsoleQueue,
  consoleConfig,
  consoleControl,
  consoleFeatures,
  consoleResize,
  type ResizeOrder,
  receiveQueueOf,
  transmitQueueOf,
} from "./protocol.js";

/** What the driver takes. */
export interface ConsoleDriverOptions extends DeviceDriverOptions {
  /** Ports that are served, at most; others are refused. Default 32. */
  readonly maxPorts?: number;
  /** Open our end of every port that comes. Default true. */
  readonly opensPorts?: boolean;
  /** How a RESIZE message is laid out. Default `columns-first`, as specified. */
  readonly resizeOrder?: ResizeOrder;
  /** A port came or went. Ports of a frozen driver that come back are not told again. */
  readonly onPort?: (port: ConsolePort, what: "added" | "removed") => void;
}

/** All features that the driver half knows. */
export const knownConsoleFeatures = featureSet(
  consoleFeatures.SIZE,
  consoleFeatures.MULTIPORT,
  consoleFeatures.EMERG_WRITE,
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
  ...modernRingFeatures,
);

/** Buffers of a port: what it can be sent without a pause. */
const receiveBuffers = 8;
const receiveSize = 1024;
const transmitSlots = 4;
/** A control message with a name of any reasonable length. */
const controlSize = 256;
const controlBuffers = 16;
/** Answers that may wait for a device which does not take them; further ones are not given. */
const controlPatience = 256;

/** The driver of one console device. */
export class VirtioConsoleDriver extends DeviceDriver {
  readonly #options: ConsoleDriverOptions;
  readonly #ports = new Map<number, ConsolePort>();
  /** Ports that somebody was told of. */
  readonly #announced = new Set<number>();
  #queues: PortQueues[] = [];
  #controlReceive: ReceiveQueue | undefined;
  #controlTransmit: SendQueue | undefined;

  private constructor(transport: DriverTransport, options: ConsoleDriverOptions) {
    super(transport, options);
    this.#options = options;
  }

  /** Brings the device up. @throws ProtocolError when it breaks the rules of initialisation. */
  static async open(transport: DriverTransport, options: ConsoleDriverOptions = {}): Promise<VirtioConsoleDriver> {
    const driver = new VirtioConsoleDriver(transport, options);
    await driver.bringUp();
    return driver;
  }

  /** The ports that the device has told of, by number. */
  get ports(): ReadonlyMap<number, ConsolePort> {
    return this.#ports;
  }

  /** Writes one character past all queues, also when nothing else works. False when the device cannot. */
  emergencyWrite(character: number): boolean {
    if (!this.link.has(consoleFeatures.EMERG_WRITE)) return false;
    writeEmergency(this.transport, character);
    return true;
  }

  protected wanted() {
    const multiport = featureSet(consoleFeatures.MULTIPORT);
    return {
      features: this.#options.features ?? knownConsoleFeatures,
      queues: (agreed: bigint) => ((agreed & multiport) === 0n ? 2 : receiveQueueOf(this.#portLimit())),
    };
  }

  protected setUp(link: DriverLink): void {
    const multiport = link.has(consoleFeatures.MULTIPORT);
    const count = multiport ? this.#portLimit() : 1;
    this.#queues = Array.from({ length: count }, (_, id) => this.#portQueues(link, id));
    if (!multiport) {
      this.#port(0).isConsole = true;
      return;
    }
    this.#controlReceive = this.own(
      ConsoleQueue.ControlReceive,
      new ReceiveQueue(link, ConsoleQueue.ControlReceive, {
        buffers: controlBuffers,
        bufferSize: controlSize,
        received: (bytes) => this.#controlled(bytes),
      }),
    );
    const slots = { slots: controlBuffers, slotSize: consoleControl.size };
    this.#controlTransmit = this.own(
      ConsoleQueue.ControlTransmit,
      new SendQueue(link, ConsoleQueue.ControlTransmit, slots),
    );
  }

  protected override started(): void {
    this.configured();
    if (this.#controlReceive === undefined) {
      const port = this.#port(0);
      port.attach(this.#queues[0]);
      port.isHostOpen = true;
      this.#announce(port);
      return;
    }
    this.#controlReceive.start();
    this.#tell(0, ConsoleEvent.DeviceReady, 1);
  }

  /** The size of port 0 may be another one. */
  protected override configured(): void {
    if (!this.link.has(consoleFeatures.SIZE)) return;
    const size = this.link.readConfig((transport) => ({
      columns: transport.readConfig(consoleConfig.offset.columns, 2),
      rows: transport.readConfig(consoleConfig.offset.rows, 2),
    }));
    const port = this.#port(0);
    if (port.size?.columns === size.columns && port.size.rows === size.rows) return;
    port.size = size;
    port.changed();
  }

  protected override takenDown(): void {
    this.#queues = [];
    this.#controlReceive = undefined;
    this.#controlTransmit = undefined;
    for (const port of this.#ports.values()) {
      port.attach(undefined);
      port.changed();
    }
  }

  #portLimit(): number {
    const offered = this.transport.readConfig(consoleConfig.offset.maxPorts, 4);
    return Math.max(1, Math.min(offered, this.#options.maxPorts ?? 32));
  }

  #portQueues(link: DriverLink, id: number): PortQueues {
    const receive = new ReceiveQueue(link, receiveQueueOf(id), {
      buffers: receiveBuffers,
      bufferSize: receiveSize,
      received: (bytes) => this.#ports.get(id)?.received(bytes),
    });
    this.own(receiveQueueOf(id), receive);
    const slots = { slots: transmitSlots, slotSize: portSlotSize };
    const transmit = this.own(transmitQueueOf(id), new SendQueue(link, transmitQueueOf(id), slots));
    return { receive, transmit, isStarted: false };
  }

  #port(id: number): ConsolePort {
    let port = this.#ports.get(id);
    if (port === undefined) {
      port = new ConsolePort(id, (which, isOpen) => this.#tell(which, ConsoleEvent.PortOpen, isOpen ? 1 : 0));
      this.#ports.set(id, port);
    }
    return port;
  }

  #tell(id: number, event: number, value: number): void {
    const queue = this.#controlTransmit;
    if (queue === undefined || queue.waiting >= controlPatience) return;
    const message = new DataView(new ArrayBuffer(consoleControl.size));
    consoleControl.write(message, 0, this.transport.endianness, { id, event, value });
    // Who waits for the answer is told by the device's next message; a driver that goes has nobody to tell.
    queue.send(new Uint8Array(message.buffer)).catch(() => {});
  }

  #controlled(bytes: Uint8Array): void {
    if (bytes.length < consoleControl.size) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { id, event, value } = consoleControl.read(view, 0, this.transport.endianness);
    if (event === ConsoleEvent.PortAdd) {
      this.#added(id);
      return;
    }
    const port = this.#ports.get(id);
    if (port === undefined || !port.isPresent) return;
    if (event === ConsoleEvent.PortRemove) this.#removed(port);
    else if (this.#told(port, event, value, view)) port.changed();
  }

  #added(id: number): void {
    const queues = this.#queues[id];
    if (queues === undefined) {
      this.#tell(id, ConsoleEvent.PortReady, 0);
      return;
    }
    const port = this.#port(id);
    port.attach(queues);
    this.#announce(port);
    this.#tell(id, ConsoleEvent.PortReady, 1);
    if (this.#options.opensPorts !== false) port.setOpen(true);
  }

  #announce(port: ConsolePort): void {
    if (this.#announced.has(port.id)) return;
    this.#announced.add(port.id);
    this.#options.onPort?.(port, "added");
  }

  #removed(port: ConsolePort): void {
    this.#queues[port.id].transmit.abandon(new DeviceError(`port ${port.id} was removed`));
    port.attach(undefined);
    this.#ports.delete(port.id);
    this.#announced.delete(port.id);
    port.changed();
    this.#options.onPort?.(port, "removed");
  }

  /** Takes over what the device says of a port. False when it says nothing new. */
  #told(port: ConsolePort, event: number, value: number, message: DataView): boolean {
    const { size } = consoleControl;
    if (event === ConsoleEvent.ConsolePort) port.isConsole = value === 1;
    else if (event === ConsoleEvent.PortOpen) port.isHostOpen = value === 1;
    else if (event === ConsoleEvent.PortName) port.name = nameIn(message);
    else if (event === ConsoleEvent.Resize && message.byteLength >= size + 4) {
      const layout = consoleResize[this.#options.resizeOrder ?? "columns-first"];
      port.size = layout.read(message, size, this.transport.endianness);
    } else return false;
    return true;
  }
}

/**
 * Writes one character to the device's port 0 by its configuration (§5.3.6.1), at any time, also before the device is
 * brought up. False when it does not offer that.
 */
export function writeEmergency(transport: DriverTransport, character: number): boolean {
  if (!hasFeature(transport.readFeatures(), consoleFeatures.EMERG_WRITE)) return false;
  transport.writeConfig(consoleConfig.offset.emergencyWrite, 4, character & 0xff);
  return true;
}

/** What follows the header, up to a zero byte: some devices send one. */
function nameIn(message: DataView): string {
  const at = message.byteOffset + consoleControl.size;
  const bytes = new Uint8Array(message.buffer, at, message.byteLength - consoleControl.size);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.slice(0, end < 0 ? bytes.length : end));
}
