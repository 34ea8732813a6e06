/** The monitor's operations: each takes its arguments from the serial line, does its work, and answers. */
import { Custom, customBase } from "./custom-chips.js";
import { a, at, d, displaced, immediate, type M68kEncoder, type OperandSize, postIncrement } from "./m68k-encoder.js";
import { monitorLayout, Operation } from "./monitor-protocol.js";

const widths = ["b", "w", "l"] as const;

/** Every operation as a routine. @returns their labels, in the order of their numbers. */
export function emitOperations(code: M68kEncoder): string[] {
  const names: string[] = [];
  const operation = (number: number, body: () => void): void => {
    names[number] = `operation${number}`;
    code.label(names[number]);
    body();
  };
  operation(Operation.Hello, () => {
    code.call("done");
    code.branch("always", "greet");
  });
  for (const [index, size] of widths.entries()) {
    operation(Operation.Read8 + index, () => {
      code.call("takeAddress");
      emitRead(code, size);
    });
    operation(Operation.NearRead8 + index, () => {
      emitNearAddress(code);
      emitRead(code, size);
    });
    operation(Operation.Write8 + index, () => {
      code.call("takeAddress");
      emitWrite(code, size);
    });
    operation(Operation.NearWrite8 + index, () => {
      emitNearAddress(code);
      emitWrite(code, size);
    });
  }
  operation(Operation.SetBase, () => {
    code.call("takeAddress");
    code.move("l", a(0), a(6));
    code.branch("always", "done");
  });
  emitBlocks(code, operation);
  operation(Operation.Poll8, () => emitPoll(code, "b"));
  operation(Operation.Poll32, () => emitPoll(code, "l"));
  operation(Operation.Call, () => {
    code.call("takeAddress");
    code.call("takeL");
    code.move("l", d(1), d(0));
    code.callAt(0);
    code.move("l", immediate(customBase, "l"), a(5));
    code.move("l", d(0), d(1));
    code.call("done");
    code.branch("always", "giveL");
  });
  operation(Operation.Snapshot8, () => emitSnapshot(code, "b"));
  operation(Operation.Snapshot32, () => emitSnapshot(code, "l"));
  return names;
}

/** A byte offset from A6 into A0. */
function emitNearAddress(code: M68kEncoder): void {
  code.call("takeB");
  code.add("l", a(6), 1);
  code.move("l", d(1), a(0));
}

function emitRead(code: M68kEncoder, size: OperandSize): void {
  code.moveQuick(0, 1);
  code.move(size, at(0), d(1));
  code.call("done");
  code.branch("always", `give${size.toUpperCase()}`);
}

function emitWrite(code: M68kEncoder, size: OperandSize): void {
  code.call(`take${size.toUpperCase()}`);
  code.move(size, d(1), at(0));
  code.branch("always", "done");
}

/** Upload, download, fill and sum. */
function emitBlocks(code: M68kEncoder, operation: (number: number, body: () => void) => void): void {
  // Address into A0, length into D7 or D6, 0 into the sum D4.
  const takeRange = (length: number): void => {
    code.call("takeAddress");
    code.call("takeL");
    code.move("l", d(1), d(length));
    code.moveQuick(0, 4);
  };
  operation(Operation.Upload, () => {
    takeRange(7);
    code.label("upload");
    code.test("l", d(7));
    code.branch("eq", "giveSum");
    code.call("take");
    // Before the store: after an exception D7 is what is still to come.
    code.subtractQuick("l", 1, d(7));
    code.rotateLeft(1, 4);
    code.add("l", d(0), 4);
    code.move("b", d(0), postIncrement(0));
    code.branch("always", "upload");
  });
  operation(Operation.Sum, () => {
    takeRange(6);
    code.call("sum");
    code.branch("always", "giveSum");
  });
  operation(Operation.Download, () => {
    takeRange(6);
    // Once through without a word: an exception shows before the answer begins.
    code.move("l", a(0), a(1));
    code.move("l", d(6), d(5));
    code.call("sum");
    code.call("done");
    code.label("download");
    code.test("l", d(5));
    code.branch("eq", "downloaded");
    code.move("b", postIncrement(1), d(0));
    code.call("give");
    code.subtractQuick("l", 1, d(5));
    code.branch("always", "download");
    code.label("downloaded");
    code.move("l", d(4), d(1));
    code.branch("always", "giveL");
  });
  operation(Operation.Fill, () => {
    takeRange(6);
    code.call("takeB");
    code.label("fill");
    code.test("l", d(6));
    code.branch("eq", "done");
    code.move("b", d(1), postIncrement(0));
    code.subtractQuick("l", 1, d(6));
    code.branch("always", "fill");
  });
  code.label("sum");
  code.moveQuick(0, 0);
  code.label("summing");
  code.test("l", d(6));
  code.branch("eq", "summed");
  code.move("b", postIncrement(0), d(0));
  code.rotateLeft(1, 4);
  code.add("l", d(0), 4);
  code.subtractQuick("l", 1, d(6));
  code.branch("always", "summing");
  code.label("summed");
  code.returns();
  code.label("giveSum");
  code.call("done");
  code.move("l", d(4), d(1));
  code.branch("always", "giveL");
}

/** Waits until (value & mask) is no longer as it says, at most so many raster lines. */
function emitPoll(code: M68kEncoder, size: OperandSize): void {
  code.call("takeAddress");
  for (const register of [4, 5, 6]) {
    code.call("takeL");
    code.move("l", d(1), d(register));
  }
  code.moveQuick(0, 3);
  code.label(`poll${size}`);
  code.moveQuick(0, 1);
  code.move(size, at(0), d(1));
  code.move("l", d(1), d(2));
  code.and("l", d(4), 2);
  code.compare("l", d(5), 2);
  code.branch("ne", `polled${size}`);
  code.move("b", displaced(Custom.Vhposr, 5), d(2));
  code.compare("b", d(3), 2);
  code.branch("eq", `poll${size}`);
  code.move("b", d(2), d(3));
  code.subtractQuick("l", 1, d(6));
  code.branch("ne", `poll${size}`);
  code.label(`polled${size}`);
  code.call("done");
  code.call("giveL");
  code.move("l", d(6), d(1));
  code.branch("always", "giveL");
}

/** Values into the buffer first, so that an exception shows before the answer begins. */
function emitSnapshot(code: M68kEncoder, size: OperandSize): void {
  code.call("takeAddress");
  code.call("takeL");
  code.move("l", d(1), d(4));
  code.move("l", d(1), d(5));
  code.move("l", immediate(monitorLayout.snapshot, "l"), a(1));
  code.label(`snap${size}`);
  code.move(size, postIncrement(0), postIncrement(1));
  code.subtractQuick("l", 1, d(4));
  code.branch("ne", `snap${size}`);
  code.move("l", immediate(monitorLayout.snapshot, "l"), a(1));
  code.call("done");
  code.label(`snapped${size}`);
  code.moveQuick(0, 1);
  code.move(size, postIncrement(1), d(1));
  code.call(`give${size.toUpperCase()}`);
  code.subtractQuick("l", 1, d(5));
  code.branch("ne", `snapped${size}`);
  code.returns();
}
