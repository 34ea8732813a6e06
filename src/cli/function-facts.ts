/** What `run` tells of a virtio function that is no storage adapter: for programs, and as a line for people. */

/** A network adapter. */
export interface NetFacts {
  /** Missing when the adapter has no address of its own. */
  readonly mac?: string;
  readonly link: "up" | "down";
  readonly queuePairs: number;
  readonly mtu?: number;
  /** Mbit/s. */
  readonly speed?: number;
}

/** A console with its ports. */
export interface ConsoleFacts {
  readonly ports: readonly {
    readonly id: number;
    readonly name?: string;
    readonly console: boolean;
    /** Somebody is at the device's end. */
    readonly open: boolean;
    /** Characters. */
    readonly columns?: number;
    readonly rows?: number;
  }[];
}

/** A source of random bytes. */
export interface EntropyFacts {
  /** Bytes that came of those that were asked for; missing when nobody asked. */
  readonly bytes?: number;
  /** Why nobody asked. */
  readonly notAsked?: string;
}

/** A balloon, in pages of 4096 bytes. */
export interface BalloonFacts {
  readonly pages: number;
  /** What the device wants. */
  readonly target: number;
}

/** A bus to another processor. */
export interface RpmsgFacts {
  readonly services: readonly { readonly name: string; readonly address: number }[];
}

/** A type without a driver here. */
export interface UnknownFacts {
  readonly type: number;
  /** Feature bits that it offers, by name. */
  readonly offered: readonly string[];
}

/** By the adapter's `kind`. */
export type FunctionFacts = NetFacts | ConsoleFacts | EntropyFacts | BalloonFacts | RpmsgFacts | UnknownFacts;

/** One line for people. */
export function formatFacts(facts: FunctionFacts): string {
  if ("link" in facts) return formatNet(facts);
  if ("ports" in facts) return formatConsole(facts);
  if ("services" in facts) {
    const names = facts.services.map(({ name, address }) => `${name} at ${address}`);
    return names.length === 0 ? "no services" : `services: ${names.join(", ")}`;
  }
  if ("target" in facts) return `${facts.pages} pages in the balloon, ${facts.target} wanted`;
  if ("type" in facts) return `no driver for type ${facts.type}; it offers ${facts.offered.join(" ") || "no features"}`;
  return facts.notAsked === undefined ? `${facts.bytes} random bytes came` : `not asked: ${facts.notAsked}`;
}

function formatNet({ mac, link, queuePairs, mtu, speed }: NetFacts): string {
  const parts = [mac === undefined ? "no MAC" : `MAC ${mac}`, `link ${link}`];
  if (queuePairs > 1) parts.push(`${queuePairs} queue pairs`);
  if (mtu !== undefined) parts.push(`MTU ${mtu}`);
  if (speed !== undefined) parts.push(`${speed} Mbit/s`);
  return parts.join(", ");
}

function formatConsole({ ports }: ConsoleFacts): string {
  const texts = ports.map(({ id, name, console, open, columns, rows }) => {
    const size = columns === undefined ? "" : ` ${columns} × ${rows}`;
    const what = `${console ? "console" : "port"}${name === undefined ? "" : ` ${name}`}${size}`;
    return `${id} ${what}${open ? "" : " (closed)"}`;
  });
  return texts.length === 0 ? "no ports" : `ports: ${texts.join(", ")}`;
}
