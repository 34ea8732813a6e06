/** The memory and the queues of one connection: pieces of set-up are collected, complete queues are given to the runner. */
import type { StructValue } from "../../bytes/index.js";
import { ProtocolError } from "../../errors/index.js";
import { isPackedQueueSize, isRingSize } from "../../virtqueue/index.js";
import { hasFeature, ringFeatures, ringFormatOf } from "../features.js";
import type { VhostUserBackEnd } from "./back-end.js";
import { inflightRegionSize } from "./inflight.js";
import { closeMappings, type MappedMemory, MemoryTable, maxMemorySlots, type TableChange } from "./memory-table.js";
import { packedInflightRegionSize } from "./packed-inflight.js";
import {
  type inflightDescription,
  noDescriptorBit,
  type RegionDescription,
  type vringAddress,
  vringNumberMask,
  type vringState,
} from "./protocol.js";
import type { RingPlace, RingSetup } from "./queue-runner.js";
import { Vring } from "./vring.js";

type VringState = StructValue<typeof vringState>;

/** Mappings that were replaced and may still be used; more than so many are not waited for. */
const maxDropped = 32;

export class BackEndQueues {
  readonly #backEnd: VhostUserBackEnd;
  readonly #vrings: readonly Vring[];
  #table = MemoryTable.empty;
  #features = 0n;
  #dropped: MappedMemory[] = [];
  #inflight: { memory: MappedMemory; queues: number; queueSize: number } | undefined;

  constructor(backEnd: VhostUserBackEnd) {
    this.#backEnd = backEnd;
    this.#vrings = backEnd.device.queueSizes.map((_, index) => new Vring(index));
  }

  get count(): number {
    return this.#vrings.length;
  }

  /** Without protocol features rings are enabled from the start. */
  async setFeatures(features: bigint, enablesRings: boolean): Promise<void> {
    this.#features = features;
    if (!enablesRings) return;
    for (const vring of this.#vrings) {
      vring.isEnabled = true;
      await this.#update(vring);
    }
  }

  // Memory

  /** @throws ProtocolError `memory-region-invalid`, `message-descriptors` */
  async setMemoryTable(descriptions: readonly RegionDescription[], descriptors: readonly number[]): Promise<void> {
    if (descriptors.length !== descriptions.length) {
      const detail = `SET_MEM_TABLE of ${descriptions.length} regions with ${descriptors.length} descriptors`;
      throw new ProtocolError("message-descriptors", { detail });
    }
    await this.#change(this.#table.replace(descriptions, descriptors, this.#backEnd.system));
  }

  /** @throws ProtocolError `memory-region-invalid` */
  async addRegion(description: RegionDescription, descriptor: number): Promise<void> {
    if (this.#table.regions.length >= maxMemorySlots) {
      throw new ProtocolError("memory-region-invalid", { detail: `more than ${maxMemorySlots} regions` });
    }
    await this.#change(this.#table.add(description, descriptor, this.#backEnd.system));
  }

  /** @throws ProtocolError `memory-region-invalid` */
  async removeRegion(description: RegionDescription): Promise<void> {
    await this.#change(this.#table.remove(description));
  }

  /** Running rings go on in the new memory; what is not in it any more is closed when they have let go of it. */
  async #change({ table, dropped }: TableChange): Promise<void> {
    this.#table = table;
    this.#dropped.push(...dropped);
    let holders = 1;
    const released = () => {
      if (--holders > 0) return;
      this.#dropped = this.#dropped.filter((mapping) => !dropped.includes(mapping));
      closeMappings(dropped);
    };
    for (const vring of this.#vrings) {
      if (vring.running === undefined) continue;
      const place = this.#placeOf(vring);
      if (place === undefined) {
        await this.#break(vring);
        continue;
      }
      holders++;
      try {
        await vring.running.move(place, released);
      } catch (error) {
        holders--;
        if (!(error instanceof ProtocolError)) throw error;
        this.#backEnd.report(error);
        await this.#break(vring);
      }
    }
    released();
    closeMappings(this.#dropped.splice(0, Math.max(0, this.#dropped.length - maxDropped)));
  }

  // Set-up of queues

  setSize({ index, value }: VringState): void {
    const vring = this.#stopped(index, "SET_VRING_NUM");
    const format = ringFormatOf(this.#features);
    if (!isRingSize(format, value)) {
      const code = format === "packed" ? "packed-ring-size-invalid" : "ring-size-invalid";
      throw new ProtocolError(code, { queue: index, detail: `size ${value}` });
    }
    vring.size = value;
  }

  setBase({ index, value }: VringState): void {
    this.#stopped(index, "SET_VRING_BASE").base = value;
  }

  setEndianness({ index, value }: VringState): void {
    if (value > 1) throw new ProtocolError("message-refused", { queue: index, detail: `byte order ${value}` });
    this.#stopped(index, "SET_VRING_ENDIAN").endianness = value === 1 ? "big" : "little";
  }

  /** @throws ProtocolError `ring-outside-memory` */
  async setAddress(address: StructValue<typeof vringAddress>): Promise<void> {
    const vring = this.#vring(address.index);
    const before = vring.place;
    vring.place = { descriptors: address.descriptors, available: address.available, used: address.used };
    const place = this.#placeOf(vring);
    if (place === undefined) {
      vring.place = before;
      const parts = [address.descriptors, address.available, address.used].map((part) => `0x${part.toString(16)}`);
      throw new ProtocolError("ring-outside-memory", { queue: vring.index, detail: parts.join(", ") });
    }
    vring.isBroken = false;
    // Front ends send the address again, unchanged, when logging begins or ends.
    if (vring.running !== undefined) await vring.running.move(place, () => {});
    else await this.#update(vring);
  }

  /** @throws ProtocolError as starting the ring does */
  async setKick(value: bigint, descriptors: number[]): Promise<void> {
    const vring = this.#vringOf(value);
    const kick = this.#takeEvent(value, descriptors);
    const before = vring.kick;
    vring.kick = kick;
    vring.isStarted = true;
    if (vring.running !== undefined) await vring.running.setKick(kick);
    this.#closeDescriptor(before);
    await this.#update(vring);
  }

  async setCall(value: bigint, descriptors: number[]): Promise<void> {
    const vring = this.#vringOf(value);
    const call = this.#takeEvent(value, descriptors);
    const before = vring.call;
    vring.call = call;
    if (vring.running !== undefined) {
      await vring.running.setCall(call);
      // QEMU 7.2 gives a SCSI host's real descriptors after it enabled the rings, and forgets what the first ones told.
      if (call !== undefined) this.#backEnd.system.signal(call);
    }
    this.#closeDescriptor(before);
  }

  setError(value: bigint, descriptors: number[]): void {
    const vring = this.#vringOf(value);
    const error = this.#takeEvent(value, descriptors);
    this.#closeDescriptor(vring.error);
    vring.error = error;
  }

  /** @throws ProtocolError as starting the ring does */
  async enable({ index, value }: VringState): Promise<void> {
    const vring = this.#vring(index);
    if (value > 1) throw new ProtocolError("message-refused", { queue: index, detail: `SET_VRING_ENABLE ${value}` });
    vring.isEnabled = value === 1;
    await this.#update(vring);
  }

  // Requests in flight

  /** A new buffer; size 0 when the front end has no use for one. The descriptor is the caller's to close. */
  createInflight(queues: number, queueSize: number): { size: number; descriptor: number | undefined } {
    if (queues === 0 || queues > this.count || !isPackedQueueSize(queueSize)) return { size: 0, descriptor: undefined };
    // Some front ends ask before they say which format the rings have: there is room for either.
    const size = queues * packedInflightRegionSize(queueSize);
    return { size, descriptor: this.#backEnd.system.createMemory(size) };
  }

  /** @throws ProtocolError `inflight-buffer-invalid`, `memory-region-invalid` */
  setInflight(description: StructValue<typeof inflightDescription>, descriptor: number): void {
    const { queues, queueSize } = description;
    const detail = `${queues} queues of ${queueSize} in ${description.size} bytes at ${description.offset}`;
    const least = queues * inflightRegionSize(queueSize);
    if (queues === 0 || queues > this.count || !isPackedQueueSize(queueSize) || description.size < BigInt(least)) {
      throw new ProtocolError("inflight-buffer-invalid", { detail });
    }
    if (description.offset > BigInt(Number.MAX_SAFE_INTEGER) || description.offset % 8n !== 0n) {
      throw new ProtocolError("inflight-buffer-invalid", { detail });
    }
    if (this.#vrings.some((vring) => vring.running !== undefined)) {
      throw new ProtocolError("vring-running", { detail: "SET_INFLIGHT_FD" });
    }
    const most = queues * packedInflightRegionSize(queueSize);
    const length = description.size < BigInt(most) ? Number(description.size) : most;
    const memory = this.#backEnd.system.map(descriptor, Number(description.offset), length);
    this.#inflight?.memory.close();
    this.#inflight = { memory, queues, queueSize };
  }

  // Starting and stopping

  /** Finishes what is in flight and stops a queue. @returns where to go on. */
  async stop(index: number): Promise<number> {
    const vring = this.#vring(index);
    await this.#halt(vring);
    this.#closeDescriptor(vring.kick);
    this.#closeDescriptor(vring.call);
    vring.kick = undefined;
    vring.call = undefined;
    return vring.base;
  }

  async disableAll(): Promise<void> {
    for (const vring of this.#vrings) {
      vring.isEnabled = false;
      await this.#update(vring);
    }
  }

  /** RESET_DEVICE: no ring is set up any more; memory stays. */
  async reset(): Promise<void> {
    for (const vring of this.#vrings) {
      await this.#halt(vring);
      vring.forget();
      vring.isEnabled = false;
    }
  }

  /** The driver broke a rule on a ring. */
  fail(index: number): void {
    const vring = this.#vrings[index];
    if (vring?.error !== undefined) this.#backEnd.system.signal(vring.error);
  }

  /** The connection is gone: lets go of everything that came over it. */
  async close(): Promise<void> {
    await Promise.all(this.#vrings.map((vring) => vring.running?.abandon()));
    for (const vring of this.#vrings) {
      for (const descriptor of [vring.kick, vring.call, vring.error]) this.#closeDescriptor(descriptor);
      vring.running = undefined;
    }
    closeMappings([...this.#table.mappings, ...this.#dropped]);
    this.#inflight?.memory.close();
    this.#table = MemoryTable.empty;
    this.#dropped = [];
    this.#inflight = undefined;
  }

  /** Starts, pauses or resumes a ring as what is known of it says. */
  async #update(vring: Vring): Promise<void> {
    const { running } = vring;
    if (running !== undefined) {
      if (vring.isEnabled === !vring.isPaused) return;
      vring.isPaused = !vring.isEnabled;
      await (vring.isEnabled ? running.resume() : running.pause());
      return;
    }
    if (!vring.isStarted || !vring.isEnabled || vring.isBroken || vring.size === 0) return;
    const setup = this.#setupOf(vring);
    if (setup === undefined) return;
    vring.isPaused = false;
    vring.running = await this.#backEnd.runner.start(setup);
    // An earlier server may have died between publishing answers and telling of them: the driver then waits for this,
    // and with EVENT_IDX later answers would not be told either, since its event index stands before the lost ones.
    if (vring.call !== undefined) this.#backEnd.system.signal(vring.call);
  }

  async #halt(vring: Vring): Promise<void> {
    const { running } = vring;
    vring.isStarted = false;
    vring.running = undefined;
    if (running !== undefined) vring.base = await running.stop();
  }

  /** A ring that lost its memory. */
  async #break(vring: Vring): Promise<void> {
    vring.isBroken = true;
    const { running } = vring;
    vring.running = undefined;
    await running?.abandon();
    this.fail(vring.index);
  }

  #placeOf(vring: Vring): RingPlace | undefined {
    const addresses = vring.addressesIn(this.#table);
    const { memory, regions } = this.#table;
    return addresses === undefined || memory === undefined ? undefined : { memory, regions, addresses };
  }

  #setupOf(vring: Vring): RingSetup | undefined {
    const place = this.#placeOf(vring);
    if (place === undefined) return undefined;
    const { index, size, base, kick, call } = vring;
    const endianness = hasFeature(this.#features, ringFeatures.VERSION_1) ? "little" : vring.endianness;
    const inflight = this.#inflightOf(vring);
    return { ...place, index, size, base, kick, call, endianness, features: this.#features, inflight };
  }

  #inflightOf({ index, size }: Vring): RingSetup["inflight"] {
    if (this.#inflight === undefined) return undefined;
    const { memory, queues, queueSize } = this.#inflight;
    if (index >= queues || size > queueSize) return undefined;
    const isPacked = ringFormatOf(this.#features) === "packed";
    const length = isPacked ? packedInflightRegionSize(queueSize) : inflightRegionSize(queueSize);
    const start = index * length;
    if (start + length > memory.bytes.length) {
      const detail = `${memory.bytes.length} bytes for ${queues} queues of ${queueSize}`;
      throw new ProtocolError("inflight-buffer-invalid", { queue: index, detail });
    }
    return { bytes: memory.bytes.subarray(start, start + length), address: memory.address + start };
  }

  #vring(index: number): Vring {
    const vring = this.#vrings[index];
    if (vring === undefined) {
      throw new ProtocolError("vring-unknown", { queue: index, detail: `there are ${this.count} queues` });
    }
    return vring;
  }

  #vringOf(value: bigint): Vring {
    return this.#vring(Number(value & vringNumberMask));
  }

  #stopped(index: number, message: string): Vring {
    const vring = this.#vring(index);
    if (vring.running !== undefined) throw new ProtocolError("vring-running", { queue: index, detail: message });
    return vring;
  }

  /** Takes the descriptor out of a message: undefined when the message says that there is none. */
  #takeEvent(value: bigint, descriptors: number[]): number | undefined {
    const isMissing = (value & noDescriptorBit) !== 0n;
    if (isMissing !== (descriptors.length === 0)) {
      const detail = `${descriptors.length} descriptors, the message says ${isMissing ? "none" : "one"}`;
      throw new ProtocolError("message-descriptors", { queue: Number(value & vringNumberMask), detail });
    }
    if (isMissing) return undefined;
    this.#backEnd.system.prepareEvent(descriptors[0]);
    return descriptors.shift();
  }

  #closeDescriptor(descriptor: number | undefined): void {
    if (descriptor !== undefined) this.#backEnd.system.close(descriptor);
  }
}
