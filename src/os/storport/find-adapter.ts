/** VirtIoFindAdapter: whether the function is ours, what it can do, and what the port driver has to know of it. */
import { ProtocolError } from "../../errors/index.js";
import { DeviceStatus, featureSet, hasFeature, ringFeatures } from "../../transport/index.js";
import { blkFeatures } from "../../virtio/index.js";
import { type AdapterExtension, deviceOf, hasFeatureBit, type PortConfiguration } from "./adapter-extension.js";
import { readBlkConfig } from "./block-config.js";
import { TraceLevel } from "./debug-print.js";
import { currentLimits, type LimitFacts, type PortLimits, pageSize, seedLimits } from "./port-arithmetic.js";
import { matchesInstallTable } from "./profile.js";
import { openLegacyRegisters, openModernRegisters, type VirtioRegisters } from "./registers.js";
import { ringBytes, virtIODeviceGet, virtIODeviceGetHostFeature, virtIODeviceReset } from "./virtio-device.js";

/** SP_RETURN_FOUND and its brothers. */
export type FindResult = "found" | "not-found" | "error";

/** Bytes of the pool behind the rings, for each queue: bookkeeping that a miniport keeps there. */
const poolPerQueue = 64;

/** Looks at the adapter. What goes wrong is told by debug print and, when the device broke a rule, by a throw. */
export async function virtIoFindAdapter(extension: AdapterExtension): Promise<FindResult> {
  const { port, profile, debug, dumpMode } = extension;
  const { fn } = port;
  if (!matchesInstallTable(profile, fn)) {
    debug.print(TraceLevel.Error, `${fn.place}: ${fn.vendorId.toString(16)}:${fn.deviceId.toString(16)} is not ours`);
    return "not-found";
  }
  fn.enable({ io: true, memory: true, busMaster: true });
  const device = openRegisters(extension);
  if (device === undefined) {
    debug.print(TraceLevel.Error, `${fn.place}: no registers that this driver knows`);
    return "not-found";
  }
  extension.deviceBase = device;
  await virtIODeviceReset(extension);
  if (dumpMode && profile.generation === "2010") device.clearQueueAddressLow(0);
  negotiate(extension);
  extension.configuration = describe(extension, device);
  if (extension.configuration === undefined) return "not-found";
  extension.uncachedExtension = port.getUncachedExtension(extension.configuration.uncachedExtensionSize);
  port.setQueueDepth(extension.configuration.depth);
  debug.print(TraceLevel.Information, `${fn.place}: ${device.kind}, depth ${extension.configuration.depth}`);
  return "found";
}

function openRegisters({ port, profile }: AdapterExtension): VirtioRegisters | undefined {
  const options = { ...port.registers, observer: port.observer };
  if (profile.registers.includes("pci-modern")) {
    try {
      return openModernRegisters(port.fn, options);
    } catch (error) {
      // A legacy device has no such structures.
      if (!(error instanceof ProtocolError) || !profile.registers.includes("pci-legacy")) throw error;
    }
  }
  return openLegacyRegisters(port.fn, options);
}

/**
 * Agrees on features and reads the configuration. The driver of 2010 asks for each bit it knows and writes nothing.
 * @throws ProtocolError `features-refused`, `version-1-missing`, `config-never-settles`
 */
export function negotiate(extension: AdapterExtension): void {
  const { profile, behaviour, port } = extension;
  const device = deviceOf(extension);
  let understood = profile.features & ~port.unwanted;
  // A dump has one queue and memory for no tables.
  if (extension.dumpMode) understood &= ~featureSet(ringFeatures.INDIRECT_DESC, blkFeatures.MQ);
  if (profile.bringUp === "none") {
    extension.offered = featuresOneByOne(extension);
    extension.negotiated = extension.offered & understood;
  } else {
    const { Acknowledge, Driver, FeaturesOk, Failed } = DeviceStatus;
    device.writeStatus(Acknowledge);
    device.writeStatus(Acknowledge | Driver);
    extension.offered = device.readFeatures();
    const accepted = extension.offered & understood;
    if (!device.isLegacy && !hasFeature(accepted, ringFeatures.VERSION_1)) throw new ProtocolError("version-1-missing");
    device.writeFeatures(accepted);
    if (!device.isLegacy) {
      device.writeStatus(Acknowledge | Driver | FeaturesOk);
      if ((device.readStatus() & FeaturesOk) === 0 && behaviour.featuresRefused === "failure") {
        device.writeStatus(Acknowledge | Driver | Failed);
        throw new ProtocolError("features-refused", { detail: `0x${accepted.toString(16)}` });
      }
    }
    extension.negotiated = behaviour.decisions === "accepted" ? accepted : extension.offered & profile.features;
  }
  readConfiguration(extension);
}

function featuresOneByOne(extension: AdapterExtension): bigint {
  let offered = 0n;
  for (let bit = 0; bit < 32; bit++) {
    const isKnown = hasFeature(extension.profile.features, bit);
    if (isKnown && virtIODeviceGetHostFeature(extension, bit)) offered |= featureSet(bit);
  }
  return offered;
}

/** Reads `info` again. @throws ProtocolError `config-never-settles` */
export function readConfiguration(extension: AdapterExtension): void {
  extension.info = readBlkConfig((offset, length) => virtIODeviceGet(extension, offset, length), {
    little: deviceOf(extension).endianness === "little",
    has: (feature) => hasFeatureBit(extension, feature),
    behaviour: extension.behaviour,
    defaultSizeMax: extension.profile.defaultSizeMax,
  });
}

/** Undefined when the device has no queue. */
function describe(extension: AdapterExtension, device: VirtioRegisters): PortConfiguration | undefined {
  const { profile, info, dumpMode, port, behaviour } = extension;
  const queueSize = device.queueSize(0);
  if (queueSize === 0) return undefined;
  const queues = dumpMode ? 1 : Math.min(info.queues, port.processors);
  let rings = 0;
  for (let index = 0; index < queues; index++) rings += ringBytes(extension, Math.max(1, device.queueSize(index)));
  const isToday = profile.arithmetic === "2026";
  return {
    ...limitsOf(extension, queueSize),
    queues,
    alignmentMask: profile.alignmentMask,
    master: true,
    scatterGather: true,
    dma64BitAddresses: true,
    cachesData: isToday ? info.canFlush : behaviour.writeCache === "claimed" || info.writeCache,
    synchronization: profile.buildIo ? "full-duplex" : "half-duplex",
    interruptSynchronization: profile.install.messageLimit > 0 && !dumpMode ? "per-message" : "all",
    numberOfBuses: 1,
    maximumNumberOfTargets: 1,
    maximumNumberOfLogicalUnits: 1,
    uncachedExtensionSize: pageSize + rings + queues * poolPerQueue,
  };
}

function limitsOf(extension: AdapterExtension, queueSize: number): PortLimits {
  const { info, behaviour, dumpMode, profile } = extension;
  const respects = behaviour.segmentLimits === "both";
  const facts: LimitFacts = {
    queueSize,
    indirect: hasFeatureBit(extension, ringFeatures.INDIRECT_DESC),
    dump: dumpMode,
    segMax: respects ? info.segMax : undefined,
    sizeMax: respects ? info.sizeMax : undefined,
  };
  const limits = profile.arithmetic === "2010" ? seedLimits(facts) : currentLimits(facts);
  if (behaviour.transferLength === "breaks") return limits;
  return { ...limits, maximumTransferLength: limits.maximumTransferLength + pageSize };
}
