/** The fs-uae platform: its Amiga with an A4091 and its own disks over the images, or over copies of them. */
import { startFsUaeMachine } from "../platform/fs-uae/index.js";
import { asUsageError, UsageError } from "./errors.js";
import type { PlacedImage } from "./image-argument.js";
import { openPlacedImage } from "./open-placed-image.js";
import { fewRandomBytes } from "./places.js";
import type { PlatformMachine, PlatformOptions } from "./platform.js";

/** What is mirrored of the machine's chip memory: as much as there is. */
const memorySize = 0x1e_0000;

/** @throws ImageError, UsageError, FsUaeError, UnsupportedError */
export async function startFsUae(options: PlatformOptions): Promise<PlatformMachine> {
  const { images } = options;
  for (const image of images) {
    checkImage(image);
    // fs-uae looks at images in its own way; ours tells what is wrong in our words, and looks for other formats.
    await openPlacedImage(image, options).close();
  }
  try {
    const machine = await startFsUaeMachine({
      memorySize,
      disks: images.map(({ path, target, readOnly }) => ({
        ...{ image: path, target, readOnly },
        write: options.write && !readOnly,
      })),
    });
    return { machine, randomBytes: fewRandomBytes, close: () => machine.close() };
  } catch (error) {
    throw error instanceof RangeError ? asUsageError(error) : error;
  }
}

/** @throws UsageError for what fs-uae's disks cannot be */
function checkImage({ path, lun, blockSize, cd }: PlacedImage): void {
  if (lun !== 0) throw new UsageError(`${path}: fs-uae's A4091 has units at LUN 0 only, not at LUN ${lun}`);
  if (cd === true) throw new UsageError(`${path}: CD-ROM drives are not attached to fs-uae here: leave out cd`);
  if (blockSize !== 512) throw new UsageError(`${path}: fs-uae's disks have blocks of 512 bytes, not ${blockSize}`);
}
