export * from "./back-end-system.js";
export * from "./connection.js";
export * from "./front-end-system.js";
export * from "./open-front-end.js";
export * from "./queue-thread.js";
export * from "./server.js";
export * from "./thread-runner.js";
