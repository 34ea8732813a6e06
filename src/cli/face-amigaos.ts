/** `--os amigaos`: exec and `virtioscsi.device` on the virtio-scsi controllers of a machine, and what they mount. */
import { type FoundPciAdapter, findVirtioAdapters, type Machine } from "../machine/index.js";
import {
  AmigaIoError,
  type AmigaUnit,
  amigaProfiles,
  type BootedAmiga,
  bootAmigaos,
  IoError,
  neverBoot,
} from "../os/index.js";
import { cdb, parseInquiry, parseSerialNumber } from "../scsi/index.js";
import { featureNames, ringFeatures } from "../transport/index.js";
import { scsiFeatures, virtioScsiId } from "../virtio/index.js";
import type { DrivenAdapter, DrivenSession, DrivenUnit } from "./driven.js";
import { UsageError, WorkFailed } from "./errors.js";
import type { FaceOptions } from "./faces.js";
import type { PlacedImage } from "./image-argument.js";
import { Pump } from "./pump.js";
import { type Column, formatTable, printable } from "./table.js";

/** Boots the system and finds the images' units. @throws WorkFailed, UsageError, what the device throws */
export async function driveAmigaos(machine: Machine, options: FaceOptions): Promise<DrivenSession> {
  const { profile, images, observer, interrupts, com1, debugLevel } = options;
  if (profile === "strict" && interrupts === "none") {
    throw new UsageError(
      "version 1.5 never looks at reads and writes without an interrupt (Q4 in docs/AMIGAOS.md): say --profile extended",
    );
  }
  checkPlaces(images, profile);
  const found = findVirtioAdapters(machine).filter(
    (adapter): adapter is FoundPciAdapter => adapter.on === "pci" && adapter.deviceId === virtioScsiId,
  );
  if (found.length === 0) throw new WorkFailed(`there is no virtio-scsi controller on ${machine.board.name}`);
  const encoder = new TextEncoder();
  const debug = (line: string) => {
    if (debugLevel > 0) com1?.write(encoder.encode(`${line}\r\n`));
  };
  const pump = new Pump(machine);
  let amiga: BootedAmiga;
  try {
    amiga = await bootAmigaos(machine, found, { profile, interrupts, observer, debug });
  } catch (error) {
    await pump.close();
    throw error;
  }
  const close = async () => {
    try {
      await amiga.close();
    } finally {
      await pump.close();
    }
  };
  try {
    const adapters: DrivenAdapter[] = [];
    for (const [index, controller] of amiga.system.controllers.entries()) {
      options.check();
      const mine = index === 0 ? images : [];
      const units: DrivenUnit[] = [];
      for (const image of mine) units.push(await drivenUnit(amiga, image));
      adapters.push({
        kind: "virtio-scsi",
        transport: controller.kind,
        place: found[index]?.place ?? "",
        interrupts: controller.interruptMode,
        features: featureNames(controller.features, scsiFeatures, ringFeatures),
        units,
      });
    }
    return { adapters, files: amiga.volumes, story: await storyOf(amiga), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @throws UsageError for a place that the profile does not look at */
function checkPlaces(images: readonly PlacedImage[], name: FaceOptions["profile"]): void {
  const { targets, luns, units } = amigaProfiles[name];
  for (const { path, target, lun } of images) {
    if (target < targets && lun < luns) continue;
    throw new UsageError(
      `${path} is at target ${target} lun ${lun}: the ${name} profile looks at targets 0 to ${targets - 1} and luns 0 to ${luns - 1}`,
    );
  }
  if (images.length > units) {
    throw new UsageError(`the ${name} profile has ${units} units, and ${images.length} images were given`);
  }
}

async function drivenUnit(amiga: BootedAmiga, image: PlacedImage): Promise<DrivenUnit> {
  const { target, lun } = image;
  const place = `target ${target} lun ${lun}`;
  const unit = amiga.system.device.units.find((candidate) => isAt(candidate, target, lun));
  if (unit === undefined) throw new WorkFailed(`${image.path} was put at ${place}, but no unit was found there`);
  const disk = await amiga.disk(unit.number);
  if (disk.blockSize !== image.blockSize) {
    throw new WorkFailed(`${image.path} was given blocks of ${image.blockSize} bytes, its unit has ${disk.blockSize}`);
  }
  const inquiry = parseInquiry((await disk.scsi(cdb.inquiry(36), 36)).data);
  const serial = parseSerialNumber((await disk.scsi(cdb.inquiry(255, 0x80), 255)).data);
  return {
    ...{ image, target, lun, blocks: disk, physicalBlockSize: disk.blockSize },
    vendor: inquiry?.vendor ?? "",
    product: inquiry?.product ?? "",
    revision: inquiry?.revision ?? "",
    serial: serial || undefined,
    isRefusal: (error) => error instanceof AmigaIoError && error.ioError === IoError.WriteProt,
  };
}

function isAt(unit: AmigaUnit | undefined, target: number, lun: number): boolean {
  return unit !== undefined && unit.controller === 0 && unit.target === target && unit.lun === lun;
}

/** What was mounted, for people and for programs. */
async function storyOf({
  volumes,
  mounter,
  warnings,
  startUp,
}: BootedAmiga): Promise<NonNullable<DrivenSession["story"]>> {
  const reports = await volumes.report();
  const columns: Column[] = [{ title: "Node" }, { title: "Unit", right: true }, { title: "DosType" }];
  columns.push({ title: "Boot", right: true }, { title: "Volume" });
  const rows = reports.map(({ node, name, problem }) => [
    `${printable(node.name)}:`,
    `${node.unit}`,
    printable(node.type),
    node.bootPriority === neverBoot ? "-" : `${node.bootPriority}`,
    printable(name ?? `(${problem})`),
  ]);
  const table = rows.length === 0 ? ["Nothing is mounted."] : formatTable(columns, rows);
  const notes = mounter.units.flatMap(({ unit, notes: all }) => all.map((note) => `unit ${unit}: ${printable(note)}`));
  const nodes = reports.map(({ node, name, problem }) => ({
    ...{ name: node.name, device: node.device, unit: node.unit, dosType: node.dosType, type: node.type },
    ...{ bootPriority: node.bootPriority, firstBlock: node.firstBlock, blocks: node.blocks },
    ...{ environment: node.vector, ...(name === undefined ? {} : { volume: name }) },
    ...(problem === undefined ? {} : { problem }),
  }));
  return {
    lines: [...warnings.map((warning) => `Warning: ${warning}`), ...table],
    facts: { initialised: startUp.initialised, warnings, nodes, notes },
  };
}
