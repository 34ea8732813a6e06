/** The kernel stopped. */
export class AmixPanic extends Error {
  override readonly name = "AmixPanic";

  constructor(reason: string) {
    super(`panic: ${reason}`);
  }
}
