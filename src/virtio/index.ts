export * from "./blk/index.js";
export * from "./net/index.js";
export * from "./scsi/index.js";
