export * from "./running-requests.js";
export * from "./serve-queue.js";
export * from "./violations.js";
