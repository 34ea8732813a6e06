export * from "./dma.js";
export * from "./guest-memory.js";
export * from "./page-views.js";
export * from "./region.js";
export * from "./scatter.js";
