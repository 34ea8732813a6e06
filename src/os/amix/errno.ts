/** Errors as the kernel's entry points answer them; 0 is none. */
export const Errno = {
  None: 0,
  /** A command failed. */
  Io: 5,
  /** No such card, disk or slice. */
  NoDevice: 6,
  NoMemory: 12,
  /** A pointer of the caller leads nowhere. */
  Fault: 14,
  Invalid: 22,
  /** What the network mount of a root ends with when there is no network root. */
  NoNetworkRoot: 89,
} as const;

const names: Readonly<Record<number, string>> = {
  [Errno.Io]: "EIO",
  [Errno.NoDevice]: "ENXIO",
  [Errno.NoMemory]: "ENOMEM",
  [Errno.Fault]: "EFAULT",
  [Errno.Invalid]: "EINVAL",
};

/** `6 (ENXIO)`. */
export function errnoText(errno: number): string {
  const name = names[errno];
  return name === undefined ? `${errno}` : `${errno} (${name})`;
}
