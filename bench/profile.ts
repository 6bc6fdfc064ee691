import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The parts of V8's .cpuprofile that are looked at. */
interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

const SHOWN = 25;

/** Where threads wait: in poll(2), which V8 may inline into its caller, and Atomics.wait. V8 has its own name for an idle event loop. */
const ASLEEP = /^(\(idle\)$|system call wait |#sleep .*(shared-socket|engine\/run))/;

/** Where the time went in every profile of a folder, by the functions' own time. */
export function profileSummaries(folder: string): string {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  return files
    .sort()
    .map((name) => summary(name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile))
    .join('\n\n');
}

function summary(name: string, { nodes, samples, timeDeltas }: CpuProfile): string {
  const places = placesOf(nodes);
  const own = new Map<string, number>();
  let total = 0;
  let asleep = 0;
  samples.forEach((id, i) => {
    const place = places.get(id) ?? '';
    const micros = timeDeltas[i] ?? 0;
    if (ASLEEP.test(place)) {
      asleep += micros;
      return;
    }
    total += micros;
    own.set(place, (own.get(place) ?? 0) + micros);
  });
  const lines = [...own]
    .sort((a, b) => b[1] - a[1])
    .slice(0, SHOWN)
    .map(([place, micros]) => `${((100 * micros) / total).toFixed(1).padStart(6)} %  ${place}`);
  return [
    `${name}: ${(total / 1e6).toFixed(2)} s awake, ${(asleep / 1e6).toFixed(2)} s asleep`,
    ...lines,
  ].join('\n');
}

/** Names of the nodes, with file and line. */
function placesOf(nodes: readonly ProfileNode[]): Map<number, string> {
  const places = new Map<number, string>();
  for (const node of nodes) places.set(node.id, placeOf(node));
  for (const parent of nodes) {
    if (!parent.callFrame.url.endsWith('drivers/syscalls.ts')) continue;
    // all native functions of koffi share one address, and V8 gives it the name of any of them
    for (const child of parent.children ?? []) {
      if (places.get(child)?.includes(':') === false) places.set(child, `system call ${placeOf(parent)}`);
    }
  }
  return places;
}

function placeOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const name = functionName || '(anonymous)';
  if (url === '') return name;
  const file = url
    .replace(/^file:\/\//, '')
    .split('/')
    .slice(-2)
    .join('/');
  return `${name} ${file}:${lineNumber + 1}`;
}
