export { RequestAborted } from "../../errors/index.js";
export * from "./request-driver.js";
export * from "./request-rings.js";
export * from "./ring-request.js";
