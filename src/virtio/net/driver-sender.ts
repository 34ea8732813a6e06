/** Packets that somebody waits for: they queue for room on their ring, and end once. */
import { DeviceError, RequestAborted } from "../../errors/index.js";
import type { Packet } from "../../packet/index.js";
import type { DriverTransmitter } from "./driver-transmitter.js";

interface Waiting {
  readonly packet: Packet;
  readonly end: (error: Error | undefined) => void;
}

/** The senders of one session, one list for each queue pair. */
export class PacketSender {
  readonly #transmitters: readonly DriverTransmitter[];
  readonly #timeout: number;
  /** The device broke a rule while packets were put on its ring. */
  readonly #giveUp: (cause: unknown) => void;
  readonly #waiting: Waiting[][];
  /** Packets in flight that somebody waits for, by pair. */
  readonly #awaited: number[];
  #over: Error | undefined;

  /** @param timeout milliseconds, 0 for ever. */
  constructor(transmitters: readonly DriverTransmitter[], timeout: number, giveUp: (cause: unknown) => void) {
    this.#transmitters = transmitters;
    this.#timeout = timeout;
    this.#giveUp = giveUp;
    this.#waiting = transmitters.map(() => []);
    this.#awaited = transmitters.map(() => 0);
  }

  /** Sends a packet, which is the sender's from here on. @throws RequestAborted, RangeError, or why it is over */
  send(packet: Packet, pair: number): Promise<void> {
    const list = this.#waiting[pair];
    if (list === undefined) return Promise.reject(new RangeError(`there is no queue pair ${pair}`));
    if (this.#over !== undefined) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const waiting: Waiting = {
        packet,
        end: (error) => {
          clearTimeout(timer);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const late = () => {
        // Perhaps only the interrupt was lost.
        this.#attempt(pair);
        if (list.includes(waiting)) list.splice(list.indexOf(waiting), 1);
        reject(new RequestAborted(`packet of ${packet.length} bytes: not sent in ${this.#timeout} ms`));
      };
      if (this.#timeout > 0) timer = setTimeout(late, this.#timeout);
      list.push(waiting);
      this.#attempt(pair);
    });
  }

  /**
   * Takes back what was sent, puts what waits on the ring, and asks for an interrupt as long as somebody waits.
   * @throws ProtocolError
   */
  transmitted(pair: number): void {
    const transmitter = this.#transmitters[pair];
    if (transmitter === undefined || this.#over !== undefined) return;
    const list = this.#waiting[pair];
    do {
      transmitter.reclaim();
      while (list.length > 0 && this.#submit(transmitter, list[0], pair)) list.shift();
      transmitter.flush();
      if (this.#awaited[pair] === 0 && list.length === 0) {
        transmitter.ignore();
        return;
      }
    } while (!transmitter.enableInterrupts());
  }

  /** Ends everything that waits; what is in flight ends with its ring. */
  close(reason: Error = new DeviceError("the driver was removed")): void {
    this.#over = reason;
    for (const list of this.#waiting) for (const { end } of list.splice(0)) end(reason);
  }

  #attempt(pair: number): void {
    try {
      this.transmitted(pair);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #submit(transmitter: DriverTransmitter, { packet, end }: Waiting, pair: number): boolean {
    const awaited = this.#awaited;
    const isOnRing = transmitter.transmit(packet, (error) => {
      awaited[pair]--;
      end(error);
    });
    if (isOnRing) awaited[pair]++;
    return isOnRing;
  }
}
