/** The Zorro III expansion bus: AUTOCONFIG, both halves. */
export * from "./bus.js";
export * from "./configure.js";
export * from "./identity.js";
