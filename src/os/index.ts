export * from "./amigaos/index.js";
export * from "./amix/index.js";
export * from "./storport/index.js";
export * from "./xv6/index.js";
