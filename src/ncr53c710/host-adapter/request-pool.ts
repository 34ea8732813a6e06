/** A driver's requests: made when more are needed than ever before, kept until the driver closes. */
import { InternalError } from "../../errors/index.js";
import { TaskAttribute } from "../../scsi/index.js";
import { AdapterRequest, type RequestParts } from "./adapter-request.js";
import type { AdapterCommand } from "./contract.js";

export class RequestPool {
  readonly #parts: RequestParts;
  readonly #free: AdapterRequest[] = [];
  readonly #all: AdapterRequest[] = [];

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  /** @throws RangeError when memory runs out. */
  take(): AdapterRequest {
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    const request = new AdapterRequest(this.#parts);
    this.#all.push(request);
    return request;
  }

  give(command: AdapterCommand): void {
    const request = this.own(command);
    request.state = "idle";
    request.onEnd = undefined;
    request.error = undefined;
    request.timeout = this.#parts.timeout;
    request.attribute = TaskAttribute.Simple;
    request.clearData();
    this.#free.push(request);
  }

  /** The request behind a command. @throws InternalError when it is none of ours */
  own(command: AdapterCommand): AdapterRequest {
    if (command instanceof AdapterRequest) return command;
    throw new InternalError("a request of another driver");
  }

  /** Gives all memory back. */
  close(): void {
    for (const request of this.#all) request.free();
  }
}
