/**
 * The driver's SCRIPTS, as a source for our own assembler. One table a command ({@link tableOffset}) has everything that
 * is sent and received but data; data has a run of moves of its own, the chain, whose next move TEMP points to: RETURN
 * goes there, and the CALL at its end leaves in TEMP that it was reached.
 */

/** Where entries of count and address are in a command's table; the first one is the longword of SELECT. */
export const tableOffset = {
  device: 0x00,
  messages: 0x08,
  cdb: 0x10,
  status: 0x18,
  message: 0x20,
  length: 0x28,
  rest: 0x30,
  reply: 0x38,
  sink: 0x40,
  source: 0x48,
  size: 0x50,
} as const;

/** What the script tells the driver. */
export const Vector = {
  /** The command is over, and its chain was moved to its end. */
  DoneWhole: 0x100,
  /** The command is over; how much data moved stands in TEMP. */
  DonePart: 0x101,
  /** The target left the bus; after SAVE DATA POINTERS. */
  Away: 0x102,
  AwaySaved: 0x103,
  /** SAVE DATA POINTERS, and no message after it. */
  Saved: 0x104,
  /** A message of one byte, in `message`; after SAVE DATA POINTERS. ACK is held. */
  Message: 0x105,
  MessageAfterSave: 0x106,
  /** An extended message whose length is in `length`: not 3 bytes. ACK is held. */
  ExtendedLength: 0x107,
  /** An extended message in `rest`. ACK is held. */
  Extended: 0x108,
  /** The target asks for data when the chain has no more: the chain's own last instruction. */
  Extra: 0x109,
  /** A reserved phase. */
  OddPhase: 0x10a,
  /** A target came back, without a queue tag, with one, with another message behind IDENTIFY. ACK is held with the last two. */
  Back: 0x10b,
  BackTagged: 0x10c,
  BackMessage: 0x10d,
  /** SIGP. */
  Woken: 0x10e,
  /** A last message was sent, and the target left. */
  Dismissed: 0x10f,
} as const;

const absolutes = [
  ...Object.entries(tableOffset).map(([name, value]) => `ABSOLUTE t_${name} = ${value}`),
  ...Object.entries(Vector).map(([name, value]) => `ABSOLUTE v_${name} = ${value}`),
].join("\n");

/** The source. */
export const scriptSource = `
ARCH 710
${absolutes}
ENTRY start, greet, switch, moved, received, wait, accept, refuse, repeat, complain, rest, drain_in, drain_out
ENTRY kill, dismiss, taken, status, ending
ENTRY back_identify, back_tag, back_number

; Begins the command whose table DSA points to.
start:
  SELECT ATN FROM t_device, REL(taken)
  JUMP REL(switch), WHEN NOT MSG_OUT
greet:
  MOVE FROM t_messages, WHEN MSG_OUT
  JUMP REL(command), WHEN CMD
  JUMP REL(switch), IF NOT MSG_OUT
; Still messages: their parity was wrong, and the target wants all of them again.
  SET ATN
  JUMP REL(greet)
command:
  MOVE FROM t_cdb, WHEN CMD

; Goes wherever the target wants to.
switch:
  RETURN WHEN DATA_IN
  RETURN IF DATA_OUT
  JUMP REL(status), IF STATUS
  JUMP REL(message), IF MSG_IN
  JUMP REL(reply), IF MSG_OUT
  JUMP REL(command), IF CMD
  INT v_OddPhase

; The end of every chain calls this.
moved:
  JUMP REL(switch), WHEN NOT STATUS
ending:
  MOVE FROM t_status, WHEN STATUS
  JUMP REL(switch), WHEN NOT MSG_IN
  MOVE FROM t_message, WHEN MSG_IN
  JUMP REL(received), IF NOT 0x00
  CLEAR ACK
  WAIT DISCONNECT
  INT v_DoneWhole

; The target has status without (all) data.
status:
  MOVE FROM t_status, WHEN STATUS
  JUMP REL(switch), WHEN NOT MSG_IN

message:
  MOVE FROM t_message, WHEN MSG_IN
received:
  JUMP REL(gone), IF 0x04
  JUMP REL(saved), IF 0x02
  JUMP REL(extended), IF 0x01
  INT v_Message, IF NOT 0x00
  CLEAR ACK
  WAIT DISCONNECT
  INT v_DonePart
gone:
  CLEAR ACK
  WAIT DISCONNECT
  INT v_Away
saved:
  CLEAR ACK
  JUMP REL(kept), WHEN NOT MSG_IN
  MOVE FROM t_message, WHEN MSG_IN
  INT v_MessageAfterSave, IF NOT 0x04
  CLEAR ACK
  WAIT DISCONNECT
  INT v_AwaySaved
kept:
  INT v_Saved

extended:
  CLEAR ACK
  MOVE FROM t_length, WHEN MSG_IN
  INT v_ExtendedLength, IF NOT 0x03
rest:
  CLEAR ACK
  MOVE FROM t_rest, WHEN MSG_IN
  INT v_Extended

; A message was taken: goes on, or says something about it.
accept:
  CLEAR ACK
  JUMP REL(switch)
refuse:
  SET ATN
  CLEAR ACK
  JUMP REL(switch)
reply:
  MOVE FROM t_reply, WHEN MSG_OUT
  JUMP REL(switch)
; The target did not understand what was sent.
repeat:
  SET ATN
  CLEAR ACK
  MOVE FROM t_messages, WHEN MSG_OUT
  JUMP REL(switch)

; The status was wrong: the message behind it counts for nothing before the target knows.
complain:
  SET ATN
complaining:
  JUMP REL(reply), WHEN MSG_OUT
  JUMP REL(switch), IF NOT MSG_IN
  MOVE FROM t_message, WHEN MSG_IN
  CLEAR ACK
  JUMP REL(complaining)

; More data than there is room or content for.
drain_in:
  MOVE FROM t_sink, WHEN DATA_IN
  JUMP REL(drain_in), WHEN DATA_IN
  JUMP REL(switch)
drain_out:
  MOVE FROM t_source, WHEN DATA_OUT
  JUMP REL(drain_out), WHEN DATA_OUT
  JUMP REL(switch)

; Last messages: to a target that is away, and to the one on the bus.
kill:
  SELECT ATN FROM t_device, REL(taken)
  MOVE FROM t_messages, WHEN MSG_OUT
  WAIT DISCONNECT
  INT v_Dismissed
dismiss:
  SET ATN
  CLEAR ACK
  MOVE FROM t_reply, WHEN MSG_OUT
  WAIT DISCONNECT
  INT v_Dismissed

; Until a target comes back, or the driver has something to start.
wait:
  WAIT RESELECT REL(woken)
taken:
  MOVE LCRC TO SFBR
  MOVE SFBR TO SCRATCH0
  MOVE 1, back_identify, WHEN MSG_IN
  CLEAR ACK
  INT v_Back, WHEN NOT MSG_IN
  MOVE 1, back_tag, WHEN MSG_IN
  JUMP REL(tagged), IF 0x20 AND MASK 0x03
  INT v_BackMessage
tagged:
  CLEAR ACK
  MOVE 1, back_number, WHEN MSG_IN
  INT v_BackTagged
woken:
  MOVE CTEST2 TO SFBR
  INT v_Woken

; Bytes that targets say about themselves when they come back.
back_identify:
  WORD 0
back_tag:
  WORD 0
back_number:
  WORD 0
`;
