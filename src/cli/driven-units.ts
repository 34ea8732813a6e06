/** Units that a driver of any SCSI adapter found, as `run` uses them: each where its image was put. */
import { type DiscoveredUnit, ScsiCommandError, type ScsiInitiator, SenseKey, UnitBlocks } from "../scsi/index.js";
import type { DrivenUnit, DriveOptions } from "./driven.js";
import { WorkFailed } from "./errors.js";
import type { PlacedImage } from "./image-argument.js";

/** The units of all images, in their order. @throws WorkFailed when one was not found, or is of another kind */
export function drivenUnits(
  driver: ScsiInitiator,
  found: readonly DiscoveredUnit[],
  options: DriveOptions,
): DrivenUnit[] {
  return options.images.map((image) => drivenUnit(image, unitOf(image, found), driver, options));
}

function drivenUnit(
  image: PlacedImage,
  unit: DiscoveredUnit,
  driver: ScsiInitiator,
  options: DriveOptions,
): DrivenUnit {
  const { target, lun, serial, capacity } = unit;
  const { vendor, product, revision } = unit.inquiry;
  const blocks = new UnitBlocks(driver, unit, { observer: options.commands });
  return {
    ...{ image, target, lun, vendor, product, revision },
    serial: serial || undefined,
    physicalBlockSize: blocks.blockSize * 2 ** (capacity?.physicalExponent ?? 0),
    blocks,
    isRefusal: isWriteProtection,
  };
}

/** Whether a command failed because its unit may not be written. */
export function isWriteProtection(error: unknown): boolean {
  return error instanceof ScsiCommandError && error.sense?.key === SenseKey.DataProtect;
}

/** @throws WorkFailed when the unit was not found where its image was put, or is of another kind */
function unitOf(image: PlacedImage, found: readonly DiscoveredUnit[]): DiscoveredUnit {
  const unit = found.find(({ target, lun }) => target === image.target && lun === image.lun);
  const place = `target ${image.target} lun ${image.lun}`;
  if (unit === undefined) throw new WorkFailed(`${image.path} was put at ${place}, but no unit was found there`);
  if (unit.capacity === undefined) throw new WorkFailed(`the unit at ${place} (${image.path}) tells no capacity`);
  if (unit.capacity.blockSize !== image.blockSize) {
    throw new WorkFailed(
      `${image.path} was given blocks of ${image.blockSize} bytes, its unit has ${unit.capacity.blockSize}`,
    );
  }
  return unit;
}
