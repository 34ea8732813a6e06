/** A guest that writes files and syncs them, and what must be found of them after a power cut. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * The guest's script: makes an ext4, then several writers make, replace and remove files, and make what they did durable,
 * until a line is typed. `@@may NAME SUM` says what can be there from now on, `@@is NAME SUM` what must be; the sum is `gone`
 * for no file.
 */
export function syncedFilesScript(disk: string): string {
  return `
stty -echo
/host/mke2fs -q -t ext4 ${disk}
mount -t ext4 ${disk} /mnt
mkdir /mnt/files
/host/sync /mnt
echo "@@mounted"
may() { echo "@@may $1 $2"; }
is() { echo "@@is $1 $2"; }
write() { # writer
  n=0
  while [ ! -e /tmp/stop ] && [ $n -lt 400 ]; do
    n=$((n + 1)); file=$1$((n % 5))
    dd if=/dev/urandom of=/tmp/$1 bs=700 count=$((n * 37 % 90 + 1)) 2>/dev/null
    sum=$(md5sum < /tmp/$1); sum=\${sum%% *}
    case $((n % 4)) in
      0) dd if=/tmp/$1 of=/mnt/files/$1.new bs=64k conv=fsync 2>/dev/null
         may $file $sum; mv /mnt/files/$1.new /mnt/files/$file; /host/sync /mnt/files; is $file $sum ;;
      1) may $file gone; rm -f /mnt/files/$file; /host/sync /mnt/files; is $file gone ;;
      *) file=$1-$n; may $file $sum
         dd if=/tmp/$1 of=/mnt/files/$file bs=64k conv=fsync 2>/dev/null; is $file $sum ;;
    esac
  done
}
# Never synced: keeps the cache full of what may be lost.
litter() {
  n=0
  while [ ! -e /tmp/stop ]; do n=$((n + 1)); dd if=/dev/zero of=/mnt/litter$((n % 9)) bs=16k count=$((n % 11)) 2>/dev/null; rm -f /mnt/litter$((n * 5 % 9)); done
}
write a & write b & write c & litter &
read line
touch /tmp/stop
wait
umount /mnt
`;
}

/** The guest's lines, and what they promise. */
export class SyncedFiles {
  readonly #lines: string[] = [];

  /** How many lines there are: a moment, for {@link promisesAt}. */
  get moment(): number {
    return this.#lines.length;
  }

  take(line: string): void {
    if (/^(may|is) /.test(line)) this.#lines.push(line);
  }

  /** The contents that each file may have after a power cut that came after `moment`, by name. */
  promisesAt(moment: number): Map<string, Set<string>> {
    const promises = new Map<string, Set<string>>();
    for (const [index, line] of this.#lines.entries()) {
      const [word, name, sum] = line.split(" ");
      if (word === "is" && index < moment) promises.set(name, new Set([sum]));
      else promises.get(name)?.add(sum);
    }
    return promises;
  }
}

/** Compares files, by name, with what was promised. @returns what is wrong, a line a file. */
export function brokenPromises(promises: Map<string, Set<string>>, found: Map<string, string>): string[] {
  const wrong: string[] = [];
  for (const [name, allowed] of promises) {
    const sum = found.get(name) ?? "gone";
    if (!allowed.has(sum)) wrong.push(`${name}: found ${sum}, promised ${[...allowed].join(" or ")}`);
  }
  return wrong;
}

/** Lines of `e2fsck -p` for what a journal is there for; anything else is damage. */
const harmless = [/recovering journal$/, /: clean, /, /: \d+\/\d+ files \(/, /Clearing orphaned inode/, /^\s*$/];
/** Counters that an orphan's end changes. */
const orphanWords = [/[Oo]rphan/];

/** Lets the host's e2fsck replay the journal of an image. @returns complaints besides. */
export function replayOnHost(image: string): string[] {
  const preen = spawnSync("e2fsck", ["-p", image], { encoding: "utf8" });
  const strange = `${preen.stdout}${preen.stderr}`
    .split("\n")
    .filter((line) => ![...harmless, ...orphanWords].some((pattern) => pattern.test(line)));
  if ((preen.status ?? 8) > 1) strange.push(`e2fsck -p ended with ${preen.status}`);
  return [...strange, ...complaintsOf(image)];
}

/** What a whole check finds, with nothing repaired. */
export function complaintsOf(image: string): string[] {
  const check = spawnSync("e2fsck", ["-fn", image], { encoding: "utf8" });
  return check.status === 0 ? [] : [`e2fsck -fn ended with ${check.status}: ${check.stdout}`];
}

/** Sums of the files in an image, by name. */
export function filesOnHost(image: string): Map<string, string> {
  const folder = `${image}.files`;
  mkdirSync(folder);
  execFileSync("debugfs", ["-R", `rdump /files ${folder}`, image], { stdio: "ignore" });
  const files = join(folder, "files");
  const sums = (existsSync(files) ? readdirSync(files) : []).map((name): [string, string] => {
    return [
      name,
      createHash("md5")
        .update(readFileSync(join(files, name)))
        .digest("hex"),
    ];
  });
  rmSync(folder, { recursive: true });
  return new Map(sums);
}
