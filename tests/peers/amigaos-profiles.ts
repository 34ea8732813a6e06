/** The Amiga device's profiles as they can be tried with several requests at once on QEMU's machines. */
import { type Board, pegasos2 } from "../../src/machine/index.js";
import { type AmigaProfile, amigaProfiles } from "../../src/os/index.js";

/**
 * The profile; version 1.5 on a modern device without its byte order of used_event: with that, two requests at once hang
 * now and then, as it did (B32).
 */
export function profilePastB32(board: Board, name: "strict" | "extended"): AmigaProfile {
  const profile = amigaProfiles[name];
  if (name === "extended" || board !== pegasos2) return profile;
  return { ...profile, behaviour: { ...profile.behaviour, usedEventOrder: "ring" } };
}
