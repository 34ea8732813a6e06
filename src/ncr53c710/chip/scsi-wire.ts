/**
 * The SCSI bus as its devices see it, one step above signals: who is connected, which phase the target asks for, bytes.
 * The chip is one host of it; targets have ids. Nothing here knows of registers.
 */
import type { PageViews } from "../../memory/index.js";

/** No REQ: the target is busy. */
export const noRequest = -1;
/** The target has left the bus. */
export const busFree = -2;

/** A target, as an initiator that is connected to it drives it. */
export interface WireTarget {
  /** Somebody selects it. False: it does not respond, as if it were not there. */
  selected(initiator: number, attention: boolean): boolean;
  /** Its reselection was answered. */
  reselected(): void;
  /** The phase (0…7) while it asserts REQ, else {@link noRequest} or {@link busFree}. */
  phase(): number;
  /** Input phases: puts up to `length` bytes to `bytes` at `at` and says how many. In MESSAGE IN, one at most. */
  receive(bytes: Uint8Array, at: number, length: number): number;
  /** Output phases: takes up to `length` bytes and says how many. `pages` are of the same bytes, if there are any. */
  send(bytes: Uint8Array, at: number, length: number, pages?: PageViews): number;
  /** Input phases, while REQ is asserted: the byte on the data lines. Without it a host sees none before it says ACK. */
  peek?(): number;
  /** What the next {@link send} brings has wrong parity. A target without it looks at no parity. */
  parityWrong?(): void;
  /** The ACK of the last message-in byte was released: it may go on. */
  acknowledged(): void;
  /** ATN changed. */
  attention(asserted: boolean): void;
  /** The initiator is gone without a word. */
  abandoned(): void;
  /** SCSI RST. */
  busReset(): void;
}

/** An initiator, as the chip in the target role drives it. */
export interface WireInitiator {
  /** Its id, 0…7. */
  readonly id: number;
  /** Whether it asserts ATN. */
  readonly attention: boolean;
  /** The chip asks for bytes: gives up to `length`, fewer when it has to wait. */
  give(phase: number, bytes: Uint8Array, at: number, length: number): number;
  /** The chip sends bytes: takes up to `length`. */
  take(phase: number, bytes: Uint8Array, at: number, length: number): number;
  /** The chip reselects it. False: it does not respond. */
  reselected(target: number): boolean;
  /** The chip left the bus. */
  disconnected(): void;
}

/** A host adapter on the wire: told when something may have changed. */
export interface WireHost {
  /** A target may have raised REQ, left the bus, or wants to reselect. */
  wireChanged(): void;
}

/** Ids on a narrow bus. */
export const wireIds = 8;

/** The bus. */
export class ScsiWire {
  readonly #targets: (WireTarget | undefined)[] = new Array(wireIds).fill(undefined);
  readonly #initiators: (WireInitiator | undefined)[] = new Array(wireIds).fill(undefined);
  readonly #hosts = new Set<WireHost>();
  /** Ids that want to reselect, in the order in which they asked. */
  readonly #reselecting: number[] = [];
  /** Whoever holds the bus; undefined while it is free. */
  owner: WireTarget | WireInitiator | WireHost | undefined;

  /** @throws RangeError when the id is taken or none. */
  attachTarget(id: number, target: WireTarget): void {
    this.#checkFree(id);
    this.#targets[id] = target;
  }

  /** An initiator that the chip can be selected by, or reselect. @throws RangeError when the id is taken or none. */
  attachInitiator(initiator: WireInitiator): void {
    this.#checkFree(initiator.id);
    this.#initiators[initiator.id] = initiator;
  }

  attachHost(host: WireHost): void {
    this.#hosts.add(host);
  }

  target(id: number): WireTarget | undefined {
    return this.#targets[id];
  }

  initiator(id: number): WireInitiator | undefined {
    return this.#initiators[id];
  }

  /** A target asks to be reselected; hosts are told. Asking twice is asking once. */
  requestReselection(id: number): void {
    if (!this.#reselecting.includes(id)) this.#reselecting.push(id);
    this.changed();
  }

  /** A target needs its reselection no more. */
  cancelReselection(id: number): void {
    const at = this.#reselecting.indexOf(id);
    if (at >= 0) this.#reselecting.splice(at, 1);
  }

  /** Whether a target wants to reselect and the bus is free for it. */
  get hasReselection(): boolean {
    return this.owner === undefined && this.#reselecting.length > 0;
  }

  /** Lets the first one reselect: returns its id. */
  acceptReselection(): number | undefined {
    if (!this.hasReselection) return undefined;
    const id = this.#reselecting.shift() as number;
    const target = this.#targets[id] as WireTarget;
    this.owner = target;
    target.reselected();
    return id;
  }

  /** The holder lets go of the bus. */
  release(): void {
    this.owner = undefined;
  }

  /** Something changed at a target. */
  changed(): void {
    for (const host of this.#hosts) host.wireChanged();
  }

  /** SCSI RST: everybody drops everything. */
  reset(): void {
    this.owner = undefined;
    this.#reselecting.length = 0;
    for (const target of this.#targets) target?.busReset();
  }

  #checkFree(id: number): void {
    if (!Number.isInteger(id) || id < 0 || id >= wireIds) {
      throw new RangeError(`a SCSI id is within 0…${wireIds - 1}, got ${id}`);
    }
    if (this.#targets[id] !== undefined || this.#initiators[id] !== undefined) {
      throw new RangeError(`SCSI id ${id} is taken`);
    }
  }
}
