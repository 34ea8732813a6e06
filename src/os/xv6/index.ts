export * from "./buffer-cache.js";
export * from "./disk.js";
export * from "./disk-link.js";
export * from "./kernel.js";
export * from "./panic.js";
export * from "./profile.js";
export * from "./sleep-channel.js";
