export * from "./chain.js";
export * from "./needs-event.js";
export * from "./queue.js";
export * from "./ring-layout.js";
export * from "./split-device.js";
export * from "./split-driver.js";
