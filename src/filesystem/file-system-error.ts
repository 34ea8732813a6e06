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

/** What a name or a link text from a disk could do to a terminal or a log. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Why a path or an image cannot be read. The message is one line for people, whatever names are in it. */
export class FileSystemError extends Error {
  override readonly name = "FileSystemError";
  readonly code: FileSystemErrorCode;

  constructor(code: FileSystemErrorCode, message: string) {
    super(message.replace(unprintable, "?"));
    this.code = code;
  }
}
