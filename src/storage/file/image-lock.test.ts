import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { ImageError, openImage } from "./index.js";

const hasQemuIo = spawnSync("qemu-io", ["--version"]).status === 0;
const folder = mkdtempSync(join(tmpdir(), "ringside-lock-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "disk.img");

beforeEach(() => {
  writeFileSync(path, "");
  truncateSync(path, 1024 * 1024);
});

const inUse = (error: unknown) =>
  error instanceof ImageError &&
  error.code === "in-use" &&
  /^\S+ is in use by another process[^\n]*$/.test(error.message);

/** Runs qemu-io once. Its exit status says little: what it prints says whether it could open the image. */
function qemuIo(args: string[], command: string): string {
  const run = spawnSync("qemu-io", ["-f", "raw", ...args, path, "-c", command], { encoding: "utf8" });
  return run.stdout + run.stderr;
}

/** Has QEMU hold the image while `run` runs. */
async function whileQemuHolds(args: string[], run: () => void): Promise<void> {
  const child: ChildProcessWithoutNullStreams = spawn("qemu-io", ["-f", "raw", ...args, path]);
  const ended = new Promise((resolve) => child.on("close", resolve));
  try {
    child.stdin.write("length\n");
    await new Promise<void>((resolve, reject) => {
      let text = "";
      child.stdout.on("data", (data) => {
        text += data;
        if (/1 MiB/.test(text)) resolve();
      });
      child.on("close", () => reject(new Error(`qemu-io ended: ${text}`)));
    });
    run();
  } finally {
    child.stdin.end("quit\n");
    await ended;
  }
}

describe("QEMU holds the image", { skip: !hasQemuIo && "qemu-io is not installed" }, () => {
  test("QEMU writes: neither writing nor reading is ours", async () => {
    await whileQemuHolds([], () => {
      assert.throws(() => openImage(path), inUse);
      assert.throws(() => openImage(path, { readOnly: true }), inUse);
      openImage(path, { lock: false }).close();
    });
    openImage(path).close();
  });

  test("QEMU reads: we may read", async () => {
    await whileQemuHolds(["-r"], () => {
      openImage(path, { readOnly: true }).close();
    });
  });

  test("QEMU reads and lets others write (as qemu-io -r does): we may write", async () => {
    await whileQemuHolds(["-r"], () => {
      openImage(path).close();
    });
  });
});

describe("we hold the image", { skip: !hasQemuIo && "qemu-io is not installed" }, () => {
  test("we write: qemu-io cannot write and names the lock", () => {
    const store = openImage(path);
    assert.match(qemuIo([], "write -P 1 0 512"), /Failed to get "write" lock/);
    assert.match(qemuIo(["-r"], "read -P 0 0 512"), /read 512\/512/);
    store.close();
    assert.match(qemuIo([], "write -P 1 0 512"), /wrote 512\/512/);
  });

  test("we read: qemu-io cannot write, but read", () => {
    const store = openImage(path, { readOnly: true });
    assert.match(qemuIo([], "write -P 1 0 512"), /Failed to get "write" lock/);
    assert.match(qemuIo(["-r"], "read -P 0 0 512"), /read 512\/512/);
    store.close();
  });

  for (const readOnly of [false, true]) {
    test(`qemu-img resize is refused while we ${readOnly ? "read" : "write"}`, () => {
      const store = openImage(path, { readOnly });
      const run = spawnSync("qemu-img", ["resize", "-f", "raw", path, "2M"], { encoding: "utf8" });
      assert.notEqual(run.status, 0);
      assert.match(run.stderr, /lock/);
      store.close();
    });
  }
});

const hasMachine = spawnSync("qemu-system-x86_64", ["--version"]).status === 0;
describe("a machine of QEMU's", { skip: !hasMachine && "qemu-system-x86_64 is not installed" }, () => {
  /** Starts a machine that does not run; answers when it has its disk, or with what it complained about. */
  async function startMachine(readOnly: boolean): Promise<{ complaint: string; stop: () => Promise<void> }> {
    const drive = `if=none,id=disk,format=raw,file=${path},read-only=${readOnly ? "on" : "off"}`;
    const machine = ["-machine", "pc", "-S", "-display", "none", "-nodefaults", "-device", "virtio-scsi"];
    const child = spawn("qemu-system-x86_64", [
      ...machine,
      ...["-drive", drive, "-device", "scsi-hd,drive=disk", "-qmp", "stdio"],
    ]);
    let complaint = "";
    child.stderr.on("data", (data) => (complaint += data));
    const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
    // The greeting comes before the devices are there; an answer comes after.
    child.stdin.on("error", () => {});
    child.stdin.write('{"execute": "qmp_capabilities"}\n');
    let answers = "";
    const isUp = new Promise<void>((resolve) => {
      child.stdout.on("data", (data) => {
        answers += data;
        if (answers.includes('"return"')) resolve();
      });
    });
    await Promise.race([ended, isUp]);
    return {
      complaint,
      stop: async () => {
        child.kill("SIGTERM");
        await ended;
      },
    };
  }

  for (const [machineReads, weRead, works] of [
    [false, false, false],
    [false, true, false],
    [true, false, false],
    [true, true, true],
  ]) {
    const name = `the machine ${machineReads ? "reads" : "writes"}, we ${weRead ? "read" : "write"}`;
    test(`${name}: ${works ? "both work" : "the second is refused"}, whoever comes first`, async () => {
      const first = await startMachine(machineReads);
      try {
        assert.equal(first.complaint, "");
        if (works) openImage(path, { readOnly: weRead }).close();
        else assert.throws(() => openImage(path, { readOnly: weRead }), inUse);
      } finally {
        await first.stop();
      }
      const store = openImage(path, { readOnly: weRead });
      const second = await startMachine(machineReads);
      try {
        if (works) assert.equal(second.complaint, "");
        else assert.match(second.complaint, /lock/);
      } finally {
        await second.stop();
        store.close();
      }
    });
  }
});

describe("two Ringsides", () => {
  test("two readers stand side by side; a writer stands alone", () => {
    const reader = openImage(path, { readOnly: true });
    const second = openImage(path, { readOnly: true });
    assert.throws(() => openImage(path), inUse);
    reader.close();
    assert.throws(() => openImage(path), inUse);
    second.close();
    const writer = openImage(path);
    assert.throws(() => openImage(path), inUse);
    assert.throws(() => openImage(path, { readOnly: true }), inUse);
    writer.close();
    openImage(path).close();
  });

  test("in two processes, and the lock ends with the process that is killed", async () => {
    const code = `const { openImage } = await import(${JSON.stringify(new URL("./index.js", import.meta.url).href)});
      openImage(${JSON.stringify(path)}); console.log("held"); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code]);
    const ended = new Promise((resolve) => child.on("close", resolve));
    try {
      await new Promise((resolve) => child.stdout.once("data", resolve));
      assert.throws(() => openImage(path), inUse);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
    openImage(path).close();
  });
});
