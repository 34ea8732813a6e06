import type { ScsiRequest } from "./driver-request.js";

/** How many commands each unit has, so that none gets more than cmd_per_lun at a time (virtio 1.2 §5.6.4, §5.6.4.1). */
export class UnitLoad {
  readonly #limit: number;
  readonly #counts = new Map<number, number>();

  /** @param limit cmd_per_lun; 0, which would let no command through, counts as no limit. */
  constructor(limit: number) {
    this.#limit = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  }

  hasRoom(address: number): boolean {
    return (this.#counts.get(address) ?? 0) < this.#limit;
  }

  /** The device has the command. */
  sent(request: ScsiRequest): void {
    request.isCounted = true;
    this.#counts.set(request.address, (this.#counts.get(request.address) ?? 0) + 1);
  }

  /** The device no longer has the command, if it ever had. */
  returned(request: ScsiRequest): void {
    if (!request.isCounted) return;
    request.isCounted = false;
    const left = (this.#counts.get(request.address) ?? 1) - 1;
    if (left > 0) this.#counts.set(request.address, left);
    else this.#counts.delete(request.address);
  }
}
