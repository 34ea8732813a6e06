export * from "./running-requests.js";
export * from "./violations.js";
