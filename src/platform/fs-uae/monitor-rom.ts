/**
 * The monitor: a small program in the place of the Kickstart that carries out requests from the serial line. It is
 * assembled when it is needed.
 */
import { Custom, customBase } from "./custom-chips.js";
import { a, absolute, at, d, displaced, immediate, M68kEncoder, postIncrement } from "./m68k-encoder.js";
import { emitOperations } from "./monitor-operations.js";
import { Answer, monitorGreeting, monitorLayout, Operation } from "./monitor-protocol.js";

const ciaPortA = 0xbf_e001;
const ciaDirectionA = 0xbf_e201;
/** 115 200 baud; the emulator then moves a byte a raster line. */
const serialPeriod = 30;
const vectorBaseControl = 0x801;

/** The ROM image, as large as the machine's ROM. */
export function buildMonitorRom(): Uint8Array {
  const rom = new Uint8Array(monitorLayout.romSize).fill(0xff);
  const code = new M68kEncoder(monitorLayout.rom);
  // The processor takes the longword at 4 as its start; as code, the first three words jump there too.
  code.data(0x1111, 0x4ef9);
  code.addressOf("start");
  emitStart(code);
  emitLoop(code);
  emitLine(code);
  const names = emitOperations(code);
  emitExceptions(code);
  code.label("operations");
  for (const name of names) code.addressOf(name);
  rom.set(code.finish());
  return rom;
}

function emitStart(code: M68kEncoder): void {
  code.label("start");
  code.setStatus(0x2700);
  // The ROM leaves address 0, where it is seen after a reset.
  code.move("b", immediate(3, "b"), absolute(ciaDirectionA));
  code.move("b", immediate(2, "b"), absolute(ciaPortA));
  code.move("l", immediate(customBase, "l"), a(5));
  for (const register of [Custom.Dmacon, Custom.Intena, Custom.Intreq]) {
    code.move("w", immediate(0x7fff, "w"), displaced(register, 5));
  }
  code.move("w", immediate(serialPeriod, "w"), displaced(Custom.Serper, 5));
  code.move("l", immediate(monitorLayout.stackTop, "l"), a(7));
  code.moveQuick(0, 0);
  code.setControl(0, vectorBaseControl);
  code.move("l", d(0), a(0));
  code.move("l", d(0), a(6));
  code.loadAddress("exception", 1);
  code.label("vector");
  code.move("l", a(1), postIncrement(0));
  code.move("l", a(0), d(0));
  code.compare("l", immediate(0x400, "l"), 0);
  code.branch("ne", "vector");
  code.call("greet");
}

/** Takes one operation after the other. D7: bytes of the current request that have not come yet. */
function emitLoop(code: M68kEncoder): void {
  code.label("loop");
  code.moveQuick(0, 7);
  code.call("take");
  code.compare("l", immediate(Object.keys(Operation).length, "l"), 0);
  code.branch("cc", "unknown");
  code.shiftLeft(2, 0);
  code.loadAddress("operations", 0);
  code.move("l", a(0), d(1));
  code.add("l", d(0), 1);
  code.move("l", d(1), a(0));
  code.move("l", at(0), a(0));
  code.callAt(0);
  code.branch("always", "loop");
  code.label("unknown");
  code.move("l", immediate(Answer.Unknown, "l"), d(0));
  code.call("give");
  code.branch("always", "loop");
}

/** Bytes and longwords from and to the serial line. */
function emitLine(code: M68kEncoder): void {
  // A byte into D0. Reading SERDATR takes the byte out of it, so nothing else reads that register.
  code.label("take");
  code.move("w", displaced(Custom.Serdatr, 5), d(0));
  code.testBit(14, 0);
  code.branch("eq", "take");
  code.move("w", immediate(0x0800, "w"), displaced(Custom.Intreq, 5));
  code.and("l", immediate(0xff, "l"), 0);
  code.returns();
  // A longword into D1, a word, a byte.
  code.label("takeL");
  code.call("takeW");
  code.move("l", d(1), d(2));
  code.call("takeW");
  code.shiftLeft(8, 2);
  code.shiftLeft(8, 2);
  code.add("l", d(2), 1);
  code.returns();
  code.label("takeW");
  code.call("takeB");
  code.move("l", d(1), d(3));
  code.call("takeB");
  code.shiftLeft(8, 3);
  code.add("l", d(3), 1);
  code.returns();
  code.label("takeB");
  code.call("take");
  code.move("l", d(0), d(1));
  code.returns();
  // An address into A0.
  code.label("takeAddress");
  code.call("takeL");
  code.move("l", d(1), a(0));
  code.returns();
  // The byte in D0; with a stop bit in bit 8. The request that the buffer is empty comes when the next may be written.
  code.label("give");
  code.and("l", immediate(0xff, "l"), 0);
  code.add("w", immediate(0x100, "w"), 0);
  code.move("w", immediate(0x0001, "w"), displaced(Custom.Intreq, 5));
  code.move("w", d(0), displaced(Custom.Serdat, 5));
  code.label("giving");
  code.move("w", displaced(Custom.Intreqr, 5), d(0));
  code.testBit(0, 0);
  code.branch("eq", "giving");
  code.returns();
  // The longword, word or byte in D1.
  code.label("giveL");
  code.rotateLeft(8, 1);
  code.move("l", d(1), d(0));
  code.call("give");
  code.rotateLeft(8, 1);
  code.move("l", d(1), d(0));
  code.call("give");
  code.rotateLeft(8, 1);
  code.rotateLeft(8, 1);
  code.label("giveW");
  code.rotateLeft(8, 1);
  code.rotateLeft(8, 1);
  code.rotateLeft(8, 1);
  code.move("l", d(1), d(0));
  code.call("give");
  code.rotateLeft(8, 1);
  code.label("giveB");
  code.move("l", d(1), d(0));
  code.branch("always", "give");
  code.label("done");
  code.move("l", immediate(Answer.Done, "l"), d(0));
  code.branch("always", "give");
  code.label("greet");
  for (const character of monitorGreeting) {
    code.move("l", immediate(character.charCodeAt(0), "l"), d(0));
    code.call("give");
  }
  code.returns();
}

/** Any exception: say which, forget the request, go on. */
function emitExceptions(code: M68kEncoder): void {
  code.label("exception");
  code.moveQuick(0, 4);
  code.move("w", displaced(6, 7), d(4));
  code.and("l", immediate(0xfff, "l"), 4);
  code.move("l", displaced(2, 7), d(5));
  code.setStatus(0x2700);
  code.move("l", immediate(monitorLayout.stackTop, "l"), a(7));
  code.move("l", immediate(customBase, "l"), a(5));
  code.label("drain");
  code.test("l", d(7));
  code.branch("eq", "drained");
  code.call("take");
  code.subtractQuick("l", 1, d(7));
  code.branch("always", "drain");
  code.label("drained");
  code.move("l", immediate(Answer.Exception, "l"), d(0));
  code.call("give");
  code.move("l", d(4), d(1));
  code.call("giveL");
  code.move("l", d(5), d(1));
  code.call("giveL");
  code.branch("always", "loop");
}
