/**
 * The wire of virtio-net: header, configuration, control commands and feature bits, for both halves (virtio 1.2 §5.1;
 * 0.9.5 appendix C). Structures are packed, in the byte order of the transport; what is in packets is the network's.
 */
import { bytes, struct, u8, u16, u32, u64 } from "../../bytes/index.js";
import type { FeatureTable } from "../../transport/index.js";

/** The virtio device ID, virtio 1.2 §5. */
export const virtioNetId = 1;

/** §5.1.3. GSO is 0.9.5's word for all HOST_TSO bits, deprecated already there. */
export const netFeatures = {
  CSUM: 0,
  GUEST_CSUM: 1,
  CTRL_GUEST_OFFLOADS: 2,
  MTU: 3,
  MAC: 5,
  GSO: 6,
  GUEST_TSO4: 7,
  GUEST_TSO6: 8,
  GUEST_ECN: 9,
  GUEST_UFO: 10,
  HOST_TSO4: 11,
  HOST_TSO6: 12,
  HOST_ECN: 13,
  HOST_UFO: 14,
  MRG_RXBUF: 15,
  STATUS: 16,
  CTRL_VQ: 17,
  CTRL_RX: 18,
  CTRL_VLAN: 19,
  CTRL_RX_EXTRA: 20,
  GUEST_ANNOUNCE: 21,
  MQ: 22,
  CTRL_MAC_ADDR: 23,
  SPEED_DUPLEX: 63,
} as const satisfies FeatureTable;

/** Queue numbers, §5.1.2. With MQ pairs of queues follow, and the control queue comes after the last of them. */
export const NetQueue = { FirstReceive: 0, FirstTransmit: 1, ControlOfOnePair: 2 } as const;

/** Number of the receive queue of a pair. */
export const receiveQueue = (pair: number): number => 2 * pair;
/** Number of the transmit queue of a pair. */
export const transmitQueue = (pair: number): number => 2 * pair + 1;

/** Most queue pairs that a driver can ask for, §5.1.6.5.5. */
export const maxQueuePairs = 0x8000;

/** §5.1.4. All fields lie where they lie, each means something only with its feature. */
export const netConfig = struct({
  mac: bytes(6),
  status: u16,
  maxVirtqueuePairs: u16,
  mtu: u16,
  speed: u32,
  duplex: u8,
});

/** Bits of `status`, §5.1.4. Both are the device's to write. */
export const NetStatus = { LinkUp: 1, Announce: 2 } as const;
/** `speed` when it is not known, in Mbit/s otherwise. */
export const unknownSpeed = 0xffff_ffff;
/** Values of `duplex`. */
export const Duplex = { Half: 0, Full: 1, Unknown: 0xff } as const;

/** What stands before every packet, §5.1.6. `numBuffers` is there with MRG_RXBUF or VERSION_1 only. */
export const netHeader = struct({
  flags: u8,
  gsoType: u8,
  hdrLen: u16,
  gsoSize: u16,
  csumStart: u16,
  csumOffset: u16,
  numBuffers: u16,
});
/** Bytes of the header without `numBuffers`. */
export const shortHeaderSize = 10;

/** Bits of `flags`. */
export const NetHeaderFlag = { NeedsChecksum: 1, ChecksumValid: 2 } as const;
/** In `gsoType`, beside a value of `Segmentation`. */
export const gsoEcnFlag = 0x80;

/** Readable head of a control command; data follow, then the answer, one writable byte. §5.1.6.5 */
export const controlHeader = struct({ class: u8, command: u8 });
/** The answer to a control command. */
export const ControlAck = { Ok: 0, Error: 1 } as const;

/** Classes of control commands, each with its commands. §5.1.6.5 */
export const NetControl = { Rx: 0, Mac: 1, Vlan: 2, Announce: 3, Mq: 4, GuestOffloads: 5 } as const;
/** Commands of class Rx; one byte of data, 0 or 1. From AllUnicast on with CTRL_RX_EXTRA. */
export const RxCommand = {
  Promiscuous: 0,
  AllMulticast: 1,
  AllUnicast: 2,
  NoMulticast: 3,
  NoUnicast: 4,
  NoBroadcast: 5,
} as const;
/** Commands of class Mac. */
export const MacCommand = { TableSet: 0, AddressSet: 1 } as const;
/** Commands of class Vlan; data is a VLAN id, 16 bits. */
export const VlanCommand = { Add: 0, Delete: 1 } as const;
/** Commands of class Announce; no data. */
export const AnnounceCommand = { Ack: 0 } as const;
/** Commands of class Mq; data is {@link pairsData}. */
export const MqCommand = { PairsSet: 0 } as const;
/** Commands of class GuestOffloads; data is {@link offloadsData}. */
export const GuestOffloadsCommand = { Set: 0 } as const;

/** Data of VQ_PAIRS_SET. */
export const pairsData = struct({ pairs: u16 });
/** Data of the VLAN commands. */
export const vlanData = struct({ id: u16 });
/** Data of GUEST_OFFLOADS_SET: bits at the places of the features. */
export const offloadsData = struct({ offloads: u64 });
/** What stands before the addresses of each table of TABLE_SET. */
export const macTableHead = struct({ entries: u32 });

/** VLAN ids are 12 bits. */
export const vlanIds = 4096;
