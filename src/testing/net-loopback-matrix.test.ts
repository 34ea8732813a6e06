/** Our net driver on our net device over every combination of transport, ring features, interrupts and header. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLink } from "../packet/index.js";
import { featureSet } from "../transport/index.js";
import { netFeatures } from "../virtio/index.js";
import { createNetLoopback, type LoopbackTransport, type NetLoopbackOptions, patternFrame } from "./index.js";

interface Combination extends NetLoopbackOptions {
  readonly name: string;
}

const lengths = [14, 60, 500, 1514, 1518];

/** Half of the entries start near the wrap; which half changes with the row, so that each value of a column has both. */
function startOf(entry: number): number {
  return (entry ^ (entry >> 1) ^ (entry >> 2)) % 2 === 0 ? 65_525 : 0;
}

function combinations(): Combination[] {
  const list: Combination[] = [];
  for (const transport of ["legacy-be", "legacy-le", "modern"] as LoopbackTransport[]) {
    for (const rings of ["plain", "indirect", "event-index", "packed"] as const) {
      for (const mergeable of [true, false]) {
        for (const interrupts of ["intx", "msix"] as const) {
          if (rings === "packed" && transport !== "modern") continue;
          list.push({
            name: `${transport} ${rings} ${mergeable ? "mergeable" : "one buffer"} ${interrupts}`,
            transport,
            indirect: rings !== "plain",
            eventIndex: rings === "event-index",
            packed: rings === "packed",
            interrupts,
            startIndex: startOf(list.length),
            device: {
              queueSize: 16,
              // Without the long ones a buffer is one frame.
              withhold: mergeable
                ? 0n
                : featureSet(netFeatures.MRG_RXBUF, ...(interrupts === "intx" ? [netFeatures.GUEST_CSUM] : [])),
            },
            // Frames of 1500 bytes lie in several of these.
            driver: { bufferSize: 256 },
          });
        }
      }
    }
  }
  return list;
}

for (const { name, ...options } of combinations()) {
  test(`two machines on a cable, ${name}: frames of all lengths arrive both ways, in order`, async () => {
    const [left, right] = createLink();
    const a = await createNetLoopback({ ...options, peer: left });
    const b = await createNetLoopback({ ...options, peer: right, ramSize: 8 << 20 });
    const toA: Uint8Array[] = [];
    const toB: Uint8Array[] = [];
    a.driver.onFrame((packet) => toA.push(packet.toBytes()));
    b.driver.onFrame((packet) => toB.push(packet.toBytes()));
    const sent: Uint8Array[] = [];
    for (let round = 0; round < 8; round++) {
      for (const [index, length] of lengths.entries()) {
        const frame = patternFrame(b.driver.mac, a.driver.mac, length, 8 * round + index);
        sent.push(frame);
        const both = Promise.all([a.driver.send(frame), b.driver.send(frame)]);
        await Promise.all([a.machine.idle(20), b.machine.idle(20), both]);
        await Promise.all([a.machine.idle(1), b.machine.idle(1)]);
      }
    }
    assert.deepEqual(toB, sent);
    assert.deepEqual(toA, sent);
    assert.deepEqual([...a.driver.violations, ...a.adapter.core.violations], []);
    await a.close();
    await b.close();
  });
}
