import { Connector } from '../stack/connector.ts';
import type { RingSource } from '../stack/context.ts';
import { type RandomSource, SeededRandom } from '../stack/random.ts';
import { HostsFile } from '../stack/resolver/hosts-file.ts';
import { Resolver } from '../stack/resolver/resolver.ts';
import { Stack } from '../stack/stack.ts';
import { HostsSource } from './hosts-source.ts';
import type { EngineOptions } from './options.ts';
import { resolverSettings } from './resolver-settings.ts';
import { SystemRandom } from './system-random.ts';

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
    const hosts = this.#hosts?.reload(now) ?? HostsFile.parse('');
    this.resolver = new Resolver(this.stack, resolverSettings(resolver, hosts, random));
    this.connector = new Connector(this.stack, this.resolver);
  }

  /** Takes a changed hosts file over; looks at most once a second. */
  reloadHosts(now: number): void {
    const changed = this.#hosts?.reload(now);
    if (changed) this.resolver.setHosts(changed);
  }
}
