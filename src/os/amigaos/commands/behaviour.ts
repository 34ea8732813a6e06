/** How commands behave where the driver's history knows two ways, as data; the first value of each field is right. */

/** One field for each choice. */
export interface CommandBehaviour {
  /** Sense of forwarded commands is delivered to the caller, or thrown away. */
  readonly forwardedSense: "delivered" | "discarded";
}

/** Everything right. */
export const rightCommands: CommandBehaviour = { forwardedSense: "delivered" };

/** Version 1.5. */
export const strictCommands: CommandBehaviour = { forwardedSense: "discarded" };
