/** What a Linux guest says of a tree of files, and the same of a file system that we read. */
import { createHash } from "node:crypto";
import type { FileSystem } from "../../../src/filesystem/index.js";

/**
 * Lines of shell that tell everything below the current folder: `@@NAME f SIZE TIME SUM PATH`, `@@NAME d PATH`,
 * `@@NAME l TARGET PATH`. Paths begin with `./`.
 * @param without name of files that are too large to be read whole
 */
export function treeScript(name: string, without = ""): string {
  return [
    `find . -mindepth 1 -type d | while IFS= read -r f; do echo "@@${name} d $f"; done`,
    `find . -type l | while IFS= read -r f; do echo "@@${name} l $(readlink "$f") $f"; done`,
    // Three programs in all, not three a file: the guest's processor is emulated.
    `find . -type f ! -name "${without}" | sort > /tmp/names`,
    "tr '\\n' '\\0' < /tmp/names | xargs -0 stat -c '%s %Y' > /tmp/facts",
    "tr '\\n' '\\0' < /tmp/names | xargs -0 md5sum | cut -c 1-32 > /tmp/sums",
    `paste -d ' ' /tmp/facts /tmp/sums /tmp/names | sed 's/^/@@${name} f /'`,
  ].join("\n");
}

/** What a file system holds, in the form of the lines, sorted. Links are told of by their text as written on disk. */
export async function treeOf(fileSystem: FileSystem, without = ""): Promise<string[]> {
  const lines: string[] = [];
  const walk = async (path: string, depth: number) => {
    if (depth > 64) throw new Error(`${path} is too deep`);
    for (const { name, type, size, modified, target } of await fileSystem.entries(path)) {
      const own = `${path}/${name}`;
      const told = `.${own}`;
      if (type === "directory") {
        lines.push(`d ${told}`);
        await walk(own, depth + 1);
      } else if (type === "link") {
        lines.push(`l ${target} ${told}`);
      } else if (type === "file" && name !== without) {
        const sum = createHash("md5");
        for await (const piece of fileSystem.pieces(own)) sum.update(piece);
        const time = Math.floor((modified?.getTime() ?? 0) / 1000);
        lines.push(`f ${size} ${time} ${sum.digest("hex")} ${told}`);
      }
    }
  };
  await walk("", 0);
  return lines.sort();
}
