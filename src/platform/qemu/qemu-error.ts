/** QEMU could not be started, ended, hung or refused a command. One line that says which, with QEMU's own last words. */
export class QemuError extends Error {
  override readonly name = "QemuError";
}
