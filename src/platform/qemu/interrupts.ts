/**
 * Interrupts of a QEMU machine for drivers: lines by qtest's interception, messages as words of memory that a device
 * writes. Everything is delivered from {@link QemuInterrupts.deliver}, never from inside a register access.
 */
import type { Board, Interrupts } from "../../machine/index.js";
import type { DmaBlock, DmaMemory } from "../../memory/index.js";
import type { BridgeDescription, ProcessorSpaces } from "../../pci/index.js";
import { inputLines, type LinePlace, type LineSource, lineSource } from "./interrupt-lines.js";
import type { QtestClient } from "./qtest.js";

interface AttachedLine {
  readonly source: LineSource;
  readonly line: number;
  readonly handler: () => void;
  /** As seen in this round of deliveries. */
  raised: boolean;
}

interface AttachedMessage {
  readonly block: DmaBlock;
  readonly word: Int32Array;
  readonly handler: () => void;
}

/** The interrupts of one QEMU machine. */
export class QemuInterrupts implements Interrupts {
  readonly attachMessage?: NonNullable<Interrupts["attachMessage"]>;
  readonly attachInput?: NonNullable<Interrupts["attachInput"]>;
  readonly #bridges: readonly BridgeDescription[];
  readonly #spaces: ProcessorSpaces;
  readonly #qtest: QtestClient;
  readonly #sources = new Map<string, LineSource>();
  #lines: AttachedLine[] = [];
  #messages: AttachedMessage[] = [];
  #nextData = 1;

  constructor(board: Board, spaces: ProcessorSpaces, qtest: QtestClient, dma: DmaMemory) {
    const { bridges } = board;
    this.#bridges = bridges;
    this.#spaces = spaces;
    this.#qtest = qtest;
    if (bridges.some((bridge) => bridge.messageInterrupts)) {
      this.attachMessage = (handler) => this.#attachMessage(handler, dma);
    }
    if (bridges.length === 0 && board.mmio !== undefined) {
      const source = inputLines(qtest);
      this.attachInput = (irq, handler) => this.#attach(source, irq, handler);
    }
  }

  attachLine(place: LinePlace, handler: () => void): () => void {
    const bridge = this.#bridges[place.bridge];
    if (bridge === undefined) throw new RangeError(`the board has no bridge ${place.bridge}`);
    if (!(place.pin >= 1 && place.pin <= 4))
      throw new RangeError(`a function that interrupts has pin 1–4, not ${place.pin}`);
    if (place.bus !== bridge.bus) throw new RangeError("interrupts from behind a PCI-to-PCI bridge are not routed");
    const { lines, offset } = bridge.interrupts;
    // Both units of an MV64361 have the same pins.
    const key = bridge.unit === undefined ? `${place.bridge}` : `unit at ${bridge.unit.registers}`;
    let source = this.#sources.get(key);
    if (source === undefined) {
      source = lineSource(bridge, this.#spaces, this.#qtest);
      source.prepare();
      this.#sources.set(key, source);
    }
    return this.#attach(source, (place.slot + place.pin - 1 + offset) % lines, handler);
  }

  #attach(source: LineSource, line: number, handler: () => void): () => void {
    const attached: AttachedLine = { source, line, handler, raised: false };
    this.#lines = [...this.#lines, attached];
    return () => {
      this.#lines = this.#lines.filter((other) => other !== attached);
    };
  }

  #attachMessage(handler: () => void, dma: DmaMemory) {
    const block = dma.allocate(4, 4);
    const word = new Int32Array(block.region.bytes.buffer, block.region.bytes.byteOffset + block.offset, 1);
    const attached: AttachedMessage = { block, word, handler };
    this.#messages = [...this.#messages, attached];
    return {
      address: block.address,
      data: this.#nextData++ & 0x7fff_ffff || 1,
      detach: () => {
        if (!this.#messages.includes(attached)) return;
        this.#messages = this.#messages.filter((other) => other !== attached);
        dma.free(block);
      },
    };
  }

  /**
   * Calls the handlers of everything that was raised or written since the last time.
   * @returns true when there was any. @throws QemuError when QEMU has ended, and what a handler throws.
   */
  deliver(): boolean {
    this.#qtest.poll();
    let any = false;
    const messages = this.#messages;
    for (let index = 0; index < messages.length; index++) {
      const { word, handler } = messages[index];
      // Cleared before the handler looks: what the device does from now on is another message.
      if (word[0] === 0 || Atomics.exchange(word, 0, 0) === 0) continue;
      any = true;
      handler();
    }
    const lines = this.#lines;
    if (lines.length === 0) return any;
    // First all levels, then the handlers: several functions may share a line, and one handler lowers it for all.
    for (let index = 0; index < lines.length; index++) {
      const { source, line } = lines[index];
      let first = 0;
      while (lines[first].source !== source || lines[first].line !== line) first++;
      lines[index].raised = first < index ? lines[first].raised : source.look(line);
    }
    for (let index = 0; index < lines.length; index++) {
      if (!lines[index].raised) continue;
      any = true;
      lines[index].handler();
    }
    return any;
  }
}
