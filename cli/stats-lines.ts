import type { StackStats } from '../net/index.ts';

/** The counters of a stack that are not 0, one to a line, as `ss -s` and `-vv` show them. */
export function statsLines({ interface: iface, engine, layers, connections }: StackStats): string[] {
  const lines = [`${iface.name}: ${iface.addresses.join(', ')}, MTU ${iface.mtuBytes}`];
  for (const [layer, counters] of Object.entries({ connections, engine, ...layers })) {
    const counted = Object.entries(counters).filter(([, value]) => value !== 0);
    if (counted.length === 0) continue;
    lines.push(`${layer}:`);
    for (const [name, value] of counted)
      lines.push(`  ${String(Number.isInteger(value) ? value : value.toFixed(3)).padStart(12)} ${name}`);
  }
  return lines;
}
