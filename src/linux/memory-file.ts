/**
 * Memory that is a file without a name (`memfd_create`): it can be given to another process and is gone with its last
 * user. Unlike a file in /dev/shm it does not depend on the size of that file system.
 */
import { closeDescriptor } from "./descriptor.js";
import { libcFunction } from "./libc.js";
import { systemCallError } from "./system-error.js";

const memfdCreate = libcFunction("int memfd_create(const char *, unsigned int)");
const truncateCall = libcFunction("int ftruncate(int, int64_t)");
const closeOnExec = 1;
const allowSealing = 2;

/**
 * Makes zeroed memory of `size` bytes. @param name shown in /proc only.
 * @param options.sealable whoever has it may forbid that its size changes (`preventShrinking`). Default false.
 * @returns a descriptor, which the caller closes.
 * @throws SystemCallError
 */
export function createMemoryFile(name: string, size: number, options: { sealable?: boolean } = {}): number {
  if (!Number.isSafeInteger(size) || size <= 0) throw new RangeError(`size must be a positive integer, got ${size}`);
  const descriptor: number = memfdCreate()(name, options.sealable === true ? closeOnExec | allowSealing : closeOnExec);
  if (descriptor < 0) throw systemCallError("memfd_create", name);
  if (truncateCall()(descriptor, size) < 0) {
    const error = systemCallError("ftruncate", `${size} bytes`);
    closeDescriptor(descriptor);
    throw error;
  }
  return descriptor;
}
