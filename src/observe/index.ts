export * from "./events.js";
export * from "./faults.js";
export * from "./traced-window.js";
