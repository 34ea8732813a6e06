/**
 * As much of an m68k encoder as the monitor needs: a method an instruction (M68000 Family Programmer's Reference
 * Manual), labels, and branches of 16 bits.
 */

/** Operand sizes. */
export type OperandSize = "b" | "w" | "l";

/** An operand: the six bits of an effective address and the words that follow the instruction. */
export interface Operand {
  readonly mode: number;
  readonly register: number;
  /** Words after the instruction, most significant first. */
  readonly extension: readonly number[];
}

/** Conditions of Bcc. */
export const Condition = { always: 0, hi: 2, ls: 3, cc: 4, cs: 5, ne: 6, eq: 7, pl: 10, mi: 11 } as const;
/** A condition of {@link Condition}. */
export type ConditionName = keyof typeof Condition;

const words = (value: number): readonly number[] => [(value >>> 16) & 0xffff, value & 0xffff];

/** Dn. */
export const d = (register: number): Operand => ({ mode: 0, register, extension: [] });
/** An. */
export const a = (register: number): Operand => ({ mode: 1, register, extension: [] });
/** (An). */
export const at = (register: number): Operand => ({ mode: 2, register, extension: [] });
/** (An)+. */
export const postIncrement = (register: number): Operand => ({ mode: 3, register, extension: [] });
/** (offset,An). */
export const displaced = (offset: number, register: number): Operand => ({
  mode: 5,
  register,
  extension: [offset & 0xffff],
});
/** (address).L. */
export const absolute = (address: number): Operand => ({ mode: 7, register: 1, extension: words(address) });
/** #value for an instruction of that size. */
export const immediate = (value: number, size: OperandSize): Operand => ({
  mode: 7,
  register: 4,
  extension: size === "l" ? words(value) : [size === "b" ? value & 0xff : value & 0xffff],
});

const moveSize = { b: 1, w: 3, l: 2 } as const;
const commonSize = { b: 0, w: 1, l: 2 } as const;

/** Emits instructions from `origin` on. */
export class M68kEncoder {
  readonly #origin: number;
  readonly #words: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: { readonly index: number; readonly label: string; readonly kind: "relative" | "address" }[] = [];

  /** @param origin the address of the first byte, even. */
  constructor(origin: number) {
    this.#origin = origin;
  }

  /** The address of what comes next. */
  get here(): number {
    return this.#origin + 2 * this.#words.length;
  }

  /** Names the address of what comes next. @throws RangeError when the name is taken. */
  label(name: string): void {
    if (this.#labels.has(name)) throw new RangeError(`the label ${name} is there twice`);
    this.#labels.set(name, this.here);
  }

  /** Words as they are. */
  data(...values: readonly number[]): void {
    for (const value of values) this.#words.push(value & 0xffff);
  }

  /** The address of a label, 32 bits. */
  addressOf(label: string): void {
    this.#fixups.push({ index: this.#words.length, label, kind: "address" });
    this.data(0, 0);
  }

  move(size: OperandSize, from: Operand, to: Operand): void {
    const target = (to.register << 9) | (to.mode << 6);
    this.data((moveSize[size] << 12) | target | (from.mode << 3) | from.register, ...from.extension, ...to.extension);
  }

  /** MOVEQ: a signed byte into a whole data register. */
  moveQuick(value: number, register: number): void {
    this.data(0x7000 | (register << 9) | (value & 0xff));
  }

  /** LEA label,An. */
  loadAddress(label: string, register: number): void {
    this.data(0x41f9 | (register << 9));
    this.addressOf(label);
  }

  add(size: OperandSize, from: Operand, register: number): void {
    this.#arithmetic(0xd, size, from, register);
  }

  subtract(size: OperandSize, from: Operand, register: number): void {
    this.#arithmetic(0x9, size, from, register);
  }

  and(size: OperandSize, from: Operand, register: number): void {
    this.#arithmetic(0xc, size, from, register);
  }

  compare(size: OperandSize, from: Operand, register: number): void {
    this.#arithmetic(0xb, size, from, register);
  }

  /** ADDQ, 1 to 8. */
  addQuick(size: OperandSize, value: number, to: Operand): void {
    this.data(0x5000 | ((value & 7) << 9) | (commonSize[size] << 6) | (to.mode << 3) | to.register, ...to.extension);
  }

  /** SUBQ, 1 to 8. */
  subtractQuick(size: OperandSize, value: number, to: Operand): void {
    this.data(0x5100 | ((value & 7) << 9) | (commonSize[size] << 6) | (to.mode << 3) | to.register, ...to.extension);
  }

  /** Left shift of a whole register by 1 to 8. */
  shiftLeft(count: number, register: number): void {
    this.data(0xe188 | ((count & 7) << 9) | register);
  }

  /** Left rotation of a whole register by 1 to 8. */
  rotateLeft(count: number, register: number): void {
    this.data(0xe198 | ((count & 7) << 9) | register);
  }

  test(size: OperandSize, what: Operand): void {
    this.data(0x4a00 | (commonSize[size] << 6) | (what.mode << 3) | what.register, ...what.extension);
  }

  /** BTST #bit,Dn. */
  testBit(bit: number, register: number): void {
    this.data(0x0800 | register, bit);
  }

  branch(condition: ConditionName, label: string): void {
    this.data(0x6000 | (Condition[condition] << 8));
    this.#relative(label);
  }

  call(label: string): void {
    this.data(0x6100);
    this.#relative(label);
  }

  /** JSR (An). */
  callAt(register: number): void {
    this.data(0x4e90 | register);
  }

  /** JMP (An). */
  jumpAt(register: number): void {
    this.data(0x4ed0 | register);
  }

  returns(): void {
    this.data(0x4e75);
  }

  /** MOVE #value,SR. */
  setStatus(value: number): void {
    this.data(0x46fc, value);
  }

  /** MOVEC Dn,control register. */
  setControl(register: number, control: number): void {
    this.data(0x4e7b, (register << 12) | control);
  }

  /** What was emitted, big-endian. @throws RangeError for a label that is nowhere or too far. */
  finish(): Uint8Array {
    for (const { index, label, kind } of this.#fixups) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new RangeError(`there is no label ${label}`);
      if (kind === "address") {
        [this.#words[index], this.#words[index + 1]] = words(target);
        continue;
      }
      const offset = target - (this.#origin + 2 * index);
      if (offset < -0x8000 || offset > 0x7fff) throw new RangeError(`the label ${label} is too far`);
      this.#words[index] = offset & 0xffff;
    }
    const bytes = new Uint8Array(2 * this.#words.length);
    const view = new DataView(bytes.buffer);
    for (const [index, word] of this.#words.entries()) view.setUint16(2 * index, word);
    return bytes;
  }

  #relative(label: string): void {
    this.#fixups.push({ index: this.#words.length, label, kind: "relative" });
    this.data(0);
  }

  #arithmetic(line: number, size: OperandSize, from: Operand, register: number): void {
    const opcode = (line << 12) | (register << 9) | (commonSize[size] << 6) | (from.mode << 3) | from.register;
    this.data(opcode, ...from.extension);
  }
}
