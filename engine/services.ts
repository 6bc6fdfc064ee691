import { domainToASCII } from 'node:url';
import { Connector } from '../stack/connector.ts';
import type { RingSource } from '../stack/context.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { type RandomSource, SeededRandom } from '../stack/random.ts';
import { HostsFile } from '../stack/resolver/hosts-file.ts';
import { Resolver } from '../stack/resolver/resolver.ts';
import { Stack } from '../stack/stack.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { HostsSource } from './hosts-source.ts';
import type { EngineOptions } from './options.ts';
import { SystemRandom } from './system-random.ts';

const DNS_PORT = 53;

/** A stack with what an application expects of a host around it: names and connections by name. */
export class Services {
  readonly stack: Stack;
  readonly resolver: Resolver;
  readonly connector: Connector;
  readonly #hosts: HostsSource | null;

  constructor(options: EngineOptions, rings: RingSource, now: number) {
    const random: RandomSource =
      options.seed === undefined ? new SystemRandom() : new SeededRandom(options.seed);
    this.stack = new Stack({ random, rings, now });
    const resolver = options.resolver ?? {};
    const hostsFile = resolver.hostsFile === undefined ? '/etc/hosts' : resolver.hostsFile;
    this.#hosts = hostsFile === null ? null : new HostsSource(hostsFile);
    this.resolver = new Resolver(this.stack, {
      servers: (resolver.servers ?? []).map(parseServer),
      hosts: this.#hosts?.reload(now) ?? HostsFile.parse(''),
      timeoutMs: resolver.timeoutMs ?? 2000,
      attempts: resolver.attempts ?? 2,
      toAscii: (name: string): string | null => domainToASCII(name) || null,
    });
    this.connector = new Connector(this.stack, this.resolver);
  }

  /** Takes a changed hosts file over; looks at most once a second. */
  reloadHosts(now: number): void {
    const changed = this.#hosts?.reload(now);
    if (changed) this.resolver.setHosts(changed);
  }
}

/** `192.0.2.53`, `2001:db8::53`, either with `#port`. */
function parseServer(text: string): { address: IpAddress; port: number } {
  const [host = '', port] = text.split('#');
  const address = IpAddress.parse(host);
  const number = port === undefined ? DNS_PORT : Number(port);
  if (address === null || !Number.isInteger(number) || number < 1 || number > 65535) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `a name server is an IP address, with #port when it is not 53; got '${text}'`,
    });
  }
  return { address, port: number };
}
