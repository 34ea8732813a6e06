/**
 * A small text in a file, replaced as a whole: whatever happens, power loss included, the file holds the old text or the
 * new one. What units want of a keeper of reservations.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** A text that is longer was not written here. */
const limit = 1 << 20;

export class DurableText {
  /** The file's path. */
  readonly description: string;
  readonly #path: string;

  /** The folder has to exist; the file need not. */
  constructor(path: string) {
    this.#path = resolve(path);
    this.description = path;
  }

  /** The text; undefined when there is no file. @throws Error when the file cannot be read or holds no text. */
  read(): string | undefined {
    try {
      const { size } = statSync(this.#path);
      if (size > limit) throw new RangeError(`it has ${size} bytes, more than ${limit}`);
      return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(this.#path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Replaces the text; durable when it returns. @throws Error when that is not possible: the old text is still there. */
  write(text: string): undefined {
    // In the same folder, since a file can only be renamed inside a file system; two servers do not share a name.
    const fresh = `${this.#path}.${process.pid}.new`;
    try {
      const file = openSync(fresh, "w", 0o600);
      try {
        writeFileSync(file, text);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(fresh, this.#path);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw error;
    }
    // The name is in the folder's data.
    const folder = openSync(dirname(this.#path), "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }
}
