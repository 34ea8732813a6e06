export * from "./device.js";
export * from "./driver.js";
export * from "./driver-events.js";
export * from "./driver-request.js";
export * from "./event-queue.js";
export * from "./protocol.js";
