import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The parts of V8's .cpuprofile that are looked at. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const SHOWN = 25;

/** Where the time went in every profile of a folder, by the functions' own time. */
export function profileSummaries(folder: string): string {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  return files
    .sort()
    .map((name) => summary(name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile))
    .join('\n\n');
}

function summary(name: string, { nodes, samples, timeDeltas }: CpuProfile): string {
  const places = new Map<number, string>();
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame;
    const file = url
      .replace(/^file:\/\//, '')
      .split('/')
      .slice(-2)
      .join('/');
    places.set(id, `${functionName || '(anonymous)'}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`);
  }
  const own = new Map<string, number>();
  let total = 0;
  samples.forEach((id, i) => {
    const place = places.get(id) ?? '';
    const micros = timeDeltas[i] ?? 0;
    if (place === '(idle)') return;
    total += micros;
    own.set(place, (own.get(place) ?? 0) + micros);
  });
  const lines = [...own]
    .sort((a, b) => b[1] - a[1])
    .slice(0, SHOWN)
    .map(([place, micros]) => `${((100 * micros) / total).toFixed(1).padStart(6)} %  ${place}`);
  return [`${name}: ${(total / 1e6).toFixed(2)} s`, ...lines].join('\n');
}
