/** sg3-utils in a Linux guest, on our SCSI disks over vhost-user: what they read is what our disks announce, and is true. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hexBytes } from "../../src/bytes/index.js";
import { linuxBackEndSystem, nodeEvents, VhostUserServer } from "../../src/platform/vhost-user/index.js";
import { Disk, type DiskOptions, ScsiBus } from "../../src/scsi/index.js";
import { openImage } from "../../src/storage/file/index.js";
import { EventLoopRunner, VhostUserBackEnd } from "../../src/transport/index.js";
import { VirtioScsiDevice } from "../../src/virtio/index.js";
import { after, before, describe, test } from "./limited-test.js";
import { findProgram, runGuest, whyNoGuest } from "./linux/guest.js";

const tools = [
  ...["sg_inq", "sg_vpd", "sg_readcap", "sg_modes", "sg_opcodes", "sg_unmap", "sg_write_same", "sg_verify", "sg_luns"],
  ...["sg_persist", "sg_logs", "sg_reset", "sg_get_lba_status", "sg_turs", "sg_compare_and_write"],
];
const missing = whyNoGuest() ?? (findProgram("sg_vpd") === undefined ? "sg3-utils is not installed" : undefined);

/** One disk as it is by default, one that differs in everything. */
const disks: readonly { name: string; lun: number; node: string; size: number; options: DiskOptions }[] = [
  { name: "defaults", lun: 0, node: "/dev/sda", size: 32 << 20, options: {} },
  {
    name: "other limits",
    lun: 3,
    node: "/dev/sdb",
    size: 48 << 20,
    options: {
      ...{ blockSize: 4096, physicalBlockSize: 16384, writeCache: false, rotationRate: 7200 },
      ...{ vendor: "ACME", product: "ANVIL", revision: "7b", serial: "R-42", naa: 0x3123_4567_89ab_cdefn },
      ...{ maximumTransferBlocks: 200, maximumUnmapBlocks: 100, maximumUnmapDescriptors: 2 },
      ...{ maximumWriteSameBlocks: 64, maximumCompareAndWriteBlocks: 4 },
    },
  },
];

/** What sg3-utils end with. */
const status = { good: 0, illegalRequest: 5, unitAttention: 6, miscompare: 14, outOfRange: 22, conflict: 24 } as const;
const filled = 16 << 20;

describe("sg3-utils in a Linux guest", missing === undefined ? {} : { skip: missing }, () => {
  const folder = mkdtempSync(join(tmpdir(), "ringside-sg3-guest-"));
  const units = new Map<string, { disk: Disk; image: string }>();
  const answers = new Map<string, { text: string; status: number }>();
  const wanted: string[] = [];
  const checks: { name: string; check: () => void }[] = [];

  /** Has the guest run a command; gives what it printed, when all have run. */
  const ask = (command: string) => {
    wanted.push(command);
    const number = wanted.length - 1;
    return () => answers.get(`${number}`) ?? assert.fail(`no answer to ${command}`);
  };
  /** A command that must end like that. */
  const expect = (node: string, expected: number, command: string) => {
    const answer = ask(`${command} ${node}`);
    checks.push({
      name: `${command} ${node} ends with ${expected}`,
      check: () => assert.equal(answer().status, expected, answer().text),
    });
  };
  const compare = (name: string, check: () => void) => checks.push({ name, check });

  for (const { name, node, options } of disks) {
    const unit = () => units.get(name)?.disk as Disk;
    const readNames = ask(`sg_inq ${node}`);
    const readDesignators = ask(`sg_vpd -p di ${node}`);
    compare(`${name}: who it is`, () => {
      const { identity } = unit();
      const field = (label: string) => new RegExp(`${label}: (.*)`).exec(readNames().text)?.[1].trim();
      assert.equal(field("Vendor identification"), identity.vendor);
      assert.equal(field("Product identification"), identity.product);
      assert.equal(field("Product revision level"), identity.revision);
      assert.equal(field("Unit serial number"), identity.serial);
      assert.match(readDesignators().text, new RegExp(`0x${identity.naa.toString(16)}\\b`));
    });

    const readCapacity = ask(`sg_readcap --16 ${node}`);
    const readCapacity10 = ask(`sg_readcap ${node}`);
    compare(`${name}: its capacity`, () => {
      const { blocks, blockSize, physicalExponent } = unit().capacity();
      assert.match(readCapacity().text, new RegExp(`Number of logical blocks=${blocks}\\b`));
      assert.match(readCapacity().text, new RegExp(`Logical block length=${blockSize} bytes`));
      assert.match(readCapacity().text, new RegExp(`per physical block exponent=${physicalExponent}\\b`));
      assert.match(readCapacity().text, /lbpme=1, lbprz=1/);
      assert.match(readCapacity10().text, new RegExp(`Last LBA=${blocks - 1} `));
    });

    const readLimits = ask(`sg_vpd -p bl ${node}`);
    compare(`${name}: its block limits`, () => {
      const { limits } = unit();
      const number = (label: string) => Number(new RegExp(`  ${label}: (\\w+)`).exec(readLimits().text)?.[1]);
      assert.equal(number("Maximum compare and write length"), limits.maximumCompareAndWrite);
      assert.equal(number("Maximum transfer length"), limits.maximumTransfer);
      assert.equal(number("Maximum prefetch transfer length"), limits.maximumPrefetch);
      assert.equal(number("Maximum unmap LBA count"), limits.maximumUnmapBlocks);
      assert.equal(number("Maximum unmap block descriptor count"), limits.maximumUnmapDescriptors);
      assert.equal(number("Optimal unmap granularity"), limits.optimalUnmapGranularity);
      assert.equal(number("Maximum write same length"), limits.maximumWriteSame);
    });

    const readProvisioning = ask(`sg_vpd -p lbpv ${node}`);
    const readCharacteristics = ask(`sg_vpd -p bdc ${node}`);
    compare(`${name}: its provisioning and rotation`, () => {
      const { text } = readProvisioning();
      for (const bit of ["LBPU", "LBPWS", "LBPWS10", "LBPRZ"]) assert.match(text, new RegExp(`\\(${bit}\\): 1`));
      assert.match(text, /thin provisioned/);
      const { rotationRate } = unit();
      const rotation = rotationRate === 1 ? /Non-rotating/ : new RegExp(`rotation rate: ${rotationRate}\\b`);
      assert.match(readCharacteristics().text, rotation);
    });

    const readCommands = ask(`sg_opcodes ${node}`);
    compare(`${name}: its commands`, () => {
      const lines = readCommands().text.matchAll(/^ ([0-9a-f]{2}) {4,8}([0-9a-f]{1,4})? +(\d+) +\d,\d/gm);
      const told = [...lines].map(([, code, action, size]) => `${code} ${action ?? "-"} ${size}`);
      const defined = unit()
        .commands.definitions()
        .map(({ opcode, serviceAction, cdbLength }) => {
          return `${opcode.toString(16).padStart(2, "0")} ${serviceAction?.toString(16) ?? "-"} ${cdbLength}`;
        });
      assert.deepEqual(told.sort(), defined.sort());
    });

    const readModes = ask(`sg_modes -a ${node}`);
    compare(`${name}: its mode pages`, () => {
      const [, ...pages] = readModes().text.split(/^>> .*$/m);
      const told = pages.map((page) => [...page.matchAll(/^ \d0 {5}(.*)$/gm)].map(([, bytes]) => bytes).join(" "));
      const own = unit()
        .modePages("current")
        .map((page) => hexBytes(page));
      assert.deepEqual(
        told.map((page) => page.replace(/ +/g, " ").trim()),
        own,
      );
      assert.equal(
        (Number.parseInt(own.find((page) => page.startsWith("08"))?.split(" ")[2] ?? "", 16) & 4) !== 0,
        options.writeCache ?? true,
      );
    });

    const readLogs = ask(`sg_logs -a ${node}`);
    compare(`${name}: its log pages`, () => {
      assert.equal(readLogs().status, 0);
      const isSolid = unit().rotationRate === 1;
      assert.equal(/Percentage used endurance indicator: 0 %/.test(readLogs().text), isSolid);
      assert.match(readLogs().text, /IE asc = 0x0, ascq = 0x0/);
    });
  }

  const readLuns = ask("sg_luns /dev/sda");
  compare("the units of the target", () => {
    const luns = [...readLuns().text.matchAll(/^ +([0-9a-f]{16})$/gm)].map(([, lun]) =>
      Number.parseInt(lun.slice(0, 4), 16),
    );
    assert.deepEqual(
      luns,
      disks.map(({ lun }) => lun),
    );
  });

  // What is announced is enforced.
  expect("/dev/sdb", status.good, "sg_unmap -f --lba=0 --num=100");
  expect("/dev/sdb", status.illegalRequest, "sg_unmap -f --lba=0 --num=101");
  expect("/dev/sdb", status.good, "sg_unmap -f --lba=0,50 --num=50,50");
  expect("/dev/sdb", status.illegalRequest, "sg_unmap -f --lba=0,50,60 --num=5,5,5");
  expect("/dev/sdb", status.illegalRequest, "sg_unmap -f --anchor --lba=0 --num=1");
  expect("/dev/sdb", status.good, "sg_write_same --16 --lba=0 --num=64 --in=/dev/zero");
  expect("/dev/sdb", status.illegalRequest, "sg_write_same --16 --lba=0 --num=65 --in=/dev/zero");
  expect("/dev/sdb", status.good, "sg_verify --lba=0 --count=200 --bpc=200");
  expect("/dev/sdb", status.illegalRequest, "sg_verify --lba=0 --count=201 --bpc=201");
  expect("/dev/sdb", status.outOfRange, `sg_verify --lba=${(48 << 20) / 4096} --count=1`);
  ask("dd if=/dev/zero of=/tmp/zeros bs=4096 count=10");
  ask("{ dd if=/dev/zero bs=4096 count=4; dd if=/dev/urandom bs=4096 count=4; } > /tmp/exchange");
  expect("/dev/sdb", status.good, "sg_compare_and_write --in=/tmp/exchange --lba=0 --num=4 --xferlen=32768");
  expect("/dev/sdb", status.miscompare, "sg_compare_and_write --in=/tmp/exchange --lba=0 --num=4 --xferlen=32768");
  expect("/dev/sdb", status.illegalRequest, "sg_compare_and_write --in=/tmp/zeros --lba=0 --num=5 --xferlen=40960");

  // Space is given back.
  ask(`dd if=/dev/urandom of=/dev/sda bs=1M count=${filled >> 20} oflag=direct`);
  expect("/dev/sda", status.good, "sg_unmap -f --lba=4096 --num=4096");
  expect("/dev/sda", status.good, "sg_write_same --16 --unmap --lba=16384 --num=2048");
  const readExtents = ask("sg_get_lba_status --lba=0 --maxlen=256 /dev/sda");
  compare("UNMAP and WRITE SAME make holes in the file, and GET LBA STATUS tells of them", () => {
    const { image } = units.get("defaults") as { image: string };
    const bytes = readFileSync(image);
    for (const [first, count] of [
      [4096, 4096],
      [16384, 2048],
    ]) {
      assert.ok(bytes.subarray(first * 512, (first + count) * 512).every((byte) => byte === 0));
    }
    const allocated = statSync(image).blocks * 512;
    const expected = filled - (4096 + 2048) * 512;
    assert.ok(Math.abs(allocated - expected) <= 64 * 1024, `${allocated} bytes are allocated, expected ${expected}`);
    const extents = [...readExtents().text.matchAll(/LBA: 0x0*([0-9a-f]+) +blocks: +(\d+) +(mapped|deallocated)/g)];
    assert.deepEqual(
      extents.map(([, lba, blocks, state]) => [Number.parseInt(lba, 16), Number(blocks), state]),
      [
        [0, 4096, "mapped"],
        [4096, 4096, "deallocated"],
        [8192, 8192, "mapped"],
        [16384, 2048, "deallocated"],
        [18432, filled / 512 - 18432, "mapped"],
        [filled / 512, (32 << 20) / 512 - filled / 512, "deallocated"],
      ],
    );
  });

  // Reservations: by hand, as a cluster's fencing does.
  expect("/dev/sda", status.conflict, "sg_persist -o -R -K 0xabc123 -T 5");
  expect("/dev/sda", status.good, "sg_persist -o -G -S 0xabc123");
  expect("/dev/sda", status.conflict, "sg_persist -o -G -K 0xbad -S 0x1");
  expect("/dev/sda", status.good, "sg_persist -o -R -K 0xabc123 -T 5");
  const readKeys = ask("sg_persist -k /dev/sda");
  const readReservation = ask("sg_persist -r /dev/sda");
  const readFull = ask("sg_persist -s /dev/sda");
  expect("/dev/sda", status.good, "sg_persist -o -L -K 0xabc123 -T 5");
  const readReleased = ask("sg_persist -r /dev/sda");
  expect("/dev/sda", status.good, "sg_persist -o -C -K 0xabc123");
  const readCleared = ask("sg_persist -k /dev/sda");
  compare("a persistent reservation's life", () => {
    assert.match(readKeys().text, /PR generation=0x1, 1 registered reservation key follows:\s+0xabc123/);
    assert.match(readReservation().text, /Key=0xabc123\s+scope: LU_SCOPE, {2}type: Write Exclusive, registrants only/);
    assert.match(readFull().text, /<< Reservation holder >>/);
    assert.match(readReleased().text, /there is NO reservation held/);
    assert.match(readCleared().text, /PR generation=0x2, there are NO registered reservation keys/);
  });

  // The last: it leaves a unit attention behind.
  expect("/dev/sdb", status.good, "sg_reset -d");
  const readAttention = ask("sg_turs -v /dev/sdb");
  expect("/dev/sdb", status.good, "sg_turs");
  compare("a reset is told once", () => {
    assert.equal(readAttention().status, status.unitAttention);
    assert.match(readAttention().text, /Bus device reset function occurred/);
  });

  before(async () => {
    const bus = new ScsiBus();
    for (const { name, lun, size, options } of disks) {
      const image = join(folder, `${lun}.img`);
      writeFileSync(image, "");
      truncateSync(image, size);
      const disk = new Disk(openImage(image, {}), options);
      bus.attach(0, lun, disk);
      units.set(name, { disk, image });
    }
    const device = new VirtioScsiDevice(bus, { segMax: 126 });
    const runner = new EventLoopRunner(device, { events: nodeEvents });
    const backEnd = new VhostUserBackEnd({ device, runner, system: linuxBackEndSystem, offersConfig: false });
    const socket = join(folder, "socket");
    const server = new VhostUserServer(backEnd, { listen: socket });
    try {
      const { output } = await runGuest({
        script: ["set +e", "export PATH=$PATH:/host", ...wanted.map(runAndTell), "true"].join("\n"),
        modules: ["virtio_scsi", "sd_mod", "sg"],
        programs: tools,
        devices: ["-chardev", `socket,id=c,path=${socket}`, "-device", "vhost-user-scsi-pci,chardev=c"],
      });
      for (const part of output.split(/^=== /m).slice(1)) {
        const found = /^(\d+)\r?\n([\s\S]*?)\r?\n?==> (\d+)\r?$/m.exec(part);
        if (found !== null) answers.set(found[1], { text: found[2].replaceAll("\r", ""), status: Number(found[3]) });
      }
    } finally {
      await server.close();
    }
  });
  after(async () => {
    for (const { disk } of units.values()) await disk.close();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const { name, check } of checks) test(name, check);
});

/** Prints a command's number, what it prints, its status. */
function runAndTell(command: string, number: number): string {
  return `echo "=== ${number}"; ${command} 2>&1; echo "==> $?"`;
}
