/**
 * The device half of virtio-console (virtio 1.2 §5.3; 0.9.5 appendix E): ports with bytes both ways, their comings and
 * goings, the size of the console, and characters that are written in an emergency.
 */
import type { Endianness, SavedFields, SavedReader } from "../../bytes/index.js";
import type { Observer } from "../../observe/index.js";
import { type DeviceHost, type DeviceType, featureSet } from "../../transport/index.js";
import { serveQueue } from "../device-base/index.js";
import { DeviceControl } from "./device-control.js";
import { ConsoleDevicePort, type ConsolePortOptions, readSavedPort, type SavedPort } from "./device-port.js";
import {
  ConsoleEvent,
  ConsoleQueue,
  type ConsoleSize,
  consoleConfig,
  consoleFeatures,
  consoleResize,
  mostPorts,
  portOfQueue,
  type ResizeOrder,
  receiveQueueOf,
  transmitQueueOf,
  virtioConsoleId,
} from "./protocol.js";

/** What the device has. */
export interface VirtioConsoleOptions {
  /** The ports that are plugged in from the start, from 0 on. Default: port 0 alone. */
  readonly ports?: readonly ConsolePortOptions[];
  /** Offer MULTIPORT. Default: when there are, or may be, several ports. */
  readonly multiport?: boolean;
  /** Ports that there may be. Default: as many as there are. */
  readonly maxPorts?: number;
  /** The size of port 0 in characters; SIZE is offered when it is given. */
  readonly size?: ConsoleSize;
  /** Offer EMERG_WRITE: single characters that a driver writes without any queue. Default true. */
  readonly emergencyWrite?: boolean;
  /** How a RESIZE message is laid out. Default `columns-first`, as specified; see {@link ResizeOrder}. */
  readonly resizeOrder?: ResizeOrder;
  /** Largest size of each queue. Default 64. */
  readonly queueSize?: number;
  readonly observer?: Observer | undefined;
}

/** Of what it keeps in a snapshot. */
const stateVersion = 1;
/** Messages that wait in a snapshot, and bytes of one. */
const mostMessages = 65_536;

/** The device: give it to a transport. */
export class VirtioConsoleDevice implements DeviceType {
  readonly deviceId = virtioConsoleId;
  readonly name = "virtio-console";
  readonly featureTable = consoleFeatures;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly configSize: number;
  /** Called with a character that was written in an emergency. Default: it is port 0's data. */
  onEmergency: ((character: number) => void) | undefined;
  readonly #options: VirtioConsoleOptions;
  readonly #maxPorts: number;
  readonly #ports: (ConsoleDevicePort | undefined)[] = [];
  #host: DeviceHost | undefined;
  #control: DeviceControl | undefined;
  #size: ConsoleSize;
  /** The driver said that it is ready for control messages. */
  #isReady = false;

  /** @throws RangeError when the number of ports cannot be. */
  constructor(options: VirtioConsoleOptions = {}) {
    const { ports = [{}], emergencyWrite = true, size, queueSize = 64 } = options;
    const maxPorts = options.maxPorts ?? Math.max(1, ports.length);
    if (!Number.isInteger(maxPorts) || maxPorts < 1 || maxPorts > mostPorts || ports.length > maxPorts) {
      throw new RangeError(`${ports.length} ports of at most ${maxPorts}: there can be 1 to ${mostPorts}`);
    }
    const multiport = options.multiport ?? maxPorts > 1;
    if (!multiport && maxPorts > 1) throw new RangeError("several ports need MULTIPORT");
    const { SIZE, MULTIPORT, EMERG_WRITE } = consoleFeatures;
    this.features = featureSet(
      ...(size === undefined ? [] : [SIZE]),
      ...(multiport ? [MULTIPORT] : []),
      ...(emergencyWrite ? [EMERG_WRITE] : []),
    );
    this.configSize = emergencyWrite ? consoleConfig.size : consoleConfig.offset.emergencyWrite;
    this.queueSizes = new Array<number>(multiport ? receiveQueueOf(maxPorts) : 2).fill(queueSize);
    this.#options = options;
    this.#maxPorts = maxPorts;
    this.#size = size ?? { columns: 0, rows: 0 };
    for (const port of ports) this.addPort(port);
  }

  /** The ports that are plugged in. */
  get ports(): readonly ConsoleDevicePort[] {
    return this.#ports.filter((port) => port !== undefined);
  }

  /** A port. @throws RangeError when there is none. */
  port(id = 0): ConsoleDevicePort {
    const port = this.#ports[id];
    if (port === undefined) throw new RangeError(`there is no port ${id}`);
    return port;
  }

  get size(): ConsoleSize {
    return this.#size;
  }

  /** Plugs a port in, at the lowest free place. @throws RangeError when there is none. */
  addPort(options: ConsolePortOptions = {}): ConsoleDevicePort {
    let id = 0;
    while (this.#ports[id] !== undefined) id++;
    if (id >= this.#maxPorts) throw new RangeError(`there is no room for another port: ${this.#maxPorts} are there`);
    const port = this.#plug(id, options);
    if (this.#isReady) this.#control?.send(id, ConsoleEvent.PortAdd, 1);
    return port;
  }

  /** Pulls a port out; what waits on it is lost. @throws RangeError when there is no such port. */
  removePort(id: number): void {
    const port = this.port(id);
    port.reset();
    this.#ports[id] = undefined;
    if (this.#isReady) this.#control?.send(id, ConsoleEvent.PortRemove, 1);
    this.#discard(transmitQueueOf(id));
  }

  /** Our end of a port is opened or closed: the guest is told. @throws RangeError when there is no such port. */
  setOpen(id: number, isOpen: boolean): void {
    const port = this.port(id);
    if (port.isOpen === isOpen) return;
    port.isOpen = isOpen;
    if (this.#isReady) this.#control?.send(id, ConsoleEvent.PortOpen, isOpen ? 1 : 0);
  }

  /** The console has another size: a configuration change, and a message where there are ports. */
  resize(size: ConsoleSize): void {
    this.#size = size;
    const host = this.#host;
    if (host === undefined) return;
    if (host.has(consoleFeatures.SIZE)) host.configChanged();
    if (this.#isReady) for (const port of this.ports) if (port.isConsole) this.#tellSize(port);
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    const { observer } = this.#options;
    this.#control = new DeviceControl(host, (id, event, value) => this.#controlled(id, event, value), observer);
    this.featuresChanged();
  }

  featuresChanged(): void {
    // Without MULTIPORT nobody says that an end is open: it always is.
    this.#ports[0]?.setGuestOpen(this.#host?.has(consoleFeatures.MULTIPORT) !== true);
  }

  readConfig(view: DataView, endianness: Endianness): void {
    const { columns, rows } = this.#size;
    const multiport = (this.features & featureSet(consoleFeatures.MULTIPORT)) !== 0n;
    consoleConfig.write(view, 0, endianness, { columns, rows, maxPorts: multiport ? this.#maxPorts : 0 });
    if (this.configSize >= consoleConfig.size) consoleConfig.write(view, 0, endianness, { emergencyWrite: 0 });
  }

  /** §5.3.6.1: the low byte of `emerg_wr` is printed, at any time, also before anything was negotiated. */
  writeConfig(view: DataView, endianness: Endianness, offset: number, length: number): void {
    const at = consoleConfig.offset.emergencyWrite;
    if (this.configSize < consoleConfig.size || offset + length <= at) return;
    // A driver may write a single byte, in whatever order its processor has.
    const { emergencyWrite } = consoleConfig.read(view, 0, endianness);
    const character = length === 1 ? view.getUint8(offset) : emergencyWrite & 0xff;
    if (this.onEmergency === undefined) this.#ports[0]?.onData?.(Uint8Array.of(character));
    else this.onEmergency(character);
  }

  notified(index: number): void {
    if (index === ConsoleQueue.ControlReceive || index === ConsoleQueue.ControlTransmit) {
      // New buffers let answers out, and that makes room for what is still to be read.
      this.#control?.deliver();
      this.#control?.collect();
      return;
    }
    const port = this.#ports[portOfQueue(index) ?? 0];
    if (port === undefined) this.#discard(index);
    else if (index === receiveQueueOf(port.id)) port.deliver();
    else port.collect();
  }

  reset(): void {
    this.#isReady = false;
    this.#control?.reset();
    for (const port of this.ports) port.reset();
    // As long as nothing is negotiated, a driver without MULTIPORT may come.
    this.featuresChanged();
  }

  resetQueue(): void {}

  saveState(): SavedFields {
    return {
      version: stateVersion,
      ...this.#size,
      isReady: this.#isReady,
      messages: this.#control?.waiting.map((bytes) => ({ bytes })) ?? [],
      ports: this.ports.map((port) => port.save()),
    };
  }

  /**
   * Ports become those of the snapshot: one that is here already, with the same name and use, stays the same object, so
   * that whoever listens to it goes on listening.
   */
  readState(saved: SavedReader): () => void {
    saved.version(stateVersion);
    const size = { columns: saved.whole("columns", 0xffff), rows: saved.whole("rows", 0xffff) };
    const isReady = saved.flag("isReady");
    const messages = saved.list("messages", mostMessages, (entry) => entry.bytes("bytes", mostMessages));
    const ports = saved.list("ports", this.#maxPorts, readSavedPort);
    const ids = new Set(ports.map(({ id }) => id));
    if (ids.size < ports.length) saved.refuse("ports", "has a port twice");
    const outside = ports.find(({ id }) => id >= this.#maxPorts);
    if (outside !== undefined) saved.refuse("ports", `has port ${outside.id}: there are ${this.#maxPorts}`);
    return () => {
      this.#size = size;
      this.#isReady = isReady;
      this.#control?.restore(messages);
      for (const { id } of this.ports) if (!ids.has(id)) this.#ports[id] = undefined;
      for (const port of ports) this.#samePort(port).restore(port);
    };
  }

  /** The port of a snapshot that is here, or a new one. */
  #samePort({ id, name, isConsole, limit }: SavedPort): ConsoleDevicePort {
    const port = this.#ports[id];
    if (port !== undefined && port.name === name && port.isConsole === isConsole) return port;
    return this.#plug(id, { ...(name === undefined ? {} : { name }), isConsole, bufferLimit: limit });
  }

  #plug(id: number, options: ConsolePortOptions): ConsoleDevicePort {
    const port: ConsoleDevicePort = new ConsoleDevicePort(
      id,
      () => (this.#ports[id] === port ? this.#host : undefined),
      options,
      this.#options.observer,
    );
    this.#ports[id] = port;
    return port;
  }

  /** What waits for the driver is lost. */
  close(): void {
    this.reset();
  }

  /** What is written to a port that is not there is lost; a port that is plugged in there later does not get it. */
  #discard(index: number): void {
    const isWritten = portOfQueue(index) !== undefined && index % 2 === 1;
    if (this.#host !== undefined && isWritten) serveQueue(this.#host, index, (chain, queue) => queue.push(chain, 0));
  }

  #controlled(id: number, event: number, value: number): boolean {
    if (event === ConsoleEvent.DeviceReady) {
      this.#isReady = value === 1;
      if (this.#isReady) for (const port of this.ports) this.#control?.send(port.id, ConsoleEvent.PortAdd, 1);
      return true;
    }
    const port = this.#ports[id];
    if (port === undefined) return false;
    if (event === ConsoleEvent.PortReady) {
      if (value === 1) this.#describe(port);
      return true;
    }
    if (event !== ConsoleEvent.PortOpen) return false;
    port.setGuestOpen(value === 1);
    return true;
  }

  /** A port is ready in the guest: what there is to know of it. */
  #describe(port: ConsoleDevicePort): void {
    const control = this.#control;
    if (control === undefined) return;
    if (port.isConsole) {
      control.send(port.id, ConsoleEvent.ConsolePort, 1);
      if (this.#size.columns > 0) this.#tellSize(port);
    }
    if (port.name !== undefined) {
      control.send(port.id, ConsoleEvent.PortName, 1, new TextEncoder().encode(port.name));
    }
    if (port.isOpen) control.send(port.id, ConsoleEvent.PortOpen, 1);
  }

  #tellSize(port: ConsoleDevicePort): void {
    const host = this.#host;
    if (host === undefined) return;
    const layout = consoleResize[this.#options.resizeOrder ?? "columns-first"];
    const tail = new Uint8Array(layout.size);
    layout.write(new DataView(tail.buffer), 0, host.endianness, this.#size);
    this.#control?.send(port.id, ConsoleEvent.Resize, 0, tail);
  }
}
