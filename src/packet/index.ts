export * from "./addresses.js";
export * from "./checksum.js";
export * from "./packet.js";
export * from "./segmentation.js";
export * from "./view-cache.js";
