/**
 * vhost-user on the wire: numbers, bits and structures. Everything is in the byte order of the host (both sides are on
 * one machine). QEMU's docs/interop/vhost-user.rst is the specification.
 */
import { hostEndianness, type StructValue, struct, u8, u16, u32, u64 } from "../../bytes/index.js";

/** Byte order of messages. */
export const wire = hostEndianness;

/** In front of each message: request number, flags, bytes of payload. */
export const messageHeader = struct({ request: u32, flags: u32, size: u32 });

/** Flags of a message; bits 0 and 1 are the version. */
export const MessageFlag = { Version: 1, VersionMask: 3, Reply: 4, NeedReply: 8 } as const;

/** Requests from the front end to the back end. */
export const FrontEndRequest = {
  GetFeatures: 1,
  SetFeatures: 2,
  SetOwner: 3,
  ResetOwner: 4,
  SetMemoryTable: 5,
  SetLogBase: 6,
  SetLogDescriptor: 7,
  SetVringSize: 8,
  SetVringAddress: 9,
  SetVringBase: 10,
  GetVringBase: 11,
  SetVringKick: 12,
  SetVringCall: 13,
  SetVringError: 14,
  GetProtocolFeatures: 15,
  SetProtocolFeatures: 16,
  GetQueueCount: 17,
  SetVringEnable: 18,
  SetBackEndSocket: 21,
  SetVringEndianness: 23,
  GetConfig: 24,
  SetConfig: 25,
  GetInflight: 31,
  SetInflight: 32,
  ResetDevice: 34,
  GetMaxMemorySlots: 36,
  AddMemoryRegion: 37,
  RemoveMemoryRegion: 38,
  SetStatus: 39,
  GetStatus: 40,
} as const;

/** Requests from the back end to the front end, on a socket of their own. */
export const BackEndRequest = { Iotlb: 1, ConfigChanged: 2, HostNotifier: 3, VringCall: 4, VringError: 5 } as const;

/** Protocol feature bits. */
export const ProtocolFeature = {
  MQ: 0,
  LOG_SHMFD: 1,
  RARP: 2,
  REPLY_ACK: 3,
  MTU: 4,
  BACKEND_REQ: 5,
  CROSS_ENDIAN: 6,
  CRYPTO_SESSION: 7,
  PAGEFAULT: 8,
  CONFIG: 9,
  BACKEND_SEND_FD: 10,
  HOST_NOTIFIER: 11,
  INFLIGHT_SHMFD: 12,
  RESET_DEVICE: 13,
  INBAND_NOTIFICATIONS: 14,
  CONFIGURE_MEM_SLOTS: 15,
  STATUS: 16,
} as const;

/** Virtio feature bit that says: there are protocol features. */
export const protocolFeaturesBit = 30;
/** In the value of the vring descriptor messages: no descriptor comes with it. */
export const noDescriptorBit = 0x100n;
/** Queue number in the same value. */
export const vringNumberMask = 0xffn;
/** Bytes of configuration space in one message. */
export const maxConfigSize = 256;
/** Regions in one memory table; more have to be added one by one. */
export const maxTableRegions = 8;
/** Payloads are smaller than this. */
export const maxPayloadSize = 4096;

/** One number: features, acknowledgements, counts; and queue number with {@link noDescriptorBit}. */
export const numberPayload = struct({ value: u64 });
/** A queue and a number: its size, its position, whether it is enabled. */
export const vringState = struct({ index: u32, value: u32 });
/** Where a ring lies: addresses of the front end's own process. */
export const vringAddress = struct({
  index: u32,
  flags: u32,
  descriptors: u64,
  used: u64,
  available: u64,
  log: u64,
});
/** A piece of guest memory and where it is in its file. */
export const memoryRegion = struct({ guestAddress: u64, size: u64, userAddress: u64, offset: u64 });
/** In front of the regions of a memory table. */
export const memoryTableHeader = struct({ count: u32, padding: u32 });
/** One region, for adding and removing it. */
export const singleRegion = struct({ padding: u64, guestAddress: u64, size: u64, userAddress: u64, offset: u64 });
/** In front of bytes of configuration space. */
export const configHeader = struct({ offset: u32, size: u32, flags: u32 });
/** A buffer for requests in flight. The C structure has four bytes of padding at its end. */
export const inflightDescription = struct({ size: u64, offset: u64, queues: u16, queueSize: u16, padding: u32 });
/** A log of memory pages that were written. */
export const logDescription = struct({ size: u64, offset: u64 });
/** An answer about an address, with an I/O MMU. */
export const iotlbMessage = struct({
  address: u64,
  size: u64,
  userAddress: u64,
  permission: u8,
  type: u8,
  padding: u16,
  padding2: u32,
});

/** A region as the front end describes it. */
export type RegionDescription = StructValue<typeof memoryRegion>;
