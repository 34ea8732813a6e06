/**
 * One TCP connection, opened by either end (RFC 9293): in-order data only, go-back-N when something is lost, no
 * window scaling. Enough for a cable in the same process that loses packets when a ring runs out of buffers.
 */
import { distance, TcpFlag, type TcpSegment } from "./tcp-segment.js";

/** What a connection sends with. */
export interface TcpOutput {
  /** @returns false when the packet did not get through. */
  send(connection: TcpConnection, sequence: number, flags: number, data: Uint8Array | undefined): boolean;
  /** The connection is over. */
  over(connection: TcpConnection): void;
}

/** Bytes that may wait to be sent. */
const sendCapacity = 256 * 1024;
/** Bytes that the other end may send before it is answered: data is handed on at once. */
const receiveWindow = 0xffff;
/** Most data that a segment of ours carries. */
const largestSegment = 1460;
/** Milliseconds until something unanswered is sent again, and the longest that this becomes. */
const firstTimeout = 200;
const longestTimeout = 3000;
/** Times that something is sent again before the connection is given up. */
const patience = 10;

/** `calling`: our SYN is out; `opening`: theirs was answered. */
type State = "calling" | "opening" | "open" | "closed";

/** The two ends. */
export interface TcpEnds {
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
}

export class TcpConnection {
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** The other end took the connection that we asked for. */
  onOpen: (() => void) | undefined;
  /** Data came; the view is valid during the call only. */
  onData: ((data: Uint8Array) => void) | undefined;
  /** There is room to write again. */
  onDrain: (() => void) | undefined;
  /** The other end sends no more. */
  onEnd: (() => void) | undefined;
  /** The connection is over; `true` when both ends had sent everything. */
  onClose: ((wasClean: boolean) => void) | undefined;
  readonly #output: TcpOutput;
  #mss = largestSegment;
  #state: State = "calling";
  /** What they send next. */
  #expected = 0;
  /** Oldest of ours that is not acknowledged, and what we send next. */
  #unacknowledged: number;
  #next: number;
  #window = 0;
  /** Ring of bytes from `#unacknowledged` on. */
  readonly #buffer = new Uint8Array(sendCapacity);
  #start = 0;
  #queued = 0;
  #endWanted = false;
  #endSent = false;
  #endAcknowledged = false;
  #theyEnded = false;
  #isPaused = false;
  #wantsDrain = false;
  #repeats = 0;
  #duplicates = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(output: TcpOutput, ends: TcpEnds, initialSequence: number) {
    this.#output = output;
    this.localPort = ends.localPort;
    this.remoteAddress = ends.remoteAddress;
    this.remotePort = ends.remotePort;
    this.#unacknowledged = initialSequence;
    this.#next = initialSequence;
  }

  /** What the other end is told that we have. */
  get expected(): number {
    return this.#expected;
  }

  /** Bytes that the other end may send now. */
  get window(): number {
    return this.#isPaused ? 0 : receiveWindow;
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Answers the SYN in `segment`. */
  answer(segment: TcpSegment): void {
    this.#state = "opening";
    this.#learn(segment);
    this.open();
  }

  /** Sends the SYN of ours. */
  open(): void {
    const flags = this.#state === "calling" ? TcpFlag.Syn : TcpFlag.Syn | TcpFlag.Ack;
    this.#output.send(this, this.#unacknowledged, flags, undefined);
    this.#next = (this.#unacknowledged + 1) >>> 0;
    this.#arm();
  }

  /** What a SYN says of the other end. */
  #learn(segment: TcpSegment): void {
    this.#mss = Math.min(segment.mss, largestSegment);
    this.#expected = (segment.sequence + 1) >>> 0;
    this.#window = segment.window;
  }

  /** Takes data to be sent. @returns how many bytes were taken; `onDrain` tells when the rest may come. */
  write(data: Uint8Array): number {
    if (this.#state === "closed" || this.#endWanted) return 0;
    const taken = Math.min(data.length, sendCapacity - this.#queued);
    const at = (this.#start + this.#queued) % sendCapacity;
    const first = Math.min(taken, sendCapacity - at);
    this.#buffer.set(data.subarray(0, first), at);
    this.#buffer.set(data.subarray(first, taken), 0);
    this.#queued += taken;
    if (taken < data.length) this.#wantsDrain = true;
    this.#push();
    return taken;
  }

  /** Nothing more will be written. */
  end(): void {
    if (this.#state === "closed") return;
    this.#endWanted = true;
    this.#push();
  }

  /** Takes no data until `resume`: what comes is sent again by the other end. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Takes data again. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#state === "open") this.#acknowledge();
  }

  /** Ends it at once; the other end is told. */
  abort(): void {
    if (this.#state === "closed") return;
    this.#output.send(this, this.#next, TcpFlag.Rst | TcpFlag.Ack, undefined);
    this.#close(false);
  }

  /** A segment of this connection came. */
  take(segment: TcpSegment): void {
    if (this.#state === "closed") return;
    if (this.#state === "calling") {
      this.#takeAnswer(segment);
      return;
    }
    if (segment.has(TcpFlag.Rst)) {
      if (segment.sequence === this.#expected) this.#close(false);
      return;
    }
    if (segment.has(TcpFlag.Syn)) {
      // Their SYN again: our answer was lost.
      if (this.#state === "opening") this.#again();
      else this.#acknowledge();
      return;
    }
    if (!segment.has(TcpFlag.Ack) || !this.#takeAcknowledgement(segment)) return;
    this.#takeData(segment);
    // A listener may have closed it.
    if (!this.isClosed && this.#endAcknowledged && this.#theyEnded) this.#close(true);
    if (!this.isClosed) this.#push();
  }

  /** What does not acknowledge our SYN is of another connection (RFC 9293 §3.10.7.3). */
  #takeAnswer(segment: TcpSegment): void {
    if (!segment.has(TcpFlag.Ack) || segment.acknowledgement !== this.#next) return;
    if (segment.has(TcpFlag.Rst)) {
      this.#close(false);
      return;
    }
    if (!segment.has(TcpFlag.Syn)) return;
    this.#learn(segment);
    this.#state = "open";
    this.#repeats = 0;
    this.#unacknowledged = this.#next;
    this.#acknowledge();
    this.onOpen?.();
    this.#arm();
    this.#push();
  }

  /** @returns false when the segment acknowledges what was never sent. */
  #takeAcknowledgement(segment: TcpSegment): boolean {
    const gained = distance(this.#unacknowledged, segment.acknowledgement);
    const sent = distance(this.#unacknowledged, this.#next);
    if (gained > this.#sentAtMost(sent)) {
      this.#acknowledge();
      return false;
    }
    if (gained < 0) return true;
    this.#window = segment.window;
    if (gained === 0) {
      const isDuplicate = sent > 0 && segment.dataLength === 0 && !segment.has(TcpFlag.Fin);
      this.#duplicates = isDuplicate ? this.#duplicates + 1 : this.#duplicates;
      // Once for each loss: what is sent again causes duplicates of its own.
      if (this.#duplicates === 3) this.#again();
      return true;
    }
    this.#duplicates = 0;
    this.#repeats = 0;
    this.#forget(gained, segment.acknowledgement);
    this.#arm();
    return true;
  }

  /** After going back, more may be acknowledged than was sent again: everything that was ever sent. */
  #sentAtMost(sent: number): number {
    const opening = this.#state === "opening" ? 1 : 0;
    return Math.max(sent, opening + this.#queued + (this.#endSent ? 1 : 0));
  }

  #forget(gained: number, acknowledgement: number): void {
    let bytes = gained;
    if (this.#state === "opening") {
      this.#state = "open";
      bytes--;
    }
    if (bytes > this.#queued) {
      bytes = this.#queued;
      this.#endAcknowledged = this.#endSent;
    }
    this.#start = (this.#start + bytes) % sendCapacity;
    this.#queued -= bytes;
    this.#unacknowledged = acknowledgement;
    if (distance(this.#next, acknowledgement) > 0) this.#next = acknowledgement;
    if (this.#wantsDrain && this.#queued <= sendCapacity / 2) {
      this.#wantsDrain = false;
      this.onDrain?.();
    }
  }

  #takeData(segment: TcpSegment): void {
    const known = distance(segment.sequence, this.#expected);
    const hasFin = segment.has(TcpFlag.Fin);
    if (segment.dataLength === 0 && !hasFin) return;
    if (known >= 0 && known <= segment.dataLength && !this.#theyEnded && !this.#isPaused) {
      const fresh = segment.dataLength - known;
      this.#expected = (this.#expected + fresh) >>> 0;
      if (fresh > 0) {
        const from = segment.dataAt + known;
        this.onData?.(segment.bytes.subarray(from, from + fresh));
      }
      if (hasFin && !this.isClosed) {
        this.#expected = (this.#expected + 1) >>> 0;
        this.#theyEnded = true;
        this.onEnd?.();
      }
    }
    if (!this.isClosed) this.#acknowledge();
  }

  #acknowledge(): void {
    this.#output.send(this, this.#next, TcpFlag.Ack, undefined);
  }

  /** Sends what the window allows. */
  #push(): void {
    if (this.#state !== "open") return;
    let sent = distance(this.#unacknowledged, this.#next);
    while (sent < this.#queued && sent < this.#window) {
      const size = Math.min(this.#mss, this.#queued - sent, this.#window - sent);
      const at = (this.#start + sent) % sendCapacity;
      // A segment does not cross the end of the ring.
      const step = Math.min(size, sendCapacity - at);
      const data = this.#buffer.subarray(at, at + step);
      const flags = sent + step === this.#queued ? TcpFlag.Ack | TcpFlag.Psh : TcpFlag.Ack;
      const isThrough = this.#output.send(this, this.#next, flags, data);
      sent += step;
      this.#next = (this.#next + step) >>> 0;
      // No room at the other end of the cable: what comes next would be lost too.
      if (!isThrough) break;
    }
    if (this.#endWanted && !this.#endAcknowledged && sent === this.#queued) {
      this.#endSent = true;
      this.#output.send(this, this.#next, TcpFlag.Fin | TcpFlag.Ack, undefined);
      this.#next = (this.#next + 1) >>> 0;
    }
    if (this.#timer === undefined) this.#arm();
  }

  /** Starts over from what was not acknowledged. */
  #again(): void {
    if (this.#state === "opening" || this.#state === "calling") {
      this.open();
      return;
    }
    this.#next = this.#unacknowledged;
    this.#push();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waits = this.#queued > 0 || this.#next !== this.#unacknowledged;
    if (this.#state === "closed" || !waits) return;
    const delay = Math.min(firstTimeout * 2 ** this.#repeats, longestTimeout);
    this.#timer = setTimeout(() => this.#late(), delay);
  }

  #late(): void {
    this.#timer = undefined;
    if (++this.#repeats > patience) {
      this.abort();
      return;
    }
    // A window that stays closed is asked for with one byte.
    if (this.#window === 0 && this.#state === "open") this.#window = 1;
    this.#again();
    this.#arm();
  }

  #close(wasClean: boolean): void {
    this.#state = "closed";
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#output.over(this);
    this.onClose?.(wasClean);
  }
}
