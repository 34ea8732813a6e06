/** Why something on a file system cannot be read; see {@link FileSystemError}. */
export type FileSystemErrorCode =
  /** The disk holds something else. */
  | "not-this-format"
  /** It is that file system, in a kind or with a feature that is not read here. */
  | "not-supported"
  /** What is on the disk contradicts itself or leads outside. */
  | "damaged"
  | "not-found"
  | "not-a-directory"
  | "not-a-file"
  /** Links that lead to links without an end. */
  | "too-many-links"
  /** A link that leads to another volume. */
  | "other-volume";

/** Why a path or an image cannot be read. The message is one line for people. */
export class FileSystemError extends Error {
  override readonly name = "FileSystemError";
  readonly code: FileSystemErrorCode;

  constructor(code: FileSystemErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
