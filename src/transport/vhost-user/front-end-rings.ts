/** The front end's queues and memory: telling the back end of them, kicking, being called. */
import { type Endianness, hostEndianness } from "../../bytes/index.js";
import { UnsupportedError } from "../../errors/index.js";
import type { GuestMemory } from "../../memory/index.js";
import { firstPlace, type RingAddresses } from "../../virtqueue/index.js";
import { featureSet, ringFormatOf } from "../features.js";
import type { SharedFile } from "./front-end.js";
import { type FrontEndChannel, type FrontEndSystem, numberBytes } from "./front-end-channel.js";
import {
  FrontEndRequest,
  inflightDescription,
  memoryRegion,
  memoryTableHeader,
  ProtocolFeature,
  protocolFeaturesBit,
  singleRegion,
  vringAddress,
  vringState,
  wire,
} from "./protocol.js";

/** Our user addresses are guest addresses with this added, so that nobody takes one for the other. */
const userAddressBase = 2 ** 46;

interface Ring {
  readonly index: number;
  readonly size: number;
  readonly addresses: RingAddresses;
  kick: number | undefined;
  call: number | undefined;
  watch: { close(): void } | undefined;
}

export class FrontEndRings {
  readonly #channel: FrontEndChannel;
  readonly #memory: GuestMemory;
  readonly #files: readonly SharedFile[];
  readonly #endianness: Endianness;
  readonly #isLegacy: boolean;
  readonly #rings = new Map<number, Ring>();
  #system: FrontEndSystem;
  #onCall: (index: number) => void = () => {};
  #isShared = false;
  #isRunning = false;
  #isPacked = false;
  #inflight: { descriptor: number; description: Uint8Array } | undefined;

  constructor(
    channel: FrontEndChannel,
    system: FrontEndSystem,
    options: {
      memory: GuestMemory;
      files: readonly SharedFile[];
      legacy?: boolean;
      guestEndianness?: Endianness;
    },
  ) {
    this.#channel = channel;
    this.#system = system;
    this.#memory = options.memory;
    this.#files = options.files;
    this.#isLegacy = options.legacy ?? false;
    this.#endianness = options.guestEndianness ?? hostEndianness;
    if (this.#files.length !== this.#memory.regions.length) throw new RangeError("one file for each region of memory");
    const needsSwap = this.#isLegacy && this.#endianness !== hostEndianness;
    if (needsSwap && !channel.has(ProtocolFeature.CROSS_ENDIAN)) {
      throw new UnsupportedError(`the back end serves no ${this.#endianness}-endian rings (CROSS_ENDIAN is missing)`);
    }
  }

  add(index: number, size: number, addresses: RingAddresses): void {
    this.#rings.set(index, { index, size, addresses, kick: undefined, call: undefined, watch: undefined });
  }

  clear(): void {
    this.closeEvents();
    this.#rings.clear();
  }

  /** Gives the back end everything and starts it. */
  start(features: bigint, onCall: (index: number) => void): void {
    this.#onCall = onCall;
    this.#isPacked = ringFormatOf(features) === "packed";
    for (const ring of this.#rings.values()) this.#openEvents(ring);
    this.#setUp(features);
  }

  /**
   * The same on a new connection: rings stand where they were, and both sides look at them.
   * @throws UnsupportedError for packed rings without a record of what is in flight: they do not say where they stand.
   */
  restart(system: FrontEndSystem, features: bigint): void {
    if (this.#isPacked && this.#inflight === undefined)
      throw new UnsupportedError("packed rings can go on with another back end only with INFLIGHT_SHMFD");
    this.#system = system;
    this.#isShared = false;
    this.#setUp(features);
    for (const { index, kick } of this.#rings.values()) {
      if (kick !== undefined) this.#system.signal(kick);
      this.#onCall(index);
    }
  }

  kick(index: number): void {
    const kick = this.#rings.get(index)?.kick;
    if (kick !== undefined) this.#system.signal(kick);
  }

  /** Stops the back end: afterwards it touches no memory. */
  stop(): void {
    const channel = this.#channel;
    if (this.#isRunning) {
      this.#isRunning = false;
      if (hasProtocol(channel)) {
        for (const { index } of this.#rings.values()) channel.tell(FrontEndRequest.SetVringEnable, state(index, 0));
      }
      for (const { index } of this.#rings.values()) channel.exchange(FrontEndRequest.GetVringBase, state(index, 0));
    }
    this.#dropInflight();
    if (channel.has(ProtocolFeature.RESET_DEVICE)) channel.tell(FrontEndRequest.ResetDevice);
  }

  closeEvents(): void {
    for (const ring of this.#rings.values()) {
      ring.watch?.close();
      for (const descriptor of [ring.kick, ring.call])
        if (descriptor !== undefined) this.#system.closeDescriptor(descriptor);
      ring.watch = undefined;
      ring.kick = undefined;
      ring.call = undefined;
    }
  }

  close(): void {
    this.closeEvents();
    this.#dropInflight();
  }

  #setUp(features: bigint): void {
    const channel = this.#channel;
    const usesProtocol = hasProtocol(channel);
    const chosen = usesProtocol ? features | featureSet(protocolFeaturesBit) : features;
    channel.tell(FrontEndRequest.SetFeatures, numberBytes(chosen));
    this.#shareMemory();
    this.#shareInflight();
    for (const ring of this.#rings.values()) this.#setUpRing(ring);
    this.#isRunning = true;
    if (!usesProtocol) return;
    for (const { index } of this.#rings.values()) channel.tell(FrontEndRequest.SetVringEnable, state(index, 1));
  }

  #setUpRing(ring: Ring): void {
    const channel = this.#channel;
    const { index, size, addresses, kick, call } = ring;
    channel.tell(FrontEndRequest.SetVringSize, state(index, size));
    channel.tell(FrontEndRequest.SetVringBase, state(index, this.#base(ring)));
    if (this.#isLegacy && this.#endianness !== hostEndianness) {
      channel.tell(FrontEndRequest.SetVringEndianness, state(index, this.#endianness === "big" ? 1 : 0));
    }
    const bytes = new Uint8Array(vringAddress.size);
    vringAddress.write(new DataView(bytes.buffer), 0, wire, {
      index,
      flags: 0,
      descriptors: userAddress(addresses.descriptors),
      used: userAddress(addresses.used),
      available: userAddress(addresses.available),
      log: 0n,
    });
    channel.tell(FrontEndRequest.SetVringAddress, bytes);
    if (call !== undefined) channel.tell(FrontEndRequest.SetVringCall, numberBytes(BigInt(index)), [call]);
    if (kick !== undefined) channel.tell(FrontEndRequest.SetVringKick, numberBytes(BigInt(index)), [kick]);
  }

  #openEvents(ring: Ring): void {
    ring.kick = this.#system.createEvent();
    ring.call = this.#system.createEvent();
    ring.watch = this.#system.watch(ring.call, () => this.#onCall(ring.index));
  }

  /** Once for each connection where regions are added one by one, else before every start. */
  #shareMemory(): void {
    const { regions } = this.#memory;
    const descriptions = regions.map((region, index) => ({
      guestAddress: BigInt(region.base),
      size: BigInt(region.size),
      userAddress: userAddress(region.base),
      offset: BigInt(this.#files[index].offset),
    }));
    if (this.#channel.has(ProtocolFeature.CONFIGURE_MEM_SLOTS)) {
      if (this.#isShared) return;
      this.#isShared = true;
      for (const [index, description] of descriptions.entries()) {
        const bytes = new Uint8Array(singleRegion.size);
        singleRegion.write(new DataView(bytes.buffer), 0, wire, { padding: 0n, ...description });
        this.#channel.tell(FrontEndRequest.AddMemoryRegion, bytes, [this.#files[index].descriptor]);
      }
      return;
    }
    const bytes = new Uint8Array(memoryTableHeader.size + regions.length * memoryRegion.size);
    const view = new DataView(bytes.buffer);
    memoryTableHeader.write(view, 0, wire, { count: regions.length, padding: 0 });
    for (const [index, description] of descriptions.entries()) {
      memoryRegion.write(view, memoryTableHeader.size + index * memoryRegion.size, wire, description);
    }
    const descriptors = this.#files.map((file) => file.descriptor);
    this.#channel.tell(FrontEndRequest.SetMemoryTable, bytes, descriptors);
  }

  /** A buffer is kept over reconnections, and given up at a reset. */
  #shareInflight(): void {
    if (!this.#channel.has(ProtocolFeature.INFLIGHT_SHMFD)) return;
    if (this.#inflight === undefined) {
      const sizes = [...this.#rings.values()];
      const queues = Math.max(0, ...sizes.map((ring) => ring.index)) + 1;
      const queueSize = Math.max(0, ...sizes.map((ring) => ring.size));
      const wanted = new Uint8Array(inflightDescription.size);
      inflightDescription.write(new DataView(wanted.buffer), 0, wire, { queues, queueSize });
      const { payload, descriptors } = this.#channel.exchange(FrontEndRequest.GetInflight, wanted);
      const [descriptor, ...surplus] = descriptors;
      for (const other of surplus) this.#system.closeDescriptor(other);
      if (descriptor === undefined) return;
      this.#inflight = {
        descriptor,
        description: new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength),
      };
    }
    this.#channel.tell(FrontEndRequest.SetInflight, this.#inflight.description, [this.#inflight.descriptor]);
  }

  #dropInflight(): void {
    if (this.#inflight !== undefined) this.#system.closeDescriptor(this.#inflight.descriptor);
    this.#inflight = undefined;
  }

  /** A packed ring starts at its first place; later its record of what is in flight knows where it stands. */
  #base({ addresses }: Ring): number {
    if (this.#isPacked) return (firstPlace | (firstPlace << 16)) >>> 0;
    const region = this.#memory.findRange(addresses.used, 4);
    const little = this.#isLegacy ? this.#endianness === "little" : true;
    return region?.view.getUint16(addresses.used - region.base + 2, little) ?? 0;
  }
}

function hasProtocol(channel: FrontEndChannel): boolean {
  return channel.protocolFeatures !== 0n;
}

function state(index: number, value: number): Uint8Array {
  const bytes = new Uint8Array(vringState.size);
  vringState.write(new DataView(bytes.buffer), 0, wire, { index, value });
  return bytes;
}

function userAddress(guestAddress: number): bigint {
  return BigInt(userAddressBase + guestAddress);
}
