/** The machine of `--os amix`: an Amiga with 53C710 boards, disks behind each controller. */
import type { Board } from "../machine/index.js";
import { a4091Identity, generateRom } from "../ncr53c710/index.js";
import { EmbeddedMachine } from "../platform/embedded/index.js";
import { Disk, ScsiBus } from "../scsi/index.js";
import type { ZorroIdentity } from "../zorro/index.js";
import { type AmixBoardName, amixBoardNames } from "./amix-options.js";
import { type AmixSetting, amixBoardsOf, placeAmixImages } from "./amix-places.js";
import { UsageError } from "./errors.js";
import type { OwnMachine } from "./faces.js";
import type { PlacedImage } from "./image-argument.js";
import type { PlatformMachine, PlatformOptions } from "./platform.js";
import { openStore } from "./platform-embedded.js";
import type { Plan, RunOptions } from "./run-plan.js";

const unitsOfController = 8;
/** The 53C770 boards of a later maker. */
const laterMaker = 0xc0de;
const identities: Readonly<Record<AmixBoardName, Partial<ZorroIdentity>>> = {
  a4091: {},
  a4092: { manufacturer: laterMaker, product: 1 },
  a4770: { manufacturer: laterMaker, product: 2 },
};

/** The face's machines. */
export const amixMachine: OwnMachine = {
  place: (images, plan, options) => placeAmixImages(images, settingOf(plan, options)),
  start: (platform, plan, options) => startAmiga(platform, settingOf(plan, options), options.chipset),
};

function settingOf({ board }: Plan, { boards, autocon, ls, cat }: RunOptions): AmixSetting {
  return {
    board,
    boards: boards === undefined ? undefined : parseBoards(boards, board),
    gate: autocon,
    path: ls ?? cat,
  };
}

/** @throws UsageError */
function parseBoards(text: string, { name, zorro }: Board): AmixBoardName[] {
  const names = text === "none" ? [] : text.split(",");
  const slots = zorro?.slots ?? 0;
  if (names.length > slots)
    throw new UsageError(`${name} has ${slots} Zorro slots, and --boards names ${names.length}`);
  return names.map((word) => {
    const found = amixBoardNames.find((known) => known === word);
    if (found === undefined) {
      throw new UsageError(`"${word}" in --boards is no board: write none, or ${amixBoardNames.join(", ")}`);
    }
    return found;
  });
}

async function startAmiga(
  options: PlatformOptions,
  setting: AmixSetting,
  chipset: number | undefined,
): Promise<PlatformMachine> {
  const { amiga } = setting.board;
  if (amiga === undefined) throw new UsageError(`--os amix does not fit ${setting.board.name}: leave out --machine`);
  const board = chipset === undefined ? setting.board : { ...setting.board, amiga: { ...amiga, agnus: chipset } };
  const names = amixBoardsOf(setting, options.images);
  const buses = Array.from({ length: names.length + (amiga.onboardScsi ? 1 : 0) }, () => new ScsiBus());
  const closeBuses = async () => {
    for (const bus of buses) await bus.close();
  };
  try {
    for (const image of options.images) attach(buses, image, options);
    const ram = options.ram === undefined ? {} : { ramSize: options.ram };
    const machine = new EmbeddedMachine(board, { ...ram, observer: options.observer });
    if (amiga.onboardScsi) machine.plugOnboardScsi(buses[0]);
    for (const [index, name] of names.entries()) {
      const rom = generateRom({ ...a4091Identity, ...identities[name] });
      machine.plugA4091(buses[index + (amiga.onboardScsi ? 1 : 0)], { rom, observer: options.observer });
    }
    const close = async () => {
      await machine.close();
      await closeBuses();
    };
    return { machine, close };
  } catch (error) {
    await closeBuses();
    throw error;
  }
}

function attach(buses: readonly ScsiBus[], image: PlacedImage, options: PlatformOptions): void {
  const { target, blockSize } = image;
  const bus = buses[Math.floor(target / unitsOfController)];
  bus.attach(target % unitsOfController, 0, new Disk(openStore(image, options), { blockSize }));
}
