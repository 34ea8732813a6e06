/** The wire of virtio-console, for both halves (virtio 1.2 §5.3; 0.9.5 appendix E). */
import { struct, u16, u32 } from "../../bytes/index.js";
import type { FeatureTable } from "../../transport/index.js";

/** The virtio device ID, virtio 1.2 §5. */
export const virtioConsoleId = 3;

/** §5.3.3. EMERG_WRITE came with 1.0. */
export const consoleFeatures = { SIZE: 0, MULTIPORT: 1, EMERG_WRITE: 2 } as const satisfies FeatureTable;

/** §5.3.4: columns and rows with SIZE, the number of ports with MULTIPORT, a character to print with EMERG_WRITE. */
export const consoleConfig = struct({ columns: u16, rows: u16, maxPorts: u32, emergencyWrite: u32 });

/** Queue numbers of the control messages, §5.3.2. */
export const ConsoleQueue = { ControlReceive: 2, ControlTransmit: 3 } as const;

/** Number of the queue on which a port receives (the driver's view), §5.3.2. The next one is where it transmits. */
export function receiveQueueOf(port: number): number {
  return port === 0 ? 0 : 2 + 2 * port;
}

/** Number of the queue on which a port transmits. */
export function transmitQueueOf(port: number): number {
  return receiveQueueOf(port) + 1;
}

/** The port that a queue belongs to; undefined for the two control queues. */
export function portOfQueue(queue: number): number | undefined {
  if (queue < 2) return 0;
  return queue < 4 ? undefined : (queue - 2) >>> 1;
}

/** A control message, §5.3.6.2; a name follows PORT_NAME, a size follows RESIZE. */
export const consoleControl = struct({ id: u32, event: u16, value: u16 });

/** Kinds of control messages. `value` is 1 for yes or success, 0 for no or failure, where it means something. */
export const ConsoleEvent = {
  DeviceReady: 0,
  PortAdd: 1,
  PortRemove: 2,
  PortReady: 3,
  ConsolePort: 4,
  Resize: 5,
  PortOpen: 6,
  PortName: 7,
} as const;

/** The name of an event. */
export function consoleEventName(event: number): string {
  return Object.entries(ConsoleEvent).find(([, value]) => value === event)?.[0] ?? `event ${event}`;
}

/** The size of a console in characters. */
export interface ConsoleSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * What follows RESIZE. The specification says columns, rows (`columns-first`). Linux read rows, columns (`rows-first`) from 2010
 * on; 6.16 and the stable kernels of 2026 (6.1.176, 6.12.65) read it as specified, and 6.17 went back. Nothing tells a device
 * which of them it meets.
 */
export type ResizeOrder = "columns-first" | "rows-first";

/** The two fields behind RESIZE, in both orders. */
export const consoleResize = {
  "columns-first": struct({ columns: u16, rows: u16 }),
  "rows-first": struct({ rows: u16, columns: u16 }),
} as const;

/** Ports that a device may have: the most that have queues (65 536 of them, virtio 1.2 §2.6). */
export const mostPorts = 32_767;
