import { lowBytes, type RegisterWindow, windowOf } from "../../bytes/index.js";
import { layoutAt, legacyLayout } from "../../virtqueue/index.js";
import type { DeviceCore } from "../device-core.js";
import type { SelectedRegisters } from "../selected-registers.js";
import { noVector } from "../status.js";
import { legacyConfigOffset, legacyMsixRegisters, legacyPageSize, legacyRegisters } from "./registers.js";

/** What the legacy header needs of the PCI function around it. */
export interface LegacyPlatform {
  /** MSI-X is enabled: the vector registers exist. */
  readonly msixEnabled: boolean;
  readonly vectors: number;
  /** Reads and clears the ISR status, which lowers INTx. */
  takeIsr(): number;
  configVector: number;
  readonly selected: SelectedRegisters;
}

const { deviceFeatures, driverFeatures, queueAddress, queueSize, queueSelect } = legacyRegisters;
const { queueNotify, deviceStatus, isrStatus } = legacyRegisters;

/** The legacy header and device-specific configuration of a device, as a window of its I/O region. */
export function legacyDeviceWindow(core: DeviceCore, platform: LegacyPlatform): RegisterWindow {
  const { selected } = platform;

  const header = (offset: number): number | undefined => {
    const queue = core.queues[selected.queue];
    switch (offset) {
      case deviceFeatures.offset:
        return core.featureWord(core.offered(true), 0);
      case driverFeatures.offset:
        return core.featureWord(core.driverFeatures, 0);
      case queueAddress.offset:
        return queue?.enabled ? queue.addresses.descriptors / legacyPageSize : 0;
      case queueSize.offset:
        return queue?.maxSize ?? 0;
      case queueSelect.offset:
        return selected.queue;
      case queueNotify.offset:
        return 0;
      case deviceStatus.offset:
        return core.status;
      case isrStatus.offset:
        return platform.takeIsr();
    }
    if (!platform.msixEnabled) return undefined;
    if (offset === legacyMsixRegisters.configVector.offset) return platform.configVector;
    if (offset === legacyMsixRegisters.queueVector.offset) return queue?.vector ?? noVector;
    return undefined;
  };

  const setQueueAddress = (value: number) => {
    const queue = core.queues[selected.queue];
    if (queue === undefined) return;
    if (value === 0) {
      core.disableQueue(selected.queue);
      return;
    }
    // An address that is written again moves the ring: it starts anew there.
    if (queue.enabled) core.disableQueue(selected.queue);
    queue.addresses = layoutAt(legacyLayout(queue.maxSize, legacyPageSize), (value >>> 0) * legacyPageSize);
    core.enableQueue(selected.queue, true);
  };

  const mapVector = (value: number) => (value < platform.vectors ? value : noVector);

  return windowOf(
    (offset, width) => {
      const config = legacyConfigOffset(platform.msixEnabled);
      if (offset >= config) return core.readConfig(offset - config, width);
      return lowBytes(header(offset) ?? 0, width);
    },
    (offset, width, value) => {
      const config = legacyConfigOffset(platform.msixEnabled);
      if (offset >= config) {
        core.writeConfig(offset - config, width, value);
        return;
      }
      const queue = core.queues[selected.queue];
      if (offset === driverFeatures.offset) core.writeFeatures(0, value, true);
      else if (offset === queueAddress.offset) setQueueAddress(value);
      else if (offset === queueSelect.offset) selected.queue = value & 0xffff;
      else if (offset === queueNotify.offset) core.notify(value & 0xffff);
      else if (offset === deviceStatus.offset) {
        if ((value & 0xff) === 0) platform.takeIsr();
        core.writeStatus(value, true);
        if ((value & 0xff) === 0) platform.configVector = noVector;
      } else if (platform.msixEnabled && offset === legacyMsixRegisters.configVector.offset) {
        platform.configVector = mapVector(value);
      } else if (platform.msixEnabled && offset === legacyMsixRegisters.queueVector.offset && queue !== undefined) {
        queue.vector = mapVector(value);
      }
    },
  );
}
