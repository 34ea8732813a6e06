import type { Observer } from "../../observe/index.js";
import type { Behaviour } from "./behaviour.js";
import type { DebugPrint } from "./debug-print.js";
import type { StorportProfile } from "./profile.js";

/** How a driver is loaded. */
export interface PortOptions {
  readonly profile: StorportProfile;
  /** Default: everything right. */
  readonly behaviour?: Behaviour | undefined;
  readonly debug?: DebugPrint | undefined;
  readonly observer?: Observer | undefined;
  /** Default `messages`, as far as profile, machine and device have them. */
  readonly interrupts?: "messages" | "line" | "none" | undefined;
  /** Messages to connect at most. Default what the profile's install table says. */
  readonly messageLimit?: number | undefined;
  /** Processors; as many queues can be used. Default 4. */
  readonly processors?: number | undefined;
  /** Features to leave alone. */
  readonly unwantedFeatures?: bigint | undefined;
  /** Default 5000 ms. */
  readonly resetTimeout?: number | undefined;
}
