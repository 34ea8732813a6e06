/** How a unit's task is started, and with what. */
import type { AmigaUnit, Running } from "./amiga-unit.js";

/** What a task finds when it starts. */
export interface StartMessage {
  unit: AmigaUnit | undefined;
  running: Running | undefined;
}

/** The message of a driver that kept it where the next start puts its own. */
export const sharedMessage: StartMessage = { unit: undefined, running: undefined };

/** CreateTask: the new task gets the processor after whoever made it let go of it. */
export async function startTask(message: StartMessage): Promise<void> {
  for (let turn = 0; turn < 16; turn++) await Promise.resolve();
  const { unit, running } = message;
  if (unit !== undefined && running !== undefined) await unit.runTask(running);
}
