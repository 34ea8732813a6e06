/** Standard output, written whole, so that a reader that goes away is noticed. */
import { WorkFailed } from "./errors.js";

/** Writes and waits until it is out. @throws WorkFailed when nobody reads any more, or the disk behind it is full. */
export function writeOutput(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const { code } = error as NodeJS.ErrnoException;
      const isClosed = code === "EPIPE";
      const why = isClosed ? "was closed before all of it was written" : `cannot be written (${code})`;
      reject(new WorkFailed(`standard output ${why}`, { cause: error }));
    };
    process.stdout.once("error", fail);
    process.stdout.write(data, (error) => {
      if (error != null) return fail(error);
      process.stdout.off("error", fail);
      resolve();
    });
  });
}
