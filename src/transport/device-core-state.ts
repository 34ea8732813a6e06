/** The state of a device's core in a snapshot: its registers and where its queues stood. */
import type { SavedFields, SavedReader } from "../bytes/index.js";
import type { RingAddresses } from "../virtqueue/index.js";
import type { DeviceType } from "./device-type.js";
import { DeviceStatus, noVector } from "./status.js";

/** A queue as its registers show it. */
export interface QueueRegisters {
  /** Largest size that it can have; split rings have powers of two only. */
  maxSize: number;
  size: number;
  vector: number;
  /** 64-bit addresses as numbers; above 2^53 they are rounded, and no memory lies there. */
  addresses: { -readonly [K in keyof RingAddresses]: number };
  enabled: boolean;
}

/** What a device has to be told to go on where another one stopped: plain data. */
export interface DeviceCoreState {
  readonly name: string;
  /** What the device type keeps for itself. */
  readonly type: SavedFields;
  readonly status: number;
  readonly features: bigint;
  readonly generation: number;
  readonly queues: readonly (QueueRegisters & { readonly available?: number; readonly used?: number })[];
}

/** What {@link readCoreState} found. */
export interface ReadCoreState {
  readonly status: number;
  readonly features: bigint;
  readonly generation: number;
  readonly queues: readonly ReadQueue[];
  /** Puts in force what the device type keeps for itself. */
  readonly type: (() => void) | undefined;
}

/** A queue's registers, and where it stood if it ran. */
interface ReadQueue {
  readonly registers: Omit<QueueRegisters, "maxSize">;
  readonly place: { readonly startIndex: number; readonly startUsedIndex: number } | undefined;
}

/**
 * Reads the state of a device that is like this one, and changes nothing.
 * @param offered features that a driver can have settled for
 * @throws RangeError, UnsupportedError when it cannot be used
 */
export function readCoreState(saved: SavedReader, type: DeviceType, offered: bigint): ReadCoreState {
  const { name, queueSizes } = type;
  if (saved.text("name") !== name) saved.refuse("name", `is ${saved.text("name")}: here is a ${name}`);
  const status = saved.whole("status", 0xff);
  // Until a driver has settled for some, they are whatever it wrote.
  const isSettled = (status & (DeviceStatus.FeaturesOk | DeviceStatus.DriverOk)) !== 0;
  const features = saved.bits("features", isSettled ? offered : 2n ** 64n - 1n);
  const generation = saved.whole("generation", 0xff);
  const queues = saved.list("queues", queueSizes.length, readQueue);
  if (queues.length < queueSizes.length) saved.refuse("queues", `are ${queues.length}, not ${queueSizes.length}`);
  const tooLarge = queues.findIndex(({ registers }, index) => registers.size > queueSizes[index]);
  if (tooLarge >= 0) saved.refuse("queues", `has a queue ${tooLarge} larger than the ${queueSizes[tooLarge]} that fit`);
  return { status, features, generation, queues, type: type.readState?.(saved.part("type")) };
}

function readQueue(saved: SavedReader): ReadQueue {
  const addresses = saved.part("addresses");
  const address = (name: keyof RingAddresses) => addresses.whole(name, 2 ** 64);
  const index = (name: string) => saved.whole(name, 0xffff);
  return {
    registers: {
      size: saved.whole("size", 0x8000),
      vector: saved.whole("vector", noVector),
      addresses: { descriptors: address("descriptors"), available: address("available"), used: address("used") },
      enabled: saved.flag("enabled"),
    },
    place: saved.has("available") ? { startIndex: index("available"), startUsedIndex: index("used") } : undefined,
  };
}
