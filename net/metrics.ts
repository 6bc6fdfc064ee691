import type { StackStats } from '../engine/questions.ts';

/** Of the engine's numbers, those that go up and down or are no counts at all have names of their own. */
const SECONDS: Readonly<Record<string, string>> = {
  asleepMs: 'asleep_seconds_total',
  workingMs: 'working_seconds_total',
};

/**
 * A stack's counters in Prometheus' text format 0.0.4: `tunwire_engine_rx_packets_total`, `tunwire_tcp_segments_in_total`, and the reasons
 * for drops as one metric of each layer with a label, `tunwire_tcp_drops_total{reason="checksum"}`.
 */
export function prometheusText(stats: StackStats): string {
  const lines: string[] = [];
  const metric = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    samples: [string, number][],
  ): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of samples) lines.push(`${name}${labels} ${value}`);
  };
  metric(
    'tunwire_interface_mtu_bytes',
    'gauge',
    'Largest IP packet of the interface.',
    stats.interfaces.map(({ name, mtuBytes }) => [`{interface="${escaped(name)}"}`, mtuBytes]),
  );
  for (const [key, value] of Object.entries(stats.engine)) {
    if (DROPPED.test(key)) continue;
    if (key === 'memoryUsedBytes') {
      metric('tunwire_engine_memory_used_bytes', 'gauge', 'Memory of rings and TLS states in use.', [
        ['', value],
      ]);
      continue;
    }
    const seconds = SECONDS[key];
    if (seconds !== undefined) {
      metric(`tunwire_engine_${seconds}`, 'counter', `Seconds of the engine's thread (${key}).`, [
        ['', value / 1000],
      ]);
    } else {
      metric(`tunwire_engine_${snake(key)}_total`, 'counter', `The engine's ${key}.`, [['', value]]);
    }
  }
  metric('tunwire_device_drops_total', 'counter', 'What devices dropped, by reason.', dropsOf(stats));
  metric(
    'tunwire_tcp_connections',
    'gauge',
    'TCP connections by state.',
    Object.entries(stats.connections).map(([state, count]) => [`{state="${escaped(state)}"}`, count]),
  );
  for (const [layer, counters] of Object.entries(stats.layers)) {
    const prefix = `tunwire_${snake(layer)}`;
    const drops: [string, number][] = [];
    for (const [key, value] of Object.entries(counters)) {
      if (key.startsWith('drop')) drops.push([`{reason="${snake(key.slice('drop'.length))}"}`, value]);
      else metric(`${prefix}_${snake(key)}_total`, 'counter', `The layer ${layer}: ${key}.`, [['', value]]);
    }
    if (drops.length > 0) {
      metric(`${prefix}_drops_total`, 'counter', `The layer ${layer}: what it dropped, by reason.`, drops);
    }
  }
  return `${lines.join('\n')}\n`;
}

const DROPPED = /^(rx|tx)Dropped(.+)$/;

function dropsOf({ interfaces }: StackStats): [string, number][] {
  return interfaces.flatMap(({ name, device }) =>
    Object.entries(device ?? {}).flatMap(([key, value]): [string, number][] => {
      const [, direction, reason] = DROPPED.exec(key) ?? [];
      if (reason === undefined) return [];
      const labels = `interface="${escaped(name)}",direction="${direction}",reason="${snake(reason)}"`;
      return [[`{${labels}}`, value]];
    }),
  );
}

/** `dropBadOffset` as Prometheus writes it: bad_offset. */
function snake(name: string): string {
  return name
    .replace(/[A-Z]+/g, (letters) => `_${letters.toLowerCase()}`)
    .replace(/[^a-z0-9_]/g, '_')
    .replace(/^_/, '');
}

function escaped(label: string): string {
  return label.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n');
}
