/** `ringside serve`: images as a disk for virtual machines, over vhost-user, until a signal ends it. */
import { rmSync } from "node:fs";
import { SystemCallError } from "../linux/index.js";
import { linuxBackEndSystem, VhostUserServer } from "../platform/vhost-user/index.js";
import { Tally } from "../storage/index.js";
import { featureSet, ringFeatures, VhostUserBackEnd } from "../transport/index.js";
import { UsageError, WorkFailed } from "./errors.js";
import type { PlacedImage } from "./image-argument.js";
import type { Interruption } from "./interruption.js";
import { LiveRates } from "./live-rates.js";
import { writeOutput } from "./output.js";
import { ServeControl } from "./serve-control.js";
import {
  capabilities,
  qemuLine,
  type ServeOptions,
  type ServePlace,
  serveImages,
  servePlace,
  serveThreads,
} from "./serve-options.js";
import { openPlane, type ServePlane } from "./serve-plane.js";
import { openBlkDevice, type ServedDevice, ServedUnits } from "./served-device.js";
import { checkNewSocket, checkSocketPath, isFolder, listenError } from "./socket-path.js";
import { formatSize, formatTable } from "./table.js";

/** Carries the command out: ends when a signal comes. @throws what {@link exitStatusOf} knows */
export async function serve(
  words: readonly string[],
  options: ServeOptions,
  interruption: Interruption,
): Promise<void> {
  if (options.printCapabilities) return writeOutput(`${capabilities(options.device)}\n`);
  if (options.printQemu) {
    const path = options.socket ?? options.socketPath;
    if (path === undefined) throw new UsageError("--print-qemu needs a path that QEMU connects to: say --socket PATH");
    return writeOutput(`${qemuLine(checkSocketPath(path), options)}\n`);
  }
  if (process.platform !== "linux") throw new WorkFailed("serve works on Linux only: it shares memory with the VM");
  const place = servePlace(options);
  if (options.control !== undefined) checkNewSocket(options.control);
  const images = serveImages(words, options);
  const threads = serveThreads(options);
  const { reservations } = options;
  if (reservations !== undefined && !isFolder(reservations)) {
    throw new UsageError(`there is no folder ${reservations}: make it first`);
  }
  const tally = new Tally();
  const served = openDevice(images, options, tally);
  try {
    const plane = await openPlane(served, { threads, spin: options.poll, tally });
    try {
      await serveDevice(served, plane, place, images, options, tally, interruption);
    } finally {
      await plane.close();
    }
  } finally {
    await served.close();
  }
}

function openDevice(images: readonly PlacedImage[], options: ServeOptions, tally: Tally): ServedDevice {
  if (options.device === "blk") return openBlkDevice(images, options, tally);
  const units = new ServedUnits(options, tally);
  try {
    for (const image of images) units.add(image);
    return units;
  } catch (error) {
    void units.close();
    throw error;
  }
}

async function serveDevice(
  served: ServedDevice,
  plane: ServePlane,
  place: ServePlace,
  images: readonly PlacedImage[],
  options: ServeOptions,
  tally: Tally,
  interruption: Interruption,
): Promise<void> {
  const { device } = served;
  const { runner } = plane;
  const offersConfig = options.device === "blk";
  const withoutFeatures = options.packed === false ? featureSet(ringFeatures.RING_PACKED) : 0n;
  const system = linuxBackEndSystem;
  const backEnd = new VhostUserBackEnd({ device, runner, system, offersConfig, withoutFeatures });
  const rates = new LiveRates(tally, () => server.isConnected);
  const tell = (line: string) => {
    rates.clear();
    // A reader that went away does not end the server.
    process.stdout.write(`${line}\n`);
  };
  const server = listen(backEnd, place, {
    connected: () => tell("front end connected"),
    disconnected: (error) => tell(error === undefined ? "front end gone" : `front end sent away: ${error.message}`),
  });
  const ended = interruption.ended();
  let control: ServeControl | undefined;
  const removeSockets = () => removeSocket(place);
  process.on("exit", removeSockets);
  try {
    if (options.control !== undefined && served instanceof ServedUnits) {
      control = await ServeControl.open(options.control, served);
    }
    tell(describe(images, place, options).join("\n"));
    rates.start();
    await Promise.race([ended, server.finished, plane.failure]);
  } finally {
    rates.stop();
    await control?.close();
    await server.close();
    process.off("exit", removeSockets);
  }
  tell(
    `served ${tally.reads} reads (${formatSize(tally.bytesRead)}), ${tally.writes} writes (${formatSize(tally.bytesWritten)}), ${tally.flushes} flushes`,
  );
}

function describe(images: readonly PlacedImage[], place: ServePlace, options: ServeOptions): string[] {
  const { device, queues, control } = options;
  const where = "listen" in place ? place.listen : `descriptor ${place.descriptor}`;
  const rows = [
    ["Serving", `virtio-${device}, ${queues} queue${queues === 1 ? "" : "s"}, on ${where}`],
    ...images.map((image) => ["Image", describeImage(image, device === "scsi")]),
    ...(control === undefined ? [] : [["Control", control]]),
    ...("listen" in place ? [["QEMU", qemuLine(place.listen, options)]] : []),
  ];
  const [, ...lines] = formatTable([{ title: "" }, { title: "" }], rows);
  return [...lines, "Ctrl-C ends it."];
}

function describeImage({ path, target, lun, readOnly, cd }: PlacedImage, isPlaced: boolean): string {
  const notes = [isPlaced ? `target ${target} lun ${lun}` : "", cd === true ? "CD-ROM" : readOnly ? "read-only" : ""];
  const said = notes.filter((note) => note !== "");
  return said.length === 0 ? path : `${path} (${said.join(", ")})`;
}

/** @throws UsageError, WorkFailed when nobody can listen there */
function listen(
  backEnd: VhostUserBackEnd,
  place: ServePlace,
  events: ConstructorParameters<typeof VhostUserServer>[2],
): VhostUserServer {
  try {
    return new VhostUserServer(backEnd, place, events);
  } catch (error) {
    if (!(error instanceof SystemCallError) || !("listen" in place)) throw error;
    throw listenError(place.listen, error.code, error);
  }
}

function removeSocket(place: ServePlace): void {
  if ("listen" in place) rmSync(place.listen, { force: true });
}
