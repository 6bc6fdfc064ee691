import type { PingReply, PingStatistics, TracedHop } from '../net/index.ts';
import { ExitCode } from './exit-code.ts';
import { withStack } from './own-stack.ts';
import { printerOf } from './stack-options.ts';
import type { PingFlags, TraceFlags } from './verbs/ping.ts';

/** @returns the exit code: 0 when at least one answer came */
export function ping(host: string, flags: PingFlags): Promise<ExitCode> {
  return withStack(flags, async (stack, interrupted) => {
    const print = printerOf(flags);
    const run = stack.ping(host, {
      family: familyOf(flags),
      count: flags.count ?? Infinity,
      intervalMs: flags.interval * 1000,
      timeoutMs: flags.wait * 1000,
      payloadBytes: flags.size,
      ttl: flags.ttl,
      signal: interrupted,
    });
    try {
      for await (const reply of run) {
        print(flags.json ? JSON.stringify({ host, address: run.address, ...reply }) : replyLine(reply));
      }
    } catch (error) {
      // an interruption is how a ping without a count ends
      if (!interrupted.aborted || run.statistics === null) throw error;
    }
    const { statistics } = run;
    if (statistics === null) return ExitCode.Failed;
    print(flags.json ? JSON.stringify({ host, statistics }) : statisticsText(host, statistics));
    return (statistics.received ?? 0) > 0 ? ExitCode.Ok : ExitCode.Failed;
  });
}

/** @returns the exit code: 0 when the host itself answered */
export function trace(host: string, flags: TraceFlags): Promise<ExitCode> {
  return withStack(flags, async (stack, interrupted) => {
    const print = printerOf(flags);
    const run = stack.trace(host, {
      family: familyOf(flags),
      method: flags.tcp !== undefined ? 'tcp' : flags.icmp ? 'icmp' : 'udp',
      port: flags.tcp,
      firstHop: flags.firstTtl,
      maxHops: flags.maxHops,
      probesPerHop: flags.queries,
      timeoutMs: flags.wait * 1000,
      signal: interrupted,
    });
    let reached = false;
    for await (const hop of run) {
      print(flags.json ? JSON.stringify(hop) : hopLine(hop));
      reached = hop.reached;
    }
    return reached ? ExitCode.Ok : ExitCode.Failed;
  });
}

function familyOf({ ipv4, ipv6 }: { readonly ipv4?: true; readonly ipv6?: true }): 0 | 4 | 6 {
  if (ipv4 && !ipv6) return 4;
  return ipv6 && !ipv4 ? 6 : 0;
}

function replyLine({ number, outcome, from, rttMs, ttl, error }: PingReply): string {
  if (outcome === 'timeout') return `${number}: no answer in time`;
  if (outcome === 'error') return `${number}: ${error ?? 'error'} from ${from}`;
  return `${number}: answer from ${from}, ttl ${ttl}, ${(rttMs ?? 0).toFixed(3)} ms`;
}

function statisticsText(host: string, numbers: PingStatistics): string {
  const { minMs, meanMs, maxMs, deviationMs } = numbers;
  const [sent, received] = [numbers.sent ?? 0, numbers.received ?? 0];
  const [errors, duplicates] = [numbers.errors ?? 0, numbers.duplicates ?? 0];
  const lost = sent === 0 ? 0 : Math.round(((sent - received) * 1000) / sent) / 10;
  const more = [errors > 0 ? `, ${errors} errors` : '', duplicates > 0 ? `, ${duplicates} duplicates` : ''];
  const first = `${host}: ${sent} sent, ${received} received, ${lost} % lost${more.join('')}`;
  if (minMs === null) return first;
  const times = [minMs, meanMs, maxMs, deviationMs].map((ms) => (ms ?? 0).toFixed(3)).join('/');
  return `${first}\nround trip min/mean/max/deviation ${times} ms`;
}

/** ` 1  192.0.2.1  0.123 ms  0.120 ms  *` */
function hopLine({ hop, probes }: TracedHop): string {
  let text = String(hop).padStart(2);
  let last = '';
  for (const { from, rttMs, tcp, extensions } of probes) {
    if (from === null) text += '  *';
    else {
      if (from !== last) text += `  ${from}${toldBy(extensions)}`;
      last = from;
      text += `  ${(rttMs ?? 0).toFixed(3)} ms`;
      if (tcp !== null) text += ` [${tcp}]`;
    }
  }
  return text;
}

/** ` [MPLS 16001 ttl 1] [incoming eth0 192.0.2.1 mtu 1500]` */
function toldBy(extensions: TracedHop['probes'][number]['extensions']): string {
  if (extensions === null) return '';
  const labels = extensions.mpls.map(({ label, ttl }) => ` [MPLS ${label} ttl ${ttl}]`);
  const interfaces = extensions.interfaces.map(({ role, index, address, name, mtuBytes }) => {
    const parts = [
      name,
      index === null ? null : `#${index}`,
      address,
      mtuBytes === null ? null : `mtu ${mtuBytes}`,
    ];
    return ` [${[role, ...parts].filter((part) => part !== null).join(' ')}]`;
  });
  return [...labels, ...interfaces].join('');
}
