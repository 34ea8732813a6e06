/** The order in which modules come up (5.1 and 7 of the reference, the seed's installation). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { initialisationOrder, knownResidents, layoutProblems, parseKicklayout } from "./kicklayout.js";
import { startUp } from "./start-up.js";

const layout = (...modules: string[]) =>
  parseKicklayout(
    `LABEL Test\nEXEC Kickstart/kernel\n${modules.map((name) => `MODULE Kickstart/${name}`).join("\n")}\n`,
  )[0];
const usual = ["virtioscsi.device", "a1ide.device.kmod", "mounter.library", "dos.library.kmod"];

test("a layout has labels, an exec and modules; comments and other lines say nothing", () => {
  const text =
    "; a comment\nLABEL AmigaOS 4.1\n  EXEC Kickstart/loader\n\nMODULE  Kickstart/a.kmod  \nBOOTPIC x\nLABEL Two\n";
  assert.deepEqual(parseKicklayout(text), [
    { label: "AmigaOS 4.1", modules: ["Kickstart/loader", "Kickstart/a.kmod"] },
    { label: "Two", modules: [] },
  ]);
});

test("priority −60 brings the device up after mounter.library, wherever its line stands", () => {
  for (const modules of [usual, [...usual].reverse()]) {
    const names = initialisationOrder(layout(...modules)).map(({ name }) => name);
    assert.deepEqual(names, ["exec.library", "a1ide.device", "mounter.library", "virtioscsi.device", "dos.library"]);
    assert.deepEqual(layoutProblems(layout(...modules)), []);
  }
});

test("with priority 0, as from v53.8 on, there is no mounter to announce units to", () => {
  const known = knownResidents.map((module) =>
    module.name === "virtioscsi.device" ? { ...module, priority: 0 } : module,
  );
  assert.deepEqual(layoutProblems(layout(...usual), "virtioscsi.device", known), [
    "virtioscsi.device is initialised before mounter.library (priority 0): its units are announced to nobody",
  ]);
});

test("a layout without mounter.library, or without the device, is a warning", () => {
  assert.match(layoutProblems(layout("virtioscsi.device"))[0], /^mounter\.library is not in the Kicklayout/);
  assert.match(layoutProblems(layout("mounter.library"))[0], /^virtioscsi\.device is not in the Kicklayout/);
});

test("modules are initialised one after the other and see which ones came before; one that fails is not there", async () => {
  const seen: string[][] = [];
  const report = await startUp(layout(...usual), {
    "mounter.library": async () => {
      throw new Error("no memory");
    },
    "virtioscsi.device": async (present) => {
      seen.push([...present]);
      return true;
    },
  });
  assert.deepEqual(seen, [["exec.library", "a1ide.device"]]);
  assert.deepEqual(report.failed, ["mounter.library"]);
  assert.deepEqual(report.initialised, ["exec.library", "a1ide.device", "virtioscsi.device", "dos.library"]);
});
