export * from "./device.js";
export * from "./device-port.js";
export * from "./protocol.js";
