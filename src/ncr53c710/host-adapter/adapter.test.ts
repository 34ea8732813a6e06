/** The driver on our own A4091: what one command after the other does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb, discoverUnits, ScsiResponse, UnitBlocks, unitAddress } from "../../scsi/index.js";
import { content, openRig } from "./adapter-rig.test.js";

test("units are found at all targets and LUNs; what is read is what is there, what is written is read back", async () => {
  const { adapter, close } = await openRig({ luns: 8 });
  const units = await discoverUnits(adapter);
  assert.deepEqual(
    units.map(({ target, lun, serial }) => `${target}/${lun} ${serial}`),
    ["0/0 0/0", ...[0, 1, 2, 3, 4, 5, 6, 7].map((lun) => `3/${lun} 3/${lun}`), "6/0 6/0"],
  );
  for (const unit of units) {
    const blocks = new UnitBlocks(adapter, unit);
    const expected = content(unit.target, 2048);
    assert.deepEqual(await blocks.readBlocks(5, 300), expected.slice(5 * 512, 305 * 512));
    const bytes = new Uint8Array(700 * 512).map((_, index) => index * 13 + unit.lun);
    await blocks.write(100, bytes);
    await blocks.flush();
    assert.deepEqual(await blocks.readBlocks(100, 700), bytes);
    assert.deepEqual(await blocks.readBlocks(800, 10), expected.slice(800 * 512, 810 * 512));
  }
  const absent = await adapter.execute(unitAddress(2, 0), cdb.testUnitReady());
  assert.equal(absent.response, ScsiResponse.BadTarget);
  await close();
});
