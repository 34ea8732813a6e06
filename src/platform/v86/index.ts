export * from "./emulator.js";
export * from "./pc.js";
export * from "./start.js";
