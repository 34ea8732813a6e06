/**
 * What devices keep in a snapshot, and how it is read back. A snapshot comes from outside: everything in it is looked at
 * before anything is changed, so that one that is damaged, or of another version, is refused and the device is as it was.
 */
import { UnsupportedError } from "../errors/index.js";

/** A value in a snapshot: what can be cloned and stored as it is. */
export type SavedValue = number | boolean | bigint | string | Uint8Array | SavedFields | readonly SavedValue[];

/** Values by name. */
export interface SavedFields {
  readonly [name: string]: SavedValue | undefined;
}

/** Reads values by name; each call says what the value must be. All of them throw RangeError for one that is not. */
export class SavedReader {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #whose: string;
  readonly #path: string;

  /**
   * @param whose for messages: the device
   * @param path for messages: where in its state this is
   * @throws RangeError when `saved` is nothing that has fields
   */
  constructor(saved: unknown, whose: string, path = "") {
    this.#whose = whose;
    this.#path = path;
    if (typeof saved !== "object" || saved === null) this.refuse("", "is missing");
    this.#fields = saved as Readonly<Record<string, unknown>>;
  }

  /** Looks at the field `version`. @throws UnsupportedError when it is another one */
  version(known: number): void {
    const version = this.whole("version", Number.MAX_SAFE_INTEGER);
    if (version === known) return;
    const which = `${this.#named("version")} is ${version}`;
    throw new UnsupportedError(`the saved state of ${this.#whose} cannot be used: ${which}, this knows ${known}`);
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  /** A whole number of 0…`most`. */
  whole(name: string, most: number): number {
    const value = this.amount(name, most);
    return Number.isInteger(value) ? value : this.refuse(name, `is ${value}, no whole number`);
  }

  /** A number of 0…`most`. */
  amount(name: string, most: number): number {
    const value = this.#fields[name];
    if (typeof value === "number" && value >= 0 && value <= most) return value;
    return this.refuse(name, `is ${typeof value === "number" ? value : typeof value}, not 0 to ${most}`);
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    return typeof value === "boolean" ? value : this.refuse(name, `is ${typeof value}, not true or false`);
  }

  /** A set of bits, all of them in `allowed`. */
  bits(name: string, allowed: bigint): bigint {
    const value = this.#fields[name];
    if (typeof value !== "bigint") return this.refuse(name, `is ${typeof value}, no set of bits`);
    if (value >= 0n && (value & ~allowed) === 0n) return value;
    return this.refuse(name, `is 0x${value.toString(16)}, more than the 0x${allowed.toString(16)} that there can be`);
  }

  text(name: string): string {
    const value = this.#fields[name];
    return typeof value === "string" ? value : this.refuse(name, `is ${typeof value}, no text`);
  }

  /** Bytes, at most so many, copied. */
  bytes(name: string, most: number): Uint8Array {
    const value = this.#fields[name];
    if (!(value instanceof Uint8Array)) return this.refuse(name, `is ${typeof value}, no bytes`);
    return value.length <= most ? value.slice() : this.refuse(name, `has ${value.length} bytes, at most ${most} fit`);
  }

  /** What `read` makes of each entry of a list, of at most so many. */
  list<Entry>(name: string, most: number, read: (entry: SavedReader) => Entry): Entry[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) return this.refuse(name, `is ${typeof value}, no list`);
    if (value.length > most) return this.refuse(name, `has ${value.length} entries, at most ${most} fit`);
    return value.map((entry, index) => read(new SavedReader(entry, this.#whose, `${this.#named(name)} ${index}`)));
  }

  /** A part with fields of its own. */
  part(name: string): SavedReader {
    return new SavedReader(this.#fields[name], this.#whose, this.#named(name));
  }

  /** @throws RangeError always */
  refuse(name: string, why: string): never {
    throw new RangeError(`the saved state of ${this.#whose} cannot be used: ${this.#named(name)} ${why}`);
  }

  #named(name: string): string {
    return [this.#path, name].filter((part) => part !== "").join(".") || "it";
  }
}
