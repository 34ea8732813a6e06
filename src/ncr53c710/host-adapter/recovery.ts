/**
 * Calling commands off, step by step: ABORT (or ABORT TAG), then BUS DEVICE RESET, then a bus reset. Each step has its
 * time; one command at a time.
 */
import type { RequestAborted } from "../../errors/index.js";
import { Message } from "../target/messages.js";
import type { AdapterRequest } from "./adapter-request.js";
import type { BusSequencer } from "./bus-sequencer.js";

/** What recovery has done for it. */
export interface RecoveryParts {
  readonly sequencer: BusSequencer;
  /** Carries last messages to targets that are not connected. */
  readonly spare: AdapterRequest;
  /** When a step that begins now has had its time. */
  deadline(): number;
  /** Ends a command that cannot touch memory any more. */
  fail(request: AdapterRequest, error: Error): void;
  /** Ends the commands of these that were started: their target has forgotten them. */
  endStarted(concerns: (request: AdapterRequest) => boolean): void;
  resetBus(): void;
}

/** One thing to do: call a command off, or reset a target. */
interface Job {
  readonly target: number;
  readonly request: AdapterRequest | undefined;
  step: "abort" | "device-reset";
  /** ABORT TAG is for the one command; ABORT for all that its unit has of us. */
  isTagged: boolean;
  readonly done: (() => void) | undefined;
}

export class Recovery {
  aborts = 0;
  deviceResets = 0;
  readonly #parts: RecoveryParts;
  readonly #waiting: Job[] = [];
  #job: Job | undefined;
  #deadline = 0;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  get isActive(): boolean {
    return this.#job !== undefined;
  }

  /** Calls a command off. Doing so twice is doing so once. */
  callOff(request: AdapterRequest, error: RequestAborted): void {
    if (request.calledOff !== undefined) return;
    request.calledOff = error;
    if (request.state === "waiting") this.#parts.fail(request, error);
    else if (request.state === "started") {
      this.#add({ target: request.target, request, step: "abort", isTagged: false, done: undefined });
    }
  }

  /** BUS DEVICE RESET to a target; `done` is called when it, or more, was done. */
  resetTarget(target: number, done: () => void): void {
    this.#add({ target, request: undefined, step: "device-reset", isTagged: false, done });
  }

  /** A command ended by itself. */
  ended(request: AdapterRequest): void {
    const job = this.#job;
    if (job === undefined || job.request !== request || job.step !== "abort") return;
    if (this.#parts.sequencer.cancelKill()) this.#finish();
  }

  /** The last message was taken, or could not be brought. */
  dismissed(succeeded: boolean, isHeld: boolean): void {
    const job = this.#job;
    if (job === undefined) return;
    if (!succeeded) {
      this.#escalate(job, isHeld);
      return;
    }
    const { request } = job;
    const { sequencer, fail, endStarted } = this.#parts;
    if (job.step === "device-reset") {
      sequencer.targets[job.target].forget(sequencer.negotiates);
      endStarted(({ target }) => target === job.target);
    } else if (request?.state === "started") {
      const { unit } = request;
      fail(request, request.calledOff as Error);
      if (!job.isTagged) endStarted((other) => other.unit === unit);
    }
    this.#finish();
  }

  /** The bus was reset: nothing is left to call off. */
  busWasReset(): void {
    const jobs = this.#job === undefined ? [] : [this.#job];
    this.#job = undefined;
    jobs.push(...this.#waiting.splice(0));
    for (const { done } of jobs) done?.();
  }

  /** Looks at the time, on the clock of the deadlines. */
  tick(now: number): void {
    const job = this.#job;
    if (job === undefined || now < this.#deadline) return;
    this.#escalate(job, this.#parts.sequencer.state === "connected");
  }

  #add(job: Job): void {
    this.#waiting.push(job);
    const active = this.#job;
    if (active !== undefined && this.#isPatient(active)) {
      // What it waits for may be what this job brings about: a free bus.
      this.#waiting.push(active);
      this.#job = undefined;
    }
    if (this.#job === undefined) this.#begin();
  }

  /**
   * REQUEST SENSE for the command is next, when the bus is free. To give that up would leave the unit waiting for it,
   * with all its other commands.
   */
  #isPatient({ step, request }: Job): boolean {
    return step === "abort" && request?.isSensing === true && this.#parts.sequencer.current !== request;
  }

  #begin(): void {
    const job = this.#waiting.shift();
    if (job === undefined) return;
    const { request } = job;
    // It may have ended meanwhile, and be under way again with another command.
    if (request !== undefined && (request.state !== "started" || request.calledOff === undefined)) {
      this.#begin();
      return;
    }
    this.#job = job;
    this.#take(job);
  }

  #finish(): void {
    const done = this.#job?.done;
    this.#job = undefined;
    done?.();
    this.#begin();
  }

  /** @param isHeld somebody holds the bus: no message can be brought. */
  #escalate(job: Job, isHeld: boolean): void {
    if (job.step === "device-reset" || isHeld) {
      this.#parts.resetBus();
      return;
    }
    job.step = "device-reset";
    this.#take(job);
  }

  #take(job: Job): void {
    const { sequencer, spare } = this.#parts;
    this.#deadline = this.#parts.deadline();
    const { request } = job;
    if (this.#isPatient(job)) return;
    const isAbort = job.step === "abort";
    const tag = request?.tag ?? -1;
    job.isTagged = tag >= 0;
    const last = isAbort ? (tag < 0 ? Message.Abort : Message.AbortTag) : Message.BusDeviceReset;
    if (isAbort) this.aborts++;
    else this.deviceResets++;
    if (isAbort && request !== undefined && sequencer.current === request) {
      request.setReply(last);
      request.toDevice();
      sequencer.breakIn();
      return;
    }
    spare.pointAt(request?.address ?? job.target * 0x1_0000);
    let count = 0;
    spare.putMessage(count++, Message.Identify | spare.lun);
    if (isAbort && tag >= 0) {
      spare.putMessage(count++, Message.SimpleTag);
      spare.putMessage(count++, tag);
    }
    spare.putMessage(count++, last);
    spare.setMessages(count);
    spare.prepare(0x1_0000 << job.target);
    sequencer.kill();
  }
}
