/** For tests of Ringside and of what is built on it: both halves in one process, and peers that misbehave on demand. */
export * from "./bare-queues.js";
export * from "./bidirectional-unit.js";
export * from "./blk-bytes.js";
export * from "./blk-loopback.js";
export * from "./failing-store.js";
export * from "./guarded-memory.js";
export * from "./hostile-device.js";
export * from "./hostile-driver.js";
export * from "./hostile-requests.js";
export * from "./loopback.js";
export * from "./loopback-machine.js";
export * from "./poisoning-dma.js";
export * from "./power-loss-store.js";
export * from "./restless-memory.js";
export * from "./seeded-random.js";
export * from "./slow-store.js";
export * from "./split-pair.js";
