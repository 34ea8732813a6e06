/** RhelDoReadWrite: puts a request on a ring and kicks. The way of every request; allocates nothing. */
import { type AdapterExtension, deviceOf, type RequestQueue } from "./adapter-extension.js";
import type { Srb } from "./srb.js";

/** False when the ring has no room: the port driver was told how long to wait, and the SRB is the caller's to end. */
export function rhelDoReadWrite(extension: AdapterExtension, srb: Srb): boolean {
  const { queues, behaviour } = extension;
  const request = srb.extension;
  const queue = queues[srb.processor % queues.length];
  request.queue = queue.index;
  const byRing = behaviour.requestToken === "ring";
  if (!queue.ring.add(request.sg, byRing ? srb : request.id)) {
    if (behaviour.fullRing === "lost") return true;
    extension.port.busy(extension.profile.busyFor);
    return false;
  }
  if (!byRing) {
    queue.byId.set(request.id, srb);
    extension.nextId++;
  }
  extension.requests++;
  queue.dirty = true;
  // Defect 9: what one request decided, the next one overwrites before anybody acts on it.
  if (behaviour.kickDecision === "shared-variable") queue.needsKick = queue.ring.publish();
  if (!extension.isBatching) kick(extension, queue);
  return true;
}

/** Shows the device what was added, and notifies it if it wants that: one operation. */
function kick(extension: AdapterExtension, queue: RequestQueue): void {
  queue.dirty = false;
  const isWanted = extension.behaviour.kickDecision === "with-publish" ? queue.ring.publish() : queue.needsKick;
  queue.needsKick = false;
  if (!isWanted) return;
  extension.kicks++;
  deviceOf(extension).notify(queue.index);
}

/** Requests from here on are kicked together by {@link endBatch}. */
export function beginBatch(extension: AdapterExtension): void {
  extension.isBatching = true;
}

/** Kicks what was added since {@link beginBatch}. */
export function endBatch(extension: AdapterExtension): void {
  extension.isBatching = false;
  const { queues } = extension;
  for (let index = 0; index < queues.length; index++) if (queues[index].dirty) kick(extension, queues[index]);
}
