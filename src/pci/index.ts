export * from "./bridge-description.js";
export * from "./config-layout.js";
export * from "./device-function.js";
export * from "./function.js";
export * from "./msix.js";
