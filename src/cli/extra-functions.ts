/** Virtio functions besides the adapters of the images, as `--with` asks for them: our device halves, and QEMU's. */
import { InvalidArgumentError } from "commander";
import { parseMac, UserNetwork } from "../packet/index.js";
import type { QemuAdapter } from "../platform/qemu/index.js";
import type { DeviceType } from "../transport/index.js";
import {
  balloonPageSize,
  VirtioBalloonDevice,
  VirtioConsoleDevice,
  VirtioEntropyDevice,
  VirtioNetDevice,
  VirtioRpmsgDevice,
} from "../virtio/index.js";
import { UsageError } from "./errors.js";

/** Values of `--with`. */
export const functionKinds = ["net", "console", "entropy", "balloon", "rpmsg"] as const;

/** A function that `--with` asks for. */
export type FunctionKind = (typeof functionKinds)[number];

/** `net,console`, after what earlier ones of the option said. */
export function parseFunctionKinds(text: string, earlier: readonly FunctionKind[] = []): FunctionKind[] {
  const names = text.split(",").map((name) => name.trim());
  const isKind = (name: string): name is FunctionKind => (functionKinds as readonly string[]).includes(name);
  if (!names.every(isKind)) {
    throw new InvalidArgumentError(`Give one or more of ${functionKinds.join(", ")}, separated by commas.`);
  }
  return [...earlier, ...names];
}

/** A name for ports, as guests see it, and for the service of an rpmsg bus. */
const portName = "org.ringside.0";
const serviceName = "ringside-echo";
/** Pages that our balloon asks for: 1 MiB. */
const balloonTarget = 256;

/** A device half to be plugged in. */
export interface FunctionDevice {
  readonly kind: FunctionKind;
  readonly device: DeviceType;
  /** What QEMU's functions of that type are. */
  readonly classCode: number;
}

const simpleCommunication = 0x07_8000;
const withoutClass = 0x00_ff00;

/** Our device halves by their names. @param index among all. @param ramEnd the first address behind the memory. */
const makers: Readonly<Record<FunctionKind, (index: number, ramEnd: number) => Omit<FunctionDevice, "kind">>> = {
  net: (index) => ({
    classCode: 0x02_0000,
    device: new VirtioNetDevice(new UserNetwork(), { mac: parseMac(macOf(index)) }),
  }),
  console: () => ({
    classCode: simpleCommunication,
    device: new VirtioConsoleDevice({ ports: [{}, { name: portName }], size: { columns: 80, rows: 25 } }),
  }),
  entropy: () => ({ classCode: withoutClass, device: new VirtioEntropyDevice() }),
  balloon: (_, ramEnd) => {
    const device = new VirtioBalloonDevice({ pageLimit: Math.ceil(ramEnd / balloonPageSize) });
    device.setTarget(balloonTarget);
    return { classCode: withoutClass, device };
  },
  rpmsg: () => {
    const device = new VirtioRpmsgDevice();
    const echo = device.bus.createEndpoint({
      name: serviceName,
      onMessage: ({ source, data }) => void echo.send(source, data).catch(() => {}),
    });
    return { classCode: simpleCommunication, device };
  },
};

/** Our device halves, in the order in which they were asked for. @param ramEnd the first address behind the memory. */
export function functionDevices(kinds: readonly FunctionKind[], ramEnd: number): FunctionDevice[] {
  return kinds.map((kind, index) => ({ kind, ...makers[kind](index, ramEnd) }));
}

/** QEMU's own functions, and the arguments for what is behind them. */
export interface QemuFunctions {
  readonly adapters: readonly QemuAdapter[];
  readonly extraArguments: readonly string[];
}

/**
 * @param first index of the first one among the machine's adapters. @param place properties that say where one is.
 * @throws UsageError for what QEMU does not have.
 */
export function qemuFunctions(
  kinds: readonly FunctionKind[],
  first: number,
  place: (index: number) => Required<Pick<QemuAdapter, "mode" | "properties">>,
): QemuFunctions {
  if (kinds.includes("rpmsg")) {
    throw new UsageError("QEMU has no rpmsg device: leave rpmsg out of --with, or leave out --platform");
  }
  if (kinds.indexOf("balloon") !== kinds.lastIndexOf("balloon")) {
    throw new UsageError("QEMU has one balloon at most: say balloon once");
  }
  const extraArguments: string[] = [];
  const adapters = kinds
    .filter((kind) => kind !== "rpmsg")
    .map((kind, count): QemuAdapter => {
      const index = first + count;
      const { name, properties = {}, behind } = qemuParts[kind](index, count);
      extraArguments.push(...behind);
      const { mode, properties: where } = place(index);
      return { kind: name, mode, disks: [], properties: { ...where, ...properties } };
    });
  return { adapters, extraArguments };
}

interface QemuParts {
  readonly name: QemuAdapter["kind"];
  readonly properties?: Readonly<Record<string, string | number>>;
  /** Arguments. */
  readonly behind: readonly string[];
}

const qemuParts: Readonly<Record<Exclude<FunctionKind, "rpmsg">, (index: number, count: number) => QemuParts>> = {
  // A hub with nobody else on it: no packet leaves QEMU.
  net: (index, count) => ({
    name: "virtio-net",
    properties: { netdev: `cable${index}`, mac: macOf(count) },
    behind: ["-netdev", `hubport,id=cable${index},hubid=${index}`],
  }),
  console: (index) => ({
    name: "virtio-serial",
    properties: { max_ports: 2 },
    behind: [
      ...["-chardev", `null,id=line${index}a`, "-chardev", `null,id=line${index}b`],
      ...["-device", `virtconsole,bus=adapter${index}.0,nr=0,chardev=line${index}a`],
      ...["-device", `virtserialport,bus=adapter${index}.0,nr=1,chardev=line${index}b,name=${portName}`],
    ],
  }),
  entropy: (index) => ({
    name: "virtio-rng",
    properties: { rng: `source${index}` },
    behind: ["-object", `rng-builtin,id=source${index}`],
  }),
  balloon: () => ({ name: "virtio-balloon", behind: [] }),
};

function macOf(index: number): string {
  return `52:54:00:12:34:${((0x56 + index) & 0xff).toString(16).padStart(2, "0")}`;
}
