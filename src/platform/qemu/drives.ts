/**
 * Adapters and disks as QEMU's command line says them. An image is opened read-only and a scratch layer takes the
 * guest's writes, unless the caller says that the image itself may change.
 */
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Board } from "../../machine/index.js";
import { emptyQcow2 } from "./empty-qcow2.js";
import { QemuError } from "./qemu-error.js";

/** An I/O error that QEMU is to make up (its `blkdebug` filter). */
export interface InjectedError {
  readonly on: "read" | "write" | "flush";
  /** A request that touches this sector of 512 bytes; any request when missing. */
  readonly sector?: number;
  /** Linux error number; default 5, an I/O error. */
  readonly errno?: number;
  /** Only the first time. Default false. */
  readonly once?: boolean;
}

/** One disk. */
export interface QemuDisk {
  /** Path of a raw image. */
  readonly image: string;
  /** Default: its place in the adapter's list. */
  readonly target?: number;
  /** Default: its place in the adapter's list. */
  readonly lun?: number;
  /** Logical block size in bytes; default 512. */
  readonly blockSize?: number;
  /** The guest sees a write-protected disk. Default false. */
  readonly readOnly?: boolean;
  /** The guest's writes go to the image itself. Default false: they go to a scratch layer and are lost at the end. */
  readonly write?: boolean;
  readonly kind?: "disk" | "cd";
  readonly serial?: string;
  readonly errors?: readonly InjectedError[];
  /** Further properties of QEMU's disk device. */
  readonly properties?: QemuProperties;
}

/** Properties of a QEMU device by name. */
export type QemuProperties = Readonly<Record<string, string | number | boolean>>;

/** One adapter with its disks. A virtio-blk adapter is its disk: it has exactly one. Other functions have none. */
export interface QemuAdapter {
  readonly kind: "virtio-scsi" | "virtio-blk" | "virtio-net" | "virtio-serial" | "virtio-rng" | "virtio-balloon";
  /**
   * Which interface the device has. Default: what an operating system of the board expects. Over MMIO legacy is version
   * 1 and modern version 2.
   */
  readonly mode?: "legacy" | "transitional" | "modern";
  /** Further properties of QEMU's device: `num_queues`, `vectors`, `addr` … */
  readonly properties?: QemuProperties;
  readonly disks: readonly QemuDisk[];
}

/** The graph of block nodes for one disk: arguments of `-blockdev` or QMP `blockdev-add`, in order. */
export interface DriveNodes {
  readonly nodes: readonly Readonly<Record<string, unknown>>[];
  /** Name of the node that the device uses. */
  readonly top: string;
}

/** The file of a disk's scratch layer. */
function layerOf(name: string, folder: string): string {
  return join(folder, `${name}.qcow2`);
}

/** Takes the scratch layer of a disk away whose nodes are gone; not every disk has one. */
export function removeDriveLayer(name: string, folder: string): void {
  rmSync(layerOf(name, folder), { force: true });
}

/**
 * Makes the block nodes of a disk.
 * @param name unique among this machine's disks. @param folder where the scratch layer goes.
 * @throws QemuError when the image cannot be used.
 */
export function driveNodes(disk: QemuDisk, name: string, folder: string): DriveNodes {
  const path = resolve(disk.image);
  const size = imageSize(path);
  const cd = disk.kind === "cd";
  const direct = disk.write === true && !cd;
  const fixed = cd || disk.readOnly === true;
  const nodes: Record<string, unknown>[] = [
    {
      driver: "raw",
      "node-name": `${name}-image`,
      "read-only": !direct || fixed,
      file: { driver: "file", filename: path },
    },
  ];
  let top = `${name}-image`;
  if (!direct && !fixed) {
    const layer = layerOf(name, folder);
    writeFileSync(layer, emptyQcow2(size - (size % 512)), { flag: "wx", mode: 0o600 });
    nodes.push({
      driver: "qcow2",
      "node-name": `${name}-layer`,
      file: { driver: "file", filename: layer },
      backing: top,
    });
    top = `${name}-layer`;
  }
  if (disk.errors !== undefined && disk.errors.length > 0) {
    const injected = disk.errors.map((error) => ({
      event: "none",
      iotype: error.on,
      errno: error.errno ?? 5,
      once: error.once ?? false,
      ...(error.sector === undefined ? {} : { sector: error.sector }),
    }));
    nodes.push({
      driver: "blkdebug",
      "node-name": `${name}-faults`,
      "read-only": fixed,
      image: top,
      "inject-error": injected,
    });
    top = `${name}-faults`;
  }
  return { nodes, top };
}

function imageSize(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw new QemuError(`no image at ${path}`);
  if (!status.isFile()) throw new QemuError(`${path} is not a regular file`);
  return status.size;
}

/** The adapter as a device of QEMU's, called `adapter` and its index. */
export function adapterDevice(
  adapter: QemuAdapter,
  index: number,
  board: Board,
): Record<string, string | number | boolean> {
  const { adapters: place, mmio } = board;
  const id = `adapter${index}`;
  if (place === undefined && mmio !== undefined) {
    const bus = mmio.qemuBus === undefined ? {} : { bus: `${mmio.qemuBus}${index}` };
    return { driver: `${adapter.kind}-device`, id, ...bus, ...adapter.properties };
  }
  const mode = adapter.mode ?? place?.virtio ?? "transitional";
  return {
    driver: `${adapter.kind}-pci${mode === "modern" ? "-non-transitional" : ""}`,
    id,
    ...(place === undefined ? {} : { bus: place.qemuBus }),
    ...(mode === "legacy" ? { "disable-modern": true } : {}),
    ...adapter.properties,
  };
}

/**
 * Arguments that say which version QEMU's virtio-mmio windows have, all of them together.
 * @throws RangeError when adapters want different ones.
 */
export function mmioVersion(adapters: readonly QemuAdapter[]): readonly string[] {
  const modes = new Set(adapters.map(({ mode = "modern" }) => mode));
  if (modes.size > 1) throw new RangeError("QEMU's virtio-mmio devices all have the same version");
  if (modes.has("transitional")) throw new RangeError("there are no transitional virtio-mmio devices");
  return ["-global", `virtio-mmio.force-legacy=${modes.has("legacy")}`];
}

/** What a disk adds to its device: the place on a SCSI adapter and the sizes. */
export function diskProperties(disk: QemuDisk, index: number, drive: string, scsiBus: string | undefined) {
  const blockSize = disk.blockSize ?? (disk.kind === "cd" ? 2048 : 512);
  const cd = disk.kind === "cd";
  const properties: Record<string, string | number | boolean> = {
    ...(scsiBus === undefined
      ? {}
      : { driver: cd ? "scsi-cd" : "scsi-hd", bus: scsiBus, "scsi-id": disk.target ?? index, lun: disk.lun ?? index }),
    drive,
    ...(disk.serial === undefined ? {} : { serial: disk.serial }),
    ...(cd ? {} : { logical_block_size: blockSize, physical_block_size: Math.max(blockSize, 512) }),
    rerror: "report",
    werror: "report",
    ...disk.properties,
  };
  return properties;
}

/** A device as the `-device` option says it. @throws RangeError for a value that the option cannot hold. */
export function deviceOption(device: Readonly<Record<string, string | number | boolean>>): string {
  const { driver, ...rest } = device;
  const fields = Object.entries(rest).map(([name, value]) => {
    const text = typeof value === "boolean" ? (value ? "on" : "off") : `${value}`;
    return `${name}=${text.replaceAll(",", ",,")}`;
  });
  return [driver, ...fields].join(",");
}
