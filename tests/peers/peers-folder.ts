/** Where `.ci/install-peers` unpacks what it does not install: `.peers` of the project, or what RINGSIDE_PEERS names. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// dist/tests/peers/peers-folder.js
export const peersFolder =
  process.env["RINGSIDE_PEERS"] ?? join(fileURLToPath(new URL("../../..", import.meta.url)), ".peers");
