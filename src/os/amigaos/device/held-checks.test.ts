/** Check 24 of the reference, as what programs find out on a running system: our boards and QEMU's machines are asked the same. */
import assert from "node:assert/strict";
import { AmigaProgram, inTime } from "../../../testing/index.js";
import { Command } from "../commands/index.js";
import { ExecTask, IoRequest, MessagePort } from "../exec/index.js";
import type { AmigaSystem } from "../open-amigaos.js";
import { pause } from "./scenario.test.js";

/** 24 of the extended profile: held; replaced -2, taken back 0, at the last close -2, not before; without a unit -1. */
export async function checkHeldRequests(system: AmigaSystem): Promise<void> {
  const [program, second] = [await AmigaProgram.open(system, 0), await AmigaProgram.open(system, 0)];
  for (const command of [Command.TD_ADDCHANGEINT, Command.TD_REMOVE]) {
    const older = program.send({ command });
    await pause(20);
    assert.equal(older.state, "sent");
    const newer = program.send({ command });
    assert.equal((await inTime(program.wait(older))).error, -2);
    assert.equal(newer.state, "sent");
    if (command !== Command.TD_ADDCHANGEINT) continue;
    assert.equal((await program.do({ command: Command.TD_REMCHANGEINT })).error, 0);
    assert.equal((await inTime(program.wait(newer))).error, 0);
    const same = program.send({ command });
    same.ioCommand = Command.TD_REMCHANGEINT;
    assert.equal(await inTime(system.exec.doIo(same)), 0);
    assert.equal(same.replyPort?.isEmpty, true);
  }
  const last = program.send({ command: Command.TD_ADDCHANGEINT });
  await second.close();
  assert.equal(last.state, "sent");
  await program.close();
  assert.equal((await inTime(program.wait(last))).error, -2);
  const noUnit = new IoRequest(new MessagePort(new ExecTask("nobody")));
  noUnit.ioDevice = system.device;
  noUnit.ioCommand = Command.TD_ADDCHANGEINT;
  assert.equal(await inTime(system.exec.doIo(noUnit)), -1);
}

/** 24 of version 1.5: what is replaced is never answered, also not at the last close. */
export async function checkOrphans(system: AmigaSystem): Promise<void> {
  const program = await AmigaProgram.open(system, 0);
  const older = program.send({ command: Command.TD_ADDCHANGEINT });
  program.send({ command: Command.TD_ADDCHANGEINT });
  await program.close();
  assert.equal(older.state, "sent");
}
