/** Both halves of virtio-net in one process: a machine with an adapter, what its cable ends at, and our driver on it. */
import { Packet, type PacketPeer, type PacketPort } from "../packet/index.js";
import {
  knownNetFeatures,
  type NetDriverOptions,
  VirtioNetDevice,
  VirtioNetDriver,
  type VirtioNetOptions,
} from "../virtio/index.js";
import { type DrivenDevice, driveDevice, type PluggedDevice } from "./driven-loopback.js";
import { type LoopbackMachineOptions, plugIntoMachine } from "./loopback-machine.js";

/** What the loopback is made of. */
export interface NetLoopbackOptions extends LoopbackMachineOptions {
  /** Default: a {@link RecordingPeer}. */
  peer?: PacketPeer;
  device?: VirtioNetOptions;
  driver?: NetDriverOptions;
}

/** A machine with an adapter that no driver has opened yet. */
export interface PluggedNetLoopback extends PluggedDevice<VirtioNetDriver, NetDriverOptions> {
  readonly device: VirtioNetDevice;
}

/** A machine whose adapter is driven. */
export type NetLoopback = DrivenDevice<PluggedNetLoopback, VirtioNetDriver>;

/** A peer that keeps what comes, and sends what it is told to. */
export class RecordingPeer implements PacketPeer {
  /** Copies of the packets that came, with the work that was left on them. */
  readonly packets: Packet[] = [];
  readonly takes: NonNullable<PacketPeer["takes"]>;
  isFull = false;
  #port: PacketPort | undefined;

  constructor(takes: NonNullable<PacketPeer["takes"]> = {}) {
    this.takes = takes;
  }

  /** The frames that came. */
  get frames(): Uint8Array[] {
    return this.packets.map((packet) => packet.toBytes());
  }

  connect(port: PacketPort): void {
    this.#port = port;
  }

  deliver(packet: Packet): void {
    this.packets.push(packet.copy());
  }

  /** Sends a frame or packet to the adapter. @returns false when it was dropped. */
  send(frame: Uint8Array | Packet): boolean {
    return this.#port?.receive(frame instanceof Packet ? frame : new Packet(frame.slice())) ?? false;
  }

  /** Takes packets again. */
  resume(): void {
    this.isFull = false;
    this.#port?.resume();
  }
}

/** Puts an adapter into a machine. */
export function plugNetLoopback(options: NetLoopbackOptions = {}): PluggedNetLoopback {
  const { observer, startIndex = 0 } = options;
  const device = new VirtioNetDevice(options.peer ?? new RecordingPeer(), { observer, ...options.device });
  const plugged = plugIntoMachine(device, 0x020000, options);
  const openDriver = (how: NetDriverOptions = {}) =>
    VirtioNetDriver.open(plugged.openTransport(), {
      features: knownNetFeatures,
      startIndex,
      observer,
      ...options.driver,
      ...how,
    });
  return { ...plugged, device, openDriver, unplug: () => plugged.machine.close() };
}

/** Puts an adapter into a machine and opens our driver on it. */
export async function createNetLoopback(options: NetLoopbackOptions = {}): Promise<NetLoopback> {
  return driveDevice(plugNetLoopback(options));
}

/** A frame of `length` bytes with a pattern that `seed` starts, to `to` from `from`. */
export function patternFrame(to: Uint8Array, from: Uint8Array, length: number, seed = 0): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 13) & 0xff);
  frame.set(to);
  frame.set(from, 6);
  // A type that is nobody's: for local experiments.
  frame.set([0x88, 0xb5], 12);
  return frame;
}
