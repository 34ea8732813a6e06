/** `ringside serve` and `ringside attach` with each other: two processes, a socket and shared memory. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { UnixListener } from "../../src/linux/index.js";
import { missing, partitionMbr, sha256Of, writeNoise } from "./cli-images.js";
import { CliFolder } from "./cli-process.js";
import { CliServer, control } from "./cli-server.js";

const mebibyte = 1 << 20;
const skip = process.platform === "linux" ? false : "vhost-user needs Linux";
const attach = (...words: string[]) => ["attach", "--socket", "s", ...words];

describe("serve and attach", { skip }, () => {
  test("info tells the disk, its features and its partitions", { skip: missing("sfdisk") }, async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 8 * mebibyte);
    partitionMbr(folder.file("a.img"));
    const server = await CliServer.start(folder, "a.img,block-size=512", "--socket", "s");
    const json = await folder.run(attach("info", "--json"));
    assert.deepEqual([json.status, json.stderr], [0, ""]);
    const info = JSON.parse(json.stdout);
    const { device, queues, blockSize, blocks, readOnly, scheme, features, protocolFeatures } = info;
    assert.deepEqual(
      [device, queues, blockSize, blocks, readOnly, scheme],
      ["virtio-blk", 1, 512, 16384, false, "mbr"],
    );
    for (const name of ["VERSION_1", "EVENT_IDX", "FLUSH", "DISCARD"]) assert.ok(features.includes(name), name);
    for (const name of ["CONFIG", "INFLIGHT_SHMFD", "REPLY_ACK"]) assert.ok(protocolFeatures.includes(name), name);
    assert.deepEqual(
      info.partitions.map(({ firstBlock }: { firstBlock: number }) => firstBlock),
      [2048, 6144],
    );
    const text = await folder.run(attach("info"));
    assert.match(text.stdout, /^size +8 MiB$/m);
    assert.match(text.stdout, /partition 1/);
    assert.equal((await server.stop()).status, 0);
  });

  test("what is read is the image, what is written is in it, and nothing is left at the end", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 5 * mebibyte);
    writeNoise(folder.file("in"), 3 * mebibyte, 2);
    copyFileSync(folder.file("a.img"), folder.file("before"));
    const server = await CliServer.start(folder, "a.img", "--socket", "s", "--queues", "2");
    assert.match(
      server.output,
      /^QEMU {2,}qemu-system-x86_64 .*-chardev socket,id=\w+,path=\S*\/s,reconnect=1 -device vhost-user-blk-pci,/m,
    );
    assert.equal((await folder.run(attach("read", "-o", "out"))).status, 0);
    assert.equal(sha256Of(folder.file("out")), sha256Of(folder.file("before")));
    const piece = await folder.run(attach("read", "--offset", "1M", "--length", "4k", "-o", "piece"));
    assert.deepEqual([piece.status, piece.stderr], [0, ""]);
    const image = readFileSync(folder.file("a.img"));
    assert.deepEqual(readFileSync(folder.file("piece")), image.subarray(mebibyte, mebibyte + 4096));
    assert.equal((await folder.run(attach("write", "-i", "in", "--offset", "1M", "--queues", "2"))).status, 0);
    readFileSync(folder.file("in")).copy(image, mebibyte);
    assert.deepEqual(readFileSync(folder.file("a.img")), image);
    const { status, stdout, stderr } = await server.stop();
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(
      stdout,
      /front end connected\nfront end gone\n.*\nserved \d+ reads \(5.0 MiB\), \d+ writes \(3 MiB\), 1 flushes\n$/s,
    );
    assert.deepEqual(readdirSync(folder.path).sort(), ["a.img", "before", "in", "out", "piece"]);
    assert.deepEqual(folder.leftovers(), []);
  });

  test("verify reads twice; with --write it writes and puts back", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), 4 * mebibyte);
    const before = sha256Of(folder.file("a.img"));
    const server = await CliServer.start(folder, "a.img", "--socket", "s");
    const twice = await folder.run(attach("verify"));
    assert.deepEqual([twice.status, twice.stderr], [0, ""]);
    assert.match(twice.stdout, /^verified 4 MiB in 64 places: read twice/);
    const written = await folder.run(attach("verify", "--write", "--json", "--seed", "7"));
    const report = JSON.parse(written.stdout);
    assert.deepEqual([report.verified, report.seed, report.bytes], [true, 7, 4 * mebibyte]);
    assert.ok(report.writeBytesPerSecond > 0);
    assert.equal(sha256Of(folder.file("a.img")), before);
    assert.match((await server.stop()).stdout, /, \d+ writes \(8 MiB\)/);
  });

  for (const op of ["read", "write", "randread", "randwrite"]) {
    test(`bench --op ${op} prints one JSON object`, async (t) => {
      const folder = new CliFolder(t);
      writeNoise(folder.file("a.img"), 4 * mebibyte);
      const server = await CliServer.start(folder, "a.img", "--socket", "s");
      const load = ["--op", op, "--block-size", "8k", "--depth", "4", "--seconds", "0.3"];
      if (op.endsWith("write")) {
        const refused = await folder.run(attach("bench", ...load));
        assert.equal(refused.status, 2);
        assert.match(refused.stderr, /^ringside: --op \w+ overwrites what the disk holds: add --write\n$/);
      }
      const result = await folder.run(attach("bench", ...load, "--write", "--json"));
      assert.deepEqual([result.status, result.stderr], [0, ""]);
      assert.equal(result.stdout.trim().split("\n").length, 1);
      const report = JSON.parse(result.stdout);
      assert.deepEqual([report.op, report.blockSize, report.depth, report.errors], [op, 8192, 4, 0]);
      assert.ok(report.iops > 50 && Math.abs(report.bytesPerSecond / 8192 - report.iops) < 1);
      assert.ok(report.p50Us > 0 && report.p50Us <= report.p99Us && report.p99Us <= report.maxUs);
      const served = /served (\d+) reads .*?, (\d+) writes/.exec((await server.stop()).stdout);
      assert.ok(Number(served?.[op.endsWith("write") ? 2 : 1]) >= report.requests);
    });
  }

  test("--read-only refuses writes, and the image may be one that nobody may write", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const before = sha256Of(folder.file("a.img"));
    const server = await CliServer.start(folder, "a.img", "--socket-path", "s", "--read-only");
    const write = await folder.run(attach("write", "-i", "a.img"));
    assert.deepEqual([write.status, write.stdout, write.stderr], [1, "", "ringside: the disk is read-only\n"]);
    const verify = await folder.run(attach("verify"));
    assert.match(verify.stdout, /writes are refused/);
    assert.equal((await server.stop()).status, 0);
    assert.equal(sha256Of(folder.file("a.img")), before);
  });

  test("ranges that are no blocks of the disk are wrong calls", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const server = await CliServer.start(folder, "a.img,block-size=4096", "--socket", "s");
    for (const [words, says] of [
      [["read", "--offset", "512", "-o", "x"], /blocks of 4096 bytes: give multiples of it/],
      [["read", "--offset", "2M", "-o", "x"], /the disk ends at byte 1048576/],
      [["write", "-i", "none"], /none cannot be read \(ENOENT\)/],
      [["write", "-i", "."], /\. (is no file|cannot be read)/],
      [["bench", "--block-size", "512"], /no multiple of the disk's blocks of 4096/],
      [["bench", "--block-size", "2M"], /more than the disk holds/],
      [["info", "--to", "0/0"], /--to goes with --device scsi/],
    ] as const) {
      const result = await folder.run(attach(...words));
      assert.match(result.stderr, /^ringside: [^\n]+\n$/);
      assert.match(result.stderr, says);
      assert.deepEqual([result.status, result.stdout], [2, ""], words.join(" "));
    }
    const other = await folder.run(attach("info", "--device", "scsi"));
    assert.equal(other.status, 1);
    assert.match(other.stderr, /has 1 queue, a SCSI host at least 3: try --device blk/);
    await server.stop();
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} under load: what was begun is done, the socket is gone, exit status 0`, async (t) => {
      const folder = new CliFolder(t);
      writeNoise(folder.file("a.img"), 4 * mebibyte);
      const server = await CliServer.start(folder, "a.img", "--socket", "s");
      const modified = () => statSync(folder.file("a.img")).mtimeMs;
      const before = modified();
      const bench = folder.start(attach("bench", "--op", "randwrite", "--write", "--seconds", "60"));
      while (modified() === before && bench.child.exitCode === null) await sleep(20);
      const start = performance.now();
      const { status, stdout, stderr } = await server.stop(signal);
      assert.deepEqual([status, stderr], [0, ""]);
      assert.ok(performance.now() - start < 3000);
      assert.match(stdout, /served .* writes/);
      assert.equal(existsSync(folder.file("s")), false);
      const ended = await bench.ended;
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, /^ringside: the server at s went away before the work was done\n$/);
    });
  }

  test("Ctrl-C ends attach at once, and the server goes on", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const server = await CliServer.start(folder, "a.img", "--socket", "s");
    const bench = folder.start(attach("bench", "--seconds", "60"));
    await server.says("front end connected");
    await sleep(200);
    bench.child.kill("SIGINT");
    const { status, stdout, stderr } = await bench.ended;
    assert.deepEqual([status, stdout, stderr], [130, "", ""]);
    assert.equal((await folder.run(attach("info"))).status, 0);
    await server.stop();
  });

  test("a socket in use is left alone; one that a killed server left is replaced", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    writeNoise(folder.file("b.img"), mebibyte, 2);
    const server = await CliServer.start(folder, "a.img", "--socket", "s");
    const second = await folder.run(["serve", "b.img", "--socket", "s"]);
    assert.deepEqual([second.status, second.stdout], [1, ""]);
    assert.match(second.stderr, /^ringside: somebody listens on s already: end that server, or give another path\n$/);
    const same = await folder.run(["serve", "a.img", "--socket", "other"]);
    assert.equal(same.status, 1);
    assert.match(same.stderr, /^ringside: a\.img is in use by another process[^\n]*\n$/);
    assert.equal(existsSync(folder.file("other")), false);
    assert.equal((await folder.run(attach("info"))).status, 0);
    await server.stop("SIGKILL");
    assert.equal(existsSync(folder.file("s")), true);
    const third = await CliServer.start(folder, "b.img", "--socket", "s");
    assert.equal((await folder.run(attach("read", "-o", "out"))).status, 0);
    assert.equal(sha256Of(folder.file("out")), sha256Of(folder.file("b.img")));
    await third.stop();
    assert.equal(existsSync(folder.file("s")), false);
  });

  test("attach --wait waits for the server", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const waiting = folder.start(attach("info", "--wait", "10"));
    await sleep(500);
    const server = await CliServer.start(folder, "a.img", "--socket", "s");
    assert.equal((await waiting.ended).status, 0);
    await server.stop();
  });

  test("a peer that talks nonsense is sent away, and the next one is served", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const server = await CliServer.start(folder, "a.img", "--socket", "s");
    const peer = createConnection(folder.file("s"));
    peer.on("error", () => {});
    peer.write("GET / HTTP/1.1\r\n\r\n");
    await new Promise((resolve) => peer.once("close", resolve));
    await server.says("front end sent away: ");
    assert.equal((await folder.run(attach("info"))).status, 0);
    assert.equal((await server.stop()).status, 0);
  });

  test("a server that never answers: attach says so in one line", { timeout: 30_000 }, async (t) => {
    const folder = new CliFolder(t);
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(folder.file("s"), resolve));
    t.after(() => silent.close());
    const result = await folder.run(attach("info"));
    assert.equal(result.status, 1);
    assert.match(result.stderr, /^ringside: the vhost-user back end does not answer within 10000 ms\n$/);
  });
});

describe("serve for managing software", { skip }, () => {
  test("--print-capabilities and --print-qemu print one line and end", async (t) => {
    const folder = new CliFolder(t);
    const blk = await folder.run(["serve", "--print-capabilities"]);
    assert.deepEqual([blk.status, JSON.parse(blk.stdout).type], [0, "block"]);
    const scsi = await folder.run(["serve", "--print-capabilities", "--device", "scsi"]);
    assert.deepEqual(JSON.parse(scsi.stdout), { type: "scsi" });
    const line = await folder.run(["serve", "--print-qemu", "--socket", "/tmp/a b,c", "--queues", "2"]);
    assert.match(
      line.stdout,
      /^qemu-system-x86_64 [^\n]*'socket,id=ringside,path=\/tmp\/a b,,c,reconnect=1'[^\n]*num-queues=2\n$/,
    );
    assert.deepEqual(readdirSync(folder.path), []);
  });

  test("--fd serves a socket that listens already, and leaves its file alone", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const listener = new UnixListener(folder.file("s"));
    t.after(() => listener.close());
    const server = folder.start(["serve", "a.img", "--fd", "3"], {}, listener.descriptor);
    assert.equal((await folder.run(attach("read", "-o", "out"))).status, 0);
    assert.equal(sha256Of(folder.file("out")), sha256Of(folder.file("a.img")));
    server.child.kill("SIGTERM");
    const { status, stdout, stderr } = await server.ended;
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^Serving {2,}virtio-blk, 1 queue, on descriptor 3$/m);
    assert.equal(existsSync(folder.file("s")), true);
  });

  test("--blk-file is another name of the image, commas and all", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a,b.img"), mebibyte);
    const server = await CliServer.start(folder, "--blk-file", "a,b.img", "--socket", "s");
    assert.equal((await folder.run(attach("info"))).status, 0);
    await server.stop();
    const both = await folder.run(["serve", "x.img", "--blk-file", "a,b.img", "--socket", "s"]);
    assert.equal(both.status, 2);
  });
});

describe("serve --device scsi", { skip }, () => {
  const scsi = (...words: string[]) => attach("--device", "scsi", ...words);

  test("images are units at their places, also on two queues", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    writeNoise(folder.file("b.img"), 2 * mebibyte, 2);
    const before = sha256Of(folder.file("b.img"));
    const words = [
      "--device",
      "scsi",
      "a.img",
      "b.img,target=200,lun=9,block-size=4096",
      "--socket",
      "s",
      "--queues",
      "2",
    ];
    const server = await CliServer.start(folder, ...words);
    const info = JSON.parse((await folder.run(scsi("info", "--json"))).stdout);
    assert.deepEqual([info.target, info.lun, info.blocks, info.product], [0, 0, 2048, "DISK"]);
    const places = info.units.map(({ target, lun }: { target: number; lun: number }) => `${target}/${lun}`);
    assert.deepEqual(places, ["0/0", "200/9"]);
    const read = await folder.run(scsi("read", "--to", "200/9", "-o", "out", "--queues", "2"));
    assert.deepEqual([read.status, read.stderr], [0, ""]);
    assert.equal(sha256Of(folder.file("out")), before);
    assert.equal((await folder.run(scsi("verify", "--write", "--to", "200/9"))).status, 0);
    assert.equal(sha256Of(folder.file("b.img")), before);
    const none = await folder.run(scsi("info", "--to", "1/0"));
    assert.equal(none.status, 1);
    assert.match(none.stderr, /^ringside: there is no unit at 1\/0 behind s: there are 0\/0, 200\/9\n$/);
    const blk = await folder.run(attach("info"));
    assert.match(blk.stderr, /tells no configuration, so it is no disk: try --device scsi/);
    assert.equal((await server.stop()).status, 0);
  });

  test("--control adds, removes and lists units, and changes the medium of a CD-ROM drive", async (t) => {
    const folder = new CliFolder(t);
    for (const [index, name] of ["a.img", "b.img", "one.iso", "two.iso"].entries()) {
      writeNoise(folder.file(name), mebibyte * (index + 1), index);
    }
    const words = ["--device", "scsi", "a.img", "one.iso,cd,target=5", "--socket", "s", "--control", "c"];
    const server = await CliServer.start(folder, ...words);
    const ask = (...requests: unknown[]) => control(folder.file("c"), ...requests);
    const [added, list] = await ask({ add: "b.img,target=3,lun=1" }, { list: true });
    assert.deepEqual(added, {
      ok: true,
      added: { target: 3, lun: 1, kind: "disk", blockSize: 512, readOnly: false, image: "b.img", blocks: 4096 },
    });
    const units = list["units"] as { target: number; lun: number; kind: string }[];
    assert.deepEqual(
      units.map(({ target, lun, kind }) => [target, lun, kind]),
      [
        [0, 0, "disk"],
        [3, 1, "disk"],
        [5, 0, "cd"],
      ],
    );
    assert.equal((await folder.run(scsi("read", "--to", "3/1", "-o", "out"))).status, 0);
    assert.equal(sha256Of(folder.file("out")), sha256Of(folder.file("b.img")));
    const [removed, again] = await ask({ remove: { target: 3, lun: 1 } }, { add: "b.img" });
    assert.equal(removed["ok"], true);
    const { target, lun } = again["added"] as { target: number; lun: number };
    assert.deepEqual([target, lun], [1, 0], "the first free target");
    const change = { insert: { target: 5, image: "two.iso" } };
    const [early, ejected, inserted] = await ask(change, { eject: { target: 5 } }, change);
    assert.deepEqual([early["ok"], ejected["ok"], inserted["ok"]], [false, true, true]);
    assert.equal((await folder.run(scsi("read", "--to", "5/0", "-o", "out"))).status, 0);
    assert.equal(sha256Of(folder.file("out")), sha256Of(folder.file("two.iso")));
    const wrong = await ask(
      "x",
      "[]",
      { foo: 1 },
      { add: 3 },
      { add: "none.img" },
      { remove: {} },
      { remove: { target: 9 } },
    );
    for (const answer of wrong) {
      assert.equal(answer["ok"], false);
      assert.match(answer["error"] as string, /^[^\n]+$/);
    }
    await server.stop();
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.length < 3),
      [],
    );
  });

  test("a request without end, and many connections, are cut off; the server goes on", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    const server = await CliServer.start(folder, "--device", "scsi", "a.img", "--socket", "s", "--control", "c");
    const flood = createConnection(folder.file("c"));
    flood.on("error", () => {});
    flood.write("x".repeat(200_000));
    flood.resume();
    await new Promise((resolve) => flood.once("close", resolve));
    const many = Array.from({ length: 40 }, () => createConnection(folder.file("c")).on("error", () => {}));
    await sleep(200);
    for (const socket of many) socket.destroy();
    const [list] = await control(folder.file("c"), { list: true });
    assert.equal(list["ok"], true);
    await server.stop();
  });

  test("a unit is taken away under load: its requests fail, the others go on", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    writeNoise(folder.file("b.img"), mebibyte);
    const words = ["--device", "scsi", "a.img", "b.img,target=4", "--socket", "s", "--control", "c"];
    const server = await CliServer.start(folder, ...words);
    const bench = folder.start(scsi("bench", "--to", "4/0", "--seconds", "1", "--json"));
    await server.says("front end connected");
    await sleep(500);
    const [removed] = await control(folder.file("c"), { remove: { target: 4 } });
    assert.equal(removed["ok"], true);
    const { status, stdout, stderr } = await bench.ended;
    assert.equal(status, 1);
    assert.ok(JSON.parse(stdout).errors > 0);
    assert.match(stderr, /^ringside: \d+ of \d+ requests failed\n$/);
    assert.equal((await folder.run(scsi("verify"))).status, 0);
    await server.stop();
  });

  test("it starts without any image where --control may bring some", async (t) => {
    const folder = new CliFolder(t);
    writeNoise(folder.file("a.img"), mebibyte);
    mkdirSync(folder.file("kept"));
    const words = ["--device", "scsi", "--socket", "s", "--control", "c", "--reservations", "kept"];
    const server = await CliServer.start(folder, ...words);
    const none = await folder.run(scsi("info"));
    assert.equal(none.stderr, "ringside: there is no unit behind s\n");
    await control(folder.file("c"), { add: "a.img" });
    assert.equal((await folder.run(scsi("info"))).status, 0);
    await server.stop();
    writeFileSync(folder.file("kept/target-0-lun-0.json"), "nonsense");
    const damaged = await folder.run(["serve", "--device", "scsi", "a.img", "--socket", "s", "--reservations", "kept"]);
    assert.equal(damaged.status, 2);
    assert.match(damaged.stderr, /^ringside: the reservations kept in [^\n]* cannot be read: [^\n]*\n$/);
  });
});
