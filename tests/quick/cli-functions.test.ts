/** `ringside run --with`: functions that are no storage adapters, on the embedded platform; hostile ones do not hold it up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { driveFunctions } from "../../src/cli/driven-functions.js";
import { boards } from "../../src/machine/index.js";
import { EmbeddedMachine } from "../../src/platform/embedded/index.js";
import { type DeviceType, featureSet, ringFeatures } from "../../src/transport/index.js";
import { VirtioBalloonDevice, virtioConsoleId, virtioEntropyId, virtioRpmsgId } from "../../src/virtio/index.js";
import { sha256Of, writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";

interface Adapter {
  readonly kind: string;
  readonly transport: string;
  readonly interrupts: string;
  readonly features: readonly string[];
  readonly units: readonly { readonly verified: boolean }[];
  readonly facts?: Readonly<Record<string, unknown>>;
}

const console80 = {
  ports: [
    { id: 0, console: true, open: true, columns: 80, rows: 25 },
    { id: 1, name: "org.ringside.0", console: false, open: true },
  ],
};
const rpmsg = { services: [{ name: "ringside-echo", address: 1024 }] };

for (const [machine, words, transport] of [
  ["pegasos2", [], "pci-modern"],
  ["q35", ["--registers", "legacy"], "pci-legacy"],
  ["pc", ["--interrupts", "none"], "pci-modern"],
  ["riscv-virt", [], "mmio"],
  ["arm-virt", ["--registers", "legacy"], "mmio-legacy"],
] as const) {
  test(`${machine} ${words.join(" ")}: every function is found, comes up and answers; the disk too`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 1 << 18);
    const before = sha256Of(folder.file("a.img"));
    const isLegacy = words.includes("legacy" as never);
    const functions = ["--with", "net,console", "--with", isLegacy ? "entropy,balloon" : "entropy,balloon,rpmsg"];
    const result = await folder.run(["run", "--json", "--machine", machine, ...words, ...functions, "a.img"]);
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    const [disk, ...others] = JSON.parse(result.stdout).adapters as Adapter[];
    assert.deepEqual([disk.units[0].verified, "facts" in disk], [true, false]);
    const found = others.map(({ kind, transport, units, facts }) => [kind, transport, units.length, facts]);
    assert.deepEqual(found, [
      ["virtio-net", transport, 0, { mac: "52:54:00:12:34:56", link: "up", queuePairs: 1 }],
      ["virtio-console", transport, 0, console80],
      ["virtio-entropy", transport, 0, { bytes: 64 }],
      ["virtio-balloon", transport, 0, { pages: 256, target: 256 }],
      ...(isLegacy ? [] : [["virtio-rpmsg", transport, 0, rpmsg]]),
    ]);
    for (const { features, interrupts } of others) {
      assert.equal(features.includes("VERSION_1"), !isLegacy);
      assert.equal(interrupts === "none", words.includes("none" as never));
    }
    assert.deepEqual([sha256Of(folder.file("a.img")), folder.leftovers()], [before, []]);
  });
}

test("rpmsg is modern also on a board whose system has legacy drivers; what is repeated is there twice", async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 1 << 16);
  const one = await folder.run(["run", "--json", "--machine", "amigaone", "--with", "net,rpmsg", "a.img"]);
  const adapters: Adapter[] = JSON.parse(one.stdout).adapters;
  assert.deepEqual(
    adapters.map(({ transport }) => transport),
    ["pci-legacy", "pci-legacy", "pci-modern"],
  );
  assert.deepEqual(adapters[2].facts, rpmsg);
  const two = await folder.run(["run", "--with", "net, net", "a.img"]);
  assert.deepEqual(
    two.stdout.split("\n").filter((line) => line.startsWith("Facts")),
    ["Facts     MAC 52:54:00:12:34:56, link up", "Facts     MAC 52:54:00:12:34:57, link up"],
  );
});

for (const [words, says] of [
  [["--with", "net,nat"], /'net,nat' is invalid\. Give one or more of net, console, entropy, balloon, rpmsg/],
  [["--with", ""], /Give one or more of net/],
  [["--with", "rpmsg", "--registers", "legacy"], /rpmsg has modern registers only/],
  [["--with", "net", "--os", "storport"], /--os storport drives disks only: leave out --with/],
  [["--with", "net", "--machine", "a4000"], /a4000 has an A4091, no virtio device: leave out --with/],
  [
    ["--with", "net,net,net", "--machine", "amigaone"],
    /3 places for adapters, and 1 are for images: --with may name 2/,
  ],
  [["--with", "net", "--machine", "pc", "--virtio-mmio", "4K@0x20000000:40"], /pc has 1 place for adapters/],
] as const) {
  test(`${words.join(" ")}: one line that says what to do`, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 1 << 16);
    const { status, stdout, stderr } = await folder.run(["run", ...words, "a.img"]);
    assert.deepEqual([status, stdout, stderr.split("\n").length], [2, "", 2], stderr);
    assert.match(stderr, says);
  });
}

/** A device that takes everything and answers nothing. */
function silent(deviceId: number, queues: number, more: Partial<DeviceType> = {}): DeviceType {
  return {
    ...{ deviceId, name: "silent", featureTable: {}, features: 0n, queueSizes: new Array(queues).fill(8) },
    ...{ configSize: 64, attach() {}, readConfig() {}, writeConfig() {}, notified() {}, reset() {}, resetQueue() {} },
    ...more,
  };
}

function look(...types: DeviceType[]) {
  const machine = new EmbeddedMachine(boards["pegasos2"], { ramSize: 64 << 20 });
  for (const type of types) machine.plugVirtio(type, { classCode: 0xff0000 });
  const options = { registers: "auto", interrupts: "msix", check: () => {}, patience: 100 } as const;
  return driveFunctions(machine, options);
}

test("a type that nobody knows is named by its number, with what it offers; those after it are found too", async () => {
  const odd = silent(18, 1, { features: featureSet(3) });
  const [first, second] = await look(odd, silent(virtioConsoleId, 2));
  assert.deepEqual([first.kind, first.interrupts, first.features], ["virtio-18", "none", []]);
  const { type, offered } = first.facts as { type: number; offered: string[] };
  assert.deepEqual([type, offered.includes("bit 3"), offered.includes("VERSION_1")], [18, true, true]);
  assert.deepEqual(second.facts, { ports: [{ id: 0, console: true, open: true }] });
});

test("a source that gives nothing costs its time and is named; a bus that says nothing has no services", async () => {
  await assert.rejects(look(silent(virtioEntropyId, 1)), /^WorkFailed: virtio-entropy at PCI1 .*00:01\.0: .*100 ms/);
  const [{ facts }] = await look(silent(virtioRpmsgId, 2, { features: 1n }));
  assert.deepEqual(facts, { services: [] });
});

test("a console with several ports that tells of none has none", async () => {
  const multiport = 2n;
  const [{ facts, features }] = await look(silent(virtioConsoleId, 6, { features: multiport }));
  assert.ok(features.includes("MULTIPORT") && !features.includes(`bit ${ringFeatures.VERSION_1}`));
  assert.deepEqual(facts, { ports: [] });
});

test("a balloon that wants all memory gets 4 MiB; one that never knows what it wants is given up", async () => {
  const greedy = new VirtioBalloonDevice();
  greedy.setTarget(0xffff_ffff);
  const [{ facts }] = await look(greedy);
  assert.deepEqual(facts, { pages: 1024, target: 0xffff_ffff });
  const restless: VirtioBalloonDevice = new VirtioBalloonDevice({
    inflated: () => restless.setTarget(1),
    deflated: () => restless.setTarget(2),
  });
  restless.setTarget(2);
  const serve = restless.notified.bind(restless);
  // It answers later, as one in another process does.
  Object.assign(restless, { notified: (queue: number) => void setImmediate(() => serve(queue)) });
  await assert.rejects(look(restless), /^WorkFailed: virtio-balloon at .*: no end in 200 ms$/);
});
