/** A file that the user picked, as a store: read in pieces as it is asked for, never written. */
import { PageViews, type Scatter } from "../memory/index.js";
import { type Answer, type ExtentStatus, type Store, StoreError } from "../storage/index.js";

/** What a browser's `File` and `Blob` have of use. */
export interface ReadableFile {
  readonly size: number;
  readonly name?: string;
  slice(from: number, to: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** Bytes that are read at once: a guest reads little pieces that lie together. */
const windowSize = 1 << 20;
/** Pieces that are kept. */
const mostWindows = 32;

/** The store. Its size is whole sectors of 512 bytes; what is missing at the end reads as zeros. */
export class PickedFileStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly = true;
  readonly #file: ReadableFile;
  /** By number; the one that was used last is the last. */
  readonly #windows = new Map<number, PageViews | Promise<PageViews>>();

  constructor(file: ReadableFile) {
    this.#file = file;
    this.description = file.name ?? "file";
    this.byteLength = Math.ceil(file.size / 512) * 512;
  }

  read(position: number, target: Scatter, length: number): Answer {
    const first = Math.floor(position / windowSize);
    const last = Math.floor((position + length - 1) / windowSize);
    for (let number = first; number <= last; number++) {
      if (!(this.#windows.get(number) instanceof PageViews)) return this.#readLate(position, target, length);
    }
    this.#copy(position, target, length);
    return undefined;
  }

  write(): Answer {
    throw new StoreError("read-only", `${this.description} is only read`);
  }

  flush(): Answer {
    return undefined;
  }

  discard(): Answer {
    return this.write();
  }

  writeZeroes(): Answer {
    return this.write();
  }

  extentAt(position: number): ExtentStatus {
    return { allocated: true, length: this.byteLength - position };
  }

  close(): Answer {
    this.#windows.clear();
    return undefined;
  }

  async #readLate(position: number, target: Scatter, length: number): Promise<void> {
    let done = 0;
    while (done < length) {
      const at = position + done;
      const number = Math.floor(at / windowSize);
      const inside = at - number * windowSize;
      const step = Math.min(length - done, windowSize - inside);
      target.copyIn(await this.#window(number), inside, step, done);
      done += step;
    }
  }

  #copy(position: number, target: Scatter, length: number): void {
    for (let done = 0; done < length; ) {
      const at = position + done;
      const number = Math.floor(at / windowSize);
      const inside = at - number * windowSize;
      const step = Math.min(length - done, windowSize - inside);
      target.copyIn(this.#windows.get(number) as PageViews, inside, step, done);
      done += step;
    }
  }

  #window(number: number): PageViews | Promise<PageViews> {
    const known = this.#windows.get(number);
    if (known !== undefined) return known;
    const loading = this.#load(number);
    this.#windows.set(number, loading);
    loading.then(
      (views) => this.#keep(number, views),
      () => this.#windows.delete(number),
    );
    return loading;
  }

  #keep(number: number, views: PageViews): void {
    this.#windows.delete(number);
    this.#windows.set(number, views);
    for (const [old, kept] of this.#windows) {
      if (this.#windows.size <= mostWindows) break;
      if (kept instanceof PageViews) this.#windows.delete(old);
    }
  }

  async #load(number: number): Promise<PageViews> {
    const bytes = new Uint8Array(windowSize);
    const from = number * windowSize;
    try {
      const piece = this.#file.slice(from, Math.min(from + windowSize, this.#file.size));
      bytes.set(new Uint8Array(await piece.arrayBuffer()));
    } catch (error) {
      throw new StoreError("read", `${this.description} cannot be read`, { cause: error, position: from });
    }
    return new PageViews(bytes);
  }
}
