/** The network of `ringside boot`: what `--net` says, the adapter, and ports of this machine that lead into the PC or out of it. */
import { closeSync, openSync, writeSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import {
  CaptureWriter,
  capturePeer,
  formatIPv4,
  type PacketPeer,
  parseIPv4,
  parseMac,
  UserNetwork,
} from "../packet/index.js";
import type { V86Pc, V86Registers } from "../platform/v86/index.js";
import { VirtioNetDevice } from "../virtio/index.js";
import { type Forward, leadIn, leadOut } from "./boot-forward.js";
import { WorkFailed } from "./errors.js";

/** PCI class of an Ethernet controller. */
const ethernetController = 0x02_0000;
/** The network's end of the cable, as {@link UserNetwork} has it. */
const networkAddress = "10.0.2.2";

/** What `--net` asks for. */
export interface BootNetworkOptions {
  readonly mac: Uint8Array;
  /** Ports of this machine that lead to the guest. */
  readonly into: readonly Forward[];
  /** Ports of the network's own address that lead to this machine. */
  readonly out: readonly Forward[];
}

const grammar =
  "Write user; behind commas may stand mac=ADDRESS, hostfwd=tcp:127.0.0.1:PORT-10.0.2.15:PORT and " +
  "guestfwd=tcp:10.0.2.2:PORT-127.0.0.1:PORT, where addresses may be left out.";

/** `user`, with settings. Traffic with this machine is with its loopback addresses only. */
export function parseBootNetwork(text: string): BootNetworkOptions {
  const [kind, ...settings] = text.split(",");
  if (kind !== "user") throw new InvalidArgumentError(grammar);
  let mac = parseMac("52:54:00:12:34:56");
  const into: Forward[] = [];
  const out: Forward[] = [];
  for (const setting of settings) {
    const [name, ...rest] = setting.split("=");
    const value = rest.join("=");
    if (name === "hostfwd") into.push(parseForward(value, "host"));
    else if (name === "guestfwd") out.push(parseForward(value, "guest"));
    else if (name === "mac") mac = parseAdapterMac(value);
    else throw new InvalidArgumentError(`There is no ${name}. ${grammar}`);
  }
  return { mac, into, out };
}

function parseAdapterMac(text: string): Uint8Array {
  try {
    const mac = parseMac(text);
    if ((mac[0] & 1) === 0) return mac;
  } catch {}
  throw new InvalidArgumentError(`${text} is no address of an adapter, such as 52:54:00:12:34:57.`);
}

/** `tcp:ADDRESS:PORT-ADDRESS:PORT`. @param first which side is written first */
function parseForward(text: string, first: "host" | "guest"): Forward {
  const match = /^tcp:([\d.]*):(\d{1,5})-(?:tcp:)?([\d.]*):(\d{1,5})$/.exec(text);
  if (match === null) throw new InvalidArgumentError(`${text} names no two ports. ${grammar}`);
  const [hostSide, guestSide] = first === "host" ? [1, 3] : [3, 1];
  const address = match[hostSide] === "" ? "127.0.0.1" : match[hostSide];
  const port = Number(match[hostSide + 1]);
  const guestPort = Number(match[guestSide + 1]);
  const guest = match[guestSide];
  const isPort = (number: number, least: number) => number >= least && number <= 0xffff;
  try {
    if (parseIPv4(address) >>> 24 !== 127) throw new RangeError(`${address} is no loopback address`);
    const guestAddress = guest === "" ? undefined : parseIPv4(guest);
    if (first === "guest" && guest !== "" && guest !== networkAddress)
      throw new RangeError(`${guest} is not the network`);
    if (!isPort(port, first === "host" ? 0 : 1) || !isPort(guestPort, 1))
      throw new RangeError(`${text} has no such port`);
    return { port, address, guestAddress, guestPort };
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}. ${grammar}`);
  }
}

/** The network while the PC runs. */
export interface BootNetwork {
  /** Puts the adapter into a PC. */
  plug(pc: V86Pc, registers: V86Registers): void;
  close(): Promise<void>;
}

/**
 * Makes the network, listens where it has to, and says where that is.
 * @param capture a file that gets everything that passes, as pcap
 * @throws UsageError, WorkFailed when nobody can listen there, or the file cannot be written
 */
export async function openBootNetwork(
  { mac, into, out }: BootNetworkOptions,
  capture: string | undefined,
  tell: (line: string) => void,
): Promise<BootNetwork> {
  const network = new UserNetwork({ address: networkAddress });
  const opened: (() => void | Promise<void>)[] = [() => network.close()];
  const close = async () => {
    for (const end of opened.splice(0)) await end();
  };
  let peer: PacketPeer = network;
  try {
    for (const forward of out) leadOut(network, forward);
    for (const forward of into) {
      const { port, end } = await leadIn(network, forward);
      opened.push(end);
      const guest = forward.guestAddress === undefined ? "the guest" : formatIPv4(forward.guestAddress);
      tell(`${forward.address}:${port} leads to port ${forward.guestPort} of ${guest}`);
    }
    if (capture !== undefined) {
      const file = openCapture(capture);
      opened.push(() => closeSync(file));
      peer = capturePeer(network, new CaptureWriter((bytes) => void writeSync(file, bytes)));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const plug = (pc: V86Pc, registers: V86Registers) =>
    void pc.plugVirtio(new VirtioNetDevice(peer, { mac }), { classCode: ethernetController, registers });
  return { plug, close };
}

function openCapture(path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    throw new WorkFailed(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}
