export * from "./device.js";
export * from "./driver.js";
export * from "./fill-budget.js";
export * from "./protocol.js";
