import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  closeDescriptor,
  createMemoryFile,
  SharedMapping,
  SystemCallError,
  UnixListener,
  UnixSocket,
} from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-linux-"));
test.after(() => rmSync(folder, { recursive: true }));

const openDescriptors = () => readdirSync("/proc/self/fd").length;

test("a listener gives the connection of a peer, bytes go both ways, the end of it reads as 0", () => {
  const path = join(folder, "both-ways");
  const listener = new UnixListener(path);
  assert.equal(listener.accept(0), undefined);
  const client = UnixSocket.connect(path);
  const server = listener.accept(1000);
  assert.ok(server);
  client.send(new TextEncoder().encode("hello, ignored"), 5, 1000);
  const received = new Uint8Array(16);
  assert.equal(server.receive(received, 1000), 5);
  assert.equal(new TextDecoder().decode(received.subarray(0, 5)), "hello");
  assert.equal(server.isReadable(), false);
  assert.equal(server.receive(received, 0), -1);
  server.send(new Uint8Array([1, 2, 3]), 3, 1000);
  server.close();
  server.close();
  assert.equal(client.isReadable(1000), true);
  assert.equal(client.receive(received, 1000), 3);
  assert.equal(client.receive(received, 1000), 0);
  client.close();
  listener.close();
  assert.throws(() => client.receive(received, 0), { code: "EBADF" });
});

test("waiting ends with its time limit", () => {
  const path = join(folder, "limit");
  const listener = new UnixListener(path);
  const start = performance.now();
  assert.equal(listener.accept(30), undefined);
  const client = UnixSocket.connect(path);
  assert.equal(client.receive(new Uint8Array(1), 30), -1);
  const elapsed = performance.now() - start;
  assert.ok(elapsed >= 58 && elapsed < 1000, `${elapsed} ms`);
  client.close();
  listener.close();
});

test("sending to a peer that never reads ends with ETIMEDOUT, to one that is gone with EPIPE", () => {
  const path = join(folder, "full");
  const listener = new UnixListener(path);
  const client = UnixSocket.connect(path);
  const much = new Uint8Array(8 << 20);
  assert.throws(() => client.send(much, much.length, 20), { name: "SystemCallError", code: "ETIMEDOUT" });
  listener.close();
  assert.throws(() => client.send(much, much.length, 20), { code: "EPIPE" });
  client.close();
});

test("a stream from another process arrives whole and in order", () => {
  const path = join(folder, "stream");
  const listener = new UnixListener(path);
  const script = `const s = require("net").connect(process.argv[1]); for (let i = 0; i < 4096; i++) s.write(Buffer.alloc(251, i)); s.end();`;
  const child = spawn(process.execPath, ["-e", script, path], { stdio: "ignore" });
  const server = listener.accept(10_000);
  assert.ok(server);
  const chunk = new Uint8Array(5000);
  let total = 0;
  for (;;) {
    const length = server.receive(chunk, 10_000);
    assert.notEqual(length, -1);
    if (length === 0) break;
    for (let index = 0; index < length; index++, total++) {
      if (chunk[index] !== (Math.floor(total / 251) & 0xff)) assert.fail(`byte ${total} is ${chunk[index]}`);
    }
  }
  assert.equal(total, 4096 * 251);
  server.close();
  listener.close();
  child.unref();
});

test("failed calls say which call, which error and what for", () => {
  assert.throws(
    () => UnixSocket.connect(join(folder, "nobody")),
    (error: unknown) =>
      error instanceof SystemCallError &&
      error.code === "ENOENT" &&
      /^connect failed with ENOENT \(.*nobody\)$/.test(error.message),
  );
  writeFileSync(join(folder, "file"), "");
  assert.throws(() => UnixSocket.connect(join(folder, "file")), { code: "ECONNREFUSED" });
  assert.throws(() => new UnixListener(join(folder, "file")), { code: "EADDRINUSE" });
  assert.throws(() => new UnixListener(join(folder, "x".repeat(108))), RangeError);
});

test("two mappings of one memory file and the file itself show the same bytes", () => {
  const descriptor = createMemoryFile("test", 1 << 20);
  const first = new SharedMapping(descriptor, 1 << 20);
  const second = new SharedMapping(descriptor, 4096, 4096);
  first.bytes[4097] = 0x5a;
  assert.equal(second.bytes[1], 0x5a);
  writeSync(descriptor, new Uint8Array([7]), 0, 1, 4096);
  assert.equal(first.bytes[4096], 7);
  second.bytes[2] = 9;
  const back = new Uint8Array(1);
  readSync(descriptor, back, 0, 1, 4098);
  assert.equal(back[0], 9);
  first.close();
  second.close();
  closeDescriptor(descriptor);
});

test("a mapping outlives its descriptor; after closing, its views read zeros and no longer reach the file", () => {
  const path = join(folder, "mapped");
  writeFileSync(path, new Uint8Array(8192).fill(0x11));
  const descriptor = openSync(path, "r+");
  const mapping = new SharedMapping(descriptor, 8192);
  closeSync(descriptor);
  assert.equal(mapping.bytes[8191], 0x11);
  mapping.bytes[0] = 0x22;
  const { bytes } = mapping;
  mapping.close();
  mapping.close();
  assert.equal(bytes[0], 0);
  bytes[1] = 0x33;
  const check = openSync(path, "r");
  const back = new Uint8Array(2);
  readSync(check, back, 0, 2, 0);
  closeSync(check);
  assert.deepEqual([...back], [0x22, 0x11]);
});

test("the addresses of closed mappings are given back once no view is left", () => {
  const script = `
    import { readFileSync } from "node:fs";
    import { createMemoryFile, SharedMapping } from ${JSON.stringify(new URL("./index.js", import.meta.url).href)};
    const size = () => Number(/VmSize:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "latin1"))[1]);
    const descriptor = createMemoryFile("gc", 64 << 20);
    new SharedMapping(descriptor, 64 << 20).close();
    const before = size();
    for (let round = 0; round < 64; round++) {
      new SharedMapping(descriptor, 64 << 20).close();
      gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log((size() - before) >> 10);`;
  const grown = execFileSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.ok(Number(grown) < 1024, `address space grew by ${grown.trim()} MiB, 4096 MiB were mapped`);
});

test("impossible sizes and descriptors are refused before or by the system call", () => {
  assert.throws(() => createMemoryFile("none", 0), RangeError);
  assert.throws(() => new SharedMapping(-1, 4096), { code: "EBADF", syscall: "mmap" });
  assert.throws(() => new SharedMapping(0, -4096), RangeError);
});

test("nothing here leaks a descriptor, also where it fails", () => {
  const path = join(folder, "leak");
  const round = (n: number) => {
    const listener = new UnixListener(`${path}-${n}`);
    const client = UnixSocket.connect(`${path}-${n}`);
    const server = listener.accept(1000);
    assert.throws(() => UnixSocket.connect(join(folder, "nobody")));
    assert.throws(() => new UnixListener(`${path}-${n}`));
    assert.throws(() => new SharedMapping(-1, 4096));
    const descriptor = createMemoryFile("leak", 4096);
    new SharedMapping(descriptor, 4096).close();
    closeDescriptor(descriptor);
    for (const open of [listener, client, server]) open?.close();
  };
  round(0);
  const before = openDescriptors();
  for (let n = 1; n <= 20; n++) round(n);
  assert.equal(openDescriptors(), before);
});
