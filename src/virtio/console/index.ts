export * from "./device.js";
export * from "./device-port.js";
export * from "./driver.js";
export * from "./driver-port.js";
export * from "./protocol.js";
