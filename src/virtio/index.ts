export * from "./balloon/index.js";
export * from "./blk/index.js";
export * from "./console/index.js";
export * from "./entropy/index.js";
export * from "./net/index.js";
export * from "./rpmsg/index.js";
export * from "./scsi/index.js";
