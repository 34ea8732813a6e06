/** Makes the device half of a ring that a front end set up. */
import type { Observer } from "../../observe/index.js";
import { SplitDevice } from "../../virtqueue/index.js";
import { hasFeature, ringFeatures } from "../features.js";
import { InflightRecord } from "./inflight.js";
import type { RingSetup } from "./queue-runner.js";
import { type DeviceRing, TrackedQueue } from "./tracked-queue.js";

/**
 * Opens a ring where it stands: the used index is read from it, and what an earlier server left in flight is served
 * first. @throws ProtocolError `ring-outside-memory`, `ring-misaligned`, `ring-size-invalid`
 */
export function openRing(setup: RingSetup, observer?: Observer): DeviceRing {
  const { INDIRECT_DESC, EVENT_IDX, NOTIFY_ON_EMPTY } = ringFeatures;
  const used = usedIndexOf(setup);
  const record = setup.inflight === undefined ? undefined : new InflightRecord(setup.inflight.bytes, setup.size);
  const again = record?.recover(used) ?? [];
  const ring = new SplitDevice(setup.memory, {
    index: setup.index,
    size: setup.size,
    addresses: setup.addresses,
    endianness: setup.endianness,
    indirect: hasFeature(setup.features, INDIRECT_DESC),
    eventIndex: hasFeature(setup.features, EVENT_IDX),
    notifyOnEmpty: hasFeature(setup.features, NOTIFY_ON_EMPTY),
    startIndex: record === undefined ? setup.base : (used + again.length) & 0xffff,
    startUsedIndex: used,
    observer,
  });
  return record === undefined ? ring : new TrackedQueue(ring, record, again);
}

/** The used index as it stands in the ring; 0 where there is no memory, which opening the ring then finds. */
function usedIndexOf({ memory, addresses, endianness }: RingSetup): number {
  const region = memory.findRange(addresses.used, 4);
  return region?.view.getUint16(addresses.used - region.base + 2, endianness === "little") ?? 0;
}
