/** A raw front end with two queues of a virtio-blk back end in this process. */
import assert from "node:assert/strict";
import { featureSet, ProtocolFeature } from "../../src/transport/index.js";
import type { InProcessBackEnd } from "./vhost-in-process.js";
import { numberOf, q, RawFrontEnd, RawRing, stateOf } from "./vhost-raw-front-end.js";

const memorySize = 1 << 20;

/** Connects, and sets queues 0 and 1 up. @param afterFirst done when the first one runs. */
export async function connectQueues(
  { path }: Pick<InProcessBackEnd, "path">,
  features = featureSet(30, 32),
  afterFirst: (fe: RawFrontEnd) => Promise<void> = async () => {},
): Promise<{ readonly fe: RawFrontEnd; readonly rings: readonly RawRing[] }> {
  const fe = new RawFrontEnd(path, memorySize);
  const { MQ, REPLY_ACK, CONFIG } = ProtocolFeature;
  fe.send(q.SetProtocolFeatures, { payload: numberOf(featureSet(MQ, REPLY_ACK, CONFIG)) });
  fe.send(q.SetFeatures, { payload: numberOf(features) });
  fe.send(q.SetMemoryTable, fe.table());
  const rings: RawRing[] = [];
  for (const index of [0, 1]) {
    const ring = new RawRing(fe, index, { size: 64 });
    fe.send(q.SetVringSize, { payload: stateOf(index, ring.size) });
    fe.send(q.SetVringAddress, { payload: ring.address() });
    fe.send(q.SetVringCall, { payload: numberOf(index), descriptors: [ring.call] });
    fe.send(q.SetVringKick, { payload: numberOf(index), descriptors: [ring.kick] });
    assert.equal(await fe.acknowledged(q.SetVringEnable, { payload: stateOf(index, 1) }), 0n);
    rings.push(ring);
    if (index === 0) await afterFirst(fe);
  }
  return { fe, rings };
}
