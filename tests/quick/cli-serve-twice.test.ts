/** `ringside serve --device scsi`: what is named twice is said to be, whoever names it. */
import assert from "node:assert/strict";
import { linkSync } from "node:fs";
import { test } from "node:test";
import { writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";
import { CliServer, control } from "./cli-server.js";

const skip = process.platform === "linux" ? false : "vhost-user needs Linux";
const scsi = ["--device", "scsi", "--socket", "s"];

test("an image that this server serves already is not said to be another process's", { skip }, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 1 << 20);
  linkSync(folder.file("a.img"), folder.file("link.img"));
  const { status, stderr } = await folder.run(["serve", "a.img,lun=1", "link.img", ...scsi]);
  assert.deepEqual([status, stderr], [2, "ringside: link.img is served already, at target 0 lun 1\n"]);
  const server = await CliServer.start(folder, "a.img,target=2", ...scsi, "--control", "c");
  const [answer] = await control(folder.file("c"), { add: "link.img" });
  const error = `link.img is served already, at target 2 lun 0`;
  assert.deepEqual(answer, { ok: false, error });
  const other = await folder.run(["serve", "a.img", "--socket", "t"]);
  assert.match(other.stderr, /^ringside: a\.img is in use by another process/);
  assert.equal((await server.stop()).status, 0);
});

test("--socket and --control cannot be one path", { skip }, async (t) => {
  const folder = new CliFolder(t);
  writeNoise(folder.file("a.img"), 1 << 20);
  const { status, stderr } = await folder.run(["serve", "a.img", ...scsi, "--control", "./s"]);
  const line = "ringside: --socket and --control are two sockets: give each a path of its own\n";
  assert.deepEqual([status, stderr], [2, line]);
});
