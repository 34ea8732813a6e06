/**
 * 16-bit ring arithmetic, in this one place.
 *
 * Whether the other side asked to be told: it wrote `event`, and the index moved from `old` to `now` (virtio 1.2
 * §2.7.10: the event index lies among the entries just added, counted with wrap).
 */
export function needsEvent(event: number, now: number, old: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - old) & 0xffff);
}

/** `index + count` on a 16-bit ring. */
export function indexAdd(index: number, count: number): number {
  return (index + count) & 0xffff;
}

/** How far `ahead` is in front of `behind`. */
export function indexDistance(ahead: number, behind: number): number {
  return (ahead - behind) & 0xffff;
}
