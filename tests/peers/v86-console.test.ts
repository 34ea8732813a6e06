/** Linux's virtio_console on our multiport console, in v86: two consoles and ports with names, while they come and go. */
import assert from "node:assert/strict";
import type { VirtioPciDevice } from "../../src/transport/index.js";
import { VirtioConsoleDevice } from "../../src/virtio/index.js";
import { after, before, describe, test } from "./limited-test.js";
import { bootLinux, type GuestShell, linuxFiles, makePc, reaches, whyNoV86Linux } from "./v86-guest.js";
import { md5, patterned } from "./v86-storage.js";

const skip = whyNoV86Linux();

/** An adapter, alone in its PC: Linux numbers the consoles of several as it happens to hear of them. */
interface Adapter {
  readonly device: VirtioConsoleDevice;
  readonly plugged: VirtioPciDevice;
  readonly shell: GuestShell;
}

/** Commands that wait for a condition of the guest's, five seconds. */
const until = (condition: string) => `for try in $(seq 50); do ${condition} && break; sleep 0.1; done; ${condition}`;

async function bootWith(registers: "modern" | "legacy"): Promise<Adapter> {
  const pc = await makePc(linuxFiles(["virtio_console"], [], ["virtio_pci"]));
  pc.onFailure = (error) => {
    throw error;
  };
  const device = new VirtioConsoleDevice({
    ports: [{}, { isConsole: true }, { name: `org.ringside.${registers}` }],
    maxPorts: 5,
    size: { columns: 80, rows: 25 },
  });
  const plugged = pc.plugVirtio(device, { classCode: 0x07_8000, registers });
  const shell = await bootLinux(pc);
  // A redirection to a file that is not there yet would make one, in memory, and everything would seem to work.
  await shell.run(until("[ -c /dev/hvc1 ] && [ -c /dev/vport0p2 ] && (: >/dev/hvc1) 2>/dev/null"));
  return { device, plugged, shell };
}

/** Collects what the guest writes to a port. */
function collect(device: VirtioConsoleDevice, id: number): () => string {
  let came = "";
  const decoder = new TextDecoder();
  device.port(id).onData = (bytes) => {
    came += decoder.decode(bytes, { stream: true });
  };
  return () => came;
}

/** Sends bytes in small pieces: a console's line discipline in the guest holds 4096. */
async function feed(device: VirtioConsoleDevice, id: number, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length; ) {
    sent += device.port(id).send(bytes.subarray(sent, sent + 500));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const numbers = (count: number) => `${Array.from({ length: count }, (_, index) => index + 1).join("\n")}\n`;

for (const registers of ["modern", "legacy"] as const) {
  describe(registers, { skip }, () => {
    let adapter: Adapter;
    before(async () => {
      adapter = await bootWith(registers);
    });
    after(async () => {
      await adapter?.shell.pc.emulator.destroy();
    });

    test(`the second port is a console of its own, hvc1, and carries bytes both ways`, {
      skip,
    }, async () => {
      const { device, shell } = adapter;
      const first = collect(device, 0);
      const second = collect(device, 1);
      await shell.run(`exec 3<>/dev/hvc1; stty raw -echo <&3; seq 1 500 >&3`);
      await reaches(() => second(), numbers(500));
      assert.equal(first(), "", "the first console hears nothing of it");
      const bytes = patterned(3000, 40);
      const line = shell.run("head -c 3000 <&3 | md5sum; exec 3>&-");
      await feed(device, 1, bytes);
      assert.match(await line, new RegExp(`^${md5(bytes)}`));
    });

    test(`a port that is no console is a file with its name; both ends hear when the other opens and closes`, {
      skip,
    }, async () => {
      const { device, shell } = adapter;
      const ports = "vport0";
      const node = `/dev/${ports}p2`;
      assert.equal(await shell.run(`cat /sys/class/virtio-ports/${ports}p2/name`), `org.ringside.${registers}`);
      const port = device.port(2);
      const told: boolean[] = [];
      port.onGuestOpen = (isOpen) => told.push(isOpen);
      assert.equal(port.guestIsOpen, false, "nobody has opened it");
      const came = collect(device, 2);
      await shell.run(`exec 4<>${node}; seq 1 2000 >&4`);
      await reaches(() => came(), numbers(2000));
      assert.deepEqual(told, [true]);
      const bytes = patterned(50_000, 50);
      const line = shell.run("head -c 50000 <&4 | md5sum");
      assert.equal(port.send(bytes), 50_000);
      assert.match(await line, new RegExp(`^${md5(bytes)}`));
      // Our end goes: a reader that waits gets the end of the file; it comes back, and bytes do.
      const ended = shell.run("wc -c <&4");
      setTimeout(() => device.setOpen(2, false), 300);
      assert.equal(await ended, "0");
      device.setOpen(2, true);
      const again = shell.run("head -n 1 <&4");
      port.send(new TextEncoder().encode("again\n"));
      assert.equal(await again, "again");
      await shell.run("exec 4>&-");
      await reaches(() => told, [true, false]);
      assert.equal(port.guestIsOpen, false);
    });

    test(`ports are plugged in and pulled out while the guest runs`, { skip }, async () => {
      const { device, shell } = adapter;
      const ports = "vport0";
      const here = () => shell.run(`cd /sys/class/virtio-ports; echo ${ports}*; cd /`);
      const before = `${ports}p0 ${ports}p1 ${ports}p2`;
      assert.equal(await here(), before);
      const added = device.addPort({ name: "late" });
      assert.equal(added.id, 3);
      await shell.run(until(`[ -c /dev/${ports}p3 ]`));
      assert.equal(await shell.run(`cat /sys/class/virtio-ports/${ports}p3/name`), "late");
      const came = collect(device, 3);
      await shell.run(`exec 4<>/dev/${ports}p3; echo from the guest >&4`);
      await reaches(() => came(), "from the guest\n");
      assert.equal(added.guestIsOpen, true);
      // Somebody has it open when it goes.
      device.removePort(3);
      await shell.run(until(`[ ! -c /dev/${ports}p3 ]`));
      assert.match(await shell.run("echo lost 2>&1 >&4 || echo refused"), /refused/);
      await shell.run("exec 4>&-");
      assert.equal(await here(), before);
      // The place can be had again.
      assert.equal(device.addPort({ name: "next" }).id, 3);
      await shell.run(until(`[ -c /dev/${ports}p3 ]`));
      const next = collect(device, 3);
      await shell.run(`echo next >/dev/${ports}p3`);
      await reaches(() => next(), "next\n");
      device.removePort(3);
    });

    test(`a guest sees the console's size, and every change of it`, { skip }, async () => {
      const { device, shell } = adapter;
      await shell.run(`exec 3<>/dev/hvc0 4<>/dev/hvc1`);
      const becomes = async (rows: number, columns: number) => {
        for (const fd of [3, 4]) {
          await shell.run(until(`[ "$(stty size <&${fd})" = "${rows} ${columns}" ]`));
        }
      };
      await becomes(25, 80);
      device.resize({ columns: 132, rows: 43 });
      await becomes(43, 132);
      assert.equal(await shell.run(`stty -F /dev/hvc0 size`), "43 132");
      await shell.run("exec 3>&- 4>&-");
    });

    test(`after all that no rule was broken`, { skip }, () => {
      assert.deepEqual([...adapter.plugged.core.violations], []);
    });
  });
}
