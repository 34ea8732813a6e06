/** Opens the image of a unit, with this command line's words where something is wrong. */
import { type FileStore, ImageError, openImage } from "../storage/file/index.js";
import { UsageError } from "./errors.js";
import type { PlacedImage } from "./image-argument.js";

/** @throws ImageError, UsageError */
export function openPlacedImage(image: PlacedImage, options: { write: boolean; insistRaw: boolean }): FileStore {
  const { path, blockSize } = image;
  const readOnly = image.readOnly || !options.write;
  try {
    return openImage(path, { readOnly, blockSize, ...(options.insistRaw ? { format: "raw" } : {}) });
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    if (error.code === "not-writable") {
      throw new UsageError(`${path} may not be written: leave out --write, or write ${path},ro`, { cause: error });
    }
    if (error.code === "foreign-format") {
      throw new UsageError(error.message.replace("insist with format raw", "insist with --format raw"), {
        cause: error,
      });
    }
    throw error;
  }
}
