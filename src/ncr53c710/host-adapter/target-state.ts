/** What the driver knows of the targets and units on its bus, and which of their commands are where. */
import type { AdapterRequest } from "./adapter-request.js";
import type { SyncAgreement } from "./contract.js";
import { asynchronous, type SyncTiming, timingOf } from "./sync-timing.js";

const tagCount = 256;
const lunCount = 8;
/** Commands that a unit ends well while it has as many as it may, before it may have one more. */
export const endsUntilGrowth = 64;

/** How far synchronous transfers were negotiated. */
export type Negotiation = "due" | "offered" | "settled";

/** A queue of requests, linked through themselves. */
export class RequestQueue {
  #first: AdapterRequest | undefined;
  #last: AdapterRequest | undefined;

  get first(): AdapterRequest | undefined {
    return this.#first;
  }

  push(request: AdapterRequest): void {
    request.following = undefined;
    if (this.#last === undefined) this.#first = request;
    else this.#last.following = request;
    this.#last = request;
  }

  pushFront(request: AdapterRequest): void {
    request.following = this.#first;
    this.#first = request;
    this.#last ??= request;
  }

  shift(): AdapterRequest | undefined {
    const request = this.#first;
    if (request === undefined) return undefined;
    this.#first = request.following;
    if (this.#first === undefined) this.#last = undefined;
    request.following = undefined;
    return request;
  }

  /** The first one for a unit. */
  find(unit: UnitState): AdapterRequest | undefined {
    let at = this.#first;
    while (at !== undefined && at.unit !== unit) at = at.following;
    return at;
  }

  /** False when it is not in this queue. */
  remove(request: AdapterRequest): boolean {
    let before: AdapterRequest | undefined;
    for (let at = this.#first; at !== undefined; before = at, at = at.following) {
      if (at !== request) continue;
      if (before === undefined) this.#first = at.following;
      else before.following = at.following;
      if (this.#last === at) this.#last = before;
      at.following = undefined;
      return true;
    }
    return false;
  }
}

/** A unit: commands that wait for it, and those that it has. */
export class UnitState {
  readonly target: TargetState;
  readonly lun: number;
  readonly waiting = new RequestQueue();
  /** It says that it queues commands, and has not refused a tag. */
  queues = false;
  /** Commands that it may have at once. */
  limit: number;
  /** Commands that it has. */
  started = 0;
  /** The one without a tag. */
  untagged: AdapterRequest | undefined;
  /** Of its commands, those that have to fetch sense data before anything else is asked, and the one that does. */
  sensesDue = 0;
  sensing: AdapterRequest | undefined;
  readonly #tagged: (AdapterRequest | undefined)[] = [];
  readonly #mostTags: number;
  #nextTag = 0;
  #goodEnds = 0;

  constructor(target: TargetState, lun: number, mostTags: number) {
    this.target = target;
    this.lun = lun;
    this.#mostTags = mostTags;
    this.limit = Math.max(1, mostTags);
  }

  /** Whether the first command that waits may be started. */
  get mayStart(): boolean {
    if (this.waiting.first === undefined || this.sensesDue > 0) return false;
    if (!this.usesTags) return this.started === 0;
    return this.untagged === undefined && this.started < this.limit;
  }

  get usesTags(): boolean {
    return this.queues && this.#mostTags > 0;
  }

  /** Gives the command its place among those that the unit has. */
  enter(request: AdapterRequest): void {
    this.started++;
    if (!this.usesTags) {
      request.tag = -1;
      this.untagged = request;
      return;
    }
    if (this.#tagged.length === 0) for (let tag = 0; tag < tagCount; tag++) this.#tagged.push(undefined);
    // There is a free one: a unit never has as many as there are.
    while (this.#tagged[this.#nextTag] !== undefined) this.#nextTag = (this.#nextTag + 1) % tagCount;
    request.tag = this.#nextTag;
    this.#tagged[request.tag] = request;
    this.#nextTag = (this.#nextTag + 1) % tagCount;
  }

  leave(request: AdapterRequest): void {
    this.started--;
    if (this.untagged === request) this.untagged = undefined;
    if (this.sensing === request) this.sensing = undefined;
    if (request.isSensing) this.sensesDue--;
    this.#dropTag(request);
  }

  /** The command becomes one that fetches its sense data, without a tag: the unit keeps that for the next command. */
  beginSensing(request: AdapterRequest): void {
    if (this.untagged === request) this.untagged = undefined;
    this.#dropTag(request);
    this.sensesDue++;
  }

  /** The unit took the command without its tag. */
  untag(request: AdapterRequest): void {
    this.#dropTag(request);
    this.untagged = request;
    this.queues = false;
  }

  /** It has no room for another command: from now on it gets as many as it has. */
  isFull(): void {
    this.limit = Math.max(1, Math.min(this.limit, this.started));
    this.#goodEnds = 0;
  }

  /** A command ended well: after enough of them the unit is offered one more, since what filled it may be over. */
  endedWell(): void {
    if (this.limit >= this.#mostTags || this.started < this.limit || ++this.#goodEnds < endsUntilGrowth) return;
    this.#goodEnds = 0;
    this.limit++;
  }

  /** Who the unit means by this tag; -1 for none. */
  find(tag: number): AdapterRequest | undefined {
    return tag < 0 ? (this.sensing ?? this.untagged) : this.#tagged[tag];
  }

  #dropTag(request: AdapterRequest): void {
    if (request.tag >= 0) this.#tagged[request.tag] = undefined;
    request.tag = -1;
  }
}

/** A target. */
export class TargetState {
  readonly id: number;
  readonly units: (UnitState | undefined)[] = new Array(lunCount).fill(undefined);
  negotiation: Negotiation = "settled";
  agreement: SyncAgreement | undefined;
  timing: SyncTiming = asynchronous;

  constructor(id: number) {
    this.id = id;
  }

  /** Takes an agreement; undefined is asynchronous. False when the chip cannot do it: nothing is agreed on then. */
  agree(agreement: SyncAgreement | undefined): boolean {
    const timing = agreement === undefined ? asynchronous : timingOf(agreement);
    this.agreement = timing === undefined ? undefined : agreement;
    this.timing = timing ?? asynchronous;
    this.negotiation = "settled";
    return timing !== undefined;
  }

  /** The target forgot what was agreed on. */
  forget(negotiates: boolean): void {
    this.agreement = undefined;
    this.timing = asynchronous;
    this.negotiation = negotiates ? "due" : "settled";
  }
}
