export * from "./xv6/index.js";
