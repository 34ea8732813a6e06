import { amix } from "./amix.js";
import { blockRequests } from "./block-requests.js";
import { blockStack } from "./block-stack.js";
import { commands } from "./commands.js";
import { filesystems } from "./filesystems.js";
import { netPackets } from "./net-packets.js";
import { registers } from "./registers.js";
import { ringSoaks } from "./rings.js";
import { scriptsTools, scriptsTurns } from "./scripts.js";
import type { Soak } from "./soak.js";
import { stack } from "./stack.js";
import { storport } from "./storport.js";
import { usedRingSoaks } from "./used-rings.js";
import { vhostMessages } from "./vhost-messages.js";

/** Every soak, in the order in which they are run. */
export const soaks: readonly Soak[] = [
  ...ringSoaks,
  ...usedRingSoaks,
  registers,
  commands,
  stack,
  blockRequests,
  blockStack,
  netPackets,
  vhostMessages,
  scriptsTools,
  scriptsTurns,
  storport,
  amix,
  filesystems,
];
