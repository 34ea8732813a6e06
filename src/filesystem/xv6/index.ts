export * from "./file-system.js";
export * from "./layout.js";
