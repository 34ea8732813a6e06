/**
 * Checks of chapter 11 on QEMU's two machines that look at what lies between driver and device: a refusal (3), rings (5)
 * and requests (7) as QEMU finds them in memory, and answers of QEMU's that were spoilt before the driver sees them (29).
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RegisterWindow, readRegister, windowOf, writeRegister } from "../../src/bytes/index.js";
import {
  amigaone,
  type Board,
  type FoundPciAdapter,
  findVirtioAdapters,
  pegasos2,
  settle,
} from "../../src/machine/index.js";
import type { TraceEvent } from "../../src/observe/index.js";
import { type AmigaSystem, Command, openAmigaos } from "../../src/os/index.js";
import { type QemuAdapter, type QemuDisk, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { AmigaProgram, amigaPattern, inTime } from "../../src/testing/index.js";
import { profilePastB32 } from "./amigaos-profiles.js";
import { skipWithout } from "./idle-processor.js";
import { after, before, test } from "./limited-test.js";

const content = amigaPattern(1 << 20);
let folder = "";
let image = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-amiga-rings-"));
  image = join(folder, "disk.img");
  writeFileSync(image, content);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The request queue's ring as it was told to QEMU, and read from memory. */
class RequestRing {
  readonly #machine: QemuMachine;
  /** Rings are little-endian for modern devices, and as the processor is for legacy ones. */
  #little = true;
  available = 0;
  descriptors = 0;
  used = 0;
  #queue = 0;

  constructor(machine: QemuMachine) {
    this.#machine = machine;
  }

  /** Takes the addresses from what is written to the registers. */
  readonly emit = ({ category, name, fields }: TraceEvent): void => {
    if (category !== "registers" || name !== "write") return;
    const value = Number(fields["value"]);
    const register = fields["register"];
    if (register === "queueSelect") this.#queue = value;
    if (this.#queue !== 2) return;
    if (register === "queueAddress") {
      this.#little = false;
      this.descriptors = value * 4096;
      this.available = this.descriptors + 4096;
      this.used = this.descriptors + 8192;
    }
    if (register === "queueDescriptorsLow") this.descriptors = value;
    if (register === "queueAvailableLow") this.available = value;
    if (register === "queueUsedLow") this.used = value;
  };

  word(address: number, bytes: 2 | 4): number {
    const read = this.#machine.memory.read(address, bytes);
    const view = new DataView(read.buffer, read.byteOffset, bytes);
    return bytes === 2 ? view.getUint16(0, this.#little) : view.getUint32(0, this.#little);
  }

  set(address: number, bytes: 2 | 4, value: number): void {
    const view = new DataView(new ArrayBuffer(bytes));
    if (bytes === 2) view.setUint16(0, value, this.#little);
    else view.setUint32(0, value, this.#little);
    this.#machine.memory.write(address, new Uint8Array(view.buffer));
  }

  get availableIndex(): number {
    return this.word(this.available + 2, 2);
  }

  get usedIndex(): number {
    return this.word(this.used + 2, 2);
  }

  /** Where the element before the used index is. */
  get lastUsed(): number {
    return this.used + 4 + 8 * ((this.usedIndex - 1) & 255);
  }

  /** The chain that was answered last, in the ring or in a table of its own. */
  lastChain(): { address: number; length: number; flags: number }[] {
    const chain = [];
    let table = this.descriptors;
    for (let at = this.word(this.lastUsed, 4), flags = 1; (flags & 1) !== 0; at = this.word(table + 16 * at + 14, 2)) {
      const entry = table + 16 * at;
      const address = this.word(entry + (this.#little ? 0 : 4), 4);
      flags = this.word(entry + 12, 2);
      if ((flags & 4) === 0) chain.push({ address, length: this.word(entry + 8, 4), flags });
      else {
        table = address;
        at = 0;
        const first = this.word(table + 12, 2);
        chain.push({
          address: this.word(table + (this.#little ? 0 : 4), 4),
          length: this.word(table + 8, 4),
          flags: first,
        });
        flags = first;
      }
    }
    return chain;
  }
}

interface Place {
  readonly system: AmigaSystem;
  readonly ring: RequestRing;
  readonly machine: QemuMachine;
}

async function onQemu(
  board: Board,
  {
    profile,
    properties = {},
    disks = [
      { image, target: 0, lun: 0 },
      { image, target: 1, lun: 1 },
    ],
    interrupts,
    written = () => {},
    emit,
  }: {
    profile: "strict" | "extended";
    properties?: QemuAdapter["properties"];
    disks?: readonly QemuDisk[];
    interrupts?: "none";
    /** Called after the driver wrote to a register. */
    written?: (ring: RequestRing) => void;
    emit?: (event: TraceEvent) => void;
  },
  work: (place: Place) => Promise<void>,
): Promise<void> {
  const machine = await startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks, properties }] });
  try {
    const ring = new RequestRing(machine);
    const { memory, dma, portSpace } = machine;
    const watched = (window: RegisterWindow) =>
      windowOf(
        (offset, width) => readRegister(window, offset, width),
        (offset, width, value) => {
          writeRegister(window, offset, width, value);
          written(ring);
        },
      );
    const between = {
      ...{ board, memory, dma, interrupts: machine.interrupts },
      memorySpace: watched(machine.memorySpace),
      portSpace: portSpace === undefined ? undefined : watched(portSpace),
      idle: (milliseconds: number) => machine.idle(milliseconds),
      close: () => machine.close(),
    };
    const adapters = findVirtioAdapters(between).filter((one): one is FoundPciAdapter => one.on === "pci");
    const run = async () => {
      const options = {
        profile: profilePastB32(board, profile),
        observer: emit === undefined ? ring : { emit },
        timeout: 1000,
        interrupts,
      };
      const system = await openAmigaos(between, adapters, options);
      await work({ system, ring, machine });
      await system.close();
    };
    await settle(machine, run());
  } finally {
    await machine.close();
  }
}

/** What is done to an answer of QEMU's, and whether the driver can go on with the ring after it. */
const tricks: Readonly<Record<string, { readonly isFatal: boolean; readonly play: (ring: RequestRing) => void }>> = {
  "a used id that is none": { isFatal: true, play: (ring) => ring.set(ring.lastUsed, 4, 0xffff) },
  "a used id of a request that is not in flight": { isFatal: true, play: (ring) => ring.set(ring.lastUsed, 4, 200) },
  "a used index that jumps": {
    isFatal: true,
    play: (ring) => ring.set(ring.used + 2, 2, (ring.usedIndex + 1000) & 0xffff),
  },
  "a used length of 4 GiB": { isFatal: false, play: (ring) => ring.set(ring.lastUsed + 4, 4, 0xffff_ffff) },
  "a residual of 4 GiB": {
    isFatal: false,
    play: (ring) => {
      const response = ring.lastChain().find(({ flags }) => (flags & 2) !== 0);
      if (response !== undefined) ring.set(response.address + 4, 4, 0xffff_ffff);
    },
  },
};

const read = (data: number, offset = 0, length = 512) => ({ command: Command.CMD_READ, offset, length, data });

for (const board of [amigaone, pegasos2]) {
  const skip = skipWithout(board.name as "amigaone" | "pegasos2");

  test(`checks 5 and 7 on QEMU's ${board.name}: the rings and requests that QEMU finds`, skip, () =>
    onQemu(board, { profile: "strict" }, async ({ system, ring, machine }) => {
      assert.deepEqual(
        [ring.descriptors % 4096, ring.available - ring.descriptors, ring.used - ring.descriptors],
        [0, 4096, 8192],
      );
      // QEMU has answered 64 probes there.
      assert.deepEqual([ring.availableIndex, ring.usedIndex], [64, 64]);
      const one = await AmigaProgram.open(system, 1);
      const data = one.buffer(8192, "contiguous");
      await one.do(read(data));
      const last = (): { header: string; shape: string[] } => {
        const chain = ring.lastChain();
        const shape = chain.map(({ length, flags }) => `${(flags & 2) === 0 ? "read" : "write"} ${length}`);
        return { header: Buffer.from(machine.memory.read(chain[0].address, 51)).toString("hex"), shape };
      };
      assert.equal((await one.do(read(data, 1024))).error, 0);
      const { header, shape } = last();
      assert.deepEqual(shape, ["read 51", "write 108", "write 512"]);
      assert.equal(header, `0101400100000000${"00".repeat(8)}000000${"28000000000200000100"}${"00".repeat(22)}`);
      const { what } = one.scsi(Uint8Array.of(0, 0, 0, 0, 0, 0), 16);
      assert.equal((await one.do(what)).error, 0);
      assert.deepEqual(last().shape, ["read 51", "write 108"]);
      // The synchronous path numbers all of its requests 1, in the processor's byte order.
      assert.equal(last().header, `0101400100000000${"00".repeat(7)}01${"00".repeat(35)}`);
      assert.equal((await one.do({ command: Command.CMD_WRITE, length: 8192, data })).error, 0);
      assert.deepEqual(last().shape, ["read 51", "read 8192", "write 108"]);
      await one.close();
    }),
  );

  test(
    `check 8 on QEMU's ${board.name}: a CD is a unit, what is not there is none, version 1.5 has 8 at most`,
    skip,
    async () => {
      const disks: QemuDisk[] = Array.from({ length: 10 }, (_, index) => ({
        image,
        target: index >> 1,
        lun: index & 1,
      }));
      disks[1] = { ...disks[1], kind: "cd" };
      // Where a target has other units QEMU answers for one that is not there, with qualifier 3 and no type.
      const found = disks.map(({ target = 0, lun = 0 }, index) => [target, lun, index === 1 ? 5 : 0]);
      for (const [profile, count] of [
        ["strict", 8],
        ["extended", 10],
      ] as const) {
        await onQemu(board, { profile, disks }, async ({ system }) => {
          const units = system.device.units.map((unit) => [unit?.target, unit?.lun, unit?.peripheralType]);
          assert.deepEqual(units, found.slice(0, count));
        });
      }
    },
  );

  test(
    `check 28 on QEMU's ${board.name}: without interrupts version 1.5 serves its synchronous path alone (Q4)`,
    skip,
    async () => {
      const isHanging = new Error("still in flight");
      const work = onQemu(board, { profile: "strict", interrupts: "none" }, async ({ system }) => {
        const program = await AmigaProgram.open(system, 0);
        const geometry = { command: Command.TD_GETGEOMETRY, length: 32, data: program.buffer(32) };
        assert.equal((await inTime(program.do(geometry), 2000)).error, 0);
        const hanging = program.send(read(program.buffer(512)));
        await assert.rejects(inTime(program.wait(hanging), 200));
        // What hangs does not let itself be closed.
        throw isHanging;
      });
      await assert.rejects(work, isHanging);
    },
  );

  if (board === pegasos2) {
    test(
      "check 3 on QEMU's pegasos2: FEATURES_OK that does not stay ends with FAILED and without a device",
      skip,
      async () => {
        const written: number[] = [];
        const emit = ({ category, name, fields }: TraceEvent) => {
          if (category !== "registers" || fields["register"] !== "deviceStatus") return;
          if (name === "write") written.push(Number(fields["value"]));
        };
        // A device behind an IOMMU refuses who does not take ACCESS_PLATFORM; version 1.5 does not.
        const place = { profile: "strict", properties: { iommu_platform: true }, emit } as const;
        await assert.rejects(
          onQemu(board, place, async () => {}),
          /features-refused/,
        );
        assert.deepEqual(written.slice(0, 5), [0, 1, 3, 0xb, 0x80]);
      },
    );
  }

  for (const profile of ["strict", "extended"] as const) {
    for (const [trick, spoilt] of Object.entries(tricks)) {
      test(`check 29 on QEMU's ${board.name}, ${profile}: ${trick}`, skip, async () => {
        let isHostile = false;
        let played = 0;
        let answered = 0;
        // Once the device was told of requests it answers them all before the driver goes on, and finds the last spoilt.
        const written = (ring: RequestRing) => {
          if (!isHostile || ring.availableIndex === answered) return;
          isHostile = false;
          const deadline = performance.now() + 2000;
          while (ring.usedIndex !== ring.availableIndex) assert.ok(performance.now() < deadline, "QEMU answers");
          played++;
          spoilt.play(ring);
        };
        await onQemu(board, { profile, written }, async ({ system, ring }) => {
          const program = await AmigaProgram.open(system, 0);
          const data = Array.from({ length: 4 }, () => program.buffer(512));
          // The unit attention of power-on.
          await program.do(read(data[0]));
          assert.deepEqual(await program.do(read(data[0])), { error: 0, actual: 512 });
          isHostile = true;
          answered = ring.usedIndex;
          const requests = data.map((address, index) => program.send(read(address, 512 * index)));
          const answers = [];
          for (const request of requests) answers.push(await inTime(program.wait(request), 4000));
          for (const { error, actual } of answers) assert.ok(actual >= 0 && actual <= 512, `${error} ${actual}`);
          assert.equal(played, 1);
          const isBroken = spoilt.isFatal && profile === "strict";
          const again = await inTime(program.do(read(data[0], 1024)), 4000);
          assert.deepEqual(again, isBroken ? { error: 20, actual: 0 } : { error: 0, actual: 512 });
          const resets = system.messages.filter((text) => text.startsWith("resetting the controller"));
          assert.equal(resets.length, spoilt.isFatal && profile === "extended" ? 1 : 0, system.messages.join("; "));
          await inTime(program.close(), 4000);
        });
      });
    }
  }
}
