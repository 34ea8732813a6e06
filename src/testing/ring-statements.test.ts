/** Every rule of the specification about the ring features of virtio 1.x is named by a test. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/**
 * Normative statements (MUST, MUST NOT, SHOULD) of virtio 1.4 about packed rings, IN_ORDER, RING_RESET,
 * NOTIFICATION_DATA and the bits that say what the platform does: prefix and numbers.
 */
const statements: Readonly<Record<string, readonly number[]>> = {
  "packed-driver": [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12],
  "packed-device": [1, 2, 4, 5, 6, 7],
  "split-driver": [5],
  "indirect-driver": [5, 6, 7, 8, 9],
  "notify-driver": [1, 2],
  "vq-reset-driver": [1, 3],
  "vq-reset-device": [1, 2, 3],
  "in-order-device": [1],
  "pci-driver": [15, 16, 20, 36, 37, 38, 39],
  "pci-device": [20, 21, 22, 23, 24, 26],
  "mmio-driver": [14],
  "mmio-device": [8, 9],
  "reserved-features-driver": [1, 3, 4, 5, 6, 7],
  "reserved-features-device": [1],
};

/** Statements of the same sections about what is not negotiated here: NOTIF_CONFIG_DATA, SR_IOV, an IOMMU of ours. */
const without: Readonly<Record<string, readonly number[]>> = {
  "pci-driver": [40, 41],
  "reserved-features-driver": [9, 10, 12],
  "reserved-features-device": [3, 7, 8],
};

function root(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (readdirSync(folder).includes("tsconfig.json")) return folder;
    assert.notEqual(folder, dirname(folder), "no tsconfig.json above this test");
  }
}

/** Ids that names of tests have, ranges among them. */
function namedIds(): Set<string> {
  const ids = new Set<string>();
  const folders = [join(root(), "src"), join(root(), "tests")];
  for (const folder of folders) {
    for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (!path.endsWith(".test.ts") || path.endsWith("ring-statements.test.ts")) continue;
      const text = readFileSync(join(folder, path), "utf8");
      for (const [, prefix, first, last = first] of text.matchAll(
        /\b([a-z-]+-(?:driver|device))-(\d+)(?: to (?:\1-)?(\d+))?/g,
      )) {
        for (let number = Number(first); number <= Number(last); number++) ids.add(`${prefix}-${number}`);
      }
    }
  }
  return ids;
}

test("every normative statement about packed rings, order, queue reset and notification data is named by a test", () => {
  const named = namedIds();
  const wanted = Object.entries(statements).flatMap(([prefix, numbers]) => numbers.map((one) => `${prefix}-${one}`));
  assert.deepEqual(
    wanted.filter((id) => !named.has(id)),
    [],
    "statements that no test names",
  );
  for (const [prefix, numbers] of Object.entries(without)) {
    for (const number of numbers)
      assert.ok(!statements[prefix].includes(number), `${prefix}-${number} is in both lists`);
  }
});
