/** The QEMU platform: QEMU's own adapter and disks over the images, or over scratch layers of them. */
import { startQemuMachine } from "../platform/qemu/index.js";
import { asUsageError, UsageError } from "./errors.js";
import { openPlacedImage } from "./open-placed-image.js";
import { adapterFlavour, adapterVectors, type PlatformMachine, type PlatformOptions } from "./platform.js";

/** QEMU keeps the block size in 16 bits: with 65536 its READ CAPACITY says 0. */
const largestBlock = 32768;

/** @throws ImageError, UsageError, QemuError, UnsupportedError */
export async function startQemu(options: PlatformOptions): Promise<PlatformMachine> {
  const { board } = options;
  const tooLarge = options.images.find(({ blockSize }) => blockSize > largestBlock);
  if (tooLarge !== undefined) {
    throw new UsageError(
      `${tooLarge.path}: QEMU's disks have blocks of up to ${largestBlock} bytes, not ${tooLarge.blockSize}`,
    );
  }
  // QEMU looks at images in its own way; ours tells what is wrong in our words, and looks for other formats.
  for (const image of options.images) openPlacedImage(image, options).close();
  const place = board.adapters;
  const vectors = adapterVectors(board);
  try {
    const machine = await startQemuMachine({
      board,
      ramSize: options.ram,
      qemuPath: options.qemuPath,
      adapters: [
        {
          kind: "virtio-scsi",
          mode: adapterFlavour(board, options.registers),
          properties: {
            ...(place === undefined ? {} : { bus: place.qemuBus, addr: place.slots[0] }),
            num_queues: 1,
            ...(vectors > 0 ? { vectors } : {}),
          },
          disks: options.images.map(({ path, target, lun, blockSize, readOnly }) => ({
            ...{ image: path, target, lun, blockSize, readOnly },
            write: options.write && !readOnly,
          })),
        },
      ],
    });
    return { machine, command: machine.commandLine.map(shellWord).join(" "), close: () => machine.close() };
  } catch (error) {
    throw error instanceof RangeError ? asUsageError(error) : error;
  }
}

/** A word that a shell takes as it is, in quotes where it must be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
