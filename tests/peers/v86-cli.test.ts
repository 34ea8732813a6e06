/** `ringside boot` as a process: on pipes, with wrong input, called off, and images that stay as they were. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, test } from "./limited-test.js";
import { bootDisk, echoDisk } from "./v86-boot-sector.js";
import { kernelFolder, linuxFiles, whyNoV86, whyNoV86Linux } from "./v86-guest.js";

const command = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "src", "cli", "main.js");
const skip = whyNoV86();
const folder = mkdtempSync(join(tmpdir(), "ringside-boot-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Bytes that are sent to the guest. */
const sentLength = 300_000;

interface Ended {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

interface Started {
  readonly child: ChildProcess;
  readonly said: () => string;
  /** On standard error. */
  readonly told: () => string;
  readonly ended: Promise<Ended>;
}

function start(words: readonly string[]): Started {
  const child = spawn(process.execPath, [command, "boot", "--timeout", "150", ...words], { stdio: "pipe" });
  let output = "";
  let errors = "";
  child.stdout?.on("data", (text: Buffer) => {
    output += text;
  });
  child.stderr?.on("data", (text: Buffer) => {
    errors += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (status) => resolve({ status, output, errors }));
  });
  return { child, said: () => output, told: () => errors, ended };
}

async function waitFor(isSo: () => boolean, seconds: number, what: () => string): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !isSo(); ) {
    if (Date.now() > end) assert.fail(what());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function image(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

test("boot: a disk that halts ends with status 0, and the screen's lines are printed", { skip }, async () => {
  const disk = image("halts.img", bootDisk("this is the second sector"));
  const { status, output, errors } = await start([disk, "--device", "scsi"]).ended;
  assert.equal(status, 0, errors);
  assert.equal(errors, "");
  assert.match(output, /SeaBIOS[\s\S]*Booting from Hard Disk/);
  assert.match(output, /this is the second sector/);
});

test("boot: what cannot be is one line and status 2", { skip }, async () => {
  const disk = image("some.img", bootDisk("x"));
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const wrong: [words: string[], message: RegExp][] = [
    [[], /^ringside: boot needs a Linux kernel or a disk image\n$/],
    [[join(folder, "none.img")], /^ringside: .*none\.img does not exist.*\n$/],
    [[join(folder, "none.img"), "--initrd", disk], /^ringside: .*none\.img does not exist.*\n$/],
    [[pipe], /^ringside: .*pipe is a pipe.*\n$/],
    [[disk, "--bios", "/nowhere"], /^ringside: no firmware at \/nowhere: there is no such file\n$/],
    [[disk, "--initrd", disk], /^ringside: --initrd goes with a Linux kernel\n$/],
    [[`${disk},cd`], /^ringside: .*virtio-blk has no CD-ROM drives: leave out cd, or say --device scsi\n$/],
    [[disk, "--registers", "odd"], /^ringside: .*--registers.*\n$/],
    [[disk, "--page", "0"], /^ringside: with --page the files are picked in the browser: leave them out\n$/],
    [[disk, "--memory", "7K"], /^ringside: .*--memory.*whole MiB.*\n$/],
    [[disk, "--net", "bridge"], /^ringside: .*--net.*Write user.*\n$/],
    [[disk, "--net", "user,speed=9"], /^ringside: .*There is no speed\. Write user.*\n$/],
    [[disk, "--net", "user,hostfwd=tcp:10.0.0.1:80-:80"], /^ringside: .*10\.0\.0\.1 is no loopback address.*\n$/],
    [[disk, "--net", "user,hostfwd=tcp::80-:0"], /^ringside: .*has no such port.*\n$/],
    [[disk, "--net", "user,guestfwd=tcp:10.0.2.9:80-:80"], /^ringside: .*10\.0\.2\.9 is not the network\. .*\n$/],
    [[disk, "--net", "user,hostfwd=udp::80-:80"], /^ringside: .*udp::80-:80 names no two ports.*\n$/],
    [[disk, "--net", "user,guestfwd=tcp::7-:80"], /^ringside: guestfwd: somebody listens on port 7 already\n$/],
    [[disk, "--net", "user,mac=01:00:00:00:00:00"], /^ringside: .*is no address of an adapter.*\n$/],
    [[disk, "--pcap", "x.pcap"], /^ringside: --pcap goes with --net\n$/],
    [["--page", "0", "--net", "user"], /^ringside: with --page the network is picked in the browser.*\n$/],
  ];
  const results = await Promise.all(wrong.map(([words]) => start(words).ended));
  for (const [index, { status, output, errors }] of results.entries()) {
    assert.equal(status, 2, errors);
    assert.equal(output, "");
    assert.match(errors, wrong[index][1]);
  }
});

test("boot: SIGINT ends a PC that runs, with status 130", { skip }, async () => {
  const endless = bootDisk("running");
  // jmp to itself instead of cli; hlt
  endless.set([0xeb, 0xfe], 42);
  const { child, said, ended } = start([image("endless.img", endless)]);
  await waitFor(() => said().includes("running"), 60, said);
  child.kill("SIGINT");
  const { status, errors } = await ended;
  assert.equal(status, 130);
  assert.equal(errors, "");
});

test("boot: writes go to a scratch overlay, and to the image with --write", { skip }, async () => {
  const bytes = bootDisk("written by the firmware", true);
  const disk = image("written.img", bytes);
  const runs = await start([disk]).ended;
  assert.equal(runs.status, 0, runs.errors);
  assert.match(runs.output, /written by the firmware/);
  assert.equal(Buffer.compare(readFileSync(disk), bytes), 0, "the image is as it was");
  assert.equal((await start([disk, "--write"]).ended).status, 0);
  assert.equal(readFileSync(disk).subarray(1024, 1047).toString(), "written by the firmware");
});

test("boot: what is typed on a pipe reaches the guest, and what it answers the other one", { skip }, async () => {
  const { child, said, ended } = start([image("echo.img", echoDisk())]);
  await waitFor(() => said().includes(">"), 60, said);
  child.stdin?.write("typed\n");
  const { status, output, errors } = await ended;
  assert.equal(status, 0, `${errors}\n${output}`);
  // The firmware's last words on the screen may come between.
  assert.match(output, />[\s\S]*typed\r?\n/);
});

test("boot: a Linux kernel gets its command line and its first file system", { skip: whyNoV86Linux() }, async () => {
  // Only its first words are waited for: the page and the platform have tests that go on from there.
  const early = "earlyprintk=serial,ttyS0 console=ttyS0 said.to=kernel";
  const words = [
    join(kernelFolder, "vmlinuz"),
    "--initrd",
    image("initrd", new Uint8Array(100_000)),
    "--append",
    early,
  ];
  const { child, said, ended } = start(words);
  await waitFor(() => /RAMDISK: \[mem/.test(said()) && said().includes(early), 140, said);
  child.kill("SIGINT");
  assert.equal((await ended).status, 130);
});

test("boot: a port or a file of the network that cannot be had is one line and status 1", { skip }, async () => {
  const disk = image("other.img", bootDisk("x"));
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const results = await Promise.all([
    start([disk, "--net", `user,hostfwd=tcp::${port}-:80`]).ended,
    start([disk, "--net", "user", "--pcap", join(folder, "none", "file")]).ended,
  ]);
  taken.close();
  assert.deepEqual(
    results.map(({ status, output }) => [status, output]),
    [
      [1, ""],
      [1, ""],
    ],
  );
  assert.equal(results[0].errors, `ringside: cannot listen on 127.0.0.1:${port}: EADDRINUSE\n`);
  assert.match(results[1].errors, /^ringside: cannot write .*none\/file: ENOENT\n$/);
});

test("boot --net user: Linux gets its address by DHCP and pings; ports lead into it and out of it; a capture has it all", {
  skip: whyNoV86Linux(),
}, async () => {
  const { kernel, initrd, commandLine } = linuxFiles(["virtio_net"], [], ["virtio_pci"]);
  const local = createServer((socket) => void socket.end("from this machine\n")).listen(0, "127.0.0.1");
  await once(local, "listening");
  const capture = join(folder, "boot.pcap");
  const forwards = `hostfwd=tcp::0-:2222,guestfwd=tcp::8080-:${(local.address() as AddressInfo).port}`;
  const { child, said, told, ended } = start([
    ...[image("vmlinuz", kernel as Uint8Array), "--initrd", image("net-initrd", initrd as Uint8Array)],
    ...["--append", commandLine as string, "--net", `user,mac=52:54:00:00:00:07,${forwards}`, "--pcap", capture],
  ]);
  try {
    await waitFor(() => /^@@ready\r?\n/m.test(said()), 140, said);
    const type = async (line: string) => {
      const from = said().length;
      child.stdin?.write(`${line}\n`);
      await waitFor(() => /@@status \d+/.test(said().slice(from)), 60, said);
      return said().slice(from).replaceAll("\r", "");
    };
    const script = "[ $1 = bound ] && ip addr add $ip/$mask dev $interface && echo got $ip by $router";
    await type(
      `echo '${script}' >/tmp/lease; sed -i '1i #!/bin/sh' /tmp/lease; chmod +x /tmp/lease; ip link set eth0 up`,
    );
    assert.match(await type("cat /sys/class/net/eth0/address"), /52:54:00:00:00:07/);
    assert.match(await type("udhcpc -i eth0 -n -q -s /tmp/lease 2>&1"), /got 10\.0\.2\.15 by 10\.0\.2\.2/);
    assert.match(await type("ping -c 3 -i 0.2 10.0.2.2"), /3 packets received/);
    assert.match(await type("nc 10.0.2.2 8080 </dev/null"), /from this machine/);
    const [, port] = /^127\.0\.0\.1:(\d+) leads to port 2222 of the guest\n$/.exec(told()) ?? [];
    await type("seq 1 20000 | nc -l -p 2222 >/tmp/came & until netstat -ltn | grep -q :2222; do sleep 0.1; done");
    const sent = new Uint8Array(sentLength).fill(7);
    const answer = await exchange(Number(port), sent);
    assert.equal(answer, Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join(""));
    assert.match(
      await type("wait; md5sum </tmp/came"),
      new RegExp(`^${createHash("md5").update(sent).digest("hex")}`, "m"),
    );
    assert.equal(await exchange(Number(port), sent), undefined, "nobody listens there now");
  } finally {
    child.kill("SIGINT");
    local.close();
  }
  assert.equal((await ended).status, 130);
  const bytes = readFileSync(capture);
  assert.equal(bytes.readUInt32LE(0), 0xa1b2c3d4);
  assert.ok(bytes.includes("from this machine") && bytes.length > sentLength, `${bytes.length} bytes captured`);
});

/** Connects, sends, and gives what came up to the end; undefined when the connection was reset. */
async function exchange(port: number, bytes: Uint8Array): Promise<string | undefined> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  let came = "";
  socket.on("data", (text: Buffer) => {
    came += text;
  });
  socket.write(bytes);
  return new Promise((resolve) => {
    socket.on("error", () => resolve(undefined));
    // The guest's program goes when we end, whether it has sent everything or not.
    socket.on("end", () => {
      socket.end();
      resolve(came);
    });
  });
}
