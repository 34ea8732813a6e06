/** Writes the archive format that Linux unpacks as its first file system (`newc`, Documentation/driver-api/early-userspace). */

/** A file, folder or link to put into an archive. */
export interface ArchiveEntry {
  /** Without a leading slash. */
  readonly path: string;
  /** File type and permissions, as `st_mode`. */
  readonly mode: number;
  readonly content?: Uint8Array;
}

export const entryMode = { folder: 0o040755, file: 0o100644, program: 0o100755, link: 0o120777 } as const;

/** The archive, with the folders that paths need put in front. */
export function makeArchive(entries: readonly ArchiveEntry[]): Uint8Array {
  const folders = new Set<string>();
  for (const { path } of entries) {
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) folders.add(parts.slice(0, depth).join("/"));
  }
  const all = [...[...folders].sort().map((path) => ({ path, mode: entryMode.folder })), ...entries];
  const pieces = all.flatMap((entry, index) => member(entry, index + 1));
  return Buffer.concat([...pieces, ...member({ path: "TRAILER!!!", mode: 0 }, 0)]);
}

function member({ path, mode, content = new Uint8Array(0) }: ArchiveEntry, inode: number): Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return [header, name, padding(header.length + name.length), content, padding(content.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
