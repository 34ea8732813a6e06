export * from "./directory.js";
export * from "./file-system.js";
export * from "./inode.js";
export * from "./layout.js";
export type { UfsDirectoryFormat, UfsGeometry } from "./superblock.js";
