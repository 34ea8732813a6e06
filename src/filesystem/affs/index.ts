export * from "./file-system.js";
export type { AffsMount } from "./find-root.js";
export * from "./layout.js";
export * from "./make-volume.js";
