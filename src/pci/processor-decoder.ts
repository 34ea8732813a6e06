/** The processor's address spaces of a machine that is built from device halves: host bridges and other pieces. */
import { AddressDecoder, type DecodePiece } from "./address-decoder.js";
import type { ProcessorSpaces } from "./config-access.js";
import type { HostBridge } from "./host-bridge.js";

export class ProcessorDecoder implements ProcessorSpaces {
  readonly memorySpace = new AddressDecoder();
  readonly portSpace: AddressDecoder | undefined;
  readonly #chips: readonly HostBridge[];
  readonly #others: readonly DecodePiece[];

  /**
   * Follows the bridges when firmware moves their windows.
   * @param others pieces that answer before the bridges do.
   */
  constructor(chips: readonly HostBridge[], others: readonly DecodePiece[] = []) {
    this.#chips = chips;
    this.#others = others;
    this.portSpace = this.#pieces().some((piece) => piece.space === "port") ? new AddressDecoder() : undefined;
    for (const chip of chips) chip.onPiecesChanged = () => this.#update();
    this.#update();
  }

  #pieces(): DecodePiece[] {
    return [...this.#others, ...this.#chips.flatMap((chip) => chip.pieces())];
  }

  #update(): void {
    const pieces = this.#pieces();
    this.memorySpace.setPieces(pieces.filter((piece) => piece.space === "memory"));
    this.portSpace?.setPieces(pieces.filter((piece) => piece.space === "port"));
  }
}
