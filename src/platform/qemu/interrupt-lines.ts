/**
 * PCI interrupt lines as qtest can show them. Each chip set takes its own way, since qtest can intercept the unnamed
 * inputs of one device only:
 *
 * | bridge | intercepted | what firmware would have done and we do |
 * |---|---|---|
 * | i440FX | I/O APIC | PIIX3 routing registers name an ISA line for each PCI line |
 * | Q35 | I/O APIC | nothing: the ICH9 wires PCI lines to inputs of their own, next to the ISA routing |
 * | Articia S | first i8259 | VIA routing registers name an ISA line for each PCI line |
 * | none (virtio-mmio) | PLIC, GIC | nothing: each window has an input of its own |
 * | MV64361 | the processor | unmask the four general-purpose pins; their latched cause is cleared, their level read |
 */
import type { Board } from "../../machine/index.js";
import type { BridgeDescription, BridgeKind, ProcessorSpaces } from "../../pci/index.js";
import { functionAddress, openConfigAccess } from "../../pci/index.js";
import type { QmpClient } from "./qmp.js";
import type { QtestClient } from "./qtest.js";

/** Where the levels of one bridge's lines come from. */
export interface LineSource {
  /** Routes and unmasks the lines. Called once, before the first handler. */
  prepare(): void;
  /** True while the line is raised, or was since the last look. May cost a register access. */
  look(line: number): boolean;
}

/** A function's pin. */
export interface LinePlace {
  readonly bridge: number;
  readonly bus: number;
  readonly slot: number;
  /** 1–4: INTA# to INTD#, as in the function's Interrupt Pin register. */
  readonly pin: number;
}

/** ISA lines that the four PCI lines are routed to where a south bridge lets us choose. None has a user while nothing runs. */
const isaLines = [5, 7, 3, 4] as const;

/** A device of QEMU's by its name or, where its place in the tree says nothing, by its type. */
const controllers: Readonly<Record<BridgeKind, string | RegExp>> = {
  i440fx: "ioapic",
  q35: "ioapic",
  articia: /^child<isa-i8259>$/,
  mv64361: /^child<.*-powerpc-cpu>$/,
};
/** Boards with virtio-mmio only: PLIC of RISC-V, GIC of Arm. Their unnamed inputs are numbered as the board's are. */
const mmioController = /^child<(riscv\.sifive\.plic|arm_gic|arm-gicv3)>$/;

/** Which device of QEMU's object tree is intercepted for a board. @throws QemuError */
export async function interceptedDevice(board: Board, qmp: QmpClient): Promise<string | undefined> {
  const kind = board.bridges[0]?.kind;
  const type = kind === undefined ? mmioController : controllers[kind];
  if (typeof type === "string") return type;
  const entries = (await qmp.execute("qom-list", { path: "/machine/unattached" })) as { name: string; type: string }[];
  const numbers = entries
    .filter((entry) => type.test(entry.type))
    .map((entry) => Number(/^device\[(\d+)\]$/.exec(entry.name)?.[1]))
    .sort((a, b) => a - b);
  return numbers.length === 0 ? undefined : `/machine/unattached/device[${numbers[0]}]`;
}

/** The source for a bridge. Bridges of one chip share one. */
export function lineSource(bridge: BridgeDescription, spaces: ProcessorSpaces, qtest: QtestClient): LineSource {
  if (bridge.kind === "mv64361") return mv64361Pins(bridge, spaces, qtest);
  const { sense } = bridge.interrupts;
  if (sense?.kind === "ioapic") return inputLines(qtest, sense.firstInput);
  return southBridgeLines(bridge, spaces, qtest);
}

/** Inputs of the controller itself from `first` on, as virtio-mmio devices have them. */
export function inputLines(qtest: QtestClient, first = 0): LineSource {
  return {
    prepare() {},
    look: (line) => qtest.takeRaised(first + line) || qtest.lineLevel(first + line),
  };
}

/** VT82C686B function 0: 4-bit fields that route PIRQA–D. */
const viaRouting: readonly (readonly [register: number, value: number])[] = [
  [0x55, isaLines[0] << 4],
  [0x56, (isaLines[2] << 4) | isaLines[1]],
  [0x57, isaLines[3] << 4],
];
const viaSlot = 7;

function southBridgeLines(bridge: BridgeDescription, spaces: ProcessorSpaces, qtest: QtestClient): LineSource {
  return {
    prepare() {
      const config = openConfigAccess(spaces, bridge.config);
      const { sense } = bridge.interrupts;
      if (sense?.kind === "piix3") {
        const south = functionAddress(bridge.bus, sense.slot, sense.function);
        isaLines.forEach((isa, line) => {
          config.write(south, sense.routing + line, 1, isa);
        });
        return;
      }
      const south = functionAddress(bridge.bus, viaSlot, 0);
      for (const [register, value] of viaRouting) config.write(south, register, 1, value);
    },
    look(line) {
      const isa = isaLines[line];
      return qtest.takeRaised(isa) || qtest.lineLevel(isa);
    },
  };
}

/** MV64361 registers for interrupts, from the chip's base. */
const mv64361 = {
  /** CPU interrupt mask, causes 32–63. */
  cpuMaskHigh: 0x1c,
  /** Cause 57: general-purpose pins 8–15. */
  pinsCause: 1 << 25,
  pinCause: 0xf108,
  /** Cause bits of pins that carry no PCI line. */
  lowPins: 0x1ff,
  pinMask: 0xf10c,
} as const;

/** The processor's external interrupt input, as QEMU numbers the inputs of a 74xx. */
const externalInterrupt = 5;

function mv64361Pins(bridge: BridgeDescription, spaces: ProcessorSpaces, qtest: QtestClient): LineSource {
  const { sense, lines } = bridge.interrupts;
  const registers = bridge.unit?.registers;
  if (sense?.kind !== "mv64361" || registers === undefined) {
    throw new RangeError(`${bridge.name}: the description does not say where its interrupt pins are`);
  }
  const { memorySpace } = spaces;
  const pins = ((1 << lines) - 1) << sense.firstBit;
  /** Pins that were up when last looked at and not told of since. */
  let fresh = 0;
  /** Pins that were told of and may still be up: another function's request on the same pin makes no new edge. */
  let held = 0;
  const acknowledge = () => {
    // QEMU (7.2 to 10.0) stores what is written, and lowers the processor's input only when low cause bits fall.
    memorySpace.write32(registers + mv64361.pinCause, mv64361.lowPins);
    memorySpace.write32(registers + mv64361.pinCause, 0);
  };
  return {
    prepare() {
      acknowledge();
      memorySpace.write32(registers + mv64361.pinMask, pins);
      memorySpace.write32(registers + mv64361.cpuMaskHigh, mv64361.pinsCause);
    },
    look(line) {
      const bit = 1 << (sense.firstBit + line);
      if (qtest.takeRaised(externalInterrupt) || qtest.lineLevel(externalInterrupt)) {
        // In this order nothing is lost: a pin that rises after the acknowledgement raises the input again.
        acknowledge();
        fresh |= memorySpace.read32(sense.valueRegister) & pins;
      }
      if ((fresh & bit) !== 0) {
        fresh &= ~bit;
        held |= bit;
        return true;
      }
      if ((held & bit) === 0) return false;
      if ((memorySpace.read32(sense.valueRegister) & bit) !== 0) return true;
      held &= ~bit;
      return false;
    },
  };
}
