export * from "./device.js";
export * from "./device-options.js";
export * from "./feature-rules.js";
export * from "./net-header.js";
export * from "./protocol.js";
export * from "./receive-filter.js";
