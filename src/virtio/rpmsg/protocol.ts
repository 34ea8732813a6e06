/**
 * The wire of rpmsg (0.9.5 appendix H): messages between endpoints of two processors, over two queues. What the appendix
 * leaves open (addresses, sizes) is as Linux has had it since that year.
 */
import { ascii, struct, u16, u32 } from "../../bytes/index.js";
import type { FeatureTable } from "../../transport/index.js";

/** The virtio device ID, 0.9.5 §2.1. */
export const virtioRpmsgId = 7;

/** NS: the device sends and takes name service messages. */
export const rpmsgFeatures = { NS: 0 } as const satisfies FeatureTable;

/** Queue numbers, as the driver sees them. */
export const RpmsgQueue = { Receive: 0, Transmit: 1 } as const;

/** Before every message. `length` counts what follows it. */
export const rpmsgHeader = struct({ source: u32, destination: u32, reserved: u32, length: u16, flags: u16 });

/** Bytes of a service's name, zeros behind it. */
export const rpmsgNameSize = 32;

/** A service came or went; sent to {@link nameServiceAddress}. */
export const nameServiceMessage = struct({ name: ascii(rpmsgNameSize, "\0"), address: u32, flags: u32 });

/** `flags` of a name service message; there are no others. */
export const NameServiceFlag = { Create: 0, Destroy: 1 } as const;

/** Where name service messages go. */
export const nameServiceAddress = 53;

/** Addresses from here on are given out; those below are for services that everybody knows. */
export const firstDynamicAddress = 1024;

/** Bytes of a buffer, header included. */
export const rpmsgBufferSize = 512;

/** Bytes that a message can carry in a buffer of that size. */
export const rpmsgPayloadSize = rpmsgBufferSize - rpmsgHeader.size;
