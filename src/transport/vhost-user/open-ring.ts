/** Makes the device half of a ring that a front end set up. */
import type { Observer } from "../../observe/index.js";
import { PackedDevice, SplitDevice, wrapBit } from "../../virtqueue/index.js";
import { hasFeature, ringFeatures, ringFormatOf } from "../features.js";
import { InflightRecord } from "./inflight.js";
import { PackedInflightRecord, placeBehind } from "./packed-inflight.js";
import { PackedTrackedQueue } from "./packed-tracked-queue.js";
import type { RingSetup } from "./queue-runner.js";
import type { DeviceRing } from "./recorded-queue.js";
import { TrackedQueue } from "./tracked-queue.js";

/**
 * Opens a ring where it stands: where that is, a split ring and a record of what is in flight know, a packed ring without
 * one does not. What an earlier server left in flight is served first.
 * @throws ProtocolError `ring-outside-memory`, `ring-misaligned`, `ring-size-invalid`, `packed-ring-size-invalid`,
 * `ring-overrun`
 */
export function openRing(setup: RingSetup, observer?: Observer): DeviceRing {
  return ringFormatOf(setup.features) === "packed" ? openPacked(setup, observer) : openSplit(setup, observer);
}

function openSplit(setup: RingSetup, observer: Observer | undefined): DeviceRing {
  const used = usedIndexOf(setup);
  const record = setup.inflight === undefined ? undefined : new InflightRecord(setup.inflight.bytes, setup.size);
  const again = record?.recover(used) ?? [];
  const ring = new SplitDevice(setup.memory, {
    ...commonOf(setup, observer),
    notifyOnEmpty: hasFeature(setup.features, ringFeatures.NOTIFY_ON_EMPTY),
    startIndex: record === undefined ? setup.base & 0xffff : (used + again.length) & 0xffff,
    startUsedIndex: used,
  });
  return record === undefined ? ring : new TrackedQueue(ring, record, again);
}

/** The base has both places: next available in the low half, next used in the high one. */
function openPacked(setup: RingSetup, observer: Observer | undefined): DeviceRing {
  const { base, size, inflight } = setup;
  const available = base & 0xffff;
  // Front ends that know of one half only (DPDK's) mean it for both.
  const high = base >>> 16;
  const used = high === 0 && (available & wrapBit) !== 0 ? available : high;
  const common = commonOf(setup, observer);
  if (inflight === undefined) {
    return new PackedDevice(setup.memory, { ...common, startIndex: available, startUsedIndex: used });
  }
  const record = new PackedInflightRecord(inflight.bytes, size);
  const left = record.recover((slot) => flagsOf(setup, slot), used);
  const startIndex = placeBehind(left, size);
  const ring = new PackedDevice(setup.memory, { ...common, startIndex, startUsedIndex: left.used });
  ring.scrub();
  return new PackedTrackedQueue(ring, record, left.chains);
}

function commonOf(setup: RingSetup, observer: Observer | undefined) {
  const { index, size, addresses, endianness, features } = setup;
  const { INDIRECT_DESC, EVENT_IDX } = ringFeatures;
  const indirect = hasFeature(features, INDIRECT_DESC);
  return { index, size, addresses, endianness, indirect, eventIndex: hasFeature(features, EVENT_IDX), observer };
}

/** The used index as it stands in the ring; 0 where there is no memory, which opening the ring then finds. */
function usedIndexOf({ memory, addresses, endianness }: RingSetup): number {
  const region = memory.findRange(addresses.used, 4);
  return region?.view.getUint16(addresses.used - region.base + 2, endianness === "little") ?? 0;
}

/** The flags of a descriptor as they stand in a packed ring; 0 where there is no memory. */
function flagsOf({ memory, addresses }: RingSetup, slot: number): number {
  const at = addresses.descriptors + 16 * slot + 14;
  const region = memory.findRange(at, 2);
  return region?.view.getUint16(at - region.base, true) ?? 0;
}
