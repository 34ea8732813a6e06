/**
 * The PC's memory: the part of v86's WebAssembly memory that it uses as RAM. A WebAssembly memory that grows has a new
 * `ArrayBuffer` and leaves empty views behind, so before a device works the buffer is looked at.
 */
import { GuestMemory, MemoryRegion } from "../../memory/index.js";
import type { V86Cpu } from "./emulator.js";

/** Heap that v86 is made to have beforehand, so that it seldom grows later. */
const heapReserve = 24 << 20;

/** Memory that moves with its buffer. */
export class V86Ram {
  readonly memory: GuestMemory;
  readonly #cpu: V86Cpu;
  readonly #region: MemoryRegion;
  readonly #moved: () => void;
  #buffer: ArrayBuffer;

  /** @param moved called when the memory has other views than before. */
  constructor(cpu: V86Cpu, moved: () => void) {
    cpu.zstd_free_ctx(cpu.zstd_create_ctx(heapReserve));
    this.#cpu = cpu;
    this.#moved = moved;
    this.#buffer = cpu.wasm_memory.buffer;
    this.#region = new MemoryRegion(0, this.#bytes());
    this.memory = new GuestMemory([this.#region]);
  }

  /** To be called before a device may touch memory. */
  look(): void {
    if (this.#cpu.wasm_memory.buffer === this.#buffer) return;
    this.#buffer = this.#cpu.wasm_memory.buffer;
    this.#region.rebase(this.#bytes());
    this.#moved();
  }

  #bytes(): Uint8Array {
    return new Uint8Array(this.#buffer, this.#cpu.mem8.byteOffset, this.#cpu.memory_size[0]);
  }
}
