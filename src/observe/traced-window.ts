import {
  type AccessWidth,
  type RegisterTable,
  type RegisterWindow,
  readRegister,
  registerName,
  windowOf,
  writeRegister,
} from "../bytes/index.js";
import type { Observer } from "./events.js";

/** `window`, with every access told to `observer` under the names of `table`. Without an observer, `window` itself. */
export function tracedWindow(
  window: RegisterWindow,
  table: RegisterTable,
  source: string,
  observer: Observer | undefined,
): RegisterWindow {
  if (observer === undefined) return window;
  const emit = (name: string, offset: number, width: AccessWidth, value: number) =>
    observer.emit({
      category: "registers",
      source,
      name,
      fields: { register: registerName(table, offset), width, value },
    });
  return windowOf(
    (offset, width) => {
      const value = readRegister(window, offset, width);
      emit("read", offset, width, value);
      return value;
    },
    (offset, width, value) => {
      emit("write", offset, width, value);
      writeRegister(window, offset, width, value);
    },
  );
}
