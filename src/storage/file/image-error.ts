/** Why an image cannot be opened. */
export type ImageErrorCode =
  | "missing"
  | "directory"
  | "unreadable"
  | "not-writable"
  | "not-a-disk"
  | "empty"
  | "bad-size"
  | "foreign-format"
  | "in-use"
  | "no-locks"
  | "no-direct";

/** An image cannot be used as asked. The message is one line for people: what is wrong, and what to do about it. */
export class ImageError extends Error {
  override readonly name = "ImageError";
  readonly code: ImageErrorCode;

  constructor(code: ImageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    // Where in Ringside this was found says nothing to the one who gave the image.
    this.stack = `${this.name}: ${message}`;
  }
}
