export * from "./interrupt-controller.js";
export * from "./machine.js";
