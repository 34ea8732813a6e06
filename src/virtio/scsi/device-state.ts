/** What a snapshot keeps of the units behind virtio-scsi: what the driver of this device knows of them, in order of place. */
import type { SavedFields, SavedReader } from "../../bytes/index.js";
import { type PlacedUnit, unitAddress } from "../../scsi/index.js";
import type { VirtioScsiDevice } from "./device.js";

/** The state of every unit; what its storage holds is not in it. */
export function saveUnits({ bus, nexus, subscriptions }: VirtioScsiDevice): SavedFields[] {
  return bus.units().map(({ target, lun, unit }) => ({
    ...{ target, lun, kind: unit.kind },
    subscribed: subscriptions.get(unitAddress(target, lun)) ?? 0,
    state: unit.saveState?.(nexus) ?? {},
  }));
}

/**
 * Reads what {@link saveUnits} gave and gives the step that puts it in force. The same kinds of units have to be in the
 * same places: a driver hears of others only from events that happen while it runs.
 * @throws RangeError, UnsupportedError when it cannot be used
 */
export function readUnits(saved: SavedReader, device: VirtioScsiDevice): () => void {
  const placed = device.bus.units();
  const entries = saved.list("units", placed.length, (entry) => entry);
  if (entries.length < placed.length) saved.refuse("units", `are ${entries.length}, here are ${placed.length}`);
  const steps = placed.map((place, index) => readUnit(entries[index], device, place));
  return () => {
    for (const step of steps) step();
  };
}

function readUnit(saved: SavedReader, device: VirtioScsiDevice, { target, lun, unit }: PlacedUnit): () => void {
  const name = `${saved.text("kind")} ${saved.whole("target", 0xff)}/${saved.whole("lun", 0x3fff)}`;
  const own = `${unit.kind} ${target}/${lun}`;
  if (name !== own) saved.refuse("", `is of ${name}: here is ${own}`);
  const subscribed = readSubscription(saved, device.asyncEventsOf(unit));
  const step = unit.readState?.(saved.part("state"), device.nexus);
  return () => {
    if (subscribed !== 0) device.subscriptions.set(unitAddress(target, lun), subscribed);
    step?.();
  };
}

function readSubscription(saved: SavedReader, possible: number): number {
  const subscribed = saved.whole("subscribed", 0xffff_ffff);
  if ((subscribed & ~possible) !== 0) saved.refuse("subscribed", `is ${subscribed}: the unit tells of ${possible}`);
  return subscribed;
}
