/** The QEMU platform: QEMU's own adapters and disks over the images, or over scratch layers of them. */
import { type QemuAdapter, type QemuDisk, startQemuMachine } from "../platform/qemu/index.js";
import { asUsageError, UsageError } from "./errors.js";
import { qemuFunctions } from "./extra-functions.js";
import type { PlacedImage } from "./image-argument.js";
import { openPlacedImage } from "./open-placed-image.js";
import {
  adapterFlavour,
  adapterVectors,
  goesIntoWindows,
  type PlatformMachine,
  type PlatformOptions,
} from "./platform.js";

/** QEMU keeps the block size in 16 bits: with 65536 its READ CAPACITY says 0. */
const largestBlock = 32768;

/** @throws ImageError, UsageError, QemuError, UnsupportedError */
export async function startQemu(options: PlatformOptions): Promise<PlatformMachine> {
  const { board, images } = options;
  const tooLarge = images.find(({ blockSize }) => blockSize > largestBlock);
  if (tooLarge !== undefined) {
    throw new UsageError(
      `${tooLarge.path}: QEMU's disks have blocks of up to ${largestBlock} bytes, not ${tooLarge.blockSize}`,
    );
  }
  const inWindows = goesIntoWindows(options);
  const storage = qemuAdapters(options, inWindows);
  const functions = qemuFunctions(options.functions ?? [], storage.length, (index) => {
    const { mode, place } = placeOf(options, inWindows, index);
    return { mode, properties: { ...place, ...(options.packed === true ? { packed: true } : {}) } };
  });
  const { extraArguments } = functions;
  const adapters = [...storage, ...functions.adapters];
  // QEMU looks at images in its own way; ours tells what is wrong in our words, and looks for other formats.
  for (const image of images) await openPlacedImage(image, options).close();
  try {
    const { ram: ramSize, qemuPath } = options;
    const machine = await startQemuMachine({ board, ramSize, qemuPath, adapters, extraArguments });
    const command = machine.commandLine.map(shellWord).join(" ");
    return { machine, command, isStopped: true, close: () => machine.close() };
  } catch (error) {
    throw error instanceof RangeError ? asUsageError(error) : error;
  }
}

function qemuAdapters(options: PlatformOptions, inWindows: boolean): QemuAdapter[] {
  const { board, device, images } = options;
  const vectors = inWindows ? 0 : adapterVectors(board, device);
  const packed = options.packed === true ? { packed: true } : {};
  const adapter = (index: number, properties: Record<string, number>, disks: readonly QemuDisk[]): QemuAdapter => {
    const { mode, place } = placeOf(options, inWindows, index);
    return {
      kind: `virtio-${device}`,
      mode,
      properties: { ...place, ...properties, ...packed, ...(vectors > 0 ? { vectors } : {}) },
      disks,
    };
  };
  const disk = (image: PlacedImage): QemuDisk => ({
    image: image.path,
    ...(image.cd === true ? { kind: "cd" } : { blockSize: image.blockSize }),
    readOnly: image.readOnly,
    write: options.write && !image.readOnly,
  });
  if (device === "blk") return images.map((image, index) => adapter(index, { "num-queues": 1 }, [disk(image)]));
  const disks = images.map((image) => ({ ...disk(image), target: image.target, lun: image.lun }));
  return [adapter(0, { num_queues: 1 }, disks)];
}

/** Where an adapter is, and which registers it has. @param index among all adapters of the machine. */
function placeOf({ board, registers }: PlatformOptions, inWindows: boolean, index: number) {
  const version: QemuAdapter["mode"] = registers === "legacy" ? "legacy" : "modern";
  const { adapters } = board;
  return {
    mode: inWindows ? version : adapterFlavour(board, registers),
    place: adapters === undefined ? {} : { bus: adapters.qemuBus, addr: adapters.slots[index].toString(16) },
  };
}

/** A word that a shell takes as it is, in quotes where it must be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
