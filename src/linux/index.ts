export * from "./file-locks.js";
export * from "./libc.js";
