import { blockRequests } from "./block-requests.js";
import { blockStack } from "./block-stack.js";
import { commands } from "./commands.js";
import { filesystems } from "./filesystems.js";
import { registers } from "./registers.js";
import { restlessRings, restlessRingsBlk, rings, ringsBlk } from "./rings.js";
import { scriptsTools, scriptsTurns } from "./scripts.js";
import type { Soak } from "./soak.js";
import { stack } from "./stack.js";
import { storport } from "./storport.js";
import { restlessUsedRings, usedRings } from "./used-rings.js";
import { vhostMessages } from "./vhost-messages.js";

/** Every soak, in the order in which they are run. */
export const soaks: readonly Soak[] = [
  rings,
  restlessRings,
  ringsBlk,
  restlessRingsBlk,
  usedRings,
  restlessUsedRings,
  registers,
  commands,
  stack,
  blockRequests,
  blockStack,
  vhostMessages,
  scriptsTools,
  scriptsTurns,
  storport,
  filesystems,
];
