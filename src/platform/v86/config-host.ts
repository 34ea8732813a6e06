/** Configuration cycles: those for our functions go to them, all others to v86's own host. */
import type { AccessWidth } from "../../bytes/index.js";
import type { PciFunction } from "../../pci/index.js";
import type { V86Cpu } from "./emulator.js";
import type { RegisterGate } from "./register-gate.js";

/** What v86 shows in its address register when a function answers. */
const answered = 0x8000_0000 | 0;

/** Takes over v86's configuration mechanism for the functions that `at` knows, by bus, slot and function number. */
export function hostConfiguration(
  cpu: V86Cpu,
  gate: RegisterGate,
  at: (place: number) => PciFunction | undefined,
  othersMoved: () => void,
): void {
  const { pci } = cpu.devices;
  const query = pci.pci_query.bind(pci);
  pci.pci_query = () => {
    const fn = at((pci.pci_addr[2] << 8) | pci.pci_addr[1]);
    if (fn === undefined) return query();
    pci.pci_status32[0] = answered;
    pci.pci_response32[0] = gate.readConfig(fn, pci.pci_addr[0] & 0xfc);
  };
  const hosted =
    (width: AccessWidth, original: (address: number, value: number) => void) => (address: number, value: number) => {
      const place = (address >> 8) & 0xffff;
      const fn = at(place);
      if (fn !== undefined) return gate.writeConfig(fn, address & 0xff, width, value);
      // v86 throws where nobody is.
      if (pci.device_spaces[place] === undefined) return;
      original(address, value);
      othersMoved();
    };
  pci.pci_write8 = hosted(1, pci.pci_write8.bind(pci));
  pci.pci_write16 = hosted(2, pci.pci_write16.bind(pci));
  pci.pci_write32 = hosted(4, pci.pci_write32.bind(pci));
}
