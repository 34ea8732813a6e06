/**
 * Our virtio-scsi device as a vhost-user back end of its own process, for QEMU machines whose disks are to misbehave:
 * `fork("amigaos-back-end.js", [SOCKET])`. A message {@link BackEndOrder} changes what its disks do, and is answered by a
 * {@link BackEndState}. At 0/0 and 1/1 are disks with a pattern, at 2/0 one whose reads wait until they are let go, at
 * 3/1 one with peripheral qualifier 3.
 */
import type { Strike } from "../../src/os/amigaos/commands/command-checks.test.js";
import { linuxBackEndSystem, nodeEvents, VhostUserServer } from "../../src/platform/vhost-user/index.js";
import { Disk, ScsiBus, type ScsiTask } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { amigaPattern, SlowStore } from "../../src/testing/index.js";
import { EventLoopRunner, VhostUserBackEnd } from "../../src/transport/index.js";
import { VirtioScsiDevice } from "../../src/virtio/index.js";

/** What shall happen to commands from now on. */
export interface BackEndRule {
  readonly target: number;
  /** Operation codes; any when missing. */
  readonly opcodes?: readonly number[];
  /** Commands that it happens to; all when missing. */
  readonly times?: number;
  readonly strike: Strike;
}

/** What a test wants changed. */
export interface BackEndOrder {
  /** Instead of those before. */
  readonly rules?: readonly BackEndRule[];
  /** Lets go what is held. */
  readonly release?: true;
  /** The device does not hear of what is put on the control queue. */
  readonly isDeaf?: boolean;
}

/** The back end's answer. */
export interface BackEndState {
  /** Reads that wait. */
  readonly held: number;
  /** Commands that were told from the others by a rule, so far. */
  readonly struck: number;
}

let rules: { left: number; rule: BackEndRule }[] = [];
let struck = 0;
let isDeaf = false;

/** What happens to a command. */
function strikeOn(target: number, opcode: number): Strike | undefined {
  const found = rules.find(
    ({ left, rule }) => left > 0 && rule.target === target && (rule.opcodes?.includes(opcode) ?? true),
  );
  if (found === undefined) return undefined;
  found.left--;
  struck++;
  return found.rule.strike;
}

/** The status that the next command ends with. */
let status: number | undefined;

/** A disk that ends commands with any status. */
class RuledDisk extends Disk {
  override execute(task: ScsiTask): undefined | Promise<void> {
    if (status === undefined) return super.execute(task);
    task.status = status;
    status = undefined;
    return undefined;
  }
}

/** A disk that says that no unit is connected there: peripheral qualifier 3. */
class HiddenDisk extends Disk {
  override execute(task: ScsiTask): undefined | Promise<void> {
    const answer = super.execute(task);
    if (task.cdb[0] === 0x12) task.dataIn.write(Uint8Array.of(0x60));
    return answer;
  }
}

function ruledDisk(): Disk {
  return new RuledDisk(MemoryStore.of(amigaPattern(1 << 20)), { powerOnAttention: false });
}

const gate = new SlowStore(MemoryStore.of(amigaPattern(1 << 20)), { isHeld: true });
const bus = new ScsiBus();
bus.attach(0, 0, ruledDisk());
bus.attach(1, 1, ruledDisk());
bus.attach(2, 0, new Disk(gate, { powerOnAttention: false }));
bus.attach(3, 1, new HiddenDisk(new MemoryStore(1 << 20), { powerOnAttention: false }));
const device = new VirtioScsiDevice(bus, {
  ...{ queueSize: 128, segMax: 126 },
  faults: {
    command({ target, cdb: [opcode] }) {
      const strike = strikeOn(target, opcode);
      if (strike?.kind !== "status") return strike;
      ({ status } = strike);
      return undefined;
    },
  },
});
const notified = device.notified.bind(device);
device.notified = (queue) => {
  if (queue !== 0 || !isDeaf) notified(queue);
};
const runner = new EventLoopRunner(device, { events: nodeEvents, patience: 200 });
const backEnd = new VhostUserBackEnd({ device, runner, system: linuxBackEndSystem, offersConfig: false });
const server = new VhostUserServer(backEnd, { listen: process.argv[2] });

process.on("message", (order: BackEndOrder) => {
  if (order.rules !== undefined) rules = order.rules.map((rule) => ({ rule, left: rule.times ?? Infinity }));
  if (order.isDeaf !== undefined) isDeaf = order.isDeaf;
  if (order.release) void gate.releaseAll();
  process.send?.({ held: gate.heldRequests, struck } satisfies BackEndState);
});
process.once("disconnect", () => void server.close().then(() => process.exit(0)));
process.send?.({ held: 0, struck } satisfies BackEndState);
