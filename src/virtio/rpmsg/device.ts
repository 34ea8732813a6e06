/** The device half of rpmsg (0.9.5 appendix H): the other processor, as far as its messages go. */
import type { SavedFields, SavedReader } from "../../bytes/index.js";
import { DeviceError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import { type DeviceHost, type DeviceType, featureSet } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { reportViolation, serveQueue } from "../device-base/index.js";
import { mostServices, type RpmsgAcquaintance, RpmsgBus, type RpmsgCarrier, type RpmsgService } from "./bus.js";
import { RpmsgQueue, rpmsgBufferSize, rpmsgFeatures, rpmsgHeader, rpmsgNameSize, virtioRpmsgId } from "./protocol.js";

/** What the device offers. */
export interface VirtioRpmsgOptions {
  /** Offer the name service. Default true. */
  readonly nameService?: boolean;
  /** Bytes of a buffer of the driver's, header included. Default 512. */
  readonly bufferSize?: number;
  /** Messages that may wait for buffers of the driver's. Default 1024. */
  readonly patience?: number;
  /** Largest size of each queue. Default 256. */
  readonly queueSize?: number;
  readonly observer?: Observer | undefined;
}

interface Outgoing {
  readonly message: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Bytes of a message that are looked at: no length field says more. */
const mostBytes = rpmsgHeader.size + 0xffff;
/** Messages that may wait by default. */
const usualPatience = 1024;
/** Of what it keeps in a snapshot. */
const stateVersion = 1;

/** The device: give it to a transport. */
export class VirtioRpmsgDevice implements DeviceType {
  readonly deviceId = virtioRpmsgId;
  readonly name = "virtio-rpmsg";
  readonly featureTable = rpmsgFeatures;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly configSize = 0;
  /** Our endpoints, and the services of the driver's side. */
  readonly bus = new RpmsgBus();
  readonly #options: VirtioRpmsgOptions;
  readonly #waiting: Outgoing[] = [];
  readonly #bytes = new Uint8Array(mostBytes);
  #host: DeviceHost | undefined;
  #isUp = false;

  /** @throws RangeError when the buffers hold no header. */
  constructor(options: VirtioRpmsgOptions = {}) {
    const { nameService = true, queueSize = 256, bufferSize = rpmsgBufferSize } = options;
    if (bufferSize <= rpmsgHeader.size) throw new RangeError(`a buffer of ${bufferSize} bytes holds no message`);
    this.features = nameService ? featureSet(rpmsgFeatures.NS) : 0n;
    this.queueSizes = [queueSize, queueSize];
    this.#options = options;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  readConfig(): void {}
  writeConfig(): void {}

  notified(index: number): void {
    const host = this.#host;
    if (host === undefined) return;
    if (index === RpmsgQueue.Transmit) serveQueue(host, index, this.#take);
    else if (this.#isUp) this.#deliver();
    else this.#goUp(host);
  }

  reset(): void {
    this.#isUp = false;
    const error = new DeviceError("the rpmsg driver was reset");
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.bus.carry(undefined);
  }

  resetQueue(): void {}

  /** Endpoints are their owners': kept is which of them the driver was told of, and what waits for it. */
  saveState(): SavedFields {
    const messages = this.#waiting.map(({ message }) => ({ bytes: message }));
    const services = this.bus.services.map((service) => ({ ...service }));
    const told = this.bus.offered.map((service) => ({ ...service }));
    return { version: stateVersion, isUp: this.#isUp, told, services, messages };
  }

  /** The driver hears of endpoints that came or went since the snapshot once its queue runs. */
  readState(saved: SavedReader): () => void {
    saved.version(stateVersion);
    const { patience = usualPatience } = this.#options;
    const isUp = saved.flag("isUp");
    const told = saved.list("told", 0xffff_ffff, readService);
    const services = saved.list("services", mostServices, readService);
    const messages = saved.list("messages", patience, (entry) => entry.bytes("bytes", mostBytes));
    const ended = () => {};
    return () => {
      if (!isUp || this.#host === undefined) return;
      this.#waiting.push(...messages.map((message) => ({ message, resolve: ended, reject: ended })));
      this.#goUp(this.#host, { told, services });
    };
  }

  /** What waits for the driver is given up. */
  close(): void {
    this.reset();
  }

  /** The driver gave its first buffers: it can be told of services. */
  #goUp(host: DeviceHost, known?: RpmsgAcquaintance): void {
    this.#isUp = true;
    const carrier: RpmsgCarrier = {
      endianness: host.endianness,
      payloadSize: (this.#options.bufferSize ?? rpmsgBufferSize) - rpmsgHeader.size,
      hasNameService: host.has(rpmsgFeatures.NS),
      send: (message) => this.#send(message),
    };
    this.bus.carry(carrier, known);
  }

  #send(message: Uint8Array): Promise<void> {
    const { patience = usualPatience } = this.#options;
    if (this.#waiting.length >= patience) {
      return Promise.reject(new DeviceError(`${patience} messages wait for buffers of the driver's already`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message, resolve, reject });
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#host !== undefined) serveQueue(this.#host, RpmsgQueue.Receive, this.#fill, this.#hasWaiting);
  }

  readonly #hasWaiting = () => this.#waiting.length > 0;

  readonly #fill = (chain: Chain, queue: QueueDevice) => {
    const { message, resolve, reject } = this.#waiting.shift() as Outgoing;
    if (chain.writable.byteLength < message.length) {
      // Waiting for a larger one could last for ever: the driver gives the same buffer again.
      const detail = `${chain.writable.byteLength} bytes for a message of ${message.length}`;
      this.#violation(chain, queue, detail);
      queue.push(chain, 0);
      reject(new DeviceError(`the driver gave ${detail}`));
      return;
    }
    queue.push(chain, chain.writable.write(message));
    resolve();
  };

  readonly #take = (chain: Chain, queue: QueueDevice) => {
    const { readable } = chain;
    const length = readable.copyOut(this.#bytes, 0, Math.min(readable.byteLength, mostBytes));
    const host = this.#host as DeviceHost;
    queue.push(chain, 0);
    const fault = this.bus.received(this.#bytes.subarray(0, length), host.endianness);
    if (fault === undefined) return;
    const code = fault === "shorter than its header" ? "request-header-short" : "request-data-length";
    reportViolation(host, this.#options.observer, { queue, chain, code, detail: fault });
  };

  #violation(chain: Chain, queue: QueueDevice, detail: string): void {
    const violation = { queue, chain, code: "response-space-short", detail } as const;
    if (this.#host !== undefined) reportViolation(this.#host, this.#options.observer, violation);
  }
}

function readService(saved: SavedReader): RpmsgService {
  const name = saved.text("name");
  if (name.length > rpmsgNameSize) saved.refuse("name", `has ${name.length} characters, at most ${rpmsgNameSize} fit`);
  return { name, address: saved.whole("address", 0xffff_ffff) };
}
