/** How a driver gets its interrupts: as many vectors as there are, fewer when refused, INTx at last. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { boards } from "../machine/index.js";
import { cdb, unitAddress } from "../scsi/index.js";
import { createLoopback, type LoopbackTransport, plugLoopback } from "../testing/index.js";
import { type InterruptHandlers, type InterruptMode, noVector, PciInterrupts } from "./index.js";

const transports: readonly LoopbackTransport[] = ["legacy-be", "modern"];

for (const transport of transports) {
  for (const [vectors, mode] of [
    [4, "msix"],
    [3, "msix-shared"],
    [2, "msix-shared"],
    [1, "msix-shared"],
    [0, "intx"],
  ] as [number, InterruptMode][]) {
    test(`R-408 ${transport}: a device with ${vectors} vectors is driven by ${mode}, and its events arrive`, async () => {
      const loop = await createLoopback({ transport, vectors, startIndex: 65_534 });
      assert.equal(loop.driver.link.interruptMode, mode);
      let events = 0;
      loop.driver.onEvent(() => events++);
      for (let again = 0; again < 5; again++) {
        const result = await loop.driver.execute(unitAddress(0, 0), cdb.testUnitReady(), { timeout: 1000 });
        assert.equal(result.response, 0);
      }
      assert.equal(await loop.driver.manageTasks(7, unitAddress(0, 0)), 0);
      loop.bus.reset("bus-reset");
      await loop.machine.idle(20);
      assert.equal(events, 1);
      loop.adapter.core.configChanged();
      await loop.machine.idle(5);
      assert.equal(loop.driver.failure, undefined);
      await loop.close();
    });
  }
}

/** Opens interrupts on a device whose vector registers take only vectors below `most`. */
function openWith(most: number, prefer: "msix" | "intx" | "none" = "msix", board = "pc") {
  const plugged = plugLoopback({
    poison: false,
    board: boards[board],
    transport: board === "amigaone" ? "legacy-be" : "modern",
  });
  const { fn, machine } = plugged;
  fn.enable({ memory: true, busMaster: true });
  const attachMessage = machine.interrupts.attachMessage?.bind(machine.interrupts);
  const place = { bridge: fn.bridgeIndex, bus: fn.bus, slot: fn.slot, pin: fn.interruptPin };
  const interrupts = new PciInterrupts(
    fn,
    {
      attachLine: (handler) => machine.interrupts.attachLine(place, handler),
      ...(attachMessage === undefined ? {} : { attachMessage }),
    },
    prefer,
  );
  const mapped = new Map<string, number>();
  const map = (name: string, vector: number) => {
    const taken = vector < most ? vector : noVector;
    mapped.set(name, taken);
    return taken;
  };
  const handlers: InterruptHandlers = { queue: () => {}, config: () => {} };
  const mode = interrupts.open(3, handlers, {
    readIsr: () => 0,
    mapConfig: (vector) => map("config", vector),
    mapQueue: (queue, vector) => map(`queue ${queue}`, vector),
  });
  return { ...plugged, interrupts, mode, mapped };
}

test("R-403, R-404: a device that refuses vectors is asked for fewer, then INTx is used and MSI-X is off again", () => {
  assert.equal(openWith(4).mode, "msix");
  assert.equal(openWith(3).mode, "msix-shared");
  const shared = openWith(2);
  assert.deepEqual([...shared.mapped.values()], [0, 1, 1, 1]);
  assert.deepEqual([...openWith(1).mapped.values()], [0, 0, 0, 0]);
  const refused = openWith(0);
  assert.equal(refused.mode, "intx");
  assert.equal(refused.adapter.msixEnabled, false);
  assert.ok([...refused.mapped.values()].every((vector) => vector === noVector));
});

test("closing turns MSI-X off and gives the messages back", () => {
  const open = openWith(4);
  assert.equal(open.adapter.msixEnabled, true);
  open.interrupts.close();
  assert.equal(open.adapter.msixEnabled, false);
});

test("what was asked for is what is tried first; boards without message interrupts use the line", () => {
  assert.equal(openWith(4, "intx").mode, "intx");
  assert.equal(openWith(4, "none").mode, "none");
  assert.equal(openWith(4, "msix", "pegasos2").mode, "intx");
  assert.equal(openWith(4, "msix", "amigaone").mode, "intx");
});

test("without interrupts a driver that polls gets its answers", async () => {
  const plugged = plugLoopback();
  const { VirtioScsiDriver } = await import("../virtio/index.js");
  const driver = await VirtioScsiDriver.open(plugged.openTransport({ prefer: "none" }), { timeout: 0 });
  assert.equal(driver.link.interruptMode, "none");
  const request = driver.acquireRequest();
  driver.address(request, unitAddress(0, 0));
  assert.ok(driver.submit(request));
  driver.flush();
  assert.equal(driver.poll(), 1);
  assert.equal(request.outcome, "done");
  await driver.close();
  await plugged.unplug();
});
