import { type Command, Option } from 'commander';
import { addStackFlags, number, type StackFlags, whole } from '../flags.ts';

/** What commander makes of the flags. */
export interface PingFlags extends StackFlags {
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly count?: number;
  readonly interval: number;
  readonly size?: number;
  readonly ttl?: number;
  readonly wait: number;
  readonly json?: true;
}

/** What commander makes of the flags. */
export interface TraceFlags extends StackFlags {
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly icmp?: true;
  readonly tcp?: number;
  readonly firstTtl: number;
  readonly maxHops: number;
  readonly queries: number;
  readonly wait: number;
  readonly json?: true;
}

/** Adds the verbs `ping` and `trace`. */
export function addPingCommands(program: Command): void {
  const ping = program
    .command('ping')
    .summary('ask a host for echoes')
    .description('Sends ICMP echo requests and writes what becomes of each, then the numbers over all.')
    .argument('<host>', 'host name or IP address')
    .option('-4, --ipv4', 'IPv4 only')
    .option('-6, --ipv6', 'IPv6 only')
    .option('-c, --count <number>', 'as many as that (default: until it is interrupted)', whole)
    .option('-i, --interval <seconds>', 'between two', number, 1)
    .option('-s, --size <bytes>', 'data in each', whole)
    .option('-t, --ttl <hops>', 'hop limit (default 64)', whole)
    .option('-W, --wait <seconds>', 'for each answer', number, 2)
    .option('-n, --numeric', 'addresses as numbers, as they always are')
    .option('--json', 'one object of JSON on each line');
  addStackFlags(ping)
    .addHelpText(
      'after',
      '\nExit codes: 0 answers came, 1 none came, 2 command line, 6 name, 7 no route,\n45 device',
    )
    .action(async (host: string, flags: PingFlags) => {
      const verbs = await import('../ping.ts');
      process.exit(await verbs.ping(host, flags));
    });
  const trace = program
    .command('trace')
    .summary('find the routers on the way to a host')
    .description('Sends probes with a rising hop limit and writes who complains about them, like traceroute.')
    .argument('<host>', 'host name or IP address')
    .option('-4, --ipv4', 'IPv4 only')
    .option('-6, --ipv6', 'IPv6 only')
    .option('-I, --icmp', 'echo requests in place of UDP datagrams')
    .addOption(
      new Option('-T, --tcp <port>', 'SYNs to a port, as tcptraceroute sends them')
        .argParser(whole)
        .conflicts('icmp'),
    )
    .option('-f, --first-ttl <hops>', 'hop limit of the first probes', whole, 1)
    .option('-m, --max-hops <hops>', 'the last hop limit', whole, 30)
    .option('-q, --queries <number>', 'probes for each hop', whole, 3)
    .option('-W, --wait <seconds>', 'for each answer', number, 3)
    .option('-n, --numeric', 'addresses as numbers, as they always are')
    .option('--json', 'one object of JSON on each line');
  addStackFlags(trace)
    .addHelpText(
      'after',
      '\nExit codes: 0 the host was reached, 1 it was not, 2 command line, 6 name,\n7 no route, 45 device',
    )
    .action(async (host: string, flags: TraceFlags) => {
      const verbs = await import('../ping.ts');
      process.exit(await verbs.trace(host, flags));
    });
}
