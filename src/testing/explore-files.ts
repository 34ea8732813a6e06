/** Looks at everything on a file system whose image is not to be trusted. */
import { type FileSystem, FileSystemError } from "../filesystem/index.js";

/** How far it is looked. */
export interface ExploreLimits {
  /** Entries in all: a damaged volume may lead round and round. Default 3000. */
  readonly entries?: number;
  /** Bytes of each file. Default 256 KiB: a file of holes has no end worth waiting for. */
  readonly bytes?: number;
  /** Told what was refused. */
  readonly onRefusal?: (error: FileSystemError) => void;
}

/** What was found. */
export interface Explored {
  readonly entries: number;
  readonly bytes: number;
  /** Calls that were refused. */
  readonly refused: number;
}

/**
 * Lists directories, follows links and reads files. A `FileSystemError` is an answer; everything else is passed on.
 */
export async function exploreFiles(fileSystem: FileSystem, limits: ExploreLimits = {}): Promise<Explored> {
  const { entries: mostEntries = 3000, bytes: mostBytes = 256 * 1024, onRefusal } = limits;
  let [entries, bytes, refused] = [0, 0, 0];
  const attempt = async (act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error;
      refused++;
      onRefusal?.(error);
    }
  };
  const paths = [""];
  for (let path = paths.pop(); path !== undefined && entries < mostEntries; path = paths.pop()) {
    const directory = path;
    await attempt(async () => {
      for (const { name, type, size } of await fileSystem.entries(directory)) {
        if (++entries >= mostEntries) return;
        if (!(Number.isSafeInteger(size) && size >= 0)) throw new Error(`${directory}/${name} has ${size} bytes`);
        const own = `${directory}/${name}`;
        if (type === "directory") {
          if (own.split("/").length < 40) paths.push(own);
          continue;
        }
        if (type !== "file" && type !== "link") continue;
        await attempt(async () => {
          let read = 0;
          for await (const piece of fileSystem.pieces(own)) {
            if (piece.length > 64 * 1024) throw new Error(`a piece of ${piece.length} bytes`);
            read += piece.length;
            if (read >= mostBytes) break;
          }
          if (type === "file" && read < Math.min(size, mostBytes)) throw new Error(`${own}: ${read} of ${size} bytes`);
          bytes += read;
        });
      }
    });
  }
  return { entries, bytes, refused };
}
