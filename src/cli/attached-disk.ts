/** A disk behind a vhost-user socket, driven from here: no virtual machine is in between. */
import { DeviceError, ProtocolError } from "../errors/index.js";
import type { DmaMemory } from "../memory/index.js";
import { openVhostUser, type VhostUserFrontEnd } from "../platform/vhost-user/index.js";
import type { ScsiInitiator } from "../scsi/index.js";
import { featureNames, featureSet, hasFeature, ProtocolFeature, ringFeatures } from "../transport/index.js";
import {
  BlkBlocks,
  BlkRequestError,
  type DiscoveredUnit,
  discoverUnits,
  knownBlkFeatures,
  knownScsiFeatures,
  ScsiQueue,
  scsiConfig,
  scsiFeatures,
  UnitBlocks,
  VirtioBlkDriver,
  VirtioScsiDriver,
  virtioBlkId,
  virtioScsiId,
} from "../virtio/index.js";
import type { AttachOptions } from "./attach-options.js";
import type { DrivenBlocks } from "./driven.js";
import { isWriteProtection } from "./driven-units.js";
import { UsageError, WorkFailed } from "./errors.js";
import { parseAddress } from "./scsi.js";
import { checkSocketPath } from "./socket-path.js";

/** A disk that was found, and what is known of it. */
export interface AttachedDisk {
  readonly blocks: DrivenBlocks;
  readonly isReadOnly: boolean;
  /** For `info`: names as in its JSON. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly dma: DmaMemory;
  isRefusal(error: unknown): boolean;
  /** Blocks moved through one of the queues. */
  transfer(isWrite: boolean, lba: number, bytes: Uint8Array, queue: number): Promise<void>;
  /** Why the driver gave up, if it did. */
  failure(): Error | undefined;
  /** The back end closed the connection, or stopped answering. */
  isGone(): boolean;
  close(): Promise<void>;
}

/** Connects and finds the disk. @throws WorkFailed, UsageError, and what the back end did wrong */
export async function attachDisk(options: AttachOptions, memorySize: number): Promise<AttachedDisk> {
  const { device, queues, wait } = options;
  const place = { connect: checkSocketPath(options.socket) };
  if (device === "blk" && options.to !== undefined) throw new UsageError("--to goes with --device scsi");
  const localConfig = device === "scsi" ? scsiConfiguration(queues) : undefined;
  const deviceId = device === "scsi" ? virtioScsiId : virtioBlkId;
  const waiting = { patience: wait * 1000, queues: device === "scsi" ? ScsiQueue.FirstRequest + queues : queues };
  const frontEnd = await openVhostUser({ place, deviceId, localConfig, memorySize, ...waiting });
  try {
    return device === "scsi" ? await attachScsi(frontEnd, options) : await attachBlk(frontEnd, options);
  } catch (error) {
    const isGone = frontEnd.transport.isGone;
    frontEnd.close();
    throw isGone ? serverWentAway(options, error) : error;
  }
}

/** What to say in place of what a driver says that finds no device any more. */
export function serverWentAway({ socket }: AttachOptions, cause: unknown): WorkFailed {
  return new WorkFailed(`the server at ${socket} went away before the work was done`, { cause });
}

/** What both kinds tell. */
function commonFacts({ transport }: VhostUserFrontEnd, { socket, device }: AttachOptions) {
  return {
    ...{ socket, device: `virtio-${device}`, queues: transport.queueCount },
    protocolFeatures: featureNames(transport.protocolFeatures, ProtocolFeature),
  };
}

/** What the driver may take. @throws WorkFailed when packed rings are insisted on and not offered */
function chosen({ transport }: VhostUserFrontEnd, { packed, socket }: AttachOptions, features: bigint): bigint {
  const { RING_PACKED } = ringFeatures;
  if (packed === true && !hasFeature(transport.readFeatures(), RING_PACKED)) {
    throw new WorkFailed(`the back end at ${socket} does not offer packed rings: leave out --packed`);
  }
  return packed === false ? features & ~featureSet(RING_PACKED) : features;
}

async function attachBlk(frontEnd: VhostUserFrontEnd, options: AttachOptions): Promise<AttachedDisk> {
  const { transport } = frontEnd;
  if (!hasFeature(transport.protocolFeatures, ProtocolFeature.CONFIG)) {
    throw new WorkFailed(
      `the back end at ${options.socket} tells no configuration, so it is no disk: try --device scsi`,
    );
  }
  const driver = await VirtioBlkDriver.open(transport, {
    queues: options.queues,
    features: chosen(frontEnd, options, knownBlkFeatures),
  });
  const { info } = driver;
  const blocks = new BlkBlocks(driver);
  const sectors = info.blockSize / 512;
  const close = () => ended(driver.close(), frontEnd);
  try {
    const serial = await driver.identify().catch((error: unknown) => {
      if (error instanceof BlkRequestError) return "";
      throw error;
    });
    const facts = {
      ...commonFacts(frontEnd, options),
      features: info.features,
      ...{ blockSize: info.blockSize, physicalBlockSize: info.physicalBlockSize, blocks: blocks.blocks },
      ...{ readOnly: info.isReadOnly, serial, writeCache: info.hasWriteCache, segMax: info.segMax },
      ...{ discard: info.discard !== undefined, writeZeroes: info.writeZeroes !== undefined },
    };
    return {
      ...{ blocks, facts, isReadOnly: info.isReadOnly, dma: frontEnd.transport.dma, close },
      isRefusal: (error) => error instanceof BlkRequestError,
      failure: () => driver.failure,
      isGone: () => transport.isGone,
      transfer: (isWrite, lba, bytes, queue) =>
        isWrite
          ? driver.writeSectors(lba * sectors, bytes, { queue })
          : driver.readSectors(lba * sectors, bytes, { queue }),
    };
  } catch (error) {
    await driver.close();
    throw error;
  }
}

async function attachScsi(frontEnd: VhostUserFrontEnd, options: AttachOptions): Promise<AttachedDisk> {
  const { transport } = frontEnd;
  if (transport.queueCount <= ScsiQueue.FirstRequest) {
    const count = transport.queueCount;
    const queues = count === 1 ? "1 queue" : `${count} queues`;
    throw new WorkFailed(`the back end at ${options.socket} has ${queues}, a SCSI host at least 3: try --device blk`);
  }
  const driver = await VirtioScsiDriver.open(transport, {
    requestQueues: options.queues,
    features: chosen(frontEnd, options, knownScsiFeatures),
  });
  try {
    const units = await discoverUnits(driver);
    const unit = chooseUnit(units, options);
    const blocks = new UnitBlocks(driver, unit);
    const perQueue = Array.from({ length: options.queues }, (_, queue) => new UnitBlocks(onQueue(driver, queue), unit));
    const { target, lun, serial = "", writeProtected: readOnly } = unit;
    const { vendor, product, revision } = unit.inquiry;
    const facts = {
      ...commonFacts(frontEnd, options),
      features: featureNames(driver.link.features, scsiFeatures, ringFeatures),
      units: units.map((one) => ({ target: one.target, lun: one.lun, product: one.inquiry.product })),
      ...{ target, lun, vendor, product, revision, serial },
      ...{ blockSize: blocks.blockSize, blocks: blocks.blocks, readOnly },
    };
    return {
      ...{ blocks, facts, isReadOnly: readOnly, dma: transport.dma, isRefusal: isWriteProtection },
      close: () => ended(driver.close(), frontEnd),
      failure: () => driver.failure,
      isGone: () => transport.isGone,
      transfer: (isWrite, lba, bytes, queue) =>
        isWrite ? perQueue[queue].write(lba, bytes) : perQueue[queue].read(lba, bytes),
    };
  } catch (error) {
    await driver.close();
    throw error;
  }
}

/** The driver as one that sends all commands through one of its request queues. */
function onQueue(driver: VirtioScsiDriver, queue: number): ScsiInitiator {
  return {
    limits: driver.limits,
    execute: (address, cdb, options = {}) => driver.execute(address, cdb, { ...options, queue }),
  };
}

function chooseUnit(units: readonly DiscoveredUnit[], { to, socket }: AttachOptions): DiscoveredUnit {
  const wanted = to === undefined ? undefined : parseAddress(to);
  const unit = units.find(({ address }) => wanted === undefined || address === wanted);
  const places = units.map(({ target, lun }) => `${target}/${lun}`).join(", ");
  if (unit === undefined) {
    if (units.length === 0) throw new WorkFailed(`there is no unit behind ${socket}`);
    throw new WorkFailed(`there is no unit at ${to} behind ${socket}: there are ${places}`);
  }
  if (unit.capacity === undefined) throw new WorkFailed(`the unit at ${unit.target}/${unit.lun} holds no blocks`);
  return unit;
}

async function ended(closing: Promise<void>, frontEnd: VhostUserFrontEnd): Promise<void> {
  try {
    await closing;
  } catch (error) {
    // A back end that is gone holds nothing any more.
    if (!(error instanceof DeviceError || error instanceof ProtocolError)) throw error;
  } finally {
    frontEnd.close();
  }
}

/** Front ends for SCSI hosts make the configuration up themselves: QEMU's. */
function scsiConfiguration(numQueues: number): Uint8Array {
  const bytes = new Uint8Array(scsiConfig.size);
  const sizes = { eventInfoSize: 16, senseSize: 96, cdbSize: 32, maxChannel: 0, maxTarget: 255, maxLun: 16383 };
  const limits = { numQueues, segMax: 126, maxSectors: 0xffff, cmdPerLun: 128 };
  scsiConfig.write(new DataView(bytes.buffer), 0, "little", { ...limits, ...sizes });
  return bytes;
}
