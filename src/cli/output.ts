/** Standard output, written whole, so that a reader that goes away is noticed. */
import { WorkFailed } from "./errors.js";

/** Writes and waits until it is out. @throws WorkFailed when nobody reads any more. */
export function writeOutput(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const isClosed = (error as NodeJS.ErrnoException).code === "EPIPE";
      reject(isClosed ? new WorkFailed("standard output was closed before all of it was written") : error);
    };
    process.stdout.once("error", fail);
    process.stdout.write(data, (error) => {
      if (error != null) return fail(error);
      process.stdout.off("error", fail);
      resolve();
    });
  });
}
