import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { createMemoryFile, SharedMapping } from "../../linux/index.js";
import { MemoryRegion, Scatter } from "../../memory/index.js";
import { ImageError, type ImageErrorCode, openImage } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-open-"));
after(() => rmSync(folder, { recursive: true }));

function image(name: string, content: Uint8Array | string, size?: number): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  if (size !== undefined) truncateSync(path, size);
  return path;
}

/** An ImageError with one line that names the image. */
function says(code: ImageErrorCode, text: RegExp) {
  return (error: unknown) =>
    error instanceof ImageError &&
    error.code === code &&
    !error.message.includes("\n") &&
    text.test(error.message) &&
    error.stack === `ImageError: ${error.message}`;
}

const isInstalled = (tool: string) => spawnSync(tool, ["--version"]).error === undefined;

describe("what is no image gets one clear line", () => {
  test("a missing file, which is not created", () => {
    const path = join(folder, "missing.img");
    assert.throws(() => openImage(path), says("missing", /missing\.img does not exist/));
    assert.throws(() => openImage(join(image("a-file", "x"), "below")), says("missing", /does not exist/));
    assert.ok(!readdirSync(folder).includes("missing.img"));
  });

  test("a directory", () => {
    assert.throws(() => openImage(folder), says("directory", /is a directory/));
    assert.throws(() => openImage(folder, { readOnly: true }), says("directory", /is a directory/));
  });

  test("an empty file", () => {
    assert.throws(() => openImage(image("empty", "")), says("empty", /is empty/));
  });

  test("a size that is no multiple of the block: the message has both", () => {
    const path = image("odd", "", 1536);
    assert.throws(() => openImage(path, { blockSize: 4096 }), says("bad-size", /1536 bytes.*4096 bytes/));
    openImage(path).close();
    assert.throws(() => openImage(image("odd", "", 1000)), says("bad-size", /1000 bytes.*512 bytes/));
  });

  test("a character device and a socket", { skip: process.platform === "win32" && "no such files" }, async () => {
    assert.throws(() => openImage("/dev/zero"), says("not-a-disk", /character device/));
    const server = createServer();
    const path = join(folder, "socket");
    await new Promise<void>((resolve) => server.listen(path, resolve));
    assert.throws(() => openImage(path), says("not-a-disk", /socket/));
    await new Promise((resolve) => server.close(resolve));
  });

  test("a pipe, without waiting for its other end", { skip: !isInstalled("mkfifo") && "no mkfifo" }, () => {
    const path = join(folder, "pipe");
    spawnSync("mkfifo", [path]);
    assert.throws(() => openImage(path), says("not-a-disk", /a pipe/));
  });

  const isRoot = process.getuid?.() === 0;
  test("what may not be read or written", { skip: isRoot && !isInstalled("setpriv") && "root may everything" }, () => {
    const closed = image("closed", "", 512);
    const writeProtected = image("write-protected", "", 512);
    chmodSync(folder, 0o755);
    chmodSync(closed, 0);
    chmodSync(writeProtected, 0o444);
    const code = `const { openImage } = await import(${JSON.stringify(new URL("./index.js", import.meta.url).href)});
      for (const [path, readOnly] of ${JSON.stringify([
        [closed, true],
        [closed, false],
        [writeProtected, false],
        [writeProtected, true],
      ])}) try { openImage(path, { readOnly, lanes: true }).close(); console.log("opened"); } catch (error) { console.log(error.code); }`;
    const node = [process.execPath, "--input-type=module", "-e", code];
    const asNobody = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...node] : node;
    const run = spawnSync(asNobody[0], asNobody.slice(1), { encoding: "utf8" });
    assert.deepEqual(run.stdout.trim().split("\n"), ["unreadable", "unreadable", "not-writable", "opened"], run.stderr);
  });
});

test("reads through lanes leave no access time behind, read-only too", {
  skip: process.platform !== "linux" && "no lanes here",
}, async () => {
  for (const readOnly of [false, true]) {
    const path = image(`access-${readOnly}`, new Uint8Array(8192));
    // Older than the last change: a read would bring it up to date, also where a file system is mounted relatime.
    utimesSync(path, 1, Date.now() / 1000);
    const store = openImage(path, { readOnly, lanes: true, format: "raw" });
    const descriptor = createMemoryFile("access", 4096);
    const mapping = new SharedMapping(descriptor, 4096);
    closeSync(descriptor);
    const region = new MemoryRegion(0, mapping.bytes, { shared: true, nativeAddress: mapping.address });
    const scatter = new Scatter();
    scatter.push(region, 0, 4096);
    await store.read(4096, scatter, 4096);
    await store.close();
    mapping.close();
    assert.equal(statSync(path).atimeMs, 1000);
  }
});

test("without koffi there are no locks, and that is said instead of going on without them", () => {
  const path = image("no-koffi", "", 512);
  const preload = image(
    "no-koffi.cjs",
    `const Module = require("node:module");
    const load = Module._load;
    Module._load = (name, ...rest) => { if (name === "koffi") throw new Error("no koffi here"); return load(name, ...rest); };`,
  );
  const code = `const { openImage } = await import(${JSON.stringify(new URL("./index.js", import.meta.url).href)});
    const path = ${JSON.stringify(path)};
    try { openImage(path); } catch (error) { console.log(error.code + ": " + error.message); }
    const store = openImage(path, { lock: false });
    await store.discard(0, 512);
    console.log(JSON.stringify(store.extentAt(0)));`;
  const run = spawnSync(process.execPath, ["-r", preload, "--input-type=module", "-e", code], { encoding: "utf8" });
  assert.deepEqual(run.stdout.trim().split("\n"), [
    `no-locks: ${path} is not opened, since it cannot be locked against other programs: no koffi here`,
    '{"allocated":true,"length":512}',
  ]);
});

describe("foreign formats are refused as raw", () => {
  const qemuFormats: [string, string[], string][] = [
    ["qcow2", [], "qcow2"],
    ["qcow2", ["-o", "compat=0.10"], "qcow2"],
    ["qcow", [], "qcow"],
    ["qed", [], "QED"],
    ["vdi", [], "VDI"],
    ["vhdx", [], "VHDX"],
    ["vpc", [], "VHD"],
    ["vpc", ["-o", "subformat=fixed"], "VHD"],
    ["vmdk", [], "VMDK"],
    ["vmdk", ["-o", "subformat=monolithicFlat"], "VMDK"],
    ["vmdk", ["-o", "subformat=streamOptimized"], "VMDK"],
    ["parallels", [], "Parallels"],
  ];
  for (const [format, options, name] of qemuFormats) {
    const skip = !isInstalled("qemu-img") && "qemu-img is not installed";
    test(`${format} ${options.join(" ")} as qemu-img makes it`, { skip }, () => {
      const path = join(folder, `foreign.${format}`);
      const run = spawnSync("qemu-img", ["create", "-f", format, ...options, path, "8M"], { encoding: "utf8" });
      assert.equal(run.status, 0, run.stderr);
      const before = readFileSync(path);
      assert.throws(() => openImage(path), says("foreign-format", new RegExp(`is a ${name} file, not a raw disk`)));
      assert.deepEqual(readFileSync(path), before);
      openImage(path, { format: "raw", blockSize: 1 }).close();
    });
  }

  for (const [tool, args, name] of [
    ["gzip", ["-k"], "gzip"],
    ["xz", ["-k"], "xz"],
    ["zstd", ["-q"], "zstd"],
    ["bzip2", ["-k"], "bzip2"],
  ] as const) {
    test(`${name} as ${tool} makes it`, { skip: !isInstalled(tool) && `${tool} is not installed` }, () => {
      const path = image(`packed-${name}`, "", 65536);
      assert.equal(spawnSync(tool, [...args, path]).status, 0);
      const packed = readdirSync(folder).find((file) => file.startsWith(`packed-${name}.`));
      assert.throws(() => openImage(join(folder, packed as string)), says("foreign-format", /unpack it first/));
    });
  }

  test("the flat extent beside a VMDK descriptor is a raw disk", {
    skip: !isInstalled("qemu-img") && "qemu-img is not installed",
  }, () => {
    const path = join(folder, "pair.vmdk");
    spawnSync("qemu-img", ["create", "-f", "vmdk", "-o", "subformat=monolithicFlat", path, "8M"]);
    assert.throws(() => openImage(path), says("foreign-format", /VMDK/));
    openImage(join(folder, "pair-flat.vmdk")).close();
  });
});
