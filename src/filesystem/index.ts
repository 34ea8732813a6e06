export * from "./affs/index.js";
export * from "./file-system.js";
export * from "./file-system-error.js";
export * from "./open.js";
export * from "./ufs/index.js";
export { type VolumePlace, VolumeReader } from "./volume-reader.js";
export * from "./xv6/index.js";
