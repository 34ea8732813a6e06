export * from "./bus.js";
export * from "./device.js";
export * from "./driver.js";
export * from "./protocol.js";
