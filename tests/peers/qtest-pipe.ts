/** QEMU's registers over the qtest protocol on two named pipes, synchronously and without any native code. */
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type AccessWidth, swap16, swap32, windowOf } from "../../src/bytes/index.js";
import type { Board } from "../../src/machine/index.js";
import type { ProcessorSpaces } from "../../src/pci/index.js";

export interface QemuProgram {
  readonly path: string;
  readonly version?: string;
  readonly major: number;
  /** Why a board cannot be had from it. */
  readonly unusable?: string;
}

/** The programs to try for a board: the one on the path, and the one that RINGSIDE_QEMU names. */
export function qemuPrograms(board: Board): QemuProgram[] {
  const { qemu } = board;
  if (qemu === undefined) return [];
  const own = process.env["RINGSIDE_QEMU"]?.split(path.delimiter) ?? [];
  const name = `qemu-system-${qemu.system}`;
  return [name, ...own.filter((file) => path.basename(file) === name)].map((file) => probe(file, board));
}

function probe(file: string, board: Board): QemuProgram {
  let text: string;
  let machines: string;
  try {
    text = execFileSync(file, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    machines = execFileSync(file, ["-machine", "help"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return { path: file, major: 0, unusable: `${file} is not installed` };
  }
  const version = /version (\d+)\.(\d+)/.exec(text);
  const major = Number(version?.[1] ?? 0);
  const found = { path: file, major, version: `${major}.${version?.[2] ?? "?"}` };
  const machine = board.qemu?.machine ?? "";
  if (new RegExp(`^${machine}\\s`, "m").test(machines)) return found;
  return { ...found, unusable: `${file} ${found.version} has no machine ${machine}` };
}

/** Starts QEMU with a stopped processor. `close` ends it. */
export function startQtest(
  program: QemuProgram,
  board: Board,
  more: readonly string[],
): ProcessorSpaces & { close(): void } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ringside-qtest-"));
  const pipe = path.join(folder, "qtest");
  execFileSync("mkfifo", [`${pipe}.in`, `${pipe}.out`]);
  // Opened so that nothing blocks for ever when QEMU does not come up.
  const input = fs.openSync(`${pipe}.in`, "r+");
  const output = fs.openSync(`${pipe}.out`, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const firmware = path.join(folder, "firmware");
  const size = board.qemu?.firmwareSize ?? 0;
  if (size > 0) fs.writeFileSync(firmware, new Uint8Array(size));
  const options = (board.qemu?.options ?? []).filter((option) => program.major >= option.sinceMajor);
  const child = spawn(program.path, [
    ...["-machine", board.qemu?.machine ?? board.name, "-S", "-nodefaults", "-display", "none"],
    ...["-qtest", `pipe:${pipe}`, "-qtest-log", "none"],
    ...(size > 0 ? ["-bios", firmware] : []),
    ...options.flatMap((option) => option.arguments),
    ...more,
  ]);
  let text = "";
  const buffer = new Uint8Array(4096);
  const decoder = new TextDecoder();
  const command = (line: string): number => {
    fs.writeSync(input, `${line}\n`);
    const deadline = performance.now() + 10_000;
    for (;;) {
      const end = text.indexOf("\n");
      if (end < 0) {
        const length = readSome(output, buffer);
        text += decoder.decode(buffer.subarray(0, length));
        if (length === 0 && performance.now() > deadline) throw new Error(`no answer from ${program.path}`);
        continue;
      }
      const answer = text.slice(0, end).split(" ");
      text = text.slice(end + 1);
      if (answer[0] === "IRQ") continue;
      if (answer[0] !== "OK") throw new Error(`qtest: ${line}: ${answer.join(" ")}`);
      return Number(answer[1] ?? 0);
    }
  };
  const big = board.endianness === "big";
  const order = (value: number, width: AccessWidth) =>
    !big || width === 1 ? value : width === 2 ? swap16(value) : swap32(value);
  const suffix = { 1: "b", 2: "w", 4: "l" } as const;
  return {
    memorySpace: windowOf(
      (offset, width) => order(command(`read${suffix[width]} ${offset}`), width),
      (offset, width, value) => command(`write${suffix[width]} ${offset} ${order(value >>> 0, width)}`),
    ),
    portSpace: big
      ? undefined
      : windowOf(
          (offset, width) => command(`in${suffix[width]} ${offset}`),
          (offset, width, value) => command(`out${suffix[width]} ${offset} ${value >>> 0}`),
        ),
    close() {
      child.kill();
      fs.closeSync(input);
      fs.closeSync(output);
      fs.rmSync(folder, { recursive: true });
    },
  };
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** What has arrived, after a moment's wait when nothing has. */
function readSome(file: number, buffer: Uint8Array): number {
  let length = 0;
  try {
    length = fs.readSync(file, buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  }
  if (length === 0) Atomics.wait(pause, 0, 0, 0.05);
  return length;
}
