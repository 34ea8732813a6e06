/**
 * AmigaOS as far as disks are concerned: the modules of a Kickstart come up in their order, the device announces its units
 * to mounter.library if that is there by then, and what is mounted can be read by its names.
 */
import { type AmigaSystem, type OpenAmigaOptions, openAmigaos } from "../open-amigaos.js";
import type { AmigaAdapter, AmigaMachine } from "../virtio/amiga-machine.js";
import { AmigaDisk } from "./amiga-disk.js";
import { type Kicklayout, layoutProblems, parseKicklayout } from "./kicklayout.js";
import { Mounter } from "./mounter.js";
import { type StartUpReport, startUp } from "./start-up.js";
import { AmigaVolumes } from "./volumes.js";

/** Exec names of the modules with a part in it. */
const names = { device: "virtioscsi.device", mounter: "mounter.library" } as const;

/** What the seed's instructions make of a Kickstart. */
export const usualKicklayout: Kicklayout = parseKicklayout(
  [
    "LABEL AmigaOS 4.1",
    "EXEC Kickstart/loader",
    "MODULE Kickstart/expansion.library.kmod",
    "MODULE Kickstart/mounter.library",
    "MODULE Kickstart/virtioscsi.device",
    "MODULE Kickstart/dos.library.kmod",
  ].join("\n"),
)[0];

/** How the system is started. */
export interface BootOptions extends Omit<OpenAmigaOptions, "announce" | "denounce"> {
  /** Default {@link usualKicklayout}. */
  readonly layout?: Kicklayout;
}

/** A system that is up. */
export interface BootedAmiga {
  readonly system: AmigaSystem;
  readonly mounter: Mounter;
  readonly volumes: AmigaVolumes;
  readonly startUp: StartUpReport;
  /** What a user should know: nothing mounts the units, a unit cannot be read. */
  readonly warnings: readonly string[];
  /** A unit of the device, open until the system is closed. @throws AmigaIoError */
  disk(unit: number): Promise<AmigaDisk>;
  /** Resolves when every unit that was announced, or is gone, has been dealt with. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the system. @throws UnsupportedError when the device does not come up. */
export async function bootAmigaos(
  machine: AmigaMachine,
  adapters: readonly AmigaAdapter[],
  options: BootOptions = {},
): Promise<BootedAmiga> {
  const { layout = usualKicklayout, ...rest } = options;
  const warnings = layoutProblems(layout, names.device);
  const disks = new Map<number, Promise<AmigaDisk>>();
  let system: AmigaSystem | undefined;
  let failure: unknown;
  const mounter = new Mounter(async (device, unit) => AmigaDisk.open(running(), device, unit));
  const running = (): AmigaSystem => {
    if (system === undefined) throw new RangeError("the device is not up");
    return system;
  };
  let isMounterThere = false;
  let work: Promise<unknown> = Promise.resolve();
  const announced: number[] = [];
  const announce = (unit: number) => {
    if (!isMounterThere) return;
    if (system === undefined) announced.push(unit);
    else work = Promise.all([work, mounter.announce(names.device, unit)]);
  };
  const denounce = (unit: number) => {
    work = Promise.all([work, mounter.denounce(names.device, unit), forget(disks, unit)]);
  };
  const report = await startUp(layout, {
    [names.mounter]: async () => {
      isMounterThere = true;
      return true;
    },
    [names.device]: async () => {
      try {
        system = await openAmigaos(machine, adapters, { ...rest, announce, denounce });
        return true;
      } catch (error) {
        failure = error;
        return false;
      }
    },
  });
  // A Kickstart without the device has none.
  if (system === undefined) throw failure ?? new RangeError(warnings.join("; "));
  for (const unit of announced) announce(unit);
  const disk = (unit: number) => {
    let opened = disks.get(unit);
    if (opened === undefined) {
      opened = AmigaDisk.open(running(), names.device, unit);
      disks.set(unit, opened);
      opened.catch(() => disks.delete(unit));
    }
    return opened;
  };
  const settled = async () => {
    for (let seen: unknown; seen !== work; ) {
      seen = work;
      await work;
    }
  };
  await settled();
  return {
    ...{ system, mounter, startUp: report, warnings, disk, settled },
    volumes: new AmigaVolumes(mounter, ({ unit }) => disk(unit)),
    async close() {
      await settled();
      for (const unit of [...disks.keys()]) await forget(disks, unit);
      await running().close();
    },
  };
}

async function forget(disks: Map<number, Promise<AmigaDisk>>, unit: number): Promise<void> {
  const opened = disks.get(unit);
  disks.delete(unit);
  if (opened !== undefined) await opened.then((disk) => disk.close()).catch(() => {});
}
