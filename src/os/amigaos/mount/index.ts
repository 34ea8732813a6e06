/** Mounting: units that are announced become device nodes; modules come up in their order. */

export * from "./amiga-disk.js";
export * from "./boot.js";
export * from "./dos-environment.js";
export * from "./dos-node.js";
export * from "./kicklayout.js";
export * from "./mounter.js";
export * from "./start-up.js";
export * from "./volumes.js";
