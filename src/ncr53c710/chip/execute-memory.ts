/** Memory move, through the DMA FIFO; source and destination may be the board's own registers. */
import { Dstat, Reg } from "../registers.js";
import { MemoryBits } from "../scripts/instruction-set.js";
import { Outcome, type ScriptsEngine } from "./engine.js";

/** Carries out class 3. DBC counts what is left, TEMP and DNAD tell where it is. */
export function memoryMove(engine: ScriptsEngine, command: number): number {
  const { file, bus, points } = engine.context;
  const source = file.long(Reg.DSPS);
  const destination = engine.third;
  if ((command & MemoryBits.LoadStore) !== 0) return engine.stopDma(Dstat.Iid);
  if (((source ^ destination) & 3) !== 0) return engine.stopDma(Dstat.Iid);
  const count = file.count;
  if (count === 0) return points.zeroCount === "illegal" ? engine.stopDma(Dstat.Iid) : Outcome.Done;
  if (points.memoryMove === "destroyed") {
    // Before the move, so that one whose destination is TEMP or DSA has its effect.
    file.setLong(Reg.TEMP, source);
    file.setLong(Reg.DSA, destination);
  }
  file.setLong(Reg.DNAD, destination);
  const from = bus.region(source);
  const to = bus.region(destination);
  const isPlain =
    from !== undefined &&
    to !== undefined &&
    source + count <= from.end &&
    destination + count <= to.end &&
    (from.bytes.buffer !== to.bytes.buffer || Math.abs(source - destination) >= count);
  if (isPlain) {
    from.pages.copyTo(source - from.base, to.bytes, destination - to.base, count);
    file.setLong(Reg.DNAD, (destination + count) >>> 0);
    file.count = 0;
    return Outcome.Done;
  }
  let done = 0;
  while (done < count) {
    const step = Math.min(engine.fifo.length, count - done);
    let failed = readInto(engine, (source + done) >>> 0, step);
    if (failed === step) failed = writeFrom(engine, (destination + done) >>> 0, step);
    else return engine.unanswered((source + done + failed) >>> 0);
    if (failed !== step) return engine.unanswered((destination + done + failed) >>> 0);
    done += step;
    file.setLong(Reg.DNAD, (destination + done) >>> 0);
    // A write to the chip's own registers may have stopped or reset it.
    if (engine.state !== "running" || !engine.isFetched) return Outcome.Stop;
    file.count = count - done;
  }
  return Outcome.Done;
}

/** Fills the FIFO; returns how many bytes were had. */
function readInto(engine: ScriptsEngine, address: number, length: number): number {
  const { fifo } = engine;
  const { bus } = engine.context;
  let at = 0;
  while (at < length) {
    const place = (address + at) >>> 0;
    if (place % 4 === 0 && length - at >= 4) {
      const value = bus.read32(place);
      if (value < 0) return at;
      fifo[at] = value >>> 24;
      fifo[at + 1] = value >>> 16;
      fifo[at + 2] = value >>> 8;
      fifo[at + 3] = value;
      at += 4;
    } else {
      const value = bus.read8(place);
      if (value < 0) return at;
      fifo[at++] = value;
    }
  }
  return at;
}

/** Empties the FIFO; returns how many bytes were taken. */
function writeFrom(engine: ScriptsEngine, address: number, length: number): number {
  const { fifo } = engine;
  const { bus } = engine.context;
  let at = 0;
  while (at < length) {
    const place = (address + at) >>> 0;
    if (place % 4 === 0 && length - at >= 4) {
      const value = ((fifo[at] << 24) | (fifo[at + 1] << 16) | (fifo[at + 2] << 8) | fifo[at + 3]) >>> 0;
      if (!bus.write32(place, value)) return at;
      at += 4;
    } else {
      if (!bus.write8(place, fifo[at])) return at;
      at++;
    }
  }
  return at;
}
