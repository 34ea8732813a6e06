export type { BlockReader } from "./block-reader.js";
export * from "./dos-type.js";
export { makeRdb, type RdbFileSystemSpec, type RdbPartitionSpec, type RdbSpec } from "./make-rdb.js";
export * from "./partition-table.js";
export * from "./probe.js";
