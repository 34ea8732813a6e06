/** Requests that a device half answers later: what each is doing, and how those are given up that nobody waits for. */
import type { Chain, QueueDevice } from "../../virtqueue/index.js";

/** What a request is doing. */
export type RequestState = "idle" | "running" | "cancelled";

/**
 * One request of a device half. One is kept for each descriptor chain and reused, so that nothing is allocated for a
 * request in steady state. A device type's own request knows what the chain holds.
 */
export abstract class RunningRequest {
  readonly chain: Chain;
  queue!: QueueDevice;
  state: RequestState = "idle";

  constructor(chain: Chain) {
    this.chain = chain;
  }

  /** Nobody waits any more: what comes late from a store finds no memory to write to. */
  cancel(): void {
    this.state = "cancelled";
    this.chain.readable.clear();
    this.chain.writable.clear();
  }
}

/** The requests of one device that wait for a store, a fault or a task management function. */
export class RunningRequests<Request extends RunningRequest> extends Set<Request> {
  /** The request is answered later, or never. */
  begin(request: Request): void {
    request.state = "running";
    this.add(request);
  }

  /** As `begin`, until `answer` comes: then `end` is called, unless the request was cancelled first. */
  beginUntil<Value>(request: Request, answer: Promise<Value>, end: (value: Value) => void): void {
    this.begin(request);
    void answer.then((value) => {
      if (request.state !== "running") return;
      this.delete(request);
      end(value);
    });
  }

  /** Gives requests up, by default all, oldest first. `end` is told of each. */
  cancel(matches: (request: Request) => boolean = () => true, end?: (request: Request) => void): void {
    for (const request of this) {
      if (!matches(request)) continue;
      this.delete(request);
      request.cancel();
      end?.(request);
    }
  }
}
