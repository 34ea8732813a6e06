/** The driver half of virtio-console on QEMU's virtio-serial-pci, with consoles and ports behind sockets. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConsolePort, VirtioConsoleDriver, virtioConsoleId } from "../../src/virtio/index.js";
import { skipWithout, withDeviceOnQemu } from "./idle-processor.js";
import { after, before, test } from "./limited-test.js";

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-console-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The other end of one of QEMU's character devices. */
class Line {
  readonly path: string;
  readonly #server: Server;
  socket: Socket | undefined;
  received = Buffer.alloc(0);

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
    server.on("connection", (socket) => {
      this.socket = socket;
      socket.on("data", (bytes) => {
        this.received = Buffer.concat([this.received, bytes]);
      });
      socket.on("error", () => {});
    });
  }

  static async open(name: string): Promise<Line> {
    const path = join(folder, name);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return new Line(path, server);
  }

  get chardev(): string {
    return `socket,path=${this.path},server=off`;
  }

  close(): void {
    this.socket?.destroy();
    this.#server.close();
  }
}

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed + (index >>> 8)) & 0xff);
}

const cases = [
  { board: "pc", mode: "legacy", prefer: "intx" },
  { board: "pc", mode: "modern", prefer: "msix" },
  { board: "pegasos2", mode: "legacy", prefer: "intx" },
  { board: "pegasos2", mode: "modern", prefer: "intx" },
  { board: "amigaone", mode: "legacy", prefer: "intx" },
] as const;

for (const each of cases) {
  const { board, mode, prefer } = each;
  test(
    `R-905 ${board} ${mode} ${prefer}: a console and a named port; 100 KiB both ways; hot-plug and freeze`,
    skipWithout(board),
    async () => {
      const [first, second, third] = [await Line.open("a"), await Line.open("b"), await Line.open("c")];
      const device = (pci: (driver: string) => string) => [
        ...["-device", `${pci("virtio-serial-pci")},id=serial,max_ports=4`],
        ...["-chardev", `${first.chardev},id=a`, "-device", "virtconsole,bus=serial.0,nr=0,chardev=a"],
        ...["-chardev", `${second.chardev},id=b`],
        ...["-device", "virtserialport,bus=serial.0,nr=1,chardev=b,name=org.ringside.test,id=port1"],
        ...["-chardev", `${third.chardev},id=c`],
      ];
      try {
        await withDeviceOnQemu(
          { ...each, device, deviceId: virtioConsoleId, runs: true },
          async ({ machine, open, until }) => {
            const seen: string[] = [];
            const inbox = new Map<number, number[]>();
            const listen = (port: ConsolePort) => {
              const bytes: number[] = [];
              inbox.set(port.id, bytes);
              port.onData = (more) => bytes.push(...more);
            };
            const driver = await VirtioConsoleDriver.open(open(), {
              onPort: (port, what) => {
                seen.push(`${port.id} ${what}`);
                if (what === "added") listen(port);
              },
            });
            assert.equal(driver.link.transport.kind, `pci-${mode}`);
            const port = (id: number) => driver.ports.get(id) as ConsolePort;
            const isReady = () => driver.ports.size === 2 && port(1).name !== undefined && port(0).isConsole;
            await until(isReady);
            assert.equal(port(1).name, "org.ringside.test");
            assert.deepEqual([port(0).isConsole, port(1).isConsole], [true, false]);
            await until(() => port(1).isHostOpen);

            const toQemu = pattern(100 * 1024, 1);
            const write = port(1).write(toQemu);
            await port(0).write(new TextEncoder().encode("login: "));
            await write;
            await until(() => second.received.length === toQemu.length && first.received.length === 7);
            assert.ok(Buffer.compare(second.received, toQemu) === 0);
            assert.equal(first.received.toString(), "login: ");

            const toUs = pattern(100 * 1024, 2);
            second.socket?.write(toUs);
            first.socket?.write("root\n");
            await until(() => inbox.get(1)?.length === toUs.length && inbox.get(0)?.length === 5);
            assert.ok(Buffer.compare(Uint8Array.from(inbox.get(1) ?? []), toUs) === 0);
            assert.equal(Buffer.from(inbox.get(0) ?? []).toString(), "root\n");

            await machine.qmp.execute("device_add", {
              ...{ driver: "virtserialport", bus: "serial.0", nr: 3, chardev: "c", name: "late", id: "port3" },
            });
            await until(() => driver.ports.get(3)?.name === "late");
            await port(3).write(pattern(10, 3));
            await until(() => third.received.length === 10);
            await machine.qmp.execute("device_del", { id: "port3" });
            await until(() => !driver.ports.has(3));
            assert.deepEqual(seen, ["0 added", "1 added", "3 added", "3 removed"]);

            await driver.freeze();
            await assert.rejects(port(1).write(pattern(1, 1)), /not there/);
            await driver.restore();
            await until(() => port(1).isPresent && port(1).isHostOpen);
            second.received = Buffer.alloc(0);
            await port(1).write(pattern(5000, 9));
            await until(() => second.received.length === 5000);
            second.socket?.destroy();
            await until(() => !port(1).isHostOpen);
            assert.equal(seen.length, 4, "ports that came back are the same ports");
            await driver.close();
          },
        );
      } finally {
        for (const line of [first, second, third]) line.close();
      }
    },
  );
}

test("without MULTIPORT there is one port; QEMU's emergency write prints", skipWithout("pc"), async () => {
  const line = await Line.open("single");
  const device = (pci: (driver: string) => string) => [
    ...["-device", `${pci("virtio-serial-pci")},id=serial,max_ports=1`],
    ...["-chardev", `${line.chardev},id=a`, "-device", "virtconsole,bus=serial.0,nr=0,chardev=a"],
  ];
  try {
    const where = { board: "pc", device, deviceId: virtioConsoleId, mode: "modern", runs: true } as const;
    await withDeviceOnQemu(where, async ({ open, until }) => {
      const driver = await VirtioConsoleDriver.open(open());
      assert.equal(driver.ports.size, 1);
      const port = driver.ports.get(0) as ConsolePort;
      await port.write(new TextEncoder().encode("plain "));
      for (const character of new TextEncoder().encode("panic")) assert.ok(driver.emergencyWrite(character));
      await until(() => line.received.toString() === "plain panic");
      await driver.close();
    });
  } finally {
    line.close();
  }
});
