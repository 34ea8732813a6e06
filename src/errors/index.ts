export * from "./cancellation.js";
export * from "./errors.js";
export * from "./violations.js";
