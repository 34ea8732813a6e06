/**
 * The list of modules that make up a Kickstart (`Kicklayout`) and the order in which exec initialises them. A line
 * `MODULE Kickstart/name` loads a module; what decides the order is the module's own resident priority, and the line
 * only among equals. That is why a device that announces units needs a priority below `mounter.library`'s.
 */

/** What a module's resident structure says. */
export interface ResidentModule {
  /** Name of the file, without its folder. */
  readonly file: string;
  /** Exec name: `mounter.library`. */
  readonly name: string;
  /** −128…127; the higher, the earlier. */
  readonly priority: number;
}

/** One `LABEL` of a layout with what it loads. */
export interface Kicklayout {
  readonly label: string;
  /** Paths of `EXEC` and `MODULE` lines, in their order. */
  readonly modules: readonly string[];
}

/** Priority of `virtioscsi.device` up to v1.8, from v53.8 on 0. */
export const virtioScsiPriority = -60;

/**
 * Modules with a part in mounting, with priorities between which −60 lies as the driver's documents say: after
 * `mounter.library`, before dos.library starts. Only their order is meant.
 */
export const knownResidents: readonly ResidentModule[] = [
  { file: "kernel", name: "exec.library", priority: 126 },
  { file: "loader", name: "exec.library", priority: 126 },
  { file: "expansion.library.kmod", name: "expansion.library", priority: 110 },
  { file: "utility.library.kmod", name: "utility.library", priority: 103 },
  { file: "a1ide.device.kmod", name: "a1ide.device", priority: 0 },
  { file: "peg2ide.device.kmod", name: "peg2ide.device", priority: 0 },
  { file: "mounter.library", name: "mounter.library", priority: -50 },
  { file: "mounter.library.kmod", name: "mounter.library", priority: -50 },
  { file: "virtioscsi.device", name: "virtioscsi.device", priority: virtioScsiPriority },
  { file: "virtioscsi.device.kmod", name: "virtioscsi.device", priority: virtioScsiPriority },
  { file: "diskboot.kmod", name: "diskboot", priority: -80 },
  { file: "dos.library.kmod", name: "dos.library", priority: -120 },
];

/** Reads a layout file. Lines that are empty, or begin with `;` or `#`, and words that are unknown say nothing. */
export function parseKicklayout(text: string): Kicklayout[] {
  const layouts: { label: string; modules: string[] }[] = [];
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(\w+)\s+(.+?)\s*$/.exec(line.replace(/^\s*[;#].*$/, ""));
    if (match === null) continue;
    const [, word, value] = match;
    if (/^label$/i.test(word)) layouts.push({ label: value, modules: [] });
    else if (/^(exec|module)$/i.test(word)) {
      if (layouts.length === 0) layouts.push({ label: "", modules: [] });
      layouts[layouts.length - 1].modules.push(value);
    }
  }
  return layouts;
}

/** In which order exec initialises the modules of a layout. Modules that `known` does not name have priority 0. */
export function initialisationOrder(
  layout: Kicklayout,
  known: readonly ResidentModule[] = knownResidents,
): ResidentModule[] {
  const modules = layout.modules.map((path) => {
    const file = path.slice(path.lastIndexOf("/") + 1);
    const found = known.find((module) => module.file.toLowerCase() === file.toLowerCase());
    return found ?? { file, name: file.replace(/\.kmod$/i, ""), priority: 0 };
  });
  // A later module of the same name is not used.
  const first = modules.filter((module, index) => modules.findIndex(({ name }) => name === module.name) === index);
  return first.sort((a, b) => b.priority - a.priority);
}

/** What is wrong with a layout for a device that announces its units, in words for a user; empty when nothing is. */
export function layoutProblems(
  layout: Kicklayout,
  device = "virtioscsi.device",
  known: readonly ResidentModule[] = knownResidents,
): string[] {
  const order = initialisationOrder(layout, known);
  const at = order.findIndex(({ name }) => name === device);
  const mounter = order.findIndex(({ name }) => name === "mounter.library");
  if (at < 0) return [`${device} is not in the Kicklayout: add the line "MODULE Kickstart/${device}"`];
  if (mounter < 0)
    return [`mounter.library is not in the Kicklayout: ${device} finds its units, and nothing mounts them`];
  if (mounter < at) return [];
  const { priority } = order[at];
  return [`${device} is initialised before mounter.library (priority ${priority}): its units are announced to nobody`];
}
