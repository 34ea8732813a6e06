/**
 * Which packets the driver wants (virtio 1.2 §5.1.6.5): modes, two address tables, VLANs. Until a driver says something
 * everything passes, as drivers of old expect.
 */
import type { SavedFields, SavedReader } from "../../bytes/index.js";
import { EtherType, macLength, type Packet } from "../../packet/index.js";
import { featureSet, hasFeature } from "../../transport/index.js";
import { RxCommand, vlanIds } from "./protocol.js";

/** Addresses that a table holds; with more than that all of its kind pass. */
const tableCapacity = 64;

/** One of the two tables of TABLE_SET. */
class AddressTable {
  readonly #bytes = new Uint8Array(tableCapacity * macLength);
  #count = 0;
  #overflowed = false;

  clear(): void {
    this.#count = 0;
    this.#overflowed = false;
  }

  set(addresses: Uint8Array): void {
    const count = addresses.length / macLength;
    this.#overflowed = count > tableCapacity;
    this.#count = this.#overflowed ? 0 : count;
    if (!this.#overflowed) this.#bytes.set(addresses);
  }

  holds(bytes: Uint8Array): boolean {
    if (this.#overflowed) return true;
    for (let entry = 0; entry < this.#count; entry++) if (isSameMac(bytes, this.#bytes, entry * macLength)) return true;
    return false;
  }

  get addresses(): Uint8Array[] {
    return Array.from({ length: this.#count }, (_, entry) =>
      this.#bytes.slice(entry * macLength, (entry + 1) * macLength),
    );
  }

  get overflowed(): boolean {
    return this.#overflowed;
  }

  save(): SavedFields {
    return { overflowed: this.#overflowed, addresses: this.#bytes.slice(0, this.#count * macLength) };
  }

  /** Reads what `save` gave, and gives the step that takes it over. @throws RangeError */
  read(saved: SavedReader): () => void {
    const overflowed = saved.flag("overflowed");
    const addresses = saved.bytes("addresses", tableCapacity * macLength);
    if (addresses.length % macLength !== 0) saved.refuse("addresses", `has ${addresses.length} bytes: six for each`);
    return () => {
      this.set(addresses);
      this.#overflowed = overflowed;
    };
  }
}

function isSameMac(bytes: Uint8Array, other: Uint8Array, at: number): boolean {
  for (let index = 0; index < macLength; index++) if (bytes[index] !== other[at + index]) return false;
  return true;
}

export class ReceiveFilter {
  /** The adapter's address. */
  readonly mac: Uint8Array;
  readonly unicast = new AddressTable();
  readonly multicast = new AddressTable();
  /** By value of {@link RxCommand}. */
  readonly #modes: boolean[] = [];
  readonly #vlans = new Uint8Array(vlanIds);
  /** CTRL_VLAN was negotiated: only VLANs that were added pass. */
  filtersVlans = false;

  constructor(mac: Uint8Array) {
    this.mac = mac;
    this.reset();
  }

  /** As after power-on. */
  reset(): void {
    for (const mode of Object.values(RxCommand)) this.#modes[mode] = false;
    this.#modes[RxCommand.Promiscuous] = true;
    this.unicast.clear();
    this.multicast.clear();
    this.#vlans.fill(0);
    this.filtersVlans = false;
  }

  setMode(command: number, on: boolean): void {
    this.#modes[command] = on;
  }

  hasMode(command: number): boolean {
    return this.#modes[command];
  }

  setVlan(id: number, on: boolean): void {
    this.#vlans[id] = on ? 1 : 0;
  }

  /** All of it but what follows from the features, for a snapshot. */
  save(): SavedFields {
    return {
      mac: this.mac.slice(),
      modes: featureSet(...Object.values(RxCommand).filter((mode) => this.#modes[mode])),
      unicast: this.unicast.save(),
      multicast: this.multicast.save(),
      vlans: this.#vlans.slice(),
    };
  }

  /** Reads what `save` gave, and gives the step that takes it over. @throws RangeError */
  read(saved: SavedReader): () => void {
    const mac = saved.bytes("mac", macLength);
    if (mac.length < macLength) saved.refuse("mac", `has ${mac.length} bytes of ${macLength}`);
    const modes = saved.bits("modes", featureSet(...Object.values(RxCommand)));
    const tables = [this.unicast.read(saved.part("unicast")), this.multicast.read(saved.part("multicast"))];
    const vlans = saved.bytes("vlans", vlanIds);
    if (vlans.length < vlanIds) saved.refuse("vlans", `has ${vlans.length} of ${vlanIds}`);
    return () => {
      this.mac.set(mac);
      for (const mode of Object.values(RxCommand)) this.#modes[mode] = hasFeature(modes, mode);
      for (const take of tables) take();
      for (const [id, passes] of vlans.entries()) this.setVlan(id, passes !== 0);
    };
  }

  /** VLANs that pass, ascending. */
  get vlans(): number[] {
    return [...this.#vlans.keys()].filter((id) => this.#vlans[id] === 1);
  }

  /** Whether a packet (at least an Ethernet header long) is wanted. */
  passes(packet: Packet): boolean {
    const { bytes } = packet;
    if (this.filtersVlans && packet.length >= 16 && packet.view.getUint16(12) === EtherType.Vlan) {
      if (this.#vlans[packet.view.getUint16(14) & 0xfff] === 0) return false;
    }
    const modes = this.#modes;
    if (modes[RxCommand.Promiscuous]) return true;
    if ((bytes[0] & 1) === 0) {
      if (modes[RxCommand.NoUnicast]) return false;
      return modes[RxCommand.AllUnicast] || isSameMac(bytes, this.mac, 0) || this.unicast.holds(bytes);
    }
    if (isBroadcast(bytes)) return !modes[RxCommand.NoBroadcast];
    if (modes[RxCommand.NoMulticast]) return false;
    return modes[RxCommand.AllMulticast] || this.multicast.holds(bytes);
  }
}

function isBroadcast(bytes: Uint8Array): boolean {
  for (let index = 0; index < macLength; index++) if (bytes[index] !== 0xff) return false;
  return true;
}
