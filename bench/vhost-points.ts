/** What `ringside bench vhost` measures: groups of points, each with how both servers are started for it. */

/** One load. */
export interface Point {
  /** Options of the load generator. */
  readonly load: readonly string[];
  /** Before each round the page cache forgets the file. */
  readonly isCold?: boolean;
  /** The page cache has no part in it. */
  readonly isDirect?: boolean;
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

/** One image for all servers: on the disk, in /dev/shm, or a loop device over a file in /dev/shm. */
export type SharedImage = "disk" | "memory" | "loop";

/** Points measured in one table. The last server is the one that others are compared with. */
export interface Group {
  readonly name: string;
  readonly title: string;
  readonly points: readonly Point[];
  readonly servers: readonly ServerCommand[];
  /** Columns differ in their client only: one server, and one image, is there for all. */
  readonly isOneServer?: boolean;
  /** Where the image is; servers have one each unless this is said. */
  readonly shared?: SharedImage;
  /** Bytes a write as the images are made, and so what the page cache holds them in. Default one page. */
  readonly piece?: number;
  /** Before each round the medium takes what was written: rounds pay for their own writes only. */
  readonly isSettled?: boolean;
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
  const writable = blockdev.includes("read-only=on") ? "off" : "on";
  const exported = `type=vhost-user-blk,id=export,node-name=disk,writable=${writable},addr.type=unix,addr.path=SOCKET`;
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
const memory: ServerCommand = {
  ...{ name: "memory", isMemory: true },
  command: (queues) => ["MEMORY", "SOCKET", `${queues}`],
};
const cached = theirs("qemu", "driver=file,filename=IMAGE,aio=io_uring");

const unlocked = theirs("qemu", "driver=file,filename=IMAGE,aio=io_uring,locking=off");
const direct = "cache.direct=on,cache.no-flush=off";
const flushes = [1, 8, 64, 512].flatMap((every) =>
  [1, 32].map((depth) => ({ load: load("randwrite", "4k", depth, "--flush-every", `${every}`) })),
);
const random = ["randread", "randwrite"].flatMap((rw) => depths.map((depth) => ({ load: load(rw, "4k", depth) })));

/** The groups; the first is measured when none is named. */
export const groups: readonly Group[] = [
  {
    name: "main",
    title: "4k random I/O on a file that the page cache has in single pages",
    servers: [mapped, calls, cached],
    points: random,
  },
  {
    name: "sequential",
    title: "large sequential I/O on a file that the page cache has in large folios, as such I/O leaves it",
    servers: [mapped, calls, cached],
    piece: 1 << 20,
    points: ["read", "write"].flatMap((rw) => ["128k", "1m"].map((size) => ({ load: load(rw, size, 8) }))),
  },
  {
    name: "folios",
    title: "4k random I/O on a file that the page cache has in large folios",
    servers: [mapped, calls, cached],
    piece: 1 << 20,
    points: random,
  },
  {
    name: "flush",
    title: "4k random writes with a FLUSH after every N of them, one image on the disk for both",
    shared: "disk",
    isSettled: true,
    servers: [mapped, unlocked],
    points: flushes,
  },
  {
    name: "flush-memory",
    title: "the same in /dev/shm, where there is nothing to flush: what a FLUSH costs beside the medium",
    shared: "memory",
    servers: [mapped, unlocked],
    points: flushes,
  },
  {
    name: "cold",
    title: "reads of one file that the page cache has forgotten (mincore: no page); of an eighth of it, or all once",
    shared: "disk",
    servers: [
      ours("mapped", "--read-only"),
      ours("by calls", "--read-only", "--no-mapped"),
      theirs("qemu", "driver=file,filename=IMAGE,aio=io_uring,locking=off,read-only=on"),
    ],
    points: [
      ...depths.map((depth) => ({ load: load("randread", "4k", depth, "--requests", "32768"), isCold: true })),
      { load: load("read", "128k", 8, "--requests", "8192"), isCold: true },
    ],
  },
  {
    name: "direct",
    title: "past the page cache (O_DIRECT), one file on the disk; qemu with aio=native",
    shared: "disk",
    servers: [
      ours("direct", "--direct", "--read-only"),
      theirs("qemu", `driver=file,filename=IMAGE,aio=native,locking=off,read-only=on,${direct}`),
    ],
    points: [
      ...depths.map((depth) => ({ load: load("randread", "4k", depth), isDirect: true })),
      { load: load("read", "128k", 8), isDirect: true },
    ],
  },
  {
    name: "direct-loop",
    title: "the same on a loop device over a file in /dev/shm (root only)",
    shared: "loop",
    servers: [
      ours("direct", "--direct"),
      theirs("qemu", `driver=host_device,filename=IMAGE,aio=native,locking=off,${direct}`),
    ],
    points: [
      ...["randread", "randwrite"].flatMap((rw) =>
        depths.map((depth) => ({ load: load(rw, "4k", depth), isDirect: true })),
      ),
      { load: load("read", "128k", 8), isDirect: true },
    ],
  },
  {
    name: "ceiling",
    title: "our memory store and our page-cached file against qemu-storage-daemon's null-co, which moves no data",
    servers: [memory, mapped, theirs("null-co", "driver=null-co,size=1073741824,read-zeroes=off")],
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
    points: [...random, ...[1, 32].map((depth) => ({ load: load("randread", "4k", depth, "--no-indirect") }))],
  },
  {
    name: "packed-driver",
    isOneServer: true,
    title: "our driver (attach bench) on packed and split rings of our server",
    servers: [loadedBy("packed", "attach", "--packed"), loadedBy("split", "attach", "--no-packed")],
    points: random,
  },
  {
    name: "sizes",
    title: "request sizes at depth 8",
    servers: [mapped, calls, cached],
    points: ["randread", "randwrite"].flatMap((rw) => sizes.map((size) => ({ load: load(rw, size, 8) }))),
  },
];
