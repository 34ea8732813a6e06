/** The kernel stopped: what xv6 prints behind `panic: `. */
export class Xv6Panic extends Error {
  override readonly name = "Xv6Panic";

  constructor(reason: string) {
    super(`panic: ${reason}`);
  }
}
