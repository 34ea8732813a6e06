/** Initialises the modules of a Kickstart one after the other, as exec does at cold start. */
import { initialisationOrder, type Kicklayout, knownResidents, type ResidentModule } from "./kicklayout.js";

/** What a module does when it is initialised; may look which ones are there already. Undefined result: it is not there. */
export type ModuleInit = (present: ReadonlySet<string>) => Promise<boolean>;

/** What happened at start-up. */
export interface StartUpReport {
  /** Exec names, in the order in which they came up. */
  readonly initialised: readonly string[];
  /** Modules that gave up. */
  readonly failed: readonly string[];
}

/** Runs through the layout. Modules without a routine of ours come up by themselves; one that rejects has failed. */
export async function startUp(
  layout: Kicklayout,
  routines: Readonly<Record<string, ModuleInit>>,
  known: readonly ResidentModule[] = knownResidents,
): Promise<StartUpReport> {
  const initialised: string[] = [];
  const failed: string[] = [];
  const present = new Set<string>();
  for (const { name } of initialisationOrder(layout, known)) {
    const routine = routines[name];
    const isUp = routine === undefined || (await routine(present).catch(() => false));
    if (isUp) {
      initialised.push(name);
      present.add(name);
    } else failed.push(name);
  }
  return { initialised, failed };
}
