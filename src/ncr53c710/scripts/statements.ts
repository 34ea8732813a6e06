/** The instructions of the language: each is read from a line and gives its length and what makes its words. */

import type { Encode } from "./encoder.js";
import type { ChipTraits } from "./family.js";
import { disconnect, loadStore, select, setClear, waitFor } from "./statements-io.js";
import { blockOrRegisterMove } from "./statements-move.js";
import { conditionFree, transfer } from "./statements-transfer.js";
import type { TokenReader } from "./token-reader.js";

/** An instruction before its names are known. */
export interface Statement {
  /** Words. */
  readonly length: number;
  readonly encode: Encode;
}

type Parse = (reader: TokenReader, chip: ChipTraits) => Statement;

/** Instructions by keyword. The keyword has been taken already. */
export const statements: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ["MOVE", blockOrRegisterMove],
  ["SELECT", (reader) => select(reader, "SELECT")],
  ["RESELECT", (reader) => select(reader, "RESELECT")],
  ["WAIT", waitFor],
  ["DISCONNECT", disconnect],
  ["SET", (reader) => setClear(reader, 0x5800_0000)],
  ["CLEAR", (reader) => setClear(reader, 0x6000_0000)],
  ["JUMP", (reader) => transfer(reader, 0x8000_0000)],
  ["CALL", (reader) => transfer(reader, 0x8800_0000)],
  ["RETURN", (reader) => conditionFree(reader, 0x9000_0000, "nothing")],
  ["INT", (reader) => conditionFree(reader, 0x9800_0000, "vector")],
  ["INTFLY", (reader) => conditionFree(reader, 0x9810_0000, "vector")],
  ["LOAD", (reader) => loadStore(reader, "LOAD")],
  ["STORE", (reader) => loadStore(reader, "STORE")],
  [
    "NOP",
    () => ({
      length: 2,
      encode: (encoder) => encoder.emit(encoder.dialect.nop, 0),
    }),
  ],
]);
