import type { Command } from 'commander';
import { whole } from '../flags.ts';

/** What commander makes of the flags. */
export interface DumpFlags {
  readonly interface?: string;
  readonly count?: number;
  readonly hex?: true;
  readonly read?: string;
  readonly write?: string;
  readonly snapshotLength?: number;
  readonly linkLevel?: true;
  readonly json?: true;
  readonly keylog?: string;
}

/** Adds the verb `dump`. */
export function addDumpCommand(program: Command): void {
  program
    .command('dump')
    .summary('print the packets of a capture or an interface, like tcpdump')
    .description(
      'Writes one line for each packet of a capture (pcap or pcapng, - is standard input), or of an Ethernet interface, as they come. ' +
        'Comments in the capture follow in the next line. A filter is made of host ADDRESS, port NUMBER (each also after src or dst), tcp, udp, ' +
        'icmp, arp, ip, ip6, joined by and, or, not and parentheses. Messages of TLS follow their packets, opened when the capture or a key log has their secrets.',
    )
    .argument('[file]', 'a capture')
    .argument('[filter...]', 'tcp and not port 22')
    .option('-i, --interface <name>', 'an Ethernet interface in place of a file (CAP_NET_RAW)')
    .option('-c, --count <number>', 'end after so many packets', whole)
    .option('-r, --read <file>', 'the capture, where all arguments are the filter')
    .option(
      '-w, --write <file>',
      'write the packets to a pcapng file in place of lines; - is standard output',
    )
    .option('-s, --snapshot-length <bytes>', 'of each packet as much as that (default: all)', whole)
    .option('-e, --link-level', 'with the Ethernet header')
    .option('-n, --numeric', 'addresses and ports as numbers, as they always are')
    .option('-U, --packet-buffered', 'write each packet as it comes: so it is with an interface and with -')
    .option('-X, --hex', 'with their bytes')
    .option('--keylog <file>', 'TLS secrets, as SSLKEYLOGFILE has them')
    .option('--json', 'one object of JSON on each line')
    .addHelpText(
      'after',
      `
Exit codes: 0 done, 2 command line or file, 23 output, 45 interface,
130 interrupted

  tunwire dump out.pcapng tcp port 443
  tunwire get http://server.lab.test/ -o page -w - | tunwire dump -`,
    )
    .action(async (file: string | undefined, words: string[], flags: DumpFlags) => {
      const { dump } = await import('../dump.ts');
      process.exit(await dump(file, words, flags));
    });
}
