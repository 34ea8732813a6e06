/** The wiring of interrupts, against a controller that hears edges only; the whole of it is tested in v86 in tests/peers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { V86Cpu } from "./emulator.js";
import { InterruptLines } from "./interrupt-lines.js";

const interruptFlag = 1 << 9;

/** A processor whose controller latches edges, and notes whether it could have entered a handler. */
function processor(routing: readonly number[]) {
  const memory = new ArrayBuffer(64);
  const flags = new Int32Array(memory, 8, 1);
  flags[0] = interruptFlag;
  const levels = new Set<number>();
  const pending = new Set<number>();
  const entered: number[] = [];
  const cpu = {
    wasm_memory: { buffer: memory },
    flags: { byteOffset: 8 },
    devices: { pci: { isa_bridge_space8: Uint8Array.from([...new Array(0x60).fill(0), ...routing]) } },
    device_raise_irq(line: number) {
      if (!levels.has(line)) pending.add(line);
      levels.add(line);
      if ((flags[0] & interruptFlag) !== 0) entered.push(line);
    },
    device_lower_irq(line: number) {
      levels.delete(line);
      pending.delete(line);
    },
  };
  const lines = new InterruptLines(cpu as unknown as V86Cpu);
  return { cpu, lines, levels, pending, entered, flags };
}

test("inside an access a line becomes pending, and no handler is entered; outside it is", () => {
  const { lines, pending, entered, flags } = processor([10, 10, 11, 11]);
  lines.change(0, true);
  lines.deliver(true);
  assert.deepEqual([[...pending], entered, flags[0]], [[10], [], interruptFlag]);
  lines.change(2, true);
  lines.deliver(false);
  assert.deepEqual([[...pending], entered], [[10, 11], [11]]);
});

test("a function that still holds a shared line is heard again when another lets go of it", () => {
  const { lines, levels, pending } = processor([10, 10, 11, 11]);
  lines.change(1, true);
  lines.deliver(true);
  pending.clear(); // The controller has told the processor.
  lines.change(1, true);
  lines.deliver(true);
  assert.deepEqual([...pending], [], "the line is high all the time: no edge");
  lines.change(1, false);
  lines.deliver(true);
  assert.deepEqual([[...levels], [...pending]], [[10], [10]]);
  lines.change(1, false);
  lines.deliver(true);
  assert.deepEqual([[...levels], [...pending]], [[], []]);
});

test("v86's own devices and ours hold a line together", () => {
  const { cpu, lines, levels } = processor([10, 10, 11, 11]);
  cpu.device_raise_irq(10);
  lines.change(0, true);
  lines.deliver(true);
  cpu.device_lower_irq(10);
  assert.deepEqual([...levels], [10], "ours is high");
  cpu.device_raise_irq(10);
  lines.change(0, false);
  lines.deliver(true);
  assert.deepEqual([...levels], [10], "theirs is high");
  cpu.device_lower_irq(10);
  assert.deepEqual([...levels], []);
});

test("a PIRQ that goes nowhere raises nothing; slots and pins are wired as a PIIX3 board has them", () => {
  const { lines, levels } = processor([0x80, 0x80, 11, 0x80]);
  lines.change(0, true);
  lines.deliver(true);
  assert.deepEqual([...levels], []);
  assert.deepEqual(
    [2, 3, 4, 5].map((slot) => InterruptLines.pirqOf(slot, 1)),
    [1, 2, 3, 0],
  );
  assert.equal(InterruptLines.pirqOf(2, 4), 0);
});
