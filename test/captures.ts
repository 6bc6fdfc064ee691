/**
 * `npm run captures -- FOLDER…`: feeds every capture below the folders (tcpdump's `tests/`, Wireshark's `test/captures/`, …) to a stack
 * through `pcap:`, to `dump` and to `replay`. Each file gets a process, a limited time and a limited memory; a file that is refused is no
 * failure, one that takes too much of either, or makes anything but an error of ours, is.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Eaten } from './captures-child.ts';

const MAX_SECONDS = 60;
const MAX_HEAP_MB = 256;
const MAX_RESIDENT_MB = 512;
/** As `.pcap.gz`, and the names that captures have without any ending in tcpdump's tests. */
const CAPTURE_NAME = /\.(pcap|pcapng|cap|dmp|ntar)(\.gz)?$/;
const CHILD = resolve(import.meta.dirname, 'captures-child.ts');

const folders = process.argv.slice(2);
if (folders.length === 0) {
  console.error('usage: npm run captures -- FOLDER…');
  process.exit(2);
}
const files = folders.flatMap(captures);
const total = { frames: 0, packets: 0, refused: 0, failed: 0, slowestMs: 0, mostMb: 0 };
for (const file of files) {
  const begin = performance.now();
  const eaten = eat(file);
  total.slowestMs = Math.max(total.slowestMs, performance.now() - begin);
  if (typeof eaten === 'string') {
    total.failed++;
    console.log(`FAILED ${file}: ${eaten}`);
    continue;
  }
  total.frames += eaten.frames;
  total.packets += eaten.packets;
  if (eaten.error !== '') total.refused++;
  total.mostMb = Math.max(total.mostMb, eaten.residentMb);
}
console.log(
  `${files.length} captures, ${total.frames} frames, ${total.packets} IP packets in them; ${total.refused} refused or broken off; ` +
    `${total.failed} failed; at most ${(total.slowestMs / 1000).toFixed(1)} s and ${total.mostMb} MB for one`,
);
process.exitCode = total.failed === 0 && files.length > 0 ? 0 : 1;

function captures(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && CAPTURE_NAME.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** @returns what went wrong as text */
function eat(file: string): Eaten | string {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [`--max-old-space-size=${MAX_HEAP_MB}`, CHILD, file],
    { encoding: 'utf8', timeout: MAX_SECONDS * 1000, killSignal: 'SIGKILL', maxBuffer: 2 ** 30 },
  );
  if (signal !== null) return `ended by ${signal} after at most ${MAX_SECONDS} s`;
  // what dump says of a defect, in place of throwing it
  if (status !== 0 || stderr.includes('this is a defect')) return stderr.slice(-2000);
  const eaten = JSON.parse(stdout.slice(stdout.lastIndexOf('\n', stdout.length - 2) + 1)) as Eaten;
  return eaten.residentMb > MAX_RESIDENT_MB ? `${eaten.residentMb} MB of memory` : eaten;
}
