/**
 * The wire of virtio-scsi: structures, codes and feature bits, for both halves (virtio 1.2 §5.6; 0.9.5 appendix I).
 * Structures are packed, in the byte order of the transport; LUN and CDB are bytes.
 */
import { bytes, struct, u8, u16, u32, u64 } from "../../bytes/index.js";
import type { FeatureTable } from "../../transport/index.js";

/** The virtio device ID, virtio 1.2 §5. */
export const virtioScsiId = 8;

/** §5.6.3 */
export const scsiFeatures = {
  INOUT: 0,
  HOTPLUG: 1,
  CHANGE: 2,
  T10_PI: 3,
} as const satisfies FeatureTable;

/** Queue numbers, §5.6.2. */
export const ScsiQueue = { Control: 0, Event: 1, FirstRequest: 2 } as const;

/** §5.6.4. All fields are always there. */
export const scsiConfig = struct({
  numQueues: u32,
  segMax: u32,
  maxSectors: u32,
  cmdPerLun: u32,
  eventInfoSize: u32,
  senseSize: u32,
  cdbSize: u32,
  maxChannel: u16,
  maxTarget: u16,
  maxLun: u32,
});

/** Defaults that come back with a reset, §5.6.4. */
export const defaultSenseSize = 96;
/** As {@link defaultSenseSize}, for CDBs. */
export const defaultCdbSize = 32;

/** The readable header of a request, before the CDB; §5.6.6.1. */
export const requestHeader = struct({ lun: bytes(8), id: u64, taskAttribute: u8, priority: u8, crn: u8 });

/** The writable header of a request, before the sense data; §5.6.6.1. */
export const responseHeader = struct({
  senseLength: u32,
  residual: u32,
  statusQualifier: u16,
  status: u8,
  response: u8,
});

// Response codes of requests and task management functions, §5.6.6.1 and §5.6.6.2: any host adapter answers with them.
export { responseName, ScsiResponse } from "../../scsi/index.js";

/** Types of control request, §5.6.6.2. */
export const ControlType = { TaskManagement: 0, AsyncQuery: 1, AsyncSubscribe: 2 } as const;

/** Task management functions, §5.6.6.2. */
export const TaskManagement = {
  AbortTask: 0,
  AbortTaskSet: 1,
  ClearAca: 2,
  ClearTaskSet: 3,
  NexusReset: 4,
  LogicalUnitReset: 5,
  QueryTask: 6,
  QueryTaskSet: 7,
} as const;

/** §5.6.6.2, readable part. */
export const taskManagementRequest = struct({ type: u32, subtype: u32, lun: bytes(8), id: u64 });
/** §5.6.6.2, writable part. */
export const taskManagementResponse = struct({ response: u8 });
/** §5.6.6.2, readable part of a query or subscription. */
export const asyncRequest = struct({ type: u32, lun: bytes(8), eventRequested: u32 });
/** §5.6.6.2, writable part. */
export const asyncResponse = struct({ eventActual: u32, response: u8 });

/** Classes of asynchronous notification, §5.6.6.2. */
export const AsyncEvent = {
  OperationalChange: 2,
  PowerManagement: 4,
  ExternalRequest: 8,
  MediaChange: 16,
  MultiHost: 32,
  DeviceBusy: 64,
} as const;

/** §5.6.6.3 */
export const eventStructure = struct({ event: u32, lun: bytes(8), reason: u32 });

/** Events, §5.6.6.3. */
export const ScsiEvent = { None: 0, TransportReset: 1, AsyncNotify: 2, ParameterChange: 3 } as const;
/** In `event`: at least one event was lost. */
export const eventsMissed = 0x8000_0000;
/** Reasons of a transport reset event. */
export const TransportResetReason = { Hard: 0, Rescan: 1, Removed: 2 } as const;
