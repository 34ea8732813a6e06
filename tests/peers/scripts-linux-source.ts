/** Where Linux's SCRIPTS and the array that Linux ships for them are: `.peers`, or a scratch folder that is filled once. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Source and shipped array, or why they cannot be had. */
export interface LinuxScripts {
  readonly source: string;
  readonly shipped: string;
}

function projectFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, ".ci"))) {
    const above = dirname(folder);
    if (above === folder) return process.cwd();
    folder = above;
  }
  return folder;
}

function readBoth(folder: string): LinuxScripts | undefined {
  const [source, shipped] = ["53c700.scr", "53c700_d.h_shipped"].map((name) => join(folder, name));
  if (!existsSync(source) || !existsSync(shipped)) return undefined;
  return { source: readFileSync(source, "utf8"), shipped: readFileSync(shipped, "latin1") };
}

/** The two files, or the reason why there are none. */
export function linuxScripts(): LinuxScripts | string {
  const root = projectFolder();
  const kept = readBoth(join(root, ".peers", "53c700"));
  if (kept !== undefined) return kept;
  const scratch = mkdtempSync(join(tmpdir(), "ringside-53c700-"));
  try {
    const script = join(root, ".ci", "fetch-53c700");
    if (!existsSync(script)) return "this copy of the project has no .ci/fetch-53c700";
    execFileSync(script, [scratch], { stdio: "pipe", timeout: 180_000 });
    return readBoth(scratch) ?? "Debian's linux-source package has no 53c700.scr";
  } catch {
    return "Debian's linux-source package cannot be had here: .ci/fetch-53c700 .peers/53c700 tells why";
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What the shipped header says, in numbers. */
export interface ShippedArray {
  readonly words: readonly number[];
  /** `A_name`. */
  readonly values: Readonly<Record<string, number>>;
  /** `A_name_used`. */
  readonly uses: Readonly<Record<string, readonly number[]>>;
  /** `Ent_name`. */
  readonly entries: Readonly<Record<string, number>>;
  readonly labelPatches: readonly number[];
  readonly instructions: number;
}

/** Reads the header; names and numbers only. */
export function parseShipped(text: string): ShippedArray {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, " ");
  const numbers = (body: string) => [...body.matchAll(/0x([0-9a-f]+)/gi)].map((match) => Number.parseInt(match[1], 16));
  const array = (name: string) => numbers(new RegExp(`\\b${name}\\[\\][^=]*=\\s*\\{([^}]*)\\}`).exec(code)?.[1] ?? "");
  const defines = (prefix: string) =>
    Object.fromEntries(
      [...code.matchAll(new RegExp(`#define ${prefix}_(\\w+)\\s+0x([0-9a-f]+)`, "gi"))].map((match) => [
        match[1],
        Number.parseInt(match[2], 16),
      ]),
    );
  const values = defines("A");
  return {
    words: array("SCRIPT"),
    values,
    uses: Object.fromEntries(Object.keys(values).map((name) => [name, array(`A_${name}_used`)])),
    entries: defines("Ent"),
    labelPatches: array("LABELPATCHES"),
    instructions: Number(/INSTRUCTIONS[^=]*=\s*(\d+)/.exec(code)?.[1]),
  };
}
