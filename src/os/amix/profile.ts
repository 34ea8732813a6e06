/** What the stack does, as data: as it was published, and as it should be. */
import type { ChipsetGate } from "./chipset.js";

/** The behaviour that can be chosen. */
export interface AmixProfile {
  readonly name: "strict" | "extended";
  /** How `autocon` decides about the A3000's SCSI, unless the kernel is given another gate. */
  readonly gate: ChipsetGate;
  /** Who drives an A4091: the seed's polled driver, or our host adapter's. */
  readonly a4091: "seed" | "host-adapter";
  /** Of three controllers, which one is refused: the one that was asked for last, or the one with the highest base. */
  readonly refuses: "last-probed" | "highest-base";
  /** A command for a card that does not exist: the kernel ends, or the command fails. */
  readonly missingCard: "panic" | "fail";
  /**
   * After a request: tell its owner, then start the next one, from within the first one's end; or start the next one in
   * the caller's loop.
   */
  readonly completion: "stock" | "drain";
  /** What a slice is before somebody opened it: the disk from block 0 on, or nothing. */
  readonly unopenedSlice: "whole-disk" | "nothing";
  /** Blocks of slice 0: a constant, or what the disk says. */
  readonly wholeDisk: "constant" | "capacity";
  /** A transfer that is no whole number of blocks or has more than the command can say: cut, or refused. */
  readonly oddTransfer: "cut" | "refused";
  /** Bytes of data that the pass-through takes. */
  readonly passThroughLimit: number;
}

/** Both profiles by name. */
export const amixProfiles: Readonly<Record<AmixProfile["name"], AmixProfile>> = {
  strict: {
    name: "strict",
    gate: "published",
    a4091: "seed",
    refuses: "last-probed",
    missingCard: "panic",
    completion: "stock",
    unopenedSlice: "whole-disk",
    wholeDisk: "constant",
    oddTransfer: "cut",
    passThroughLimit: 1024,
  },
  extended: {
    name: "extended",
    gate: "corrected",
    a4091: "host-adapter",
    refuses: "highest-base",
    missingCard: "fail",
    completion: "drain",
    unopenedSlice: "nothing",
    wholeDisk: "capacity",
    oddTransfer: "refused",
    passThroughLimit: 64 * 1024,
  },
};
