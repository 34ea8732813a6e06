/** Where images go on an Amiga that runs Amix: controllers by base address, units by SCSI id, a name for each. */
import type { Board } from "../machine/index.js";
import { amixLimits, type ChipsetGate, parseAmixPath, sliceName } from "../os/index.js";
import type { AmixBoardName } from "./amix-options.js";
import { UsageError } from "./errors.js";
import type { ImageArgument, PlacedImage } from "./image-argument.js";

/** What a call says about the machine. */
export interface AmixSetting {
  readonly board: Board;
  /** As `--boards` says; undefined for what the images need. */
  readonly boards: readonly AmixBoardName[] | undefined;
  readonly gate: ChipsetGate | undefined;
  /** The path of `--ls` or `--cat`. */
  readonly path: string | undefined;
}

/** SCSI id of every controller. */
const hostId = 7;
const { units } = amixLimits;
/** Units of a controller, the one that has the root device first. */
const order = [6, 0, 1, 2, 3, 4, 5] as const;
const blockSize = 512;

/** Controllers that this call may put images behind. */
function controllersOf({ board, boards }: AmixSetting): number {
  const onboard = board.amiga?.onboardScsi === true ? 1 : 0;
  return onboard + (boards?.length ?? amixLimits.cards - onboard);
}

/**
 * Gives every image its place. `target` is 0 to 6 on the first controller, 8 to 14 on the second, as in the disk's name.
 * An image that does not say where it belongs goes where `--ls` or `--cat` looks, if that is free; then to the root
 * disk's place, then to the next free one.
 * @throws UsageError
 */
export function placeAmixImages(images: readonly ImageArgument[], setting: AmixSetting): PlacedImage[] {
  const last = controllersOf(setting) * units - 2;
  const taken = new Map<number, string>();
  const take = (target: number, path: string) => {
    const other = taken.get(target);
    if (other !== undefined) throw new UsageError(`${other} and ${path} are both at target ${target}: move one`);
    taken.set(target, path);
    return target;
  };
  for (const image of images) {
    check(image);
    const { target, path } = image;
    if (target === undefined) continue;
    if (target % units === hostId) throw new UsageError(`${path}: target ${target} is the controller's own id`);
    if (target > last) throw new UsageError(`${path}: the last target of this machine is ${last}`);
    take(target, path);
  }
  const free = freeTargets(last, wantedTarget(setting));
  return images.map(({ path, target, readOnly }) => {
    const place = target ?? free.find((one) => !taken.has(one));
    if (place === undefined) throw new UsageError(`${path}: this machine has no place for another disk`);
    if (target === undefined) take(place, path);
    return { path, target: place, lun: 0, blockSize, readOnly };
  });
}

/** The Zorro boards of the machine: what was said, or what the images need; an A4000 has at least one. */
export function amixBoardsOf(setting: AmixSetting, images: readonly PlacedImage[]): readonly AmixBoardName[] {
  if (setting.boards !== undefined) return setting.boards;
  const controllers = Math.max(0, ...images.map(({ target }) => Math.floor(target / units) + 1));
  const count = setting.board.amiga?.onboardScsi === true ? controllers - 1 : Math.max(1, controllers);
  return new Array<AmixBoardName>(Math.max(0, count)).fill("a4091");
}

function check({ path, lun, blockSize: size = blockSize, cd }: ImageArgument): void {
  if (lun !== undefined && lun !== 0) throw new UsageError(`${path}: Amix knows LUN 0 only: leave out lun`);
  if (size !== blockSize) throw new UsageError(`${path}: Amix knows blocks of 512 bytes only: leave out block-size`);
  if (cd === true) throw new UsageError(`${path}: Amix has no CD-ROM driver: leave out cd`);
}

/** The target that `--ls` or `--cat` looks at. @throws UsageError when its path names no disk */
function wantedTarget({ path, gate, board }: AmixSetting): number | undefined {
  if (path === undefined) return undefined;
  const parsed = parseAmixPath(path);
  if (parsed === undefined) {
    const example = sliceName({ card: 1, unit: 0, slice: 0 });
    throw new UsageError(`"${path}" names no disk: write a path such as ${example}:/etc`);
  }
  const { card, unit } = parsed.slice;
  // A phantom has a number and no disks: what comes after it is the first controller that there is.
  const isPhantom = gate === "stock" && board.amiga?.onboardScsi !== true;
  const target = (isPhantom ? card - 1 : card) * units + unit;
  return target < 0 || unit === hostId ? undefined : target;
}

function freeTargets(last: number, wanted: number | undefined): number[] {
  const all: number[] = wanted === undefined || wanted > last ? [] : [wanted];
  for (let first = 0; first < last; first += units) all.push(...order.map((unit) => first + unit));
  return all;
}
