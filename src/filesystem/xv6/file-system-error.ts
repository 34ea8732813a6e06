/** Why a path or an image cannot be read. The message is one line for people. */
export class FileSystemError extends Error {
  override readonly name = "FileSystemError";
  readonly code: "not-this-format" | "damaged" | "not-found" | "not-a-directory" | "not-a-file";

  constructor(code: FileSystemError["code"], message: string) {
    super(message);
    this.code = code;
  }
}
