/** What an Amiga's main board has beside Zorro: the ids of its custom chips, and the A3000's SCSI. */
import { windowOf } from "../../bytes/index.js";
import type { AmigaDescription } from "../../machine/index.js";
import type { GuestMemory } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import type { DecodePiece } from "../../pci/index.js";
import type { ScsiBus } from "../../scsi/index.js";
import { A3000Scsi, a3000ScsiArea } from "./a3000-scsi.js";

/** The custom chips' registers, and the two that say which chips they are. */
const chips = { base: 0x00df_f000, size: 0x200, vposr: 0x004, deniseId: 0x07c } as const;

/** The chips of one board. */
export class AmigaChips {
  /** For the processor's address decoder. */
  readonly pieces: readonly DecodePiece[];
  readonly #description: AmigaDescription | undefined;
  readonly #memory: GuestMemory;
  readonly #observer: Observer | undefined;
  #scsi: A3000Scsi | undefined;

  constructor(description: AmigaDescription | undefined, memory: GuestMemory, observer?: Observer) {
    this.#description = description;
    this.#memory = memory;
    this.#observer = observer;
    this.pieces = description === undefined ? [] : [chipPiece(description), ...this.#scsiPieces(description)];
  }

  /** Puts units behind the A3000's SCSI. @throws RangeError when the board has none, or it has units already */
  plugScsi(bus: ScsiBus): A3000Scsi {
    if (this.#description?.onboardScsi !== true) throw new RangeError("the board has no SCSI of its own");
    if (this.#scsi !== undefined) throw new RangeError("the board's SCSI has units already");
    this.#scsi = new A3000Scsi({ memory: this.#memory, bus, observer: this.#observer });
    return this.#scsi;
  }

  close(): void {
    this.#scsi?.close();
  }

  #scsiPieces({ onboardScsi }: AmigaDescription): DecodePiece[] {
    if (!onboardScsi) return [];
    const { base, size } = a3000ScsiArea;
    const window = windowOf(
      (offset, width) => (width === 1 ? (this.#scsi?.window.read8(offset) ?? 0xff) : 2 ** (8 * width) - 1),
      (offset, width, value) => {
        if (width === 1) this.#scsi?.window.write8(offset, value);
      },
    );
    return [{ space: "memory", base, size, window }];
  }
}

function chipPiece({ agnus, denise }: AmigaDescription): DecodePiece {
  const words: Readonly<Record<number, number>> = { [chips.vposr]: agnus << 8, [chips.deniseId]: 0xff00 | denise };
  const read = (offset: number, width: number): number => {
    if (width === 4) return read(offset, 2) * 0x1_0000 + read(offset + 2, 2);
    const word = words[offset & ~1] ?? 0xffff;
    if (width === 2) return word;
    return (offset & 1) === 0 ? word >> 8 : word & 0xff;
  };
  return { space: "memory", base: chips.base, size: chips.size, window: windowOf(read, () => {}) };
}
