/**
 * Windows' Storport miniport for virtio-blk, around a port driver that calls it. For those who want a disk:
 * `openStorport(machine, adapter, { profile, defects, debugLevel, com1 })` gives a {@link StorportDisk} with `discover`,
 * `read`, `write`, `flush`, `close` and, for partition readers, `blockSize`, `blocks`, `readBlocks`. For those who want the
 * driver: `PortDriver.load` and SRBs; `CrashDump.open` for the dump stack; `translateScsi`, `seedLimits`, `currentLimits`
 * and the vectors' arithmetic are pure. `storportProfiles` and `storportDefects` say which drivers there are.
 */
export * from "./adapter-control.js";
export * from "./adapter-extension.js";
export * from "./behaviour.js";
export { type BlkConfigInfo, readBlkConfig } from "./block-config.js";
export { virtIoBuildIo } from "./build-io.js";
export * from "./crash-dump.js";
export * from "./debug-print.js";
export type { DiskFacts } from "./disk-facts.js";
export { rhelDoReadWrite } from "./do-read-write.js";
export { virtIoFindAdapter } from "./find-adapter.js";
export { virtIoHwInitialize } from "./hw-initialize.js";
export { virtIoInterrupt, virtIoMessageInterrupt } from "./interrupt.js";
export * from "./open-storport.js";
export {
  currentLimits,
  currentVectors,
  type LimitFacts,
  type PortLimits,
  seedLimits,
  seedVectors,
  type VectorPlan,
} from "./port-arithmetic.js";
export * from "./port-driver.js";
export * from "./port-options.js";
export * from "./profile.js";
export * from "./registers.js";
export { rhelShutDown, virtIoResetBus } from "./reset.js";
export type { ScsiTranslation, SenseTriple } from "./scsi-answer.js";
export * from "./srb.js";
export { blkOuthdr, blkReqMemory, SrbExtension } from "./srb-extension.js";
export * from "./srb-sender.js";
export { virtIoStartIo } from "./start-io.js";
export * from "./storport-machine.js";
export { translateScsi } from "./translate.js";
export * from "./virtio-device.js";
