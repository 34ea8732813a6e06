/** `ringside run --with` on QEMU's own functions, and types of QEMU's that have no driver here. */
import assert from "node:assert/strict";
import { driveFunctions } from "../../src/cli/driven-functions.js";
import { boards } from "../../src/machine/index.js";
import { startQemuMachine } from "../../src/platform/qemu/index.js";
import { writeNoise } from "../quick/cli-images.js";
import { CliFolder } from "../quick/cli-process.js";
import { skipWithout } from "./idle-processor.js";
import { test } from "./limited-test.js";

const answers: Readonly<Record<string, unknown>> = {
  net: { mac: "52:54:00:12:34:56", link: "up", queuePairs: 1 },
  console: {
    ports: [
      { id: 0, console: true, open: true },
      // Nobody is at the other end of QEMU's null device.
      { id: 1, name: "org.ringside.0", console: false, open: false },
    ],
  },
  entropy: { notAsked: "the processor is stopped" },
  balloon: { pages: 0, target: 0 },
};

for (const [machine, kinds, transport, words] of [
  ["pc", "net,console,entropy,balloon", "pci-modern", []],
  ["pc", "net,console,entropy,balloon", "pci-legacy", ["--registers", "legacy", "--interrupts", "none"]],
  ["pegasos2", "net,console,entropy,balloon", "pci-modern", ["--packed"]],
  ["amigaone", "net,console", "pci-legacy", []],
  ["riscv-virt", "net,console,entropy,balloon", "mmio", []],
] as const) {
  const name = `${machine} on QEMU ${words.join(" ")}: ${kinds} are found and answer`;
  test(name, skipWithout(machine), async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 1 << 18);
    const where = ["run", "--json", "--platform", "qemu", "--machine", machine, ...words];
    const result = await folder.run([...where, "--with", kinds, "a.img"]);
    assert.equal(result.status, 0, result.stderr);
    const [disk, ...others] = JSON.parse(result.stdout).adapters;
    assert.equal(disk.units[0].verified, true);
    type Adapter = { kind: string; transport: string; units: unknown[]; facts: unknown; features: string[] };
    assert.deepEqual(
      others.map(({ kind, transport, units, facts }: Adapter) => [kind, transport, units.length, facts]),
      kinds.split(",").map((kind) => [`virtio-${kind}`, transport, 0, answers[kind]]),
    );
    const isPacked = words.includes("--packed" as never);
    for (const { features } of others) assert.equal(features.includes("RING_PACKED"), isPacked);
    assert.deepEqual(folder.leftovers(), []);
  });
}

test("QEMU has no rpmsg device, and one balloon: one line, status 2", skipWithout("pc"), async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 1 << 16);
  for (const [kinds, says] of [
    ["net,rpmsg", /^ringside: QEMU has no rpmsg device: leave rpmsg out of --with.*\n$/],
    ["balloon,balloon", /^ringside: QEMU has one balloon at most: say balloon once\n$/],
  ] as const) {
    const { status, stderr } = await folder.run(["run", "--platform", "qemu", "--with", kinds, "a.img"]);
    assert.equal(status, 2);
    assert.match(stderr, says);
  }
});

test(
  "a keyboard of QEMU's is named by its number; a balloon is filled as far as we give",
  skipWithout("pc"),
  async () => {
    const machine = await startQemuMachine({
      board: boards["pc"],
      extraArguments: ["-device", "virtio-keyboard-pci,addr=5", "-device", "virtio-balloon-pci,addr=6"],
    });
    try {
      const wanted = 1000;
      await machine.qmp.execute("balloon", { value: boards["pc"].defaultRamSize - wanted * 4096 });
      const options = { registers: "auto", interrupts: "msix", check: () => {}, isStopped: true } as const;
      const [keyboard, balloon] = await driveFunctions(machine, options);
      assert.deepEqual([keyboard.kind, keyboard.transport, keyboard.features], ["virtio-18", "pci-modern", []]);
      const { offered } = keyboard.facts as { offered: string[] };
      assert.ok(offered.includes("VERSION_1") && offered.includes("INDIRECT_DESC"));
      assert.deepEqual([balloon.kind, balloon.facts], ["virtio-balloon", { pages: wanted, target: wanted }]);
    } finally {
      await machine.close();
    }
  },
);
