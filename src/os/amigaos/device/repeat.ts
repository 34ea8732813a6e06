/** When a command is sent again. */
import { ScsiStatus, SenseKey } from "../../../scsi/index.js";
import { type ScsiRequest, ScsiResponse } from "../../../virtio/index.js";
import { senseKeyOf } from "../commands/io-errors.js";
import type { AmigaProfile } from "../profile.js";

/** Attempts that version 1.5's synchronous path makes in all. */
export const strictAttempts = 3;
/** A unit has a handful of attentions; one that never runs out of them is broken. */
const attentionLimit = 16;
const busyLimit = 100;
/** Milliseconds before a busy unit is asked again. */
export const busyPause = 10;

/** What to do with a command that came back: take the answer, send it again now, or after a pause. */
export type RepeatDecision = "no" | "now" | "pause";

/** @param how the path's behaviour; `repeats` how often it was repeated already. */
export function decideRepeat(
  scsi: ScsiRequest,
  how: "attention" | "any-check-condition" | "none",
  repeats: number,
  profile: AmigaProfile,
): RepeatDecision {
  if (how === "none" || scsi.outcome !== "done") return "no";
  const { response, status } = scsi;
  if (how === "any-check-condition") {
    const isCheck = response === ScsiResponse.Ok && status === ScsiStatus.CheckCondition;
    return isCheck && repeats + 1 < strictAttempts ? "now" : "no";
  }
  if (response === ScsiResponse.Reset) return repeats < attentionLimit ? "now" : "no";
  if (response === ScsiResponse.Busy) return repeats < busyLimit ? "pause" : "no";
  if (response !== ScsiResponse.Ok) return "no";
  if (status === ScsiStatus.Busy || status === ScsiStatus.TaskSetFull) return repeats < busyLimit ? "pause" : "no";
  if (status !== ScsiStatus.CheckCondition) return "no";
  const key = senseKeyOf(scsi.sense, scsi.senseLength, profile.commands);
  return key === SenseKey.UnitAttention && repeats < attentionLimit ? "now" : "no";
}
