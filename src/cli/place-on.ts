/** Images on a board: a SCSI-2 bus has fewer places than virtio-scsi. */
import type { Board } from "../machine/index.js";
import type { DeviceKind } from "./driven.js";
import { UsageError } from "./errors.js";
import { type ImageArgument, type PlacedImage, placeImages } from "./image-argument.js";
import { hasA4091 } from "./platform.js";

/** Targets of a SCSI-2 bus besides the host, and LUNs of each. */
const targets = 7;
const luns = 8;

/**
 * Gives every image its place as {@link placeImages} does; on an A4091 the ones that say nothing are targets 0, 1, 2 …,
 * each at LUN 0.
 * @throws UsageError when two are in one place or a place does not exist.
 */
export function placeOn(board: Board, images: readonly ImageArgument[], device: DeviceKind = "scsi"): PlacedImage[] {
  if (!hasA4091(board)) return placeImages(images, device);
  const placed = placeImages(
    images.map((image, index) =>
      image.target === undefined && image.lun === undefined ? { ...image, target: index, lun: 0 } : image,
    ),
  );
  for (const { path, target, lun } of placed) {
    if (target >= targets || lun >= luns) {
      throw new UsageError(
        `${path} cannot be target ${target} lun ${lun}: an A4091's bus has targets 0…${targets - 1} and LUNs 0…${luns - 1}`,
      );
    }
  }
  return placed;
}
