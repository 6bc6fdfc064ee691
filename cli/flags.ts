import { type Command, InvalidArgumentError, Option } from 'commander';

/**
 * The flags that several verbs have, and nothing but them: this is loaded with every start of the command, what works with the flags
 * only when it is needed.
 */

/** Headings in the help. */
const NETWORK = 'Network:';
const IMPAIRMENTS = 'Impairments, in both directions:';
const RECORDS = 'Records:';
const TLS = 'TLS:';

/** The flags that disturb the link: words of `drivers/impair-options.ts`, with what they take. */
const IMPAIR_FLAGS = [
  ['--loss <percent>', 'lose packets: 2%, or in bursts: "gemodel 1% 30%"'],
  ['--delay <time>', 'delay packets: 40ms'],
  ['--jitter <time>', 'vary the delay: 10ms'],
  ['--reorder <percent>', 'let packets overtake delayed ones: 1%'],
  ['--dup, --duplicate <percent>', 'send packets twice: 0.5%'],
  ['--corrupt <percent>', 'flip a bit: 0.1%'],
  ['--rate <bitrate>', 'limit the rate: 2mbit'],
  ['--down <times>', 'take the link down, from the start on: 10s-15s,60s-'],
  [
    '--seed <number>',
    'what chance is drawn from, in the stack too: with -w the run can be done again (replay --exact)',
  ],
] as const;

/** What commander makes of the flags that disturb the link. */
export interface ImpairFlags {
  readonly loss?: string;
  readonly delay?: string;
  readonly jitter?: string;
  readonly reorder?: string;
  readonly duplicate?: string;
  readonly corrupt?: string;
  readonly rate?: string;
  readonly down?: string;
  readonly impair?: readonly string[];
  readonly seed?: string;
}

/** What commander makes of the flags of a verb that has a stack of its own. */
export interface StackFlags extends ImpairFlags {
  readonly device?: string;
  readonly tun?: string;
  readonly raw?: string;
  readonly pcapIn?: string;
  /** `--no-offload` makes it false. */
  readonly offload: boolean;
  readonly mtu?: number;
  readonly vlan?: number;
  readonly interface?: readonly string[];
  readonly temporaryAddresses?: true;
  readonly optimisticAddresses?: true;
  readonly addr: readonly string[];
  readonly gw: readonly string[];
  readonly dns: readonly string[];
  readonly hosts?: string;
  readonly write?: string;
  readonly capture?: string;
  readonly captureSecrets?: true;
  readonly ring?: string;
  /** How often it was given. */
  readonly verbose: number;
  readonly quiet?: true;
}

/** What commander makes of the flags about TLS. */
export interface TlsFlags {
  readonly cafile?: string;
  readonly trustedSite?: true;
  readonly secureFallback?: true;
  readonly keylog?: string;
}

/** Adds the flags of a verb that has a stack of its own. */
export function addStackFlags(command: Command): Command {
  const network = (option: Option): Option => option.helpGroup(NETWORK);
  command
    .addOption(
      network(
        new Option('--link, --device <spec>', 'tun:NAME, raw:INTERFACE, … (see tunwire doctor)').env(
          'TUNWIRE_DEVICE',
        ),
      ),
    )
    .addOption(
      network(
        new Option(
          '--tun <name>',
          'a TUN device; make one with: sudo ip tuntap add dev NAME mode tun user $USER',
        ),
      ),
    )
    .addOption(
      network(new Option('--raw <interface>', 'an Ethernet interface, beside the kernel').conflicts('tun')),
    )
    .addOption(
      network(
        new Option('--pcap-in <file>', 'play a capture to the stack, as its device').conflicts([
          'tun',
          'raw',
        ]),
      ),
    )
    .addOption(network(new Option('--no-offload', 'make checksums and segments here, not in the device')))
    .addOption(
      network(
        new Option('--mtu <bytes>', 'largest packet (default: what the device says)').argParser(number),
      ),
    )
    .addOption(
      network(
        new Option(
          '--vlan <id>',
          'the virtual LAN (802.1Q) of an Ethernet device that --addr is in',
        ).argParser(number),
      ),
    )
    .addOption(
      network(
        new Option('--addr <cidr>', 'own address with prefix length, 10.9.0.2/24; repeatable')
          .env('TUNWIRE_ADDR')
          .argParser(collect)
          .makeOptionMandatory(),
      ),
    )
    .addOption(
      network(
        new Option(
          '--interface <device,cidr,…>',
          'a further device with its addresses: raw:eth1,10.2.0.2/24,gw=10.2.0.1; repeatable',
        ).argParser(repeat),
      ),
    )
    .addOption(
      network(
        new Option(
          '--temporary-addresses',
          'with --addr slaac: begin connections from addresses by chance, too (RFC 8981)',
        ),
      ),
    )
    .addOption(
      network(
        new Option(
          '--optimistic-addresses',
          'with --addr slaac: use addresses while the link is asked for them (RFC 4429)',
        ),
      ),
    )
    .addOption(
      network(
        new Option('--gw <ip>', 'default gateway; once for each IP version')
          .env('TUNWIRE_GW')
          .argParser(collect)
          .default([], 'none'),
      ),
    )
    .addOption(
      network(
        new Option('--dns <ip>', 'name server; repeatable')
          .env('TUNWIRE_DNS')
          .argParser(collect)
          .default([], 'none'),
      ),
    )
    .addOption(
      network(new Option('--hosts <file>', 'hosts file in place of /etc/hosts').env('TUNWIRE_HOSTS')),
    );
  addImpairFlags(command);
  const records = (option: Option): Option => option.helpGroup(RECORDS);
  // traceroute's -q is another
  const quiet = command.options.some(({ short }) => short === '-q') ? '--quiet' : '-q, --quiet';
  return command
    .addOption(
      records(
        new Option(
          '-w, --write <file>',
          'write all packets and the TLS secrets to a pcapng file, which opens decrypted; - is standard output',
        )
          .argParser(captureFile)
          .conflicts('capture'),
      ),
    )
    .addOption(records(new Option('--capture <file>', 'the same without the secrets')))
    .addOption(
      records(
        new Option(
          '--ring <files,size>',
          'several files of a size one after the other, of which the last are kept: 10,64mb',
        ),
      ),
    )
    .addOption(new Option('--capture-secrets', 'with the secrets, too').hideHelp())
    .addOption(
      new Option('--secrets-in-pcapng', 'as --capture-secrets').implies({ captureSecrets: true }).hideHelp(),
    )
    .addOption(
      records(
        new Option('-v, --verbose', 'tell what happens, with times; -vv also what the stack has counted')
          .argParser((_, times: number) => times + 1)
          .default(0, 'off'),
      ),
    )
    .addOption(records(new Option(quiet, 'tell nothing but what went wrong').conflicts('verbose')));
}

/** Adds the flags that disturb the link, in both directions. */
export function addImpairFlags(command: Command): Command {
  for (const [flag, text] of IMPAIR_FLAGS) command.addOption(new Option(flag, text).helpGroup(IMPAIRMENTS));
  return command.addOption(
    new Option(
      '--impair <word=value>',
      'these for one direction, and others: in-loss=2%, out-down=5s-8s, mtu=1400, ecn; repeatable',
    )
      .helpGroup(IMPAIRMENTS)
      .argParser(repeat),
  );
}

/** Adds the flags about TLS. */
export function addTlsFlags(command: Command): Command {
  const tls = (option: Option): Option => option.helpGroup(TLS);
  return (
    command
      .addOption(
        tls(
          new Option('--cacert, --cafile <file>', 'trusted certificates in place of the system’s').env(
            'TUNWIRE_CAFILE',
          ),
        ),
      )
      .addOption(tls(new Option('-k, --trusted-site', 'accept any certificate')))
      // curl's name
      .addOption(
        new Option('--insecure', 'as -k, in the word of curl').implies({ trustedSite: true }).hideHelp(),
      )
      .addOption(
        tls(new Option('--secure-fallback', 'also speak TLS 1.0 and 1.1, RSA, CBC, 3DES, RC4, SHA-1, MD5')),
      )
      .addOption(
        tls(new Option('--keylog <file>', 'append the TLS secrets to a key log').env('SSLKEYLOGFILE')),
      )
  );
}

/** For options that can be repeated; commas separate, too. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), ...value.split(/[\s,]+/).filter((part) => part !== '')];
}

/** For options that can be repeated, and whose values may have commas in them. */
function repeat(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** Any number from 0. @throws InvalidArgumentError */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('expected a number, 0 or more');
  return value;
}

/** A whole number from 0. @throws InvalidArgumentError */
export function whole(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError('expected a whole number, 0 or more');
  return value;
}

/** For nc -w is a time limit. @throws InvalidArgumentError for a number */
function captureFile(value: string): string {
  if (!/^\d+(\.\d+)?$/.test(value)) return value;
  throw new InvalidArgumentError(
    `It is the file of a capture. For a time limit: --timeout ${value}; for a file of that name: -w ./${value}`,
  );
}
