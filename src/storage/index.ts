export * from "./image-format.js";
export * from "./memory-store.js";
export * from "./overlay-store.js";
export * from "./store.js";
export * from "./tallied-store.js";
