/** `sd`: which controllers there are, and which card number each has. */
import type { Autocon } from "./autocon.js";
import { Errno } from "./errno.js";
import { amixLimits } from "./numbering.js";
import { AmixPanic } from "./panic.js";
import type { AmixProfile } from "./profile.js";
import type { SdCom } from "./sdcom.js";

/**
 * Starts a command on the `index`-th board of a type, which is not the card number. The command's `intr` tells of its
 * end, maybe before this returns.
 */
export type QueueFunction = (index: number, command: SdCom) => boolean;

/** A row of the table: a kind of controller. */
export interface ControllerType {
  readonly product: number;
  readonly name: string;
  /** The function's own name, for people. */
  readonly functionName: string;
}

/** The table in its order: the stock kernel's rows, then those that were added for the 53C710 boards. */
export const controllerTypes: readonly ControllerType[] = [
  { product: 0x0202_f003, functionName: "a3091queue", name: "A3000 Internal SCSI" },
  { product: 0x0202_0001, functionName: "a2090queue", name: "A2090 SCSI" },
  { product: 0x0202_0003, functionName: "a2091queue", name: "A2091 SCSI" },
  { product: 0x0202_0054, functionName: "a4091queue", name: "A4091 SCSI" },
  { product: 0xc0de_0001, functionName: "a4091queue", name: "A4092 SCSI" },
  { product: 0xc0de_0002, functionName: "a4091queue", name: "A4770 SCSI" },
];

/** A card: a controller with its number. */
export interface Card {
  readonly queue: QueueFunction;
  /** Which one of its type. */
  readonly index: number;
  readonly base: number;
  readonly size: number;
  readonly type: ControllerType;
}

/** What the registry is made of. */
export interface SdParts {
  readonly autocon: Autocon;
  readonly profile: AmixProfile;
  /** Drivers that are linked into the kernel, by their functions' names. A row without one is not asked for. */
  readonly drivers: Readonly<Record<string, QueueFunction>>;
  /** The console. */
  readonly print: (line: string) => void;
}

/** The registry. */
export class SdRegistry {
  readonly #parts: SdParts;
  readonly #cards: Card[] = [];
  readonly #refused: Card[] = [];

  constructor(parts: SdParts) {
    this.#parts = parts;
  }

  /** Cards by number. */
  get cards(): readonly Card[] {
    return this.#cards;
  }

  /** Controllers that were found and have no number. */
  get refused(): readonly Card[] {
    return this.#refused;
  }

  /** Looks for controllers; again only while there is none. */
  init(): void {
    if (this.#cards.length > 0) return;
    const { autocon, drivers, profile } = this.#parts;
    const found: Card[] = [];
    for (const type of controllerTypes) {
      const queue = drivers[type.functionName];
      if (queue === undefined) continue;
      for (let index = 0; ; index++) {
        const place = autocon.find(type.product, index);
        if (place === undefined) break;
        found.push({ queue, index, type, ...place });
      }
    }
    if (profile.refuses === "highest-base") found.sort((one, other) => one.base - other.base);
    for (const card of found) this.#insert(card);
  }

  /** 0, or ENXIO when there is no such card. */
  open(card: number): number {
    this.init();
    return this.#cards[card] === undefined ? Errno.NoDevice : Errno.None;
  }

  /**
   * Starts a command on its card.
   * @throws AmixPanic when there is no such card and the profile is strict: the stock function does not look.
   */
  queue(command: SdCom): boolean {
    const card = this.#cards[command.card];
    if (card !== undefined) return card.queue(card.index, command);
    if (this.#parts.profile.missingCard === "panic") {
      throw new AmixPanic(`sdqueue called through slot ${command.card}, which is empty`);
    }
    command.fail();
    return true;
  }

  /** What a card calls itself. */
  hardwareName(card: number): string | undefined {
    return this.#cards[card]?.type.name;
  }

  /** Physical base of a card. */
  cardBase(card: number): number | undefined {
    return this.#cards[card]?.base;
  }

  /** By base address, as long as the last slot is free. */
  #insert(card: Card): void {
    if (this.#cards.length === amixLimits.cards) {
      this.#refused.push(card);
      this.#parts.print("sd: too many controllers");
      return;
    }
    const at = this.#cards.findIndex(({ base }) => base > card.base);
    this.#cards.splice(at < 0 ? this.#cards.length : at, 0, card);
  }
}
