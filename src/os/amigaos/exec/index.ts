export * from "./exec.js";
export * from "./io-request.js";
export * from "./list.js";
export * from "./memory.js";
export * from "./port.js";
export * from "./task.js";
