export * from "./adapters.js";
export * from "./amigaone.js";
export * from "./board.js";
export * from "./boards.js";
export * from "./machine.js";
export * from "./pc.js";
export * from "./pegasos2.js";
export * from "./settle.js";
