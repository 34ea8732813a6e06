/**
 * What a driver asked its adapter to do, as commands: sent once when asked for, and again after the adapter was reset
 * (virtio 1.2 §5.1.6.5).
 */
import type { Endianness } from "../../bytes/index.js";
import { macLength } from "../../packet/index.js";
import {
  MacCommand,
  MqCommand,
  macTableHead,
  NetControl,
  offloadsData,
  pairsData,
  RxCommand,
  VlanCommand,
  vlanData,
  vlanIds,
} from "./protocol.js";

/** One command, without its head and answer. */
export interface NetCommand {
  readonly kind: number;
  readonly command: number;
  readonly data: Uint8Array;
  /** For errors. */
  readonly name: string;
}

/** Remembers the last of each kind. */
export class NetSettings {
  readonly #commands = new Map<string, NetCommand>();
  readonly #endianness: Endianness;

  constructor(endianness: Endianness) {
    this.#endianness = endianness;
  }

  /** All that were kept, in the order in which they were first asked for. */
  get commands(): readonly NetCommand[] {
    return [...this.#commands.values()];
  }

  /** It was carried out: after a reset it is to be again. */
  keep(command: NetCommand): void {
    const { kind, command: number, data } = command;
    if (kind !== NetControl.Vlan) {
      this.#commands.set(`${kind}/${number}`, command);
      return;
    }
    const key = `vlan/${data.join()}`;
    if (number === VlanCommand.Add) this.#commands.set(key, command);
    else this.#commands.delete(key);
  }

  mode(command: number, on: boolean): NetCommand {
    const name = Object.entries(RxCommand).find(([, value]) => value === command)?.[0] ?? String(command);
    return { kind: NetControl.Rx, command, data: Uint8Array.of(on ? 1 : 0), name: `receive mode ${name}` };
  }

  /** @throws RangeError when an address is not six bytes. */
  addressTables(unicast: readonly Uint8Array[], multicast: readonly Uint8Array[]): NetCommand {
    const data = new Uint8Array(2 * macTableHead.size + macLength * (unicast.length + multicast.length));
    const view = new DataView(data.buffer);
    let at = 0;
    for (const table of [unicast, multicast]) {
      macTableHead.write(view, at, this.#endianness, { entries: table.length });
      at += macTableHead.size;
      for (const address of table) {
        data.set(checkedMac(address), at);
        at += macLength;
      }
    }
    return { kind: NetControl.Mac, command: MacCommand.TableSet, data, name: "address tables" };
  }

  /** @throws RangeError when it is not six bytes. */
  address(mac: Uint8Array): NetCommand {
    const data = checkedMac(mac).slice();
    return { kind: NetControl.Mac, command: MacCommand.AddressSet, data, name: "own address" };
  }

  /** @throws RangeError when it is no VLAN id. */
  vlan(command: number, id: number): NetCommand {
    if (!Number.isInteger(id) || id < 0 || id >= vlanIds) throw new RangeError(`${id} is no VLAN id`);
    const view = new DataView(new ArrayBuffer(vlanData.size));
    vlanData.write(view, 0, this.#endianness, { id });
    return { kind: NetControl.Vlan, command, data: new Uint8Array(view.buffer), name: `VLAN ${id}` };
  }

  pairs(pairs: number): NetCommand {
    const view = new DataView(new ArrayBuffer(pairsData.size));
    pairsData.write(view, 0, this.#endianness, { pairs });
    return { kind: NetControl.Mq, command: MqCommand.PairsSet, data: new Uint8Array(view.buffer), name: "queue pairs" };
  }

  offloads(offloads: bigint): NetCommand {
    const view = new DataView(new ArrayBuffer(offloadsData.size));
    offloadsData.write(view, 0, this.#endianness, { offloads });
    return { kind: NetControl.GuestOffloads, command: 0, data: new Uint8Array(view.buffer), name: "offloads" };
  }
}

function checkedMac(mac: Uint8Array): Uint8Array {
  if (mac.length !== macLength) throw new RangeError(`an address has ${macLength} bytes, got ${mac.length}`);
  return mac;
}
