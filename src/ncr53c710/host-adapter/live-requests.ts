/** All requests that are under way, the oldest first, linked through themselves. */
import type { AdapterRequest } from "./adapter-request.js";

export class LiveRequests {
  count = 0;
  #oldest: AdapterRequest | undefined;
  #youngest: AdapterRequest | undefined;

  get oldest(): AdapterRequest | undefined {
    return this.#oldest;
  }

  /** All of them at this moment. */
  all(): AdapterRequest[] {
    const list: AdapterRequest[] = [];
    for (let at = this.#oldest; at !== undefined; at = at.younger) list.push(at);
    return list;
  }

  add(request: AdapterRequest): void {
    request.older = this.#youngest;
    request.younger = undefined;
    if (this.#youngest === undefined) this.#oldest = request;
    else this.#youngest.younger = request;
    this.#youngest = request;
    this.count++;
  }

  /** Removing one that is not there does nothing. */
  remove(request: AdapterRequest): void {
    const { older, younger } = request;
    if (older === undefined && this.#oldest !== request) return;
    if (older === undefined) this.#oldest = younger;
    else older.younger = younger;
    if (younger === undefined) this.#youngest = older;
    else younger.older = older;
    request.older = undefined;
    request.younger = undefined;
    this.count--;
  }
}
