/** What the extended profile does about events of the device: units that come and go, media that change (2.5). */
import { cdb, parseInquiry, Qualifier } from "../../../scsi/index.js";
import type { ScsiEventReport } from "../../../virtio/index.js";
import type { DriverIo } from "./driver-io.js";
import type { AmigaScsiDevice } from "./scsi-device.js";

/** Sense codes of a parameter change: ASC in the low byte of the reason. */
const mediumMayHaveChanged = 0x28;
const mediumNotPresent = 0x3a;

/** Follows one event. Never rejects. */
export async function followEvent(
  device: AmigaScsiDevice,
  controller: number,
  io: DriverIo,
  event: ScsiEventReport,
): Promise<void> {
  try {
    // Something was lost: only looking at everything tells what.
    if (event.missed) await rescan(device, controller, io);
    const { target, lun } = event;
    if (target === undefined || lun === undefined) return;
    const unit = device.unitAt(controller, target, lun);
    switch (event.kind) {
      case "rescan":
        if (unit === undefined) await addUnit(device, controller, io, target, lun);
        else if (unit.isMediumPresent) unit.mediumChanged(true);
        else {
          unit.mediumChanged(true);
          device.announce(unit);
        }
        break;
      case "removed":
        if (unit !== undefined) {
          unit.mediumChanged(false);
          device.denounce(unit);
        }
        break;
      case "reset":
        for (const each of device.units) if (each?.controller === controller) each.mediumChanged(each.isMediumPresent);
        break;
      case "parameter":
        unit?.mediumChanged(isPresentAfter(event.reason, unit.isMediumPresent));
        break;
      default:
        break;
    }
  } catch (error) {
    device.debug(`an event could not be followed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function isPresentAfter(reason: number, before: boolean): boolean {
  const asc = reason & 0xff;
  if (asc === mediumMayHaveChanged) return true;
  return asc === mediumNotPresent ? false : before;
}

async function addUnit(
  device: AmigaScsiDevice,
  controller: number,
  io: DriverIo,
  target: number,
  lun: number,
): Promise<void> {
  const data = await io.ask(target, lun, cdb.inquiry(36), 36);
  const inquiry = data && parseInquiry(data);
  if (inquiry === undefined || inquiry.qualifier !== Qualifier.Connected) return;
  if (inquiry.deviceType !== 0 && inquiry.deviceType !== 5) return;
  if (device.unitAt(controller, target, lun) !== undefined) return;
  const unit = device.addUnit(controller, target, lun, inquiry.deviceType);
  if (unit !== undefined) device.announce(unit);
}

async function rescan(device: AmigaScsiDevice, controller: number, io: DriverIo): Promise<void> {
  const there = new Set<string>();
  await io.scan(async ({ target, lun, peripheralType }) => {
    there.add(`${target}/${lun}`);
    const unit = device.unitAt(controller, target, lun);
    if (unit === undefined) {
      const added = device.addUnit(controller, target, lun, peripheralType);
      if (added !== undefined) device.announce(added);
    } else if (!unit.isMediumPresent) {
      unit.mediumChanged(true);
      device.announce(unit);
    }
    return device.units.length < device.profile.units;
  });
  for (const unit of device.units) {
    if (unit?.controller !== controller || !unit.isMediumPresent || there.has(`${unit.target}/${unit.lun}`)) continue;
    unit.mediumChanged(false);
    device.denounce(unit);
  }
}
