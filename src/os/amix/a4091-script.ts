/**
 * The SCRIPTS program of the seed's driver: one command from selection to bus free, with the data phase chosen by the
 * phase that the target asks for. The flow is the original's in our own words: 22 instructions, 176 bytes.
 */
import { InternalError } from "../../errors/index.js";
import { assemble, formatDiagnostic, placeProgram, wordsToBytes } from "../../ncr53c710/index.js";

/** What the program tells its driver: the operand of the INT that it ended with. */
export const ScriptVector = {
  /** The command ended with a status. */
  Done: 0xff00,
  /** The target asked for a phase that the program does not expect. */
  UnexpectedPhase: 0xff05,
  /** Somebody selected the board while it tried to select. */
  Selected: 0xff10,
} as const;

/** Offsets in the table that DSA points at: first the selection longword, then pairs of length and address. */
export const tableLayout = {
  select: 0x00,
  identify: 0x04,
  command: 0x0c,
  status: 0x14,
  message: 0x1c,
  messageIn: 0x24,
  extendedMessage: 0x2c,
  synchronousMessage: 0x34,
  data: 0x3c,
  dataEnd: 0x44,
  size: 0x4c,
} as const;

/** Bytes of the program. */
export const seedScriptLength = 176;

const source = `
  ARCH 710
  ABSOLUTE select_word = ${tableLayout.select}
  ABSOLUTE identify_byte = ${tableLayout.identify}
  ABSOLUTE cdb_bytes = ${tableLayout.command}
  ABSOLUTE status_byte = ${tableLayout.status}
  ABSOLUTE message_byte = ${tableLayout.message}
  ABSOLUTE caller_data = ${tableLayout.data}
  ABSOLUTE finished = ${ScriptVector.Done}
  ABSOLUTE odd_phase = ${ScriptVector.UnexpectedPhase}
  ABSOLUTE was_selected = ${ScriptVector.Selected}
  ENTRY one_command
one_command:
  SELECT ATN FROM select_word, REL(selected_first)
  JUMP REL(odd), WHEN NOT MSG_OUT
  MOVE FROM identify_byte, WHEN MSG_OUT
  JUMP REL(odd), WHEN NOT CMD
  CLEAR ATN
  MOVE FROM cdb_bytes, WHEN CMD
  JUMP REL(give), WHEN DATA_OUT
  JUMP REL(take), WHEN DATA_IN
  JUMP REL(ending), WHEN STATUS
  JUMP REL(odd)
give:
  MOVE FROM caller_data, WHEN DATA_OUT
  JUMP REL(ending)
take:
  MOVE FROM caller_data, WHEN DATA_IN
ending:
  JUMP REL(odd), WHEN NOT STATUS
  MOVE FROM status_byte, WHEN STATUS
  JUMP REL(odd), WHEN NOT MSG_IN
  MOVE FROM message_byte, WHEN MSG_IN
  CLEAR ACK
  WAIT DISCONNECT
  INT finished
odd:
  INT odd_phase
selected_first:
  INT was_selected
`;

/** The program as it lies in memory at `address`, big-endian. */
export function seedScript(address: number): Uint8Array {
  const { program, diagnostics } = assemble(source);
  if (program === undefined) {
    throw new InternalError(diagnostics.map((each) => formatDiagnostic(each, "the seed's script")).join("; "));
  }
  return wordsToBytes(placeProgram(program, address));
}
