/**
 * The C library through koffi. Functions are bound when first used, so that importing this room costs nothing where
 * it is not needed (and does not fail where there is no such library).
 */
import { createRequire } from "node:module";

/** A bound C function: numbers, bigints, strings and buffers in, a number (or what the prototype says) out. */
export interface CFunction {
  (
    // biome-ignore lint/suspicious/noExplicitAny: what a C function takes is known by its prototype only
    ...args: any[]
    // biome-ignore lint/suspicious/noExplicitAny: what a C function gives is known by its prototype only
  ): any;
  /** The same in a thread of Node's pool; the last argument is called with an error or null, and the result. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async(...args: any[]): void;
}

const require = createRequire(import.meta.url);
let koffiModule: typeof import("koffi") | undefined;
let library: ReturnType<typeof import("koffi")["load"]> | undefined;

/** The koffi module, loaded when first needed. */
export function koffi(): typeof import("koffi") {
  koffiModule ??= require("koffi") as typeof import("koffi");
  return koffiModule;
}

/** Binds a C function by its prototype: `int eventfd(unsigned int, int)`. */
export function libcFunction(prototype: string): () => CFunction {
  let bound: CFunction | undefined;
  return () => {
    library ??= koffi().load("libc.so.6");
    bound ??= library.func(prototype) as unknown as CFunction;
    return bound;
  };
}

/** The error of the last call, as `ENOENT` and the like. */
export function lastErrorName(): string {
  const number = koffi().errno();
  for (const [name, value] of Object.entries(koffi().os.errno)) if (value === number) return name;
  return `errno ${number}`;
}
