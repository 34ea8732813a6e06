/** Opens the image of a unit, with this command line's words where something is wrong. */
import { type FileStore, ImageError, openImage } from "../storage/file/index.js";
import { UsageError } from "./errors.js";
import type { PlacedImage } from "./image-argument.js";

/** How an image is opened. */
export interface PlacedImageOptions {
  readonly write: boolean;
  readonly insistRaw: boolean;
  /** Let reads that wait for the medium hold nobody up. */
  readonly lanes?: boolean;
  /** Go past the page cache. Default false. */
  readonly direct?: boolean;
  /** As openImage's. Default false. */
  readonly mapped?: boolean;
  /** What to do about an image that may not be written, besides `,ro`. Default: leave out `--write`. */
  readonly remedy?: string;
}

/** @throws ImageError, UsageError */
export function openPlacedImage(image: PlacedImage, options: PlacedImageOptions): FileStore {
  const { path, blockSize } = image;
  const { lanes = false, direct = false, mapped = false, remedy = "leave out --write" } = options;
  const readOnly = image.readOnly || !options.write;
  try {
    return openImage(path, {
      readOnly,
      blockSize,
      lanes,
      direct,
      mapped,
      ...(options.insistRaw ? { format: "raw" } : {}),
    });
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    if (error.code === "not-writable") {
      throw new UsageError(`${path} may not be written: ${remedy}, or write ${path},ro`, { cause: error });
    }
    if (error.code === "foreign-format") {
      throw new UsageError(error.message.replace("insist with format raw", "insist with --format raw"), {
        cause: error,
      });
    }
    throw error;
  }
}
