/** Placeholder while it is written. */
import type { Interruption } from "./interruption.js";
/** Serves. */
export async function servePage(_port: number, _interruption: Interruption): Promise<void> {}
