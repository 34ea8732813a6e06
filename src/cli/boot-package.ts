/** The optional package v86 and Debian's firmware, as `boot` needs them. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type V86Constructor, v86Version } from "../platform/v86/index.js";
import { UsageError, WorkFailed } from "./errors.js";

/** Where Debian's package seabios has its files. */
const firmwareFolder = "/usr/share/seabios";

/** Files of firmware. */
export interface Firmware {
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
}

/** Finds a file of v86's package; undefined when it is not installed. */
export function v86File(name: string): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(`v86/${name}`);
  } catch {
    return undefined;
  }
}

/** Where the package is. @throws WorkFailed when it is not installed, or another version */
export function v86Folder(): string {
  const path = v86File("build/v86.wasm");
  const folder = path === undefined ? undefined : dirname(dirname(path));
  if (folder === undefined) {
    throw new WorkFailed(`boot needs the package v86, which is optional: npm install v86@${v86Version}`);
  }
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  if (version.split("+")[0] !== v86Version) {
    throw new WorkFailed(`the package v86 is ${version}, and boot knows ${v86Version}: npm install v86@${v86Version}`);
  }
  return folder;
}

interface WebAssemblyNamespace {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<{ readonly exports: object }>;
}

let compiled: Promise<object> | undefined;

/** The class and its WebAssembly, compiled once. @throws WorkFailed */
export async function loadV86(): Promise<{
  readonly V86: V86Constructor;
  readonly instantiate: (imports: object) => Promise<object>;
}> {
  const folder = v86Folder();
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyNamespace };
  const { V86 } = (await import(pathToFileURL(join(folder, "build", "libv86.mjs")).href)) as { V86: V86Constructor };
  compiled ??= WebAssembly.compile(readFileSync(join(folder, "build", "v86.wasm")));
  const module = await compiled;
  return { V86, instantiate: async (imports) => (await WebAssembly.instantiate(module, imports)).exports };
}

/** Paths of the firmware: those given, or Debian's. @throws UsageError when a file is not there */
export function firmwarePaths(options: { readonly bios?: string; readonly vgaBios?: string }): {
  readonly bios: string;
  readonly vgaBios: string;
} {
  const find = (given: string | undefined, option: string, name: string) => {
    const path = given ?? join(firmwareFolder, name);
    if (existsSync(path)) return path;
    const remedy = given === undefined ? `install the package seabios, or say ${option} FILE` : "there is no such file";
    throw new UsageError(`no firmware at ${path}: ${remedy}`);
  };
  return {
    bios: find(options.bios, "--bios", "bios.bin"),
    vgaBios: find(options.vgaBios, "--vga-bios", "vgabios-stdvga.bin"),
  };
}

/** The firmware's files, read. @throws UsageError */
export function readFirmware(options: { readonly bios?: string; readonly vgaBios?: string }): Firmware {
  const paths = firmwarePaths(options);
  return { bios: readFileSync(paths.bios), vgaBios: readFileSync(paths.vgaBios) };
}
