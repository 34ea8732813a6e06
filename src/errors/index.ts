export * from "./errors.js";
export * from "./violations.js";
