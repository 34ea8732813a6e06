/** Intel 440FX, device half: configuration at the ports 0xCF8 and 0xCFC, PCI memory where no RAM is. */
import type { BridgeDescription } from "./bridge-description.js";
import { FixedHostBridge } from "./host-bridge.js";

export class I440fx extends FixedHostBridge {
  /** @throws RangeError when the description is that of another bridge. */
  constructor(description: BridgeDescription) {
    if (description.kind !== "i440fx") throw new RangeError(`${description.name} is no i440FX`);
    super(description);
  }
}
