/** fs-uae as a real Amiga: the monitor in its ROM, the serial line to it, and the machine that they make. */

export * from "./compare.js";
export * from "./configuration.js";
export * from "./find-fs-uae.js";
export * from "./fs-uae-error.js";
export * from "./known-faults.js";
export * from "./launch.js";
export * from "./m68k-encoder.js";
export * from "./machine.js";
export * from "./mirror-memory.js";
export * from "./monitor-client.js";
export * from "./monitor-protocol.js";
export * from "./monitor-rom.js";
export * from "./sequence.js";
