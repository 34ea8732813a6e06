/**
 * The queue machinery of version 1.5 (chapter 3 of the reference): one request queue that all units share, completions
 * that any unit's task takes off it, a synchronous path that waits for its own. Where its history knows two ways, the
 * behaviour record chooses.
 */
import type { InterruptMode } from "../../../transport/index.js";
import { defaultCdbSize, defaultSenseSize, requestHeader, responseHeader, ScsiRequest } from "../../../virtio/index.js";
import { IoError } from "../exec/index.js";
import type { OwnController } from "../virtio/own-controller.js";
import type { OwnQueue } from "../virtio/own-queue.js";
import type { DeviceBehaviour } from "./behaviour.js";
import type { ControllerIo, FoundUnit, IoCounters } from "./controller-io.js";
import { scanByInquiry } from "./inquiry-scan.js";
import type { PipelineSlot } from "./pipeline-slot.js";
import { Poller } from "./poller.js";
import type { SlotOwner } from "./slot-owner.js";

/** Wake-ups that the synchronous path takes before it gives up, and polls without interrupts. */
const wakeUpLimit = 50;
const pollLimit = 500_000;
/** Polls between two turns of the machine. */
const pollsPerTurn = 500;

/** The id of every request of the synchronous path. */
const synchronousId = 1;

export class OwnIo implements ControllerIo {
  readonly kind: ControllerIo["kind"];
  readonly interruptMode: InterruptMode;
  readonly features: bigint;
  /** No limit is known: configuration space is never read. */
  readonly limits = { segments: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };
  readonly counters: IoCounters = { notifies: 0, interrupts: 0, completions: 0 };
  memoryLost = false;
  failure: Error | undefined;
  readonly #controller: OwnController;
  readonly #queue: OwnQueue;
  readonly #behaviour: DeviceBehaviour;
  readonly #timeout: number;
  readonly #units = new Set<SlotOwner>();
  readonly #poller: Poller;
  readonly #format;
  /** Completions of synchronous commands that a harvester met: one for each unit. */
  readonly #stash = new Map<SlotOwner, PipelineSlot>();
  /** Pipelined requests that are counted as in flight, over all units. */
  #occupied = 0;
  /** What a racing harvester has in its hands. */
  #inHand: PipelineSlot | undefined;

  /** @param timeout milliseconds that the synchronous path waits, where time counts. */
  constructor(controller: OwnController, timeout: number) {
    const { queue, behaviour, kind, interruptMode, features, endianness } = controller;
    this.#controller = controller;
    this.#queue = queue;
    this.#behaviour = behaviour;
    this.#timeout = timeout;
    this.kind = kind;
    this.interruptMode = interruptMode;
    this.features = features;
    this.#format = {
      ...{ cdbSize: defaultCdbSize, senseSize: defaultSenseSize, nextTag: 0 },
      isLittleEndian: endianness === "little",
    };
    controller.onInterrupt = () => {
      this.counters.interrupts++;
      for (const unit of this.#units) unit.signalInterrupt();
    };
    const idle = (milliseconds: number) => controller.machine.idle(milliseconds);
    const isBusy = () => queue.inFlight > 0 && this.failure === undefined;
    this.#poller = new Poller(idle, isBusy, () => {
      const { completions } = this.counters;
      this.#harvestAll();
      return this.counters.completions !== completions;
    });
  }

  newRequest(): ScsiRequest {
    const { dma } = this.#controller.memory;
    return new ScsiRequest(dma.allocate(ScsiRequest.slotSize(this.#format), 16), this.#format);
  }

  freeRequest(request: ScsiRequest): void {
    this.#controller.memory.dma.free(request.slot);
  }

  addUnit(unit: SlotOwner): void {
    this.#units.add(unit);
  }

  removeUnit(unit: SlotOwner): void {
    this.#units.delete(unit);
  }

  submit(slot: PipelineSlot): boolean {
    if (!this.#add(slot, slot.index)) return false;
    slot.inFlight = true;
    this.#occupied++;
    return true;
  }

  kick(): void {
    if (this.failure !== undefined) return;
    this.#queue.kick();
    this.counters.notifies = this.#queue.kicks;
    if (this.interruptMode === "none" && this.#behaviour.polling === "everything") this.#poller.wake();
  }

  harvest(): void | Promise<void> {
    if (this.#behaviour.harvest === "racing") return this.#harvestRacing();
    this.#harvestAll();
  }

  async send(slot: PipelineSlot, polled: boolean): Promise<number> {
    const { unit } = slot;
    if (!this.#add(slot, synchronousId)) return IoError.NotSpecified;
    unit.waitsFor = slot;
    this.kick();
    const isUp = polled || this.interruptMode === "none" ? await this.#poll(slot) : await this.#wait(slot);
    unit.waitsFor = undefined;
    this.#stash.delete(unit);
    if (isUp) {
      // Completions may have come together with this one: let the task look again.
      unit.signalInterrupt();
      return this.failure === undefined || slot.scsi.outcome === "done" ? IoError.None : IoError.NotSpecified;
    }
    if (this.#behaviour.patience === "time") slot.scsi = this.newRequest();
    return IoError.SelfTest;
  }

  abort(): boolean {
    return false;
  }

  scan(found: (unit: FoundUnit) => Promise<boolean>): Promise<void> {
    return scanByInquiry(this, this.#controller, found);
  }

  async close(): Promise<void> {
    this.#poller.stop();
    if (!this.#controller.close()) this.memoryLost = true;
    this.#giveUp(new Error("the device was taken out of use"));
    this.#controller.free(this.memoryLost);
  }

  #add(slot: PipelineSlot, id: number): boolean {
    const { scsi } = slot;
    if (this.failure !== undefined) return false;
    scsi.seal();
    const { view } = scsi.slot.region;
    const at = scsi.slot.offset + requestHeader.offset.id;
    view.setUint32(at, 0);
    view.setUint32(at + 4, id);
    // Only these three are cleared; sense of an earlier request stays.
    const { offset } = responseHeader;
    view.setUint32(scsi.responseOffset + offset.residual, 0);
    view.setUint8(scsi.responseOffset + offset.status, 0);
    view.setUint8(scsi.responseOffset + offset.response, 0);
    scsi.outcome = "in-flight";
    return this.#queue.add(slot);
  }

  /** GetBuf; a device that breaks the ring's rules ends everything. */
  #get(): PipelineSlot | undefined {
    if (this.failure !== undefined) return undefined;
    try {
      const slot = this.#queue.get();
      if (slot !== undefined) this.counters.completions++;
      return slot;
    } catch (error) {
      const why = error instanceof Error ? error : new Error(String(error));
      if (this.#behaviour.brokenRing === "requests-fail") {
        if (!this.#controller.reset()) this.memoryLost = true;
        this.#giveUp(why);
      } else this.failure = why;
      return undefined;
    }
  }

  #harvestAll(): void {
    do {
      for (let slot = this.#get(); slot !== undefined; slot = this.#get()) this.#dispatch(slot);
    } while (this.failure === undefined && this.#queue.coalesce(this.#occupied));
  }

  /** Without the lock: between taking a completion and ending it another task can do the same. */
  async #harvestRacing(): Promise<void> {
    for (let slot = this.#get(); slot !== undefined; slot = this.#get()) {
      this.#inHand = slot;
      await Promise.resolve();
      this.#dispatch(this.#inHand);
    }
  }

  /** Whoever takes a completion ends it, whatever unit it belongs to; synchronous ones are kept for who waits. */
  #dispatch(slot: PipelineSlot): void {
    const { unit } = slot;
    if (slot.inFlight) {
      if (this.#behaviour.counting === "exact") this.#occupied--;
      slot.inFlight = false;
      unit.transferEnded(slot);
    } else if (unit.waitsFor === slot && this.#behaviour.harvestedSynchronous === "kept") {
      if (this.#behaviour.stash === "before-waking") this.#stash.set(unit, slot);
      else void this.#stashLater(slot);
      unit.signalInterrupt();
    }
  }

  /** Another task runs before the lock is taken again, and this is written. */
  async #stashLater(slot: PipelineSlot): Promise<void> {
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    this.#stash.set(slot.unit, slot);
  }

  /** A completion that the synchronous path of another request met. */
  #dispatchForeign(slot: PipelineSlot, waiting: PipelineSlot): void {
    const { foreignCompletions } = this.#behaviour;
    if (foreignCompletions === "lost") return;
    if (foreignCompletions === "other-units-lost" && slot.unit !== waiting.unit) return;
    this.#dispatch(slot);
  }

  /** Looks for the completion of `slot`. True when it has come. */
  #look(slot: PipelineSlot): boolean {
    if (this.#stash.get(slot.unit) === slot) {
      this.#stash.delete(slot.unit);
      return true;
    }
    let isThere = false;
    for (let other = this.#get(); other !== undefined; other = this.#get()) {
      if (other === slot) {
        isThere = true;
        if (this.#behaviour.afterOwn === "stops") return true;
      } else if (!isThere) this.#dispatchForeign(other, slot);
    }
    return isThere || this.failure !== undefined;
  }

  async #poll(slot: PipelineSlot): Promise<boolean> {
    for (let polls = 0; polls < pollLimit; polls++) {
      if (this.#look(slot)) return true;
      if (polls % pollsPerTurn === pollsPerTurn - 1) await this.#controller.machine.idle(1);
    }
    return false;
  }

  async #wait(slot: PipelineSlot): Promise<boolean> {
    const { unit } = slot;
    const byTime = this.#behaviour.patience === "time";
    let isLate = false;
    const late = () => {
      isLate = true;
      unit.signalInterrupt();
    };
    const timer = byTime ? setTimeout(late, this.#timeout) : undefined;
    try {
      for (let wakeUps = 0; byTime || wakeUps < wakeUpLimit; wakeUps++) {
        if (this.#look(slot)) return true;
        if (isLate) return false;
        await unit.waitForInterrupt();
      }
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  #giveUp(why: Error): void {
    if (this.failure !== undefined) return;
    this.failure = why;
    for (const slot of this.#queue.detachAll()) {
      slot.scsi.outcome = "failed";
      if (slot.inFlight) {
        slot.inFlight = false;
        slot.unit.transferEnded(slot);
      }
      if (slot.unit.waitsFor === slot) slot.unit.signalInterrupt();
    }
    this.#occupied = 0;
  }
}
