import { type RegisterWindow, readRegister, windowOf, writeRegister } from "../src/bytes/index.js";
import type { Machine } from "../src/machine/index.js";

/** A machine whose register accesses are counted. */
export function countedMachine(machine: Machine): { machine: Machine; accesses(): number } {
  let count = 0;
  const counted = (window: RegisterWindow) =>
    windowOf(
      (offset, width) => {
        count++;
        return readRegister(window, offset, width);
      },
      (offset, width, value) => {
        count++;
        writeRegister(window, offset, width, value);
      },
    );
  const { portSpace } = machine;
  const view = Object.create(machine, {
    memorySpace: { value: counted(machine.memorySpace) },
    portSpace: { value: portSpace === undefined ? undefined : counted(portSpace) },
    idle: { value: (milliseconds: number) => machine.idle(milliseconds) },
  }) as Machine;
  return { machine: view, accesses: () => count };
}
