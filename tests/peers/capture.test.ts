/** Captures of ours, read by tcpdump. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CaptureWriter,
  capturePeer,
  EtherType,
  FrameWriter,
  IpProtocol,
  ipv4Payload,
  Packet,
  parseIPv4,
  parseMac,
  UserNetwork,
} from "../../src/packet/index.js";
import { test } from "./limited-test.js";

const hasTcpdump = spawnSync("tcpdump", ["--version"]).status === 0;
const options = hasTcpdump ? {} : { skip: "tcpdump is not installed" };

test("tcpdump reads our captures: times, lengths, checksums, and packets that were cut short", options, () => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-capture-"));
  try {
    const pieces: Uint8Array[] = [];
    let now = 1_700_000_000_123;
    const capture = new CaptureWriter((bytes) => pieces.push(bytes.slice()), { snapLength: 90, now: () => now++ });
    const network = new UserNetwork();
    const peer = capturePeer(network, capture);
    peer.connect({ receive: () => true, resume: () => {} });
    const writer = new FrameWriter();
    writer.ethernet(parseMac("52:55:0a:00:02:02"), parseMac("52:54:00:12:34:56"), EtherType.IPv4);
    const packet = writer.ipv4(IpProtocol.Udp, parseIPv4("10.0.2.15"), parseIPv4("10.0.2.2"), 8 + 100);
    packet.view.setUint16(ipv4Payload, 4000);
    packet.view.setUint16(ipv4Payload + 2, 7);
    packet.view.setUint16(ipv4Payload + 4, 108);
    writer.seal(IpProtocol.Udp, 6);
    peer.deliver(packet);
    capture.write(
      new Packet(Uint8Array.from([...parseMac("ff:ff:ff:ff:ff:ff"), ...parseMac("02:00:00:00:00:01"), 0x88, 0xb5])),
    );
    const file = join(folder, "capture.pcap");
    writeFileSync(file, Buffer.concat(pieces));
    const { stdout, status } = spawnSync("tcpdump", ["-n", "-tt", "-e", "-r", file], { encoding: "utf8" });
    assert.equal(status, 0);
    const lines = stdout.trim().split("\n");
    assert.equal(lines.length, 3);
    assert.match(
      lines[0],
      /^1700000000\.123000 52:54:00:12:34:56 > 52:55:0a:00:02:02, ethertype IPv4 \(0x0800\), length 142: 10\.0\.2\.15\.4000 > 10\.0\.2\.2\.7: .*UDP, length 100|length 100/,
    );
    assert.match(lines[1], /^1700000000\.124000 52:55:0a:00:02:02 > .*10\.0\.2\.2\.7 > 10\.0\.2\.15\.4000/);
    assert.match(lines[2], /^1700000000\.125000 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff.*length 14/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
