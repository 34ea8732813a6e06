/** Failed system calls on an image as errors of its store. */
import { StoreError } from "../store.js";

/** What was being done. */
export type StoreWork = "read" | "write" | "flush";

/**
 * @param name `ENOSPC` and the like. @param position the byte at which it failed, when that is known: a system that
 * cannot write out what it had taken does not say where.
 * @param cause the error that told.
 */
export function storeFailure(
  doing: StoreWork,
  path: string,
  name: string,
  position?: number,
  cause?: unknown,
): StoreError {
  const options = { ...(position === undefined ? {} : { position }), ...(cause === undefined ? {} : { cause }) };
  const message = `cannot ${doing} ${path}${position === undefined ? "" : ` at byte ${position}`} (${name})`;
  if (name === "ENOSPC" || name === "EDQUOT" || name === "EFBIG") return new StoreError("no-space", message, options);
  if (name === "EROFS" || name === "EPERM") return new StoreError("read-only", message, options);
  return new StoreError(doing === "flush" ? "write" : doing, message, options);
}

/** The file ends where it did not end when it was opened. */
export function endedEarly(path: string, position: number): StoreError {
  return new StoreError("changed-size", `${path} ends at byte ${position} or before: it was longer when opened`, {
    position,
  });
}
