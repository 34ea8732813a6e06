/** The little of a browser's document that the page uses: this project is compiled without a browser's types. */
import type { ReadableFile } from "./picked-file-store.js";

/** A key that was pressed. */
export interface PageKey {
  readonly key: string;
  readonly ctrlKey: boolean;
  preventDefault(): void;
}

/** An element of the page. */
export interface PageElement {
  textContent: string;
  className: string;
  value: string;
  disabled: boolean;
  href: string;
  download: string;
  scrollTop: number;
  readonly scrollHeight: number;
  readonly files: ArrayLike<ReadableFile> | null;
  append(child: PageElement): void;
  replaceChildren(...children: PageElement[]): void;
  addEventListener(name: string, listener: (event: PageKey) => void): void;
  click(): void;
  focus(): void;
}

interface PageGlobals {
  readonly document: {
    getElementById(id: string): PageElement | null;
    createElement(name: string): PageElement;
  };
  readonly Blob: new (parts: readonly Uint8Array[]) => object;
  readonly URL: { createObjectURL(blob: object): string; revokeObjectURL(url: string): void };
  readonly WebAssembly: {
    instantiate(bytes: ArrayBuffer, imports: object): Promise<{ instance: { exports: object } }>;
  };
  fetch(url: string): Promise<{ readonly ok: boolean; arrayBuffer(): Promise<ArrayBuffer> }>;
}

/** What the browser gives. */
export const browser = globalThis as unknown as PageGlobals;

/** An element by its id. @throws TypeError when the page has none */
export function element(id: string): PageElement {
  const found = browser.document.getElementById(id);
  if (found === null) throw new TypeError(`the page has no element ${id}`);
  return found;
}

/** A new element with text. */
export function make(name: string, text: string): PageElement {
  const made = browser.document.createElement(name);
  made.textContent = text;
  return made;
}
