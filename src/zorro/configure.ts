/** The driver half: finds boards and gives them bases, as an operating system does at its start. */
import type { RegisterWindow } from "../bytes/index.js";
import { zorroConfigArea, zorroSpace } from "./bus.js";
import {
  ConfigRegister,
  partnerOffset,
  readIdentity,
  sizeOf,
  ZorroFlags,
  type ZorroIdentity,
  ZorroType,
} from "./identity.js";

/** A board as the system knows it afterwards. */
export interface FoundBoard extends ZorroIdentity {
  /** Undefined when it was shut up. */
  readonly base: number | undefined;
  /** Bytes. */
  readonly size: number;
}

/** What AmigaOS gives the first Zorro III board. */
const firstBase = 0x4000_0000;
/** A chain longer than this is a bus that does not work. */
const boardLimit = 64;

/** Where boards without an address answer, and how far behind a byte's first nibble its second one is. */
export interface ConfigArea {
  readonly base: number;
  readonly partner: number;
}

/** The two areas as a system uses them. */
export const configAreas = {
  zorro3: { base: zorroConfigArea.zorro3, partner: partnerOffset.zorro3 },
  zorro2: { base: zorroConfigArea.zorro2, partner: partnerOffset.zorro2 },
} as const satisfies Readonly<Record<string, ConfigArea>>;

/** How to configure. */
export interface ConfigureOptions {
  /** Default the Zorro III one. */
  readonly area?: ConfigArea;
  /** Where the first board goes. Default 0x40000000. */
  readonly firstBase?: number;
  /** Boards that shall get no base. */
  readonly shutUp?: (identity: ZorroIdentity) => boolean;
}

/** Configures every Zorro III board in the order of the slots. */
export function configureZorro(space: RegisterWindow, options: ConfigureOptions = {}): FoundBoard[] {
  const found: FoundBoard[] = [];
  let next = options.firstBase ?? firstBase;
  const { base: area, partner } = options.area ?? configAreas.zorro3;
  while (found.length < boardLimit) {
    const identity = readIdentity(space, area, partner);
    if ((identity.type & ZorroType.BusMask) !== ZorroType.Zorro3 || identity.manufacturer === 0) break;
    const size = sizeOf(identity);
    const base = Math.ceil(next / size) * size;
    const hasRoom = base + size <= zorroSpace.end;
    if (!hasRoom || options.shutUp?.(identity) === true) {
      if ((identity.flags & ZorroFlags.CannotShutUp) !== 0) break;
      space.write8(area + ConfigRegister.ShutUp, 0);
      found.push({ ...identity, base: undefined, size });
      continue;
    }
    space.write16(area + ConfigRegister.Base, Math.floor(base / 0x1_0000));
    found.push({ ...identity, base, size });
    next = base + size;
  }
  return found;
}
