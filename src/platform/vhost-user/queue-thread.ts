/** A thread that serves queues: its own device on its own event loop, told what to do by the control plane. */
import type { MessagePort } from "node:worker_threads";
import { ProtocolError } from "../../errors/index.js";
import { type DeviceType, EventLoopRunner, type RunningRing } from "../../transport/index.js";
import { nodeEvents } from "./back-end-system.js";
import { MemoryBorrower } from "./lent-memory.js";
import type { LentSetup, ThreadNews, ThreadRequest } from "./queue-thread-messages.js";

/** The device of one thread. All threads have one of the same kind over the same medium. */
export interface ThreadDevice {
  readonly device: DeviceType;
  /** Lets go of the medium. What is written out is another's to see to. */
  close(): Promise<void>;
}

/** How a thread serves. */
export interface QueueThreadOptions {
  /** As the event loop runner's. */
  readonly spin?: number;
}

/**
 * Serves queues for whoever has the other end of `port`, until asked to close.
 * @param open opens the device; what it throws is told to the other end.
 */
export async function serveQueueThread(
  port: MessagePort,
  open: () => ThreadDevice | Promise<ThreadDevice>,
  options: QueueThreadOptions = {},
): Promise<void> {
  let device: ThreadDevice;
  try {
    device = await open();
  } catch (error) {
    port.postMessage({ kind: "unfit", message: error instanceof Error ? error.message : String(error) });
    port.close();
    return;
  }
  const thread = new QueueThread(port, device, options);
  port.on("message", (request: ThreadRequest) => void thread.carryOut(request));
  port.postMessage({ kind: "ready" });
}

class QueueThread {
  readonly #port: MessagePort;
  readonly #device: ThreadDevice;
  readonly #runner: EventLoopRunner;
  readonly #memory: MemoryBorrower;
  readonly #rings = new Map<number, RunningRing>();

  constructor(port: MessagePort, device: ThreadDevice, options: QueueThreadOptions) {
    this.#port = port;
    this.#device = device;
    this.#memory = new MemoryBorrower((key, count) => this.#tell({ kind: "forgotten", key, count }));
    this.#runner = new EventLoopRunner(device.device, { events: nodeEvents, ...options });
    this.#runner.connect({
      configChanged: () => this.#tell({ kind: "config-changed" }),
      ringFailed: (index) => this.#tell({ kind: "ring-failed", index }),
    });
  }

  /** What goes wrong besides the front end's faults ends the thread, which its owner sees. */
  async carryOut(request: ThreadRequest): Promise<void> {
    const { id } = request;
    try {
      const value = await this.#work(request);
      this.#tell({ kind: "done", id, value: typeof value === "number" ? value : 0 });
      if (request.kind === "close") this.#port.close();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#tell({ kind: "refused", id, code: error.code, queue: error.queue });
    }
  }

  /** Gives a number, or a promise of one, where there is something to say. */
  #work(request: ThreadRequest): unknown {
    switch (request.kind) {
      case "negotiated":
        return this.#runner.negotiated(request.features, request.endianness);
      case "config": {
        const { config, offset, length } = request;
        const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
        return this.#device.device.writeConfig(view, "little", offset, length);
      }
      case "reset":
        return this.#runner.reset();
      case "close":
        return this.#device.close();
      case "start":
        return this.#start(request.setup);
      case "call":
        return this.#rings.get(request.ring)?.setCall(request.descriptor);
      case "kick":
        return this.#rings.get(request.ring)?.setKick(request.descriptor);
      case "move": {
        const { id } = request;
        const place = this.#memory.place(request.place);
        return this.#rings.get(request.ring)?.move(place, () => this.#tell({ kind: "released", id }));
      }
      case "pause":
        return this.#rings.get(request.ring)?.pause();
      case "resume":
        return this.#rings.get(request.ring)?.resume();
      case "stop":
        return this.#take(request.ring)?.stop();
      case "abandon":
        return this.#take(request.ring)?.abandon();
    }
  }

  #start({ place, inflight, ...rest }: LentSetup): void {
    const record =
      inflight === undefined ? undefined : { bytes: this.#memory.bytes(inflight), address: inflight.address };
    const ring = this.#runner.start({ ...rest, ...this.#memory.place(place), inflight: record });
    this.#rings.set(rest.index, ring);
  }

  #take(index: number): RunningRing | undefined {
    const ring = this.#rings.get(index);
    this.#rings.delete(index);
    return ring;
  }

  #tell(news: ThreadNews): void {
    this.#port.postMessage(news);
  }
}
