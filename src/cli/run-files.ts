/** `--ls` and `--cat`: files that a face reads. */
import type { DrivenSession, FileEntry, FileReader } from "./driven.js";
import { WorkFailed } from "./errors.js";
import { writeOutput } from "./output.js";
import type { Pace } from "./pace.js";
import { type Column, formatTable, printable } from "./table.js";

/** The files of a session. @throws WorkFailed when its face has none */
export function filesOf({ files }: DrivenSession): FileReader {
  if (files === undefined) throw new WorkFailed("there is no file system to read");
  return files;
}

/** A listing for people. */
export function formatListing(entries: readonly FileEntry[]): string {
  const columns: Column[] = [{ title: "Type" }, { title: "Inode", right: true }, { title: "Size", right: true }];
  const rows = entries.map(({ type, inode, size, name }) => [type, `${inode}`, `${size}`, printable(name)]);
  return `${formatTable([...columns, { title: "Name" }], rows).join("\n")}\n`;
}

/** Prints a file as it is. */
export async function printContent(files: FileReader, path: string, pace: Pace): Promise<void> {
  for await (const piece of files.content(path)) {
    await writeOutput(piece);
    await pace.step(piece.length);
  }
}
