// What programs that drive virtio-scsi use of SCSI's initiator side, which knows no adapter.
export {
  type DiscoveredUnit,
  type DiscoverOptions,
  describeResult,
  discoverUnits,
  ScsiCommandError,
  type SendOptions,
  sendCommand,
  UnitBlocks,
} from "../../scsi/index.js";
export * from "./device.js";
export * from "./driver.js";
export * from "./driver-events.js";
export * from "./driver-request.js";
export * from "./event-queue.js";
export * from "./protocol.js";
