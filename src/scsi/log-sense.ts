/** LOG SENSE (SPC-4 §6.8) and the pages whose values are known: nothing is made up. */
import { readU16, writeU16 } from "./big-endian.js";
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import type { Disk } from "./disk.js";

/** Page codes. */
export const LogPage = { Supported: 0x00, SolidStateMedia: 0x11, InformationalExceptions: 0x2f } as const;

const allSubpages = 0xff;
/** Binary format list, SPC-4 §7.3.2.2.2: a value that initiators do not change. */
const binaryList = 0x03;

function parameter(code: number, value: readonly number[]): readonly number[] {
  return [code >>> 8, code & 0xff, binaryList, value.length, ...value];
}

/** The pages of a disk and their parameters. */
function pagesOf(disk: Disk): readonly (readonly [code: number, code1: number, parameters: readonly number[]])[] {
  const pages: [number, number, readonly number[]][] = [];
  // Percentage used endurance indicator: memory and files do not wear, as far as we can tell.
  if (disk.rotationRate === 1) pages.push([LogPage.SolidStateMedia, 1, parameter(1, [0, 0, 0, 0])]);
  // No exception; FFh: no temperature to tell, nor (vendor specific, but widely read so) one to be feared.
  pages.push([LogPage.InformationalExceptions, 0, parameter(0, [0, 0, 0xff, 0xff])]);
  return pages;
}

function page(code: number, subpage: number, body: readonly number[]): Uint8Array {
  const data = new Uint8Array(4 + body.length);
  data[0] = code | (subpage === 0 ? 0 : 0x40);
  data[1] = subpage;
  writeU16(data, 2, body.length);
  data.set(body, 4);
  return data;
}

/** LOG SENSE: current cumulative values; PC 1 (and the defaults, which are the same) give them too. */
export const logSenseEntry: CommandEntry<Disk> = {
  definition: Commands.logSense,
  execute(disk, task) {
    const { cdb } = task;
    const code = cdb[2] & 0x3f;
    const subpage = cdb[3];
    const pages = pagesOf(disk);
    const found = pages.find(([known]) => known === code);
    if (code === LogPage.Supported && subpage === 0) {
      reply(task, page(code, 0, [LogPage.Supported, ...pages.map(([known]) => known)]));
    } else if (code === LogPage.Supported && subpage === allSubpages) {
      const list = [[LogPage.Supported, 0], [LogPage.Supported, allSubpages], ...pages.map(([known]) => [known, 0])];
      reply(task, page(code, subpage, list.flat()));
    } else if (subpage !== 0) disk.invalidField(task, 3);
    else if (found === undefined) disk.invalidField(task, 2, 5);
    // The parameters of a page start at the pointer, and each page here has one.
    else if (readU16(cdb, 5) > found[1]) disk.invalidField(task, 5);
    else reply(task, page(code, 0, found[2]));
    return undefined;
  },
};
