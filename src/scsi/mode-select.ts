/**
 * MODE SELECT(6) and (10) (SPC-4 §6.9, §6.10): everything is checked against what MODE SENSE says can be changed, then
 * everything is taken over. Nothing is saved.
 */
import { readNumber, readU16, readU32 } from "./big-endian.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import type { ModeUnit } from "./mode-commands.js";
import { takeParameters } from "./parameter-list.js";
import { Conditions } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";

/** A unit whose mode pages can be changed. */
export interface ModeSelectUnit extends ModeUnit {
  /** Takes over pages, checked, of the same length as {@link ModeUnit.modePages} gives them. */
  selectModes(pages: readonly Uint8Array[], task: ScsiTask): undefined | Promise<void>;
}

/** Where a list is wrong: a byte of it (undefined: its length), a bit of that. */
class WrongList {
  readonly byte: number | undefined;
  readonly bit: number | undefined;

  constructor(byte?: number, bit?: number) {
    this.byte = byte;
    this.bit = bit;
  }
}

/** Block descriptors may repeat what is (or say 0, or "all" blocks): the size of blocks cannot be changed. */
function wrongDescriptor(unit: ModeUnit, list: Uint8Array, at: number, length: number, isLong: boolean): boolean {
  const current = unit.modeHeader().blockDescriptor;
  if (length === 0) return false;
  if (current === undefined || length !== (isLong ? 16 : 8)) return true;
  const blocks = isLong ? readNumber(list, at, 8) : readU32(list, at);
  const blockSize = isLong ? readU32(list, at + 12) : readNumber(list, at + 5, 3);
  const all = isLong ? 2 ** 64 : 0xffff_ffff;
  return (blocks !== 0 && blocks !== all && blocks !== current.blocks) || blockSize !== (current.blockSize & 0xff_ffff);
}

/** The pages of a parameter list, or what is wrong with it. */
function readPages(unit: ModeUnit, list: Uint8Array, isTen: boolean): readonly Uint8Array[] | WrongList {
  const headerLength = isTen ? 8 : 4;
  if (list.length < headerLength) return new WrongList();
  const mediumType = isTen ? 2 : 1;
  if (list[mediumType] !== 0) return new WrongList(mediumType);
  const descriptorLength = isTen ? readU16(list, 6) : list[3];
  const isLong = isTen && (list[4] & 1) !== 0;
  const start = headerLength + descriptorLength;
  if (start > list.length) return new WrongList();
  if (wrongDescriptor(unit, list, headerLength, descriptorLength, isLong)) return new WrongList(headerLength);
  const current = unit.modePages("current");
  const changeable = unit.modePages("changeable");
  const pages: Uint8Array[] = [];
  for (let at = start; at < list.length; ) {
    if (at + 2 > list.length) return new WrongList();
    // PS is reserved here; no page has subpages.
    const index = current.findIndex((found) => found[0] === (list[at] & 0x7f));
    if (index < 0) return new WrongList(at, 6);
    const now = current[index];
    if (list[at + 1] !== now[1]) return new WrongList(at + 1);
    if (at + now.length > list.length) return new WrongList();
    for (let byte = 2; byte < now.length; byte++) {
      const fixed = (list[at + byte] ^ now[byte]) & ~changeable[index][byte] & 0xff;
      if (fixed !== 0) return new WrongList(at + byte, 31 - Math.clz32(fixed));
    }
    const page = list.slice(at, at + now.length);
    page[0] = now[0];
    pages.push(page);
    at += now.length;
  }
  return pages;
}

function modeSelect(unit: ModeSelectUnit, task: ScsiTask, isTen: boolean): undefined | Promise<void> {
  // PF 0: pages of the vendor's form, which there are none of.
  if ((task.cdb[1] & 0x10) === 0 && task.expectedOut > 0) {
    unit.invalidField(task, 1, 4);
    return undefined;
  }
  if (task.expectedOut === 0) return undefined;
  const list = takeParameters(unit, task);
  if (list === undefined) return undefined;
  const pages = readPages(unit, list, isTen);
  if (!(pages instanceof WrongList)) return unit.selectModes(pages, task);
  const { byte, bit } = pages;
  if (byte === undefined) unit.fail(task, Conditions.parameterListLength);
  else unit.fail(task, Conditions.invalidFieldInParameterList, { fieldPointer: { inCdb: false, byte, bit } });
  return undefined;
}

/** Both. */
export const modeSelectEntries: readonly CommandEntry<ModeSelectUnit>[] = [
  { definition: Commands.modeSelect6, execute: (unit, task) => modeSelect(unit, task, false) },
  { definition: Commands.modeSelect10, execute: (unit, task) => modeSelect(unit, task, true) },
];
