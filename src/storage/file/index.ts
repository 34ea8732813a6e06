export * from "./durable-text.js";
export * from "./file-store.js";
export * from "./image-error.js";
export * from "./open-image.js";
