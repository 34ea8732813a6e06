export * from "./storport/index.js";
export * from "./xv6/index.js";
