/** Where Linux's SCRIPTS and the array that Linux ships for them are: two files that `.ci/fetch-53c700` unpacks. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { peersFolder } from "./peers-folder.js";

/** Source and shipped array, or why they cannot be had. */
export interface LinuxScripts {
  readonly source: string;
  readonly shipped: string;
}

function readBoth(folder: string): LinuxScripts | undefined {
  const [source, shipped] = ["53c700.scr", "53c700_d.h_shipped"].map((name) => join(folder, name));
  if (!existsSync(source) || !existsSync(shipped)) return undefined;
  return { source: readFileSync(source, "utf8"), shipped: readFileSync(shipped, "latin1") };
}

/** The two files, or the reason why there are none. */
export function linuxScripts(): LinuxScripts | string {
  return readBoth(join(peersFolder, "53c700")) ?? "no 53c700.scr in .peers: run .ci/install-peers";
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
