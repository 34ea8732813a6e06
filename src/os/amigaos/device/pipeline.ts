/** The pipelined path of a unit: reads and writes, as many at once as it has slots (3.4 and 3.5 of the reference). */
import { unitAddress } from "../../../scsi/index.js";
import { ioErrorOf } from "../commands/io-errors.js";
import { IoError } from "../exec/index.js";
import type { AmigaUnit } from "./amiga-unit.js";
import type { TransferCommand, UnitRequest } from "./command-entry.js";
import type { ControllerIo } from "./controller-io.js";
import { PipelineSlot } from "./pipeline-slot.js";
import { busyPause, decideRepeat } from "./repeat.js";
import type { SlotTransfer, UnitDataPath } from "./slot-transfer.js";

/** Who waits until everything up to a transfer has ended. */
interface DrainWaiter {
  readonly sequence: number;
  left: number;
  readonly resolve: () => void;
}

export class Pipeline {
  readonly slots: readonly PipelineSlot[];
  /** For the synchronous path: slot 0 as well, or one of its own. */
  readonly synchronous: PipelineSlot;
  readonly #unit: AmigaUnit;
  readonly #io: ControllerIo;
  readonly #path: UnitDataPath;
  readonly #waiters: DrainWaiter[] = [];
  #sequence = 0;
  #busy = 0;

  /** Makes `profile.slots` slots over a memory path that has one more. */
  constructor(unit: AmigaUnit, io: ControllerIo, path: UnitDataPath) {
    const { profile } = unit;
    this.#unit = unit;
    this.#io = io;
    this.#path = path;
    const make = (index: number) => {
      const slot = new PipelineSlot(unit, index, this.newRequest());
      slot.transfer = path.slots[index];
      return slot;
    };
    this.slots = Array.from({ length: profile.slots }, (_, index) => make(index));
    this.synchronous = profile.behaviour.synchronousSlot === "slot-0" ? this.slots[0] : make(profile.slots);
  }

  /** Transfers that were started and have not ended. */
  get busy(): number {
    return this.#busy;
  }

  get hasFreeSlot(): boolean {
    return this.#busy < this.slots.length;
  }

  /** The spare transfer, for reads and writes that go the synchronous way. */
  get spareTransfer(): SlotTransfer {
    return this.#path.slots[this.slots.length];
  }

  get path(): UnitDataPath {
    return this.#path;
  }

  /** A request that points at the unit. */
  newRequest() {
    const scsi = this.#io.newRequest();
    scsi.pointAt(unitAddress(this.#unit.target, this.#unit.lun));
    return scsi;
  }

  /** Starts a transfer; there has to be a free slot. What cannot be started is answered. */
  start(request: UnitRequest, command: TransferCommand): void {
    const unit = this.#unit;
    const slot = this.#freeSlot();
    const { transfer } = slot;
    if (transfer === undefined || this.#io.failure !== undefined) {
      request.ioError = IoError.NotSpecified;
      request.ioActual = 0;
      unit.reply(request);
      return;
    }
    const { ioData, ioLength } = request;
    const offset = command.offset(request);
    request.ioActual = 0;
    slot.offset = offset;
    request.ioError = command.check?.(unit, request) ?? 0;
    if (request.ioError === 0) request.ioError = transfer.begin(unit, command.isWrite, offset, ioData, ioLength);
    if (request.ioError !== 0) {
      unit.reply(request);
      return;
    }
    slot.request = request;
    slot.command = command;
    slot.endWith = 0;
    slot.repeats = 0;
    slot.sequence = ++this.#sequence;
    this.#busy++;
    this.#next(slot);
  }

  /** A command of a slot came back. */
  ended(slot: PipelineSlot): void {
    const { scsi, transfer, request } = slot;
    // Its unit was closed under it.
    if (transfer === undefined || request === undefined) return;
    const { profile } = this.#unit;
    this.#unit.noteAnswer(scsi);
    if (slot.endWith === 0) {
      const decision = decideRepeat(scsi, profile.behaviour.pipelinedRetry, slot.repeats, profile);
      if (decision !== "no") {
        this.#repeat(slot, decision === "pause" ? busyPause : 0);
        return;
      }
    }
    const isAnswered = scsi.outcome === "done";
    let error: number = IoError.NotSpecified;
    if (slot.endWith !== 0) error = slot.endWith;
    else if (isAnswered) {
      error = ioErrorOf(scsi.response, scsi.status, scsi.sense, scsi.senseLength, profile.commands);
    }
    const length = transfer.commandLength;
    const moved = error === 0 ? Math.max(0, length - scsi.residual) : 0;
    if (!this.#io.memoryLost) transfer.end(moved);
    if (error === 0 && moved === length && transfer.hasMore) {
      slot.repeats = 0;
      this.#next(slot);
      this.#io.kick();
    } else this.#finish(slot, error);
  }

  /** The controller was reset: begins the transfer again. */
  restart(slot: PipelineSlot): void {
    const { transfer, request, command } = slot;
    if (transfer === undefined || request === undefined || command === undefined) return;
    slot.mustRestart = false;
    transfer.end(0);
    const { ioData, ioLength } = request;
    const error = transfer.begin(this.#unit, command.isWrite, slot.offset, ioData, ioLength);
    if (error !== 0) this.#finish(slot, error);
    else {
      this.#next(slot);
      this.#io.kick();
    }
  }

  /** New requests for all slots. */
  renew(): void {
    for (const slot of this.slots) slot.scsi = this.newRequest();
    if (this.synchronous.index === this.slots.length) this.synchronous.scsi = this.newRequest();
  }

  /** The slot that has a program's request. */
  find(request: UnitRequest): PipelineSlot | undefined {
    return this.slots.find((slot) => slot.request === request);
  }

  /** Resolves when every transfer that was started before has ended. */
  drained(): Promise<void> {
    if (this.#busy === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ sequence: this.#sequence, left: this.#busy, resolve });
    });
  }

  /** Ends all transfers with an error, whatever the device does with them: their memory is not theirs any more. */
  abandon(error: number): void {
    for (const slot of this.slots) {
      slot.inFlight = false;
      if (slot.request !== undefined) this.#finish(slot, error);
      slot.transfer = undefined;
    }
  }

  /** Frees memory and requests. */
  close(keepsMemory: boolean): void {
    this.#path.close(keepsMemory);
    if (keepsMemory) return;
    for (const slot of this.slots) this.#io.freeRequest(slot.scsi);
    if (this.synchronous.index === this.slots.length) this.#io.freeRequest(this.synchronous.scsi);
  }

  #freeSlot(): PipelineSlot {
    for (const slot of this.slots) if (slot.request === undefined) return slot;
    throw new RangeError("no free slot");
  }

  #next(slot: PipelineSlot): void {
    const { transfer, scsi } = slot;
    const error = transfer?.next(scsi) ?? IoError.NotSpecified;
    if (error !== 0) this.#finish(slot, error);
    else if (!this.#io.submit(slot)) {
      transfer?.end(0);
      this.#finish(slot, IoError.NotSpecified);
    }
  }

  /** Sends the same command again, with the memory that it has. */
  #repeat(slot: PipelineSlot, milliseconds: number): void {
    slot.repeats++;
    const again = () => {
      if (slot.request === undefined) return;
      if (slot.endWith === 0 && this.#io.failure === undefined && this.#io.submit(slot)) {
        this.#io.kick();
        return;
      }
      if (!this.#io.memoryLost) slot.transfer?.end(0);
      this.#finish(slot, slot.endWith || IoError.NotSpecified);
    };
    if (milliseconds === 0) again();
    else setTimeout(again, milliseconds);
  }

  #finish(slot: PipelineSlot, error: number): void {
    const { request, transfer } = slot;
    if (request === undefined) return;
    slot.request = undefined;
    slot.inFlight = false;
    this.#busy--;
    request.ioError = error;
    request.ioActual = error === 0 ? (transfer?.moved ?? 0) : 0;
    if (this.#waiters.length > 0) this.#tellWaiters(slot.sequence);
    this.#unit.slotIsFree();
    this.#unit.reply(request);
  }

  #tellWaiters(sequence: number): void {
    for (let index = this.#waiters.length - 1; index >= 0; index--) {
      const waiter = this.#waiters[index];
      if (sequence > waiter.sequence || --waiter.left > 0) continue;
      this.#waiters.splice(index, 1);
      waiter.resolve();
    }
  }
}
