/** Mai Logic Articia S, device half. Its configuration registers and windows are fixed by the board. */
import type { BridgeDescription } from "./bridge-description.js";
import { FixedHostBridge } from "./host-bridge.js";

/** The Articia S: registers and windows are where the AmigaOne has them. */
export class ArticiaS extends FixedHostBridge {
  /** @throws RangeError when the description is that of another bridge. */
  constructor(description: BridgeDescription) {
    if (description.kind !== "articia") throw new RangeError(`${description.name} is no Articia S`);
    super(description);
  }
}
