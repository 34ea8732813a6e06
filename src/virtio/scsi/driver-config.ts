/** The configuration of a virtio-scsi device as its driver reads it. */
import type { StructValue } from "../../bytes/index.js";
import { ProtocolError, UnsupportedError } from "../../errors/index.js";
import type { DriverLink } from "../../transport/index.js";
import { scsiConfig } from "./protocol.js";

/** The fields of the device configuration, as numbers. */
export type ScsiConfig = StructValue<typeof scsiConfig>;

/** Sizes above this are no device's: a driver would allocate that much for each request. */
const largestSize = 65536;

/**
 * Writes the sizes that the caller wants (virtio 1.2 §5.6.4.1), reads all fields and checks what a driver computes with.
 * @throws ProtocolError `request-header-short` when a CDB of 16 bytes does not fit, or sizes are absurd.
 */
export function openScsiConfig(
  link: DriverLink,
  wanted: { readonly senseSize?: number | undefined; readonly cdbSize?: number | undefined },
): ScsiConfig {
  const { transport } = link;
  const { offset } = scsiConfig;
  if (wanted.senseSize !== undefined) transport.writeConfig(offset.senseSize, 4, wanted.senseSize);
  if (wanted.cdbSize !== undefined) transport.writeConfig(offset.cdbSize, 4, wanted.cdbSize);
  const config = readScsiConfig(link);
  const { cdbSize, senseSize } = config;
  if (cdbSize < 16 || cdbSize > largestSize || senseSize > largestSize) {
    throw new ProtocolError("request-header-short", { detail: `cdb_size ${cdbSize}, sense_size ${senseSize}` });
  }
  return config;
}

/**
 * Requests that wait for a restore have room for CDBs and sense as it was before.
 * @throws UnsupportedError when the device came back with other sizes.
 */
export function checkSameFormat(before: ScsiConfig, now: ScsiConfig): void {
  for (const field of ["cdbSize", "senseSize"] as const) {
    if (now[field] === before[field]) continue;
    throw new UnsupportedError(`the device came back with ${field} ${now[field]}, it had ${before[field]}`);
  }
}

function readScsiConfig(link: DriverLink): ScsiConfig {
  const { offset } = scsiConfig;
  return link.readConfig((transport) => ({
    numQueues: transport.readConfig(offset.numQueues, 4),
    segMax: transport.readConfig(offset.segMax, 4),
    maxSectors: transport.readConfig(offset.maxSectors, 4),
    cmdPerLun: transport.readConfig(offset.cmdPerLun, 4),
    eventInfoSize: transport.readConfig(offset.eventInfoSize, 4),
    senseSize: transport.readConfig(offset.senseSize, 4),
    cdbSize: transport.readConfig(offset.cdbSize, 4),
    maxChannel: transport.readConfig(offset.maxChannel, 2),
    maxTarget: transport.readConfig(offset.maxTarget, 2),
    maxLun: transport.readConfig(offset.maxLun, 4),
  }));
}
