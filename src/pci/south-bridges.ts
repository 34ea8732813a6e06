/** The functions that the boards' own chips show in configuration space, as QEMU's models of them do. */
import type { OnboardFunction } from "./bridge-description.js";

const ioBar = (size: number) => ({ kind: "io", size }) as const;

/** The bridge's own function(s) at slot 0. */
export const mv64361Functions: readonly OnboardFunction[] = [
  {
    ...{ slot: 0, function: 0, name: "MV64361 host bridge", vendorId: 0x11ab, deviceId: 0x6460 },
    revision: 0,
    classCode: 0x060000,
  },
];

/** The Articia S's own function. */
export const articiaFunctions: readonly OnboardFunction[] = [
  {
    ...{ slot: 0, function: 0, name: "Articia S host bridge", vendorId: 0x10cc, deviceId: 0x0660, revision: 0 },
    ...{ classCode: 0x060000, multiFunction: true },
  },
  {
    ...{ slot: 0, function: 1, name: "Articia S second bridge", vendorId: 0x10cc, deviceId: 0x0661 },
    revision: 0,
    classCode: 0x060000,
  },
];

/** Host bridge and PIIX3 of the `pc`. */
export const i440fxFunctions: readonly OnboardFunction[] = [
  {
    ...{ slot: 0, function: 0, name: "82441FX host bridge", vendorId: 0x8086, deviceId: 0x1237 },
    revision: 2,
    classCode: 0x060000,
  },
  {
    ...{ slot: 1, function: 0, name: "PIIX3 ISA bridge", vendorId: 0x8086, deviceId: 0x7000, revision: 0 },
    ...{ classCode: 0x060100, multiFunction: true, initial: status(0x0200) },
  },
  {
    ...{
      slot: 1,
      function: 1,
      name: "PIIX3 IDE",
      vendorId: 0x8086,
      deviceId: 0x7010,
      revision: 0,
      classCode: 0x010180,
    },
    ...{ initial: status(0x0280), bars: [undefined, undefined, undefined, undefined, ioBar(16)] },
  },
  {
    ...{ slot: 1, function: 3, name: "PIIX4 power management", vendorId: 0x8086, deviceId: 0x7113, revision: 3 },
    ...{ classCode: 0x068000, interruptPin: 1, initial: status(0x0280) },
  },
];

/** Host bridge and ICH9 (slot 31) of the `q35`. */
export const q35Functions: readonly OnboardFunction[] = [
  {
    ...{ slot: 0, function: 0, name: "82Q35 host bridge", vendorId: 0x8086, deviceId: 0x29c0, revision: 0 },
    classCode: 0x060000,
  },
  {
    ...{ slot: 31, function: 0, name: "ICH9 LPC bridge", vendorId: 0x8086, deviceId: 0x2918, revision: 2 },
    ...{ classCode: 0x060100, multiFunction: true },
  },
  {
    ...{ slot: 31, function: 2, name: "ICH9 SATA", vendorId: 0x8086, deviceId: 0x2922, revision: 2 },
    ...{ classCode: 0x010601, interruptPin: 1, multiFunction: true },
    // Two capabilities: MSI, and where SATA's index and data registers are.
    initial: {
      ...status(0x0010),
      ...bytesAt(52, 0x80),
      ...bytesAt(128, 0x05, 0xa8, 0x80, 0x00),
      ...bytesAt(144, 0x40),
      ...bytesAt(168, 0x12, 0, 0x10, 0, 0x48),
    },
    bars: [undefined, undefined, undefined, undefined, ioBar(32), { kind: "memory32", size: 4096 }],
  },
  {
    ...{ slot: 31, function: 3, name: "ICH9 SMBus", vendorId: 0x8086, deviceId: 0x2930, revision: 2 },
    ...{ classCode: 0x0c0500, interruptPin: 1, multiFunction: true },
    bars: [undefined, undefined, undefined, undefined, ioBar(64)],
  },
];

function status(value: number, command = 0): Record<number, number> {
  return { 4: command & 0xff, 5: command >>> 8, 6: value & 0xff, 7: value >>> 8 };
}

function bytesAt(first: number, ...bytes: readonly number[]): Record<number, number> {
  return Object.fromEntries(bytes.map((byte, index) => [first + index, byte]));
}

/** The VIA south bridges keep a capability pointer without saying in the status register that it counts. */
const viaPointer = { 52: 0xc0 };
/** ISA and IDE functions: registers that are fixed here and writable elsewhere. */
const fixedInterruptLine = { 60: 0 };

/** VT8231 of the Pegasos II (slot 12), as QEMU 7.2 shows it. */
export const vt8231Functions: readonly OnboardFunction[] = [
  {
    ...{ slot: 12, function: 0, name: "VT8231 ISA bridge", vendorId: 0x1106, deviceId: 0x8231, revision: 0x10 },
    ...{ classCode: 0x060100, multiFunction: true, initial: { ...status(0x0200, 0x0008), ...viaPointer } },
    writable: { ...fixedInterruptLine, 12: 0 },
  },
  {
    ...{
      slot: 12,
      function: 1,
      name: "VT8231 IDE",
      vendorId: 0x1106,
      deviceId: 0x0571,
      revision: 6,
      classCode: 0x01018a,
    },
    ...{
      interruptPin: 1,
      initial: { ...status(0x0280, 0x0080), ...viaPointer, 60: 0x0e },
      writable: fixedInterruptLine,
    },
    bars: [ioBar(8), ioBar(4), ioBar(8), ioBar(4), ioBar(16)],
  },
  ...viaUsb(12, [2, 3], "VT8231"),
  {
    ...{ slot: 12, function: 4, name: "VT8231 power management", vendorId: 0x1106, deviceId: 0x8235, revision: 0x40 },
    ...{ classCode: 0x068000, initial: status(0x0280) },
  },
  {
    ...{ slot: 12, function: 5, name: "VT8231 AC97 audio", vendorId: 0x1106, deviceId: 0x3058, revision: 0x50 },
    ...{ classCode: 0x040100, interruptPin: 3, initial: status(0x0210, 0x0050) },
  },
  {
    ...{ slot: 12, function: 6, name: "VT8231 modem", vendorId: 0x1106, deviceId: 0x3068, revision: 0x30 },
    ...{ classCode: 0x078000, interruptPin: 3, initial: status(0x0200, 0x0030) },
  },
];

/** VT82C686B of the AmigaOne (slot 7), as QEMU 10.0 shows it. */
export const vt82c686bFunctions: readonly OnboardFunction[] = [
  {
    ...{ slot: 7, function: 0, name: "VT82C686B ISA bridge", vendorId: 0x1106, deviceId: 0x0686, revision: 0x40 },
    ...{ classCode: 0x060100, multiFunction: true, initial: { ...status(0x0200, 0x0008), ...viaPointer } },
    writable: { ...fixedInterruptLine, 12: 0 },
  },
  {
    ...{
      slot: 7,
      function: 1,
      name: "VT82C686B IDE",
      vendorId: 0x1106,
      deviceId: 0x0571,
      revision: 6,
      classCode: 0x01018a,
    },
    initial: { ...status(0x0280, 0x0080), ...viaPointer, 60: 0x0e, 32: 0x01, 33: 0xcc },
    writable: fixedInterruptLine,
    bars: [undefined, undefined, undefined, undefined, ioBar(16)],
  },
  ...viaUsb(7, [2, 3], "VT82C686B"),
  {
    ...{ slot: 7, function: 4, name: "VT82C686B power management", vendorId: 0x1106, deviceId: 0x3057, revision: 0x40 },
    ...{ classCode: 0x068000, initial: status(0x0280) },
  },
  {
    ...{ slot: 7, function: 5, name: "VT82C686B AC97 audio", vendorId: 0x1106, deviceId: 0x3058, revision: 0x50 },
    ...{ classCode: 0x040100, interruptPin: 3, initial: status(0x0210, 0x0004), writable: { 4: 0x01, 5: 0x00 } },
    bars: [ioBar(256), ioBar(4), ioBar(4)],
  },
  {
    ...{ slot: 7, function: 6, name: "VT82C686B modem", vendorId: 0x1106, deviceId: 0x3068, revision: 0x30 },
    ...{ classCode: 0x078000, interruptPin: 3, initial: status(0x0200, 0x0030) },
  },
];

function viaUsb(slot: number, functions: readonly number[], chip: string): OnboardFunction[] {
  return functions.map((number) => ({
    ...{ slot, function: number, name: `${chip} USB`, vendorId: 0x1106, deviceId: 0x3038, revision: 1 },
    ...{ classCode: 0x0c0300, interruptPin: 4 },
    bars: [undefined, undefined, undefined, undefined, ioBar(32)],
  }));
}
