export * from "./device.js";
export * from "./driver.js";
export * from "./driver-pages.js";
export * from "./protocol.js";
