export type { BlockReader } from "./block-reader.js";
export * from "./dos-type.js";
export * from "./partition-table.js";
export * from "./probe.js";
