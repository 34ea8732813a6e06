/** What `ringside bench vhost` measures: groups of points, each with how both servers are started for it. */

/** One load. */
export interface Point {
  /** Options of the load generator. */
  readonly load: readonly string[];
  /** Before each round the page cache forgets the file. */
  readonly isCold?: boolean;
  readonly queues?: number;
  /** Disks that are served at once, a server each; the load is on the first. */
  readonly disks?: number;
}

/** A server: the program and its arguments. Sockets and images are `SOCKET` and `IMAGE`. */
export interface ServerCommand {
  readonly name: string;
  command(queues: number): readonly string[];
  /** Serves memory, not the image. */
  readonly isMemory?: boolean;
  /** Who loads it: the generator in C (default) or our driver in `attach bench`. */
  readonly client?: "generator" | "attach";
  /** What this column's client is told besides the load. */
  readonly clientOptions?: readonly string[];
}

/** Points measured in one table. The last server is the one that others are compared with. */
export interface Group {
  readonly name: string;
  readonly title: string;
  readonly points: readonly Point[];
  readonly servers: readonly ServerCommand[];
  /** Columns differ in their client only: one server, and one image, is there for all. */
  readonly isOneServer?: boolean;
}

const load = (rw: string, blockSize: string, depth: number, ...more: string[]): readonly string[] => [
  ...["--rw", rw, "--bs", blockSize, "--qd", `${depth}`],
  ...more,
];
const depths = [1, 8, 32, 128] as const;
const sizes = ["4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1m"] as const;

function ours(name: string, ...options: string[]): ServerCommand {
  return {
    name,
    command: (queues) => ["MAIN", "serve", "IMAGE", "--socket", "SOCKET", "--queues", `${queues}`, ...options],
  };
}

function theirs(name: string, blockdev: string): ServerCommand {
  const exported = "type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=SOCKET";
  return {
    name,
    isMemory: blockdev.includes("null-co"),
    command: (queues) => [
      "qemu-storage-daemon",
      ...["--blockdev", `node-name=disk,${blockdev}`],
      ...["--export", `${exported},num-queues=${queues}`],
    ],
  };
}

function loadedBy(name: string, client: "generator" | "attach", ...clientOptions: string[]): ServerCommand {
  return { ...ours(name), client, clientOptions };
}

const mapped = ours("mapped");
const calls = ours("by calls", "--no-mapped");
const cached = theirs("qemu", "driver=file,filename=IMAGE,aio=io_uring");

/** The groups; the first is measured when none is named. */
export const groups: readonly Group[] = [
  {
    name: "main",
    title: "4k random and large sequential I/O on a cached file",
    servers: [mapped, calls, cached],
    points: [
      ...depths.map((depth) => ({ load: load("randread", "4k", depth) })),
      ...depths.map((depth) => ({ load: load("randwrite", "4k", depth) })),
      ...["read", "write"].flatMap((rw) => ["128k", "1m"].map((size) => ({ load: load(rw, size, 8) }))),
    ],
  },
  {
    name: "flush",
    title: "4k random writes with a FLUSH after every N of them",
    servers: [mapped, cached],
    points: [1, 8, 64, 512].flatMap((every) =>
      [1, 32].map((depth) => ({ load: load("randwrite", "4k", depth, "--flush-every", `${every}`) })),
    ),
  },
  {
    name: "cold",
    title: "reads of a file that the page cache has forgotten (mincore: no page)",
    servers: [mapped, calls, cached],
    points: [
      ...depths.map((depth) => ({ load: load("randread", "4k", depth), isCold: true })),
      { load: load("read", "128k", 8), isCold: true },
    ],
  },
  {
    name: "direct",
    title: "past the page cache (O_DIRECT); qemu with aio=native",
    servers: [
      ours("direct", "--direct"),
      theirs("qemu", "driver=file,filename=IMAGE,aio=native,cache.direct=on,cache.no-flush=off"),
    ],
    points: [
      ...["randread", "randwrite"].flatMap((rw) => depths.map((depth) => ({ load: load(rw, "4k", depth) }))),
      { load: load("read", "128k", 8) },
    ],
  },
  {
    name: "ceiling",
    title: "our page-cached file against qemu-storage-daemon's null-co, which moves no data: the protocol's ceiling",
    servers: [mapped, theirs("null-co", "driver=null-co,size=1073741824,read-zeroes=off")],
    points: depths.map((depth) => ({ load: load("randread", "4k", depth) })),
  },
  {
    name: "queues",
    title: "one queue and two, each loaded by a process; by the main thread, and a thread for each queue",
    servers: [ours("main thread", "--threads", "0"), ours("threads", "--threads", "64"), cached],
    points: [1, 2].flatMap((queues) =>
      [1, 8, 32].map((depth) => ({ load: load("randread", "4k", depth, "--queues", `${queues}`), queues })),
    ),
  },
  {
    name: "disks",
    title: "1, 8 and 64 servers, the load on one of them",
    servers: [mapped, cached],
    points: [1, 8, 64].map((disks) => ({ load: load("randread", "4k", 32), disks })),
  },
  {
    name: "packed",
    isOneServer: true,
    title: "the load generator on packed and split rings of our server",
    servers: [loadedBy("packed", "generator", "--packed"), loadedBy("split", "generator")],
    points: [
      ...["randread", "randwrite"].flatMap((rw) => depths.map((depth) => ({ load: load(rw, "4k", depth) }))),
      ...[1, 32].map((depth) => ({ load: load("randread", "4k", depth, "--no-indirect") })),
    ],
  },
  {
    name: "packed-driver",
    isOneServer: true,
    title: "our driver (attach bench) on packed and split rings of our server",
    servers: [loadedBy("packed", "attach", "--packed"), loadedBy("split", "attach", "--no-packed")],
    points: ["randread", "randwrite"].flatMap((rw) => depths.map((depth) => ({ load: load(rw, "4k", depth) }))),
  },
  {
    name: "sizes",
    title: "request sizes at depth 8",
    servers: [mapped, calls, cached],
    points: ["randread", "randwrite"].flatMap((rw) => sizes.map((size) => ({ load: load(rw, size, 8) }))),
  },
];
