/** What the kernel would do on each machine: cards, root and swap, or panic. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRdb } from "../../partition/make-rdb.js";
import { amixRig, patterned, type RigSpec, storeWith } from "./amix-rig.test.js";
import { type BootStory, Errno, tellBoot } from "./index.js";

/** A disk as Amix has it: root with a UFS magic, swap, boot. */
function systemDisk(): Uint8Array {
  const disk = patterned(4096);
  const partitions = [
    { name: "ROOT", dosType: 0x554e_4901, lowCylinder: 2, highCylinder: 9 },
    { name: "SWAP", dosType: 0x7265_7376, lowCylinder: 10, highCylinder: 19 },
    { name: "BOOT", dosType: 0x554e_4900, lowCylinder: 20, highCylinder: 29 },
  ];
  disk.set(makeRdb({ cylinders: 32, partitions }));
  new DataView(disk.buffer).setUint32(2 * 128 * 512 + 8192 + 1372, 0x0001_1954);
  return disk;
}

async function story(spec: RigSpec): Promise<BootStory> {
  const rig = await amixRig({ adapter: { busSettle: 0 }, patience: 20, ...spec });
  const told = await tellBoot(rig.kernel);
  await rig.close();
  return told;
}

const cardsOf = ({ cards }: BootStory) => cards.map(({ card, base }) => [card, base]);

for (const profile of ["strict", "extended"] as const) {
  test(`check 27, 5.3: A3000: its own SCSI is card 0, root c6d0s1 and swap c6d0s2 open (${profile})`, async () => {
    const told = await story({ profile, board: "a3000", onboard: { 6: await storeWith(systemDisk()) } });
    assert.deepEqual(cardsOf(told), [[0, 0xdd_0000]]);
    assert.deepEqual(told.root, { name: "c6d0s1", device: 0x48_0016, errno: 0, blocks: 1024, content: "ufs" });
    assert.deepEqual([told.swap.device, told.swap.errno, told.swap.blocks], [0x48_0026, 0, 1280]);
    assert.equal(told.panic, undefined);
  });

  test(`check 27, 5.3: A3000 + A4091: cards 0 and 1, root is the A3000's (${profile})`, async () => {
    const boards = [{ disks: { 0: await storeWith(patterned()) } }];
    const told = await story({ profile, board: "a3000", onboard: { 6: await storeWith(systemDisk()) }, boards });
    assert.deepEqual(cardsOf(told), [
      [0, 0xdd_0000],
      [1, 0x4000_0000],
    ]);
    assert.equal(told.root.errno, Errno.None);
    assert.match(told.lines.join("\n"), /Card 1 +A4091 SCSI at 0x40000000, a4091queue\(0\); disks c8d0 to c15d0/);
  });

  test(`check 27, 5.3: A4000 + A4091: card 0, root is its target 6 (${profile})`, async () => {
    const told = await story({ profile, boards: [{ disks: { 6: await storeWith(systemDisk()) } }] });
    assert.deepEqual(cardsOf(told), [[0, 0x4000_0000]]);
    assert.deepEqual([told.root.errno, told.root.content], [Errno.None, "ufs"]);
    assert.equal(told.panic, undefined);
  });

  test(`check 32, 5.3: A4000 with the stock autocon: the phantom is card 0, root fails with 5 or 6, then 89 (${profile})`, async () => {
    const boards = [{ disks: { 6: await storeWith(systemDisk()) } }];
    const told = await story({ profile, gate: "stock", boards });
    assert.deepEqual(cardsOf(told), [
      [0, 0xdd_0000],
      [1, 0x4000_0000],
    ]);
    assert.ok(told.root.errno === Errno.Io || told.root.errno === Errno.NoDevice);
    assert.match(told.panic ?? "", /root c6d0s1 \(0x480016\): open error [56] \(\w+\), then of NFS: errno 89; panic/);
    assert.match(told.lines.join("\n"), /taken to be there, nobody asked/);
  });
}

test("check 32, 5.4: an NTSC A3000 loses its SCSI, and its root, in strict; not in extended", async () => {
  const spec = async (): Promise<RigSpec> => ({
    ...{ board: "a3000", agnus: 0x30, onboard: { 6: await storeWith(systemDisk()) } },
    boards: [{ disks: { 0: await storeWith(patterned()) } }],
  });
  const strict = await story({ ...(await spec()), profile: "strict" });
  assert.deepEqual(cardsOf(strict), [[0, 0x4000_0000]]);
  assert.notEqual(strict.panic, undefined);
  const extended = await story({ ...(await spec()), profile: "extended" });
  assert.deepEqual(cardsOf(extended), [
    [0, 0xdd_0000],
    [1, 0x4000_0000],
  ]);
  assert.equal(extended.panic, undefined);
});

test("check 27, 5.3: three boards: one is refused, and the console says so; no board at all is a panic", async () => {
  const told = await story({ boards: [{}, {}, {}] });
  assert.deepEqual(cardsOf(told), [
    [0, 0x4000_0000],
    [1, 0x4100_0000],
    [undefined, 0x4200_0000],
  ]);
  assert.match(told.lines.join("\n"), /Card +refused: A4091 SCSI at 0x42000000/);
  const none = await story({});
  assert.equal(none.root.errno, Errno.NoDevice);
  assert.match(none.lines.join("\n"), /autocon found no controller/);
});
