/** What `ringside serve` shall serve, and where: its options, checked against each other. */
import { fstatSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import type { DeviceKind } from "./driven.js";
import { UsageError } from "./errors.js";
import { type PlacedImage, parseImageArgument, placeImages } from "./image-argument.js";
import { shellWord } from "./platform-qemu.js";
import { checkNewSocket } from "./socket-path.js";

/** The options as the command line gives them. */
export interface ServeOptions {
  readonly socket?: string;
  readonly socketPath?: string;
  readonly fd?: number;
  readonly blkFile?: string;
  readonly printCapabilities: boolean;
  readonly printQemu: boolean;
  readonly device: DeviceKind;
  readonly queues: number;
  readonly readOnly: boolean;
  readonly format?: "raw";
  /** Go past the page cache. */
  readonly direct: boolean;
  /** Copy what the page cache has through a mapping, where that can be guarded. */
  readonly mapped: boolean;
  /** How long to look for more requests after work before sleeping, in microseconds. */
  readonly poll: number;
  /** Threads that serve queues; 0: the main one does. */
  readonly threads?: number;
  /** Packed rings: in the QEMU line when true, not offered when false. */
  readonly packed?: boolean;
  readonly control?: string;
  readonly reservations?: string;
}

/** Where front ends come to. */
export type ServePlace = { readonly listen: string } | { readonly descriptor: number };

/** @throws UsageError unless exactly one place is named */
export function servePlace({ socket, socketPath, fd }: ServeOptions): ServePlace {
  const named = [socket, socketPath, fd].filter((value) => value !== undefined).length;
  if (named === 0) throw new UsageError("say where front ends come to: --socket PATH, or --fd N");
  if (named > 1) throw new UsageError("say one of --socket PATH, --socket-path PATH (the same) and --fd N");
  const path = socket ?? socketPath;
  if (path !== undefined) return { listen: checkNewSocket(path) };
  const descriptor = fd as number;
  let isSocket = false;
  try {
    isSocket = fstatSync(descriptor).isSocket();
  } catch {
    // Not open.
  }
  if (!isSocket) throw new UsageError(`descriptor ${descriptor} is no socket: --fd takes one that listens`);
  return { descriptor };
}

/** @throws UsageError when these images cannot be served so */
export function serveImages(words: readonly string[], options: ServeOptions): PlacedImage[] {
  const { device, blkFile, control, reservations } = options;
  const socket = options.socket ?? options.socketPath;
  if (control !== undefined && socket !== undefined && resolve(control) === resolve(socket)) {
    throw new UsageError("--socket and --control are two sockets: give each a path of its own");
  }
  if (blkFile !== undefined && words.length > 0) throw new UsageError("--blk-file is another name of IMAGE: say one");
  const texts = blkFile === undefined ? words : [blkFile.replaceAll(",", "\\,")];
  const images = placeImages(texts.map(parseImageArgument), device);
  if (device === "blk") {
    if (control !== undefined) throw new UsageError("--control adds and removes units: it goes with --device scsi");
    if (reservations !== undefined)
      throw new UsageError("--reservations keeps what SCSI has: it goes with --device scsi");
    if (images.length > 1) {
      throw new UsageError(`virtio-blk is one disk, and ${images.length} images were given: say --device scsi`);
    }
  }
  if (images.length === 0 && control === undefined) throw new UsageError("no image: say which one to serve");
  return images.map((image) => ({ ...image, readOnly: image.readOnly || options.readOnly }));
}

/**
 * Threads to serve queues with. By default one for each queue, up to as many as there are processors; one alone
 * gains nothing over the main thread. @throws UsageError for a device whose queues belong together
 */
export function serveThreads({ device, queues, threads }: ServeOptions): number {
  if (device === "scsi") {
    if (threads === undefined || threads === 0) return 0;
    throw new UsageError("--threads goes with --device blk: what SCSI units know is shared by all their queues");
  }
  if (threads !== undefined) return Math.min(queues, threads);
  const fitting = Math.min(queues, availableParallelism());
  return fitting > 1 ? fitting : 0;
}

/** What managing software asks for (QEMU's conventions for back-end programs). */
export function capabilities(device: DeviceKind): string {
  return JSON.stringify(device === "blk" ? { type: "block", features: ["read-only", "blk-file"] } : { type: "scsi" });
}

/** The QEMU command that attaches the socket at `path`, for a shell. */
export function qemuLine(
  path: string,
  { device, queues, packed }: Pick<ServeOptions, "device" | "queues" | "packed">,
): string {
  const name = device === "blk" ? "num-queues" : "num_queues";
  const socket = `socket,id=ringside,path=${resolve(path).replaceAll(",", ",,")}`;
  return [
    ...["qemu-system-x86_64", "-m", "1G"],
    ...["-object", "memory-backend-memfd,id=memory,size=1G,share=on", "-machine", "q35,memory-backend=memory"],
    // QEMU 7.2 loses a SCSI device for good when the connection is lost, whatever is said here.
    ...["-chardev", device === "blk" ? `${socket},reconnect=1` : socket],
    ...["-device", `vhost-user-${device}-pci,chardev=ringside,${name}=${queues}${packed === true ? ",packed=on" : ""}`],
  ]
    .map(shellWord)
    .join(" ");
}
