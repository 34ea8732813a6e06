/**
 * One side of an rpmsg bus: endpoints that share its two queues, and the services that the other side told of. Both
 * halves of the device are built on it; they only carry its messages.
 */
import type { Endianness } from "../../bytes/index.js";
import { DeviceError } from "../../errors/index.js";
import {
  firstDynamicAddress,
  NameServiceFlag,
  nameServiceAddress,
  nameServiceMessage,
  rpmsgHeader,
  rpmsgNameSize,
} from "./protocol.js";

/** Takes messages to the other side. */
export interface RpmsgCarrier {
  readonly endianness: Endianness;
  /** Bytes that one message can carry. */
  readonly payloadSize: number;
  /** NS was negotiated. */
  readonly hasNameService: boolean;
  /** Sends a whole message, header included; ends when the other side has it. */
  send(message: Uint8Array): Promise<void>;
}

/** A message for an endpoint. */
export interface RpmsgMessage {
  /** Address of who sent it: where an answer goes. */
  readonly source: number;
  readonly data: Uint8Array;
}

/** What an endpoint is. */
export interface EndpointOptions {
  /** A fixed address. Default: the next free one from 1024 on. */
  readonly address?: number;
  /** Told to the other side by the name service. Default: only those who know the address find it. */
  readonly name?: string;
  readonly onMessage?: (message: RpmsgMessage) => void;
}

/** A service that the other side offers. */
export interface RpmsgService {
  readonly name: string;
  readonly address: number;
}

/** What the two sides told each other before a snapshot. */
export interface RpmsgAcquaintance {
  /** Services of ours that the other side knows. */
  readonly told: readonly RpmsgService[];
  /** Services of the other side. */
  readonly services: readonly RpmsgService[];
}

/** Why a message was refused. */
export type RpmsgFault =
  | "shorter than its header"
  | "longer than its buffer"
  | "name service message of another size"
  | "unknown name service flag"
  | "too many services"
  | "nobody has this address";

/** Services that the other side may have: it cannot fill our memory with names. */
export const mostServices = 1024;

const strangers: RpmsgAcquaintance = { told: [], services: [] };

/** One end of conversations, with an address of its own. */
export class RpmsgEndpoint {
  readonly address: number;
  readonly name: string | undefined;
  onMessage: ((message: RpmsgMessage) => void) | undefined;
  readonly #bus: RpmsgBus;

  constructor(bus: RpmsgBus, address: number, { name, onMessage }: EndpointOptions) {
    this.#bus = bus;
    this.address = address;
    this.name = name;
    this.onMessage = onMessage;
  }

  /** Sends `data` to an endpoint of the other side. @throws RangeError when it is too long; DeviceError without a carrier. */
  send(destination: number, data: Uint8Array): Promise<void> {
    return this.#bus.send(this.address, destination, data);
  }

  /** Gives the address back; the other side is told when it was told of the service. */
  close(): void {
    this.#bus.remove(this);
  }
}

/** The endpoints of one side, and what it knows of the other. */
export class RpmsgBus {
  readonly #endpoints = new Map<number, RpmsgEndpoint>();
  readonly #services = new Map<string, RpmsgService>();
  readonly #onService = new Set<(service: RpmsgService, what: "created" | "destroyed") => void>();
  #carrier: RpmsgCarrier | undefined;
  #next = firstDynamicAddress;

  /** Services of the other side. */
  get services(): readonly RpmsgService[] {
    return [...this.#services.values()];
  }

  /** Services of ours: the endpoints that have names. */
  get offered(): readonly RpmsgService[] {
    return [...this.#endpoints.values()].flatMap(({ name, address }) =>
      name === undefined ? [] : [{ name, address }],
    );
  }

  /** Listens to services of the other side. Returns the way to stop. */
  onService(listener: (service: RpmsgService, what: "created" | "destroyed") => void): () => void {
    this.#onService.add(listener);
    return () => this.#onService.delete(listener);
  }

  /** Makes an endpoint. @throws RangeError when the address is taken or none, or the name too long. */
  createEndpoint(options: EndpointOptions = {}): RpmsgEndpoint {
    const { name } = options;
    if (name !== undefined && (!/^[\x21-\x7e]+$/.test(name) || name.length >= rpmsgNameSize)) {
      throw new RangeError(`a name has 1 to ${rpmsgNameSize - 1} printable characters: ${JSON.stringify(name)}`);
    }
    const address = options.address ?? this.#freeAddress();
    const isAddress = Number.isInteger(address) && address >= 0 && address < 0xffff_ffff;
    if (!isAddress || address === nameServiceAddress) throw new RangeError(`${address} is no address of an endpoint`);
    if (this.#endpoints.has(address)) throw new RangeError(`address ${address} is taken`);
    const endpoint = new RpmsgEndpoint(this, address, options);
    this.#endpoints.set(address, endpoint);
    this.#tell(endpoint, NameServiceFlag.Create);
    return endpoint;
  }

  /** Takes an endpoint away. */
  remove(endpoint: RpmsgEndpoint): void {
    if (this.#endpoints.get(endpoint.address) !== endpoint) return;
    this.#endpoints.delete(endpoint.address);
    this.#tell(endpoint, NameServiceFlag.Destroy);
  }

  /** Sends `data` from one address to another. @throws RangeError, DeviceError */
  send(source: number, destination: number, data: Uint8Array): Promise<void> {
    const carrier = this.#carrier;
    if (carrier === undefined) return Promise.reject(new DeviceError("the rpmsg bus is not up"));
    if (data.length > carrier.payloadSize) {
      return Promise.reject(new RangeError(`a message carries ${carrier.payloadSize} bytes, not ${data.length}`));
    }
    const message = new Uint8Array(rpmsgHeader.size + data.length);
    rpmsgHeader.write(new DataView(message.buffer), 0, carrier.endianness, {
      ...{ source, destination, reserved: 0, length: data.length, flags: 0 },
    });
    message.set(data, rpmsgHeader.size);
    return carrier.send(message);
  }

  /**
   * For the halves: there is a carrier now, or none any more. The other side is told of our services, as far as it does
   * not know of them, and of those it knows that are gone.
   */
  carry(carrier: RpmsgCarrier | undefined, { told, services } = strangers): void {
    this.#carrier = carrier;
    if (carrier === undefined) {
      for (const service of this.services) this.#forget(service);
      return;
    }
    for (const service of services) this.#learn(service);
    const { offered } = this;
    for (const gone of without(told, offered)) this.#tell(gone, NameServiceFlag.Destroy);
    for (const fresh of without(offered, told)) this.#tell(fresh, NameServiceFlag.Create);
  }

  /** For the halves: takes what arrived in one buffer. @returns why it was refused, or undefined. */
  received(bytes: Uint8Array, endianness: Endianness): RpmsgFault | undefined {
    if (bytes.length < rpmsgHeader.size) return "shorter than its header";
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { source, destination, length } = rpmsgHeader.read(view, 0, endianness);
    if (length > bytes.length - rpmsgHeader.size) return "longer than its buffer";
    const data = bytes.slice(rpmsgHeader.size, rpmsgHeader.size + length);
    if (destination === nameServiceAddress && this.#carrier?.hasNameService === true) {
      return this.#named(data, endianness);
    }
    const endpoint = this.#endpoints.get(destination);
    if (endpoint === undefined) return "nobody has this address";
    endpoint.onMessage?.({ source, data });
    return undefined;
  }

  #named(data: Uint8Array, endianness: Endianness): RpmsgFault | undefined {
    if (data.length !== nameServiceMessage.size) return "name service message of another size";
    const { name, address, flags } = nameServiceMessage.read(new DataView(data.buffer), 0, endianness);
    const key = keyOf({ name, address });
    if (flags === NameServiceFlag.Destroy) {
      const service = this.#services.get(key);
      if (service !== undefined) this.#forget(service);
      return undefined;
    }
    if (flags !== NameServiceFlag.Create) return "unknown name service flag";
    if (this.#services.has(key)) return undefined;
    if (this.#services.size >= mostServices) return "too many services";
    this.#learn({ name, address });
    return undefined;
  }

  #learn(service: RpmsgService): void {
    this.#services.set(keyOf(service), service);
    for (const listener of this.#onService) listener(service, "created");
  }

  #forget(service: RpmsgService): void {
    this.#services.delete(keyOf(service));
    for (const listener of this.#onService) listener(service, "destroyed");
  }

  #tell({ name, address }: Pick<RpmsgEndpoint, "name" | "address">, flags: number): void {
    const carrier = this.#carrier;
    if (name === undefined || carrier === undefined || !carrier.hasNameService) return;
    const data = new Uint8Array(nameServiceMessage.size);
    nameServiceMessage.write(new DataView(data.buffer), 0, carrier.endianness, { name, address, flags });
    // A bus that goes down tells everything anew when it comes up.
    this.send(address, nameServiceAddress, data).catch(() => {});
  }

  #freeAddress(): number {
    while (this.#endpoints.has(this.#next)) this.#next++;
    return this.#next++;
  }
}

function keyOf({ name, address }: RpmsgService): string {
  return `${address} ${name}`;
}

function without(services: readonly RpmsgService[], others: readonly RpmsgService[]): RpmsgService[] {
  const keys = new Set(others.map(keyOf));
  return services.filter((service) => !keys.has(keyOf(service)));
}
