export * from "./endian.js";
export * from "./hex.js";
export * from "./register-table.js";
export * from "./register-window.js";
export * from "./saved-state.js";
export * from "./struct.js";
