/** Reads words from what other tools or we wrote: hexadecimal text, a C or TypeScript array, or bytes. */
import { bytesToWords } from "./program.js";

/** Text or bytes in which there are no words. */
export class WordsError extends Error {
  override readonly name = "WordsError";
}

const textLike = /^[\t\n\r\x20-\x7e\u00a0-\uffff]*$/;

/**
 * The words of a file. Text is one of: hexadecimal words of eight digits (with or without 0x), or source code whose
 * first array in braces or brackets is taken. Anything else is bytes, big-endian.
 * @throws WordsError
 */
export function readWords(bytes: Uint8Array): Uint32Array {
  const text = new TextDecoder().decode(bytes.subarray(0, 4096));
  if (!textLike.test(text.replace(/\ufffd$/, ""))) {
    if (bytes.length % 4 !== 0) throw new WordsError(`expected whole words of 4 bytes, found ${bytes.length} bytes`);
    return bytesToWords(bytes);
  }
  return wordsOfText(new TextDecoder().decode(bytes));
}

/** The words of a text, see {@link readWords}. @throws WordsError */
export function wordsOfText(text: string): Uint32Array {
  const code = text
    .replace(/\/\*[\s\S]*?\*\//g, " ")
    .replace(/(?:\/\/|;|#).*/g, (found) => (found[0] === ";" ? ";" : " "));
  const array = /=\s*(?:Uint32Array\.of\(|[{[])([^}\])]*)/.exec(code);
  if (array !== null) return parse(array[1]);
  return parse(text.replace(/[;#].*/g, ""));
}

function parse(text: string): Uint32Array {
  const words = text.split(/[\s,]+/).filter(Boolean);
  if (words.length === 0) throw new WordsError("expected words, found none");
  return Uint32Array.from(words, (word) => {
    if (/^(0[xX][0-9a-fA-F]{1,8}|[0-9a-fA-F]{8})$/.test(word)) return Number.parseInt(word.replace(/^0x/i, ""), 16);
    throw new WordsError(`expected words of eight hexadecimal digits, found ${JSON.stringify(word.slice(0, 40))}`);
  });
}
