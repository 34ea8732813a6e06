export * from "./device/command-entry.js";
export * from "./device/slot-transfer.js";
export * from "./device/unit.js";
export * from "./exec/index.js";
export * from "./profile.js";
