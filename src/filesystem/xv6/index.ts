export * from "./file-system.js";
export * from "./file-system-error.js";
export * from "./layout.js";
