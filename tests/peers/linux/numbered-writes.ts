/**
 * Numbered writes: a guest keeps many writes of 4 KiB in flight on a raw disk, each with its block's number and a
 * generation that counts the writes to that block, and says which were acknowledged. Some it reads back at once.
 *
 * The program is Perl, which every Debian has: asynchronous I/O is four system calls away from it.
 */
import { readFileSync } from "node:fs";

/** Bytes of a block. */
export const numberedBlockSize = 4096;

/** The program ends well when this file is there in the guest. */
const stopFile = "/tmp/stop";

/** What the program is told; see {@link numberedWriter}. */
export interface NumberedWrites {
  /** The disk, as `/dev/vda`. */
  readonly disk: string;
  /** First block and number of blocks that this writer has for itself. */
  readonly first: number;
  readonly count: number;
  /** Writes in flight. */
  readonly depth: number;
  readonly seed: number;
  /** Seconds without any answer after which it says `@@stuck` and fails. */
  readonly patience: number;
}

/** A script that runs writers, each on its own processor, until a line is typed on the console. */
export function writersScript(writers: readonly NumberedWrites[]): string {
  const starts = writers.map(({ disk, first, count, depth, seed, patience }, index) => {
    const program = `/host/perl /files/writer.pl ${disk} ${first} ${count} ${depth} ${seed} ${patience}`;
    return `(taskset ${1 << index} ${program} || { echo "@@bad the writer failed"; false; }) & pids="$pids $!"`;
  });
  return [
    "stty -echo",
    "pids=",
    ...starts,
    "read line",
    `touch ${stopFile}`,
    "for pid in $pids; do wait $pid; done",
  ].join("\n");
}

/**
 * The program. Says `@@a <in flight> <block>:<generation> …` for writes that were answered, `@@bad …` for an error or a
 * block that reads back wrong, `@@stuck <in flight>`, and at the end `@@done <writes>`.
 */
export const numberedWriter = `
my ($disk, $first, $count, $depth, $seed, $patience) = @ARGV;
my ($IO_SETUP, $IO_GETEVENTS, $IO_SUBMIT, $READ, $WRITE, $SIZE) = (206, 208, 209, 0, 1, ${numberedBlockSize});
srand($seed);
$| = 1;
sysopen(my $file, $disk, 2 | 040000) or die "open: $!"; # O_RDWR | O_DIRECT
my $context = pack("Q", 0);
syscall($IO_SETUP, $depth + 0, $context) == 0 or die "io_setup: $!";
my $id = unpack("Q", $context);
my $arena = "\\0" x ($SIZE * ($depth + 1));
my $address = unpack("Q", pack("P", $arena));
my $skip = ($SIZE - $address % $SIZE) % $SIZE;
my (@control, @block, @reads, @free, @generation, %busy);
@generation = (0) x $count;
@free = (0 .. $depth - 1);
my $events = "\\0" x (32 * $depth);
my ($stopping, $written) = (0, 0);

sub content { my ($block) = @_; return pack("Q<4", 0x5249_4e47, $first + $block, $generation[$block], $seed) x ($SIZE / 32); }
sub submit {
  my ($slot, $code) = @_;
  my $at = $address + $skip + $slot * $SIZE;
  $reads[$slot] = $code == $READ;
  $control[$slot] = pack("Q L L S s L Q Q q Q L L", $slot, 0, 0, $code, 0, fileno($file), $at, $SIZE,
    ($first + $block[$slot]) * $SIZE, 0, 0, 0);
  my $list = pack("P", $control[$slot]);
  syscall($IO_SUBMIT, $id, 1, $list) == 1 or die "io_submit: $!";
}
while (1) {
  while (@free && !$stopping) {
    my $block = int(rand($count));
    next if $busy{$block};
    my $slot = pop @free;
    $busy{$block} = 1; $block[$slot] = $block; $generation[$block]++;
    substr($arena, $skip + $slot * $SIZE, $SIZE, content($block));
    submit($slot, $WRITE);
  }
  last if @free == $depth;
  my $flying = $depth - @free;
  my $limit = pack("q q", $patience, 0);
  my $got = syscall($IO_GETEVENTS, $id, 1, $depth + 0, $events, $limit);
  if ($got <= 0) { print "@@" . "stuck $flying\\n"; exit 1; }
  my $line = "";
  for my $n (0 .. $got - 1) {
    my ($slot, undef, $result) = unpack("Q Q q", substr($events, 32 * $n, 24));
    my $block = $block[$slot];
    if ($result != $SIZE) { print "@@" . "bad result $result of block $block\\n"; exit 1; }
    if ($reads[$slot]) {
      if (substr($arena, $skip + $slot * $SIZE, $SIZE) ne content($block)) { print "@@" . "bad block $block\\n"; exit 1; }
    } else {
      $line .= " " . ($first + $block) . ":$generation[$block]";
      $written++;
      if (rand() < 0.1) { substr($arena, $skip + $slot * $SIZE, $SIZE, "\\0" x $SIZE); submit($slot, $READ); next; }
    }
    delete $busy{$block};
    push @free, $slot;
  }
  print "@@" . "a $flying$line\\n" if $line ne "";
  $stopping = 1 if -e "${stopFile}";
}
print "@@" . "done $written\\n";
`;

/** What a guest has said of its numbered writes so far. */
export class AcknowledgedWrites {
  /** Highest generation that was acknowledged, by block. */
  readonly generations: Map<number, number>;
  /** Writes that were acknowledged. */
  count = 0;
  /** In flight when the guest said so last. */
  inFlight = 0;
  /** The line that ended the run badly. */
  failure: string | undefined;

  /** @param generations what is known already, copied */
  constructor(generations: ReadonlyMap<number, number> = new Map()) {
    this.generations = new Map(generations);
  }

  /** Takes a line of the guest. */
  take(line: string): void {
    const [word, inFlight, ...writes] = line.split(" ");
    if (word === "stuck" || word === "bad") this.failure ??= line;
    if (word !== "a") return;
    this.inFlight = Number(inFlight);
    for (const write of writes) {
      const [block, generation] = write.split(":").map(Number);
      if (generation !== (this.generations.get(block) ?? 0) + 1) {
        this.failure ??= `block ${block}: generation ${generation} was acknowledged after ${this.generations.get(block)}`;
      }
      this.generations.set(block, generation);
      this.count++;
    }
  }

  /**
   * Compares an image that nobody writes with what was acknowledged, each block whole.
   * @param laterAllowed the guest runs: later writes may have reached the image, in part too, and what it said of some
   * may still be on its way
   * @returns what is wrong, a line a block.
   */
  compare(image: string, laterAllowed: boolean): string[] {
    const bytes = readFileSync(image);
    const wrong: string[] = [];
    for (const [block, generation] of this.generations) {
      const found = new Set<number>();
      for (let at = block * numberedBlockSize; at < (block + 1) * numberedBlockSize; at += 32) {
        const isOurs = bytes.readUInt32LE(at) === 0x5249_4e47 && bytes.readUInt32LE(at + 8) === block;
        found.add(isOurs ? bytes.readUInt32LE(at + 16) : -1);
      }
      const isRight = laterAllowed
        ? [...found].every((one) => one >= generation)
        : found.size === 1 && found.has(generation);
      if (!isRight) wrong.push(`block ${block}: acknowledged ${generation}, found ${[...found].join(" and ")}`);
    }
    return wrong;
  }
}
