/** A back end that is killed while a Linux guest writes: the guest goes on with its successor, and nothing is lost. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signalEvent } from "../../src/linux/index.js";
import { featureSet, ProtocolFeature } from "../../src/transport/index.js";
import { after, before, test } from "./limited-test.js";
import { newerQemu, whyNoGuest } from "./linux/guest.js";
import { serveBlk } from "./vhost-in-process.js";
import { type KillPlan, killAgainAndAgain } from "./vhost-kills.js";
import { numberOf, q, RawFrontEnd, RawRing, stateOf } from "./vhost-raw-front-end.js";

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-crash-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const noGuest = whyNoGuest();
const qemu10 = newerQemu();
const noNewer = noGuest ?? (qemu10 === undefined ? "no QEMU 10 for PCs in .peers: run .ci/install-peers" : undefined);

interface Case extends Omit<KillPlan, "seed" | "qemu"> {
  readonly qemu: "7.2" | "10.0";
}

// SCSI hosts of QEMU 7.2 do not connect again.
const cases: readonly Case[] = [
  { kind: "blk", queues: 1, kills: 8, qemu: "7.2" },
  { kind: "blk", queues: 2, kills: 6, qemu: "10.0", servesByCommand: true, threads: 2 },
  { kind: "blk", queues: 2, kills: 3, qemu: "7.2", servesByCommand: true, threads: 2, threadThrows: true },
  { kind: "scsi", queues: 1, kills: 6, qemu: "10.0" },
];

for (const { qemu, ...plan } of cases) {
  const server = plan.servesByCommand === true ? `, ringside serve, ${plan.threads ?? 0} threads` : "";
  const ended = plan.threadThrows === true ? "a thread of the server throws" : "the server is killed";
  const name = `${plan.kind}, ${plan.queues} ${plan.queues === 1 ? "queue" : "queues"}, QEMU ${qemu}${server}`;
  const missing = qemu === "10.0" ? noNewer : noGuest;
  const options = missing === undefined ? {} : { skip: missing };
  test(`nothing acknowledged is lost when ${ended} ${plan.kills} times: ${name}`, options, async (context) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    context.diagnostic(`seed ${seed}`);
    const report = await killAgainAndAgain(folder, { ...plan, seed, qemu: qemu === "10.0" ? qemu10 : undefined });
    context.diagnostic(`${report.writes} writes, in flight at kills: ${report.inFlight.join(" ")}`);
    assert.equal(report.inFlight.length, plan.kills);
    assert.ok(
      report.inFlight.every((count) => count >= 8),
      "at least 8 writes in flight at each kill",
    );
  });
}

test(
  "a run that fails without a record of what is in flight is good with one",
  noGuest === undefined ? {} : { skip: noGuest },
  async (context) => {
    // Answers out of order: the used index then says nothing about which requests were served.
    const plan: KillPlan = { kind: "blk", queues: 1, kills: 2, seed: 20, alwaysSlow: true };
    await killAgainAndAgain(folder, plan);
    const without = featureSet(ProtocolFeature.INFLIGHT_SHMFD);
    await assert.rejects(killAgainAndAgain(folder, { ...plan, without }), (error: Error) => {
      context.diagnostic(error.message.split("\n")[0]);
      return /stuck|acknowledged|bad/.test(error.message);
    });
  },
);

test("a ring that is started tells its driver of answers that nobody was told of", async () => {
  const server = serveBlk();
  const fe = new RawFrontEnd(server.path, 1 << 20);
  try {
    fe.send(q.SetProtocolFeatures, { payload: numberOf(featureSet(ProtocolFeature.REPLY_ACK)) });
    fe.send(q.SetFeatures, { payload: numberOf(featureSet(30, 32, 29)) });
    fe.send(q.SetMemoryTable, fe.table());
    const ring = new RawRing(fe, 0, { eventIndex: true });
    const start = async (call: number | undefined, base: number) => {
      fe.send(q.SetVringSize, { payload: stateOf(0, ring.size) });
      fe.send(q.SetVringBase, { payload: stateOf(0, base) });
      fe.send(q.SetVringAddress, { payload: ring.address() });
      fe.send(
        q.SetVringCall,
        call === undefined ? { payload: numberOf(0x100) } : { payload: numberOf(0), descriptors: [call] },
      );
      fe.send(q.SetVringKick, { payload: numberOf(0), descriptors: [ring.kick] });
      assert.equal(await fe.acknowledged(q.SetVringEnable, { payload: stateOf(0, 1) }), 0n);
    };
    await start(undefined, 0);
    // As if the server died between publishing the answer and telling of it.
    ring.submit(1, 0, new Uint8Array(512));
    signalEvent(ring.kick);
    const used = () => fe.memory.read(ring.addresses.used + 2, 1)[0];
    const deadline = Date.now() + 5000;
    while (used() === 0) {
      assert.ok(Date.now() < deadline, "the request is not served");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await fe.ask(q.GetVringBase, { payload: stateOf(0, 0) });
    await start(ring.call, 1);
    assert.equal(await ring.finish(new Uint8Array(0)), 0);
    await ring.verify(3);
  } finally {
    fe.close();
    await server.close();
  }
});
