export { RequestAborted } from "../../errors/index.js";
export * from "./device-driver.js";
export * from "./driver-life.js";
export * from "./fill-queue.js";
export * from "./receive-queue.js";
export * from "./request-driver.js";
export * from "./request-rings.js";
export * from "./ring-request.js";
export * from "./send-queue.js";
