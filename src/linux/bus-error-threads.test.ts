import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const options = process.arch === "x64" && process.platform === "linux" ? {} : { skip: "the guard is for x86-64 Linux" };
const room = fileURLToPath(new URL("./index.js", import.meta.url));

/** Runs a program whose thread touches memory that is gone. */
function run(main: string, thread: string): { stdout: string; signal: NodeJS.Signals | null; stderr: string } {
  const program = `
    import { once } from "node:events";
    import { ftruncateSync } from "node:fs";
    import { Worker } from "node:worker_threads";
    import { closeDescriptor, createMemoryFile, guardMemory, prepareGuard, SharedMapping } from ${JSON.stringify(room)};
    const size = 16384;
    const descriptor = createMemoryFile("x", size);
    const start = async () => {
      const worker = new Worker(${JSON.stringify(thread)}, { eval: true, execArgv: [], workerData: { descriptor, size, room: ${JSON.stringify(room)} } });
      worker.on("message", (line) => console.log(line));
      await once(worker, "exit");
    };
    ${main}`;
  return spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
}

const guarding = `
  const { workerData: { descriptor, size, room }, parentPort } = require("node:worker_threads");
  const { ftruncateSync } = require("node:fs");
  import(room).then(({ SharedMapping, guardMemory }) => {
    const { bytes, address } = new SharedMapping(descriptor, size);
    const guard = guardMemory(address, size);
    if (guard === undefined) return parentPort.postMessage("no guard");
    bytes.fill(3);
    ftruncateSync(descriptor, 4096);
    parentPort.postMessage(\`\${bytes[4095]} \${bytes[8192]} \${guard.faults}\`);
    guard.close();
    ftruncateSync(descriptor, size);
  });`;

test("threads guard memory of their own, each with its count", options, () => {
  const { stdout, signal, stderr } = run("prepareGuard(); await start(); await start();", guarding);
  assert.equal(stdout, "3 0 1\n3 0 1\n", stderr);
  assert.equal(signal, null);
});

test("memory that the main thread guards is guarded in every thread, and counted for who guards it", options, () => {
  const touching = `
    const { workerData: { descriptor, size, room }, parentPort } = require("node:worker_threads");
    import(room).then(({ koffi }) => {
      const address = require("node:worker_threads").getEnvironmentData("test.address");
      parentPort.postMessage(new Uint8Array(koffi().view(address, size))[size - 1]);
    });`;
  const main = `
    import { setEnvironmentData } from "node:worker_threads";
    const mapping = new SharedMapping(descriptor, size);
    const guard = guardMemory(mapping.address, size);
    setEnvironmentData("test.address", BigInt(mapping.address));
    ftruncateSync(descriptor, 0);
    await start();
    console.log(guard.faults);`;
  const { stdout, signal, stderr } = run(main, touching);
  assert.equal(stdout, "0\n1\n", stderr);
  assert.equal(signal, null);
});

test("a thread whose main thread has prepared nothing gets no guard", options, () => {
  const { stdout, stderr } = run("await start();", guarding);
  assert.equal(stdout, "no guard\n", stderr);
});
