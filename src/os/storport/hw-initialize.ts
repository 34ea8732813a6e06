/** VirtIoHwInitialize: interrupts, queues and, for drivers that know of it, DRIVER_OK. */
import { DeviceStatus, noVector } from "../../transport/index.js";
import { type AdapterExtension, deviceOf, type RequestQueue } from "./adapter-extension.js";
import { TraceLevel } from "./debug-print.js";
import { currentVectors, pageSize, seedVectors, type VectorPlan } from "./port-arithmetic.js";
import { ringBytes, virtIODeviceFindVirtualQueue } from "./virtio-device.js";

const noVectors: VectorPlan = { queues: 1, config: undefined, firstQueue: undefined, shared: false };

/** Makes the adapter work. False when a queue cannot be had: the device has FAILED then. */
export function virtIoHwInitialize(extension: AdapterExtension): boolean {
  const { profile, debug } = extension;
  const device = deviceOf(extension);
  const plan = chooseVectors(extension);
  if (plan === undefined) return fail(extension, "the device maps no vector");
  extension.usesMessages = plan.firstQueue !== undefined;
  extension.sharedMessage = plan.shared;
  const queues: RequestQueue[] = [];
  // The first page of the uncached extension is the miniport's own.
  let at = pageAligned(extension);
  for (let index = 0; index < plan.queues; index++) {
    const queue = virtIODeviceFindVirtualQueue(extension, index, at, messageOf(plan, index));
    if (queue === undefined) return fail(extension, `queue ${index} cannot be had`);
    queues.push(queue);
    at += ringBytes(extension, queue.size);
    if (extension.dumpMode) queue.ring.disableInterrupts();
  }
  extension.queues = queues;
  extension.failure = undefined;
  if (profile.bringUp === "specification") device.writeStatus(device.readStatus() | DeviceStatus.DriverOk);
  const how = plan.shared ? "one message" : extension.usesMessages ? "messages" : "line";
  debug.print(TraceLevel.Information, `initialised: ${queues.length} queue(s), ${how}`);
  return true;
}

function fail(extension: AdapterExtension, why: string): false {
  const device = deviceOf(extension);
  extension.debug.print(TraceLevel.Fatal, why);
  if (extension.profile.bringUp === "specification") device.writeStatus(device.readStatus() | DeviceStatus.Failed);
  return false;
}

function pageAligned({ uncachedExtension }: AdapterExtension): number {
  const address = uncachedExtension?.address ?? 0;
  return Math.ceil((address + 1) / pageSize) * pageSize - address;
}

function messageOf(plan: VectorPlan, queue: number): number | undefined {
  if (plan.firstQueue === undefined) return undefined;
  return plan.shared ? plan.firstQueue : plan.firstQueue + queue;
}

/**
 * The best plan whose vectors the device maps, down to the line. Undefined when refused vectors are the end (defect 20).
 */
function chooseVectors(extension: AdapterExtension): VectorPlan | undefined {
  const { profile, behaviour, dumpMode, port, configuration } = extension;
  const given = dumpMode ? 0 : port.messageCount();
  const before = behaviour.messageCount === "added-up" ? extension.countedMessages : 0;
  const messages = before + given;
  extension.countedMessages = messages;
  const queues = configuration?.queues ?? 1;
  const first = profile.arithmetic === "2010" ? seedVectors(messages) : currentVectors(messages, queues);
  if (first.firstQueue === undefined) return first;
  const shared: VectorPlan = { queues: 1, config: 0, firstQueue: 0, shared: true };
  const plans = profile.arithmetic === "2010" || first.shared ? [first] : [first, shared];
  for (const plan of plans) if (mapsAll(extension, plan)) return plan;
  return behaviour.vectorRefused === "failure" ? undefined : noVectors;
}

/** Maps every vector of a plan; all are taken away again when one is refused. */
function mapsAll(extension: AdapterExtension, plan: VectorPlan): boolean {
  const device = deviceOf(extension);
  let maps = plan.config === undefined || device.setConfigVector(plan.config) === plan.config;
  for (let queue = 0; queue < plan.queues && maps; queue++) {
    const message = messageOf(plan, queue);
    maps = message === undefined || device.setQueueVector(queue, message) === message;
  }
  if (maps) return true;
  extension.debug.print(TraceLevel.Warning, "the device refuses a vector");
  device.setConfigVector(noVector);
  for (let queue = 0; queue < plan.queues; queue++) device.setQueueVector(queue, noVector);
  return false;
}
