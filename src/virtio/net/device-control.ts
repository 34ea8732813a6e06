/** The control queue, device half: what its commands set, and how they are checked (virtio 1.2 §5.1.6.5). */
import type { Endianness } from "../../bytes/index.js";
import { macLength } from "../../packet/index.js";
import type { DeviceHost } from "../../transport/index.js";
import {
  AnnounceCommand,
  ControlAck,
  controlHeader,
  GuestOffloadsCommand,
  MacCommand,
  MqCommand,
  macTableHead,
  NetControl,
  netFeatures,
  offloadsData,
  pairsData,
  RxCommand,
  VlanCommand,
  vlanData,
  vlanIds,
} from "./protocol.js";
import type { ReceiveFilter } from "./receive-filter.js";

/** Commands longer than this are no commands: two tables of 16 000 addresses. */
export const longestCommand = 192 * 1024;

/** What commands change besides the filter. */
export interface ControlTarget {
  readonly filter: ReceiveFilter;
  readonly queuePairs: number;
  /** Bits that GUEST_OFFLOADS_SET may set. */
  readonly switchableOffloads: bigint;
  announced(): void;
  useQueuePairs(pairs: number): void;
  useGuestOffloads(offloads: bigint): void;
}

/** Carries out one command. @returns the answer: a command that is malformed or was not negotiated changes nothing. */
export function answerNetControl(command: Uint8Array, host: DeviceHost, target: ControlTarget): number {
  if (command.length < controlHeader.size) return ControlAck.Error;
  const number = command[controlHeader.offset.command];
  const data = command.subarray(controlHeader.size);
  const isDone = (() => {
    switch (command[controlHeader.offset.class]) {
      case NetControl.Rx:
        return setMode(number, data, host, target.filter);
      case NetControl.Mac:
        return setAddresses(number, data, host, target.filter);
      case NetControl.Vlan:
        return setVlan(number, data, host, target.filter);
      case NetControl.Announce:
        return acknowledge(number, host, target);
      case NetControl.Mq:
        return setPairs(number, data, host, target);
      case NetControl.GuestOffloads:
        return setOffloads(number, data, host, target);
      default:
        return false;
    }
  })();
  return isDone ? ControlAck.Ok : ControlAck.Error;
}

function setMode(command: number, data: Uint8Array, host: DeviceHost, filter: ReceiveFilter): boolean {
  const { CTRL_RX, CTRL_RX_EXTRA } = netFeatures;
  if (command > RxCommand.NoBroadcast || data.length < 1 || data[0] > 1) return false;
  if (!host.has(command >= RxCommand.AllUnicast ? CTRL_RX_EXTRA : CTRL_RX)) return false;
  filter.setMode(command, data[0] === 1);
  return true;
}

function setAddresses(command: number, data: Uint8Array, host: DeviceHost, filter: ReceiveFilter): boolean {
  if (command === MacCommand.AddressSet) {
    // A group's address is nobody's own.
    if (!host.has(netFeatures.CTRL_MAC_ADDR) || data.length !== macLength || (data[0] & 1) !== 0) return false;
    filter.mac.set(data);
    return true;
  }
  if (command !== MacCommand.TableSet || !host.has(netFeatures.CTRL_RX)) return false;
  const unicast = readTable(data, 0, host.endianness);
  if (unicast === undefined) return false;
  const multicast = readTable(data, macTableHead.size + unicast.length, host.endianness);
  if (multicast === undefined) return false;
  filter.unicast.set(unicast);
  filter.multicast.set(multicast);
  return true;
}

function readTable(data: Uint8Array, at: number, endianness: Endianness): Uint8Array | undefined {
  if (data.length < at + macTableHead.size) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const { entries } = macTableHead.read(view, at, endianness);
  const from = at + macTableHead.size;
  return entries * macLength <= data.length - from ? data.subarray(from, from + entries * macLength) : undefined;
}

function setVlan(command: number, data: Uint8Array, host: DeviceHost, filter: ReceiveFilter): boolean {
  const isKnown = command === VlanCommand.Add || command === VlanCommand.Delete;
  if (!isKnown || !host.has(netFeatures.CTRL_VLAN) || data.length < vlanData.size) return false;
  const { id } = vlanData.read(new DataView(data.buffer, data.byteOffset), 0, host.endianness);
  if (id >= vlanIds) return false;
  filter.setVlan(id, command === VlanCommand.Add);
  return true;
}

function acknowledge(command: number, host: DeviceHost, target: ControlTarget): boolean {
  if (command !== AnnounceCommand.Ack || !host.has(netFeatures.GUEST_ANNOUNCE)) return false;
  target.announced();
  return true;
}

function setPairs(command: number, data: Uint8Array, host: DeviceHost, target: ControlTarget): boolean {
  if (command !== MqCommand.PairsSet || !host.has(netFeatures.MQ) || data.length < pairsData.size) return false;
  const { pairs } = pairsData.read(new DataView(data.buffer, data.byteOffset), 0, host.endianness);
  if (pairs < 1 || pairs > target.queuePairs) return false;
  target.useQueuePairs(pairs);
  return true;
}

function setOffloads(command: number, data: Uint8Array, host: DeviceHost, target: ControlTarget): boolean {
  const isKnown = command === GuestOffloadsCommand.Set && host.has(netFeatures.CTRL_GUEST_OFFLOADS);
  if (!isKnown || data.length < offloadsData.size) return false;
  const { offloads } = offloadsData.read(new DataView(data.buffer, data.byteOffset), 0, host.endianness);
  if ((offloads & ~target.switchableOffloads) !== 0n) return false;
  target.useGuestOffloads(offloads);
  return true;
}
