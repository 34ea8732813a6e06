export * from "./descriptor.js";
export * from "./file-locks.js";
export * from "./io-uring.js";
export * from "./libc.js";
export * from "./mapping.js";
export * from "./memory-file.js";
export * from "./system-error.js";
export * from "./unix-socket.js";
