/** Requests that wait for a change of the medium (5.3 of the reference: TD_REMOVE, TD_ADDCHANGEINT, TD_REMCHANGEINT). */
import type { HeldCommand, QuickCommand, UnitRequest } from "../device/command-entry.js";
import type { DeviceAccess, UnitAccess } from "../device/unit.js";
import { IoError } from "../exec/index.js";

type Kind = "heldChangeInterrupts" | "heldRemoves";

/** Unit that a request belongs to. B6: once all were the first unit's. */
function ownerOf(device: DeviceAccess, unit: UnitAccess | undefined): UnitAccess | undefined {
  return device.profile.commands.changeUnit === "own" ? unit : (device.firstUnit ?? unit);
}

/** Keeps a request until the medium changes; one of a kind for each unit. */
export function holdCommand(kind: Kind): HeldCommand {
  return {
    kind: "held",
    run(device, unit, request) {
      const { changeWithoutUnit, replacedRequest } = device.profile.commands;
      const owner = ownerOf(device, unit);
      if (owner === undefined) {
        // B34: nobody ever answers it.
        if (changeWithoutUnit === "no-answer") return "held";
        request.ioError = IoError.OpenFail;
        return "answered";
      }
      const held = owner[kind];
      const older = held.splice(0, held.length);
      held.push(request);
      if (replacedRequest === "aborted") {
        for (const one of older) answer(owner, one, IoError.Aborted);
      }
      return "held";
    },
  };
}

/** TD_REMCHANGEINT: the held request goes back with 0, then this one. */
export const removeChangeInterrupt: QuickCommand = {
  kind: "quick",
  run(device, unit, request) {
    const owner = ownerOf(device, unit);
    if (owner === undefined) {
      request.ioError = IoError.OpenFail;
      return;
    }
    const held = owner.heldChangeInterrupts.splice(0, owner.heldChangeInterrupts.length);
    for (const one of held) {
      // A program may take its request back by the same request: that is this answer.
      if (one === request && device.profile.commands.sameRequest === "once") continue;
      answer(owner, one, IoError.None);
    }
  },
};

function answer(unit: UnitAccess, request: UnitRequest, error: number): void {
  request.ioError = error;
  unit.reply(request);
}
