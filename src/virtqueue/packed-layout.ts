/**
 * How a packed ring lies in memory and how places in it are named, virtio 1.2 §2.8. The descriptor ring is written by
 * both sides; the driver area and the device area (event suppression, four bytes each) take the places of a split ring's
 * available and used ring in {@link RingAddresses}.
 */
import { needsEvent } from "./needs-event.js";
import { descriptorSize, maxQueueSize, type RingLayout } from "./ring-layout.js";

/** Descriptor flags beside those of split rings (virtio 1.2 §2.8.1): who the descriptor belongs to, by lap. */
export const PackedFlag = { Available: 1 << 7, Used: 1 << 15 } as const;

/** What an event suppression structure asks for, virtio 1.2 §2.8.10. */
export const EventMode = { Enable: 0, Disable: 1, Descriptor: 2 } as const;

/** Bytes of an event suppression structure: u16 place, u16 mode; 4-byte aligned. */
export const eventAreaSize = 4;

/** Bit of a place that says in which lap it is: the wrap counter. */
export const wrapBit = 0x8000;

/** Where both sides start: slot 0, wrap counter 1. */
export const firstPlace = wrapBit;

/** True for the sizes a packed ring can have: 1…32768, also those that are no powers of two. */
export function isPackedQueueSize(size: number): boolean {
  return Number.isInteger(size) && size >= 1 && size <= maxQueueSize;
}

/** The three parts of a packed ring in one block of memory. */
export function packedLayout(queueSize: number): RingLayout {
  const available = descriptorSize * queueSize;
  const used = available + eventAreaSize;
  return { descriptors: 0, available, used, byteLength: used + eventAreaSize, alignment: 16 };
}

/** The place after `count` descriptors since the start: slot in bits 0…14, wrap counter in bit 15. */
export function packedPlace(count: number, queueSize: number): number {
  return (count % queueSize) | (Math.floor(count / queueSize) % 2 === 0 ? wrapBit : 0);
}

/** The place `count` descriptors (at most a lap) after `place`; before it for a negative count. */
export function movePlace(place: number, count: number, queueSize: number): number {
  const slot = (place & ~wrapBit) + count;
  if (slot >= queueSize) return (slot - queueSize) | ((place & wrapBit) ^ wrapBit);
  if (slot < 0) return (slot + queueSize) | ((place & wrapBit) ^ wrapBit);
  return slot | (place & wrapBit);
}

/**
 * Whether the other side, which wrote `event`, asked to be told when a side's place moved by `moved` descriptors to
 * `place` (virtio 1.2 §2.8.10): its descriptor is among them.
 */
export function passesEvent(event: number, place: number, moved: number, queueSize: number): boolean {
  const slot = place & ~wrapBit;
  const wanted = (event & ~wrapBit) - (((event ^ place) & wrapBit) === 0 ? 0 : queueSize);
  return needsEvent(wanted, slot, slot - moved);
}

/**
 * Whether `event` is a place that a side at `place` has yet to reach, by the wrap counters: at most a lap ahead, and not
 * passed within the last one.
 */
export function isAhead(event: number, place: number): boolean {
  const isSameLap = ((event ^ place) & wrapBit) === 0;
  return isSameLap ? (event & ~wrapBit) >= (place & ~wrapBit) : (event & ~wrapBit) < (place & ~wrapBit);
}
