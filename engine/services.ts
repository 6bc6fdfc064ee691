import { Connector } from '../stack/connector.ts';
import type { RingSource } from '../stack/context.ts';
import type { Interface } from '../stack/ip/interface.ts';
import { type RandomSource, SeededRandom } from '../stack/random.ts';
import { HostsFile } from '../stack/resolver/hosts-file.ts';
import { Resolver, type ResolverOptions as ResolverSettings } from '../stack/resolver/resolver.ts';
import { Stack } from '../stack/stack.ts';
import type { IpAddress } from '../stack/wire/ip-address.ts';
import {
  AddressConfiguration,
  CONFIGURATION_SOURCES,
  type ConfigurationSettings,
  type NetworkNames,
} from './address-configuration.ts';
import type { EncryptedDns } from './encrypted-dns.ts';
import { HostsSource } from './hosts-source.ts';
import type { EngineOptions } from './options.ts';
import { type NameServerTlsMaker, nameServersAt, resolverSettings } from './resolver-settings.ts';
import { SystemRandom } from './system-random.ts';

/** A stack with what an application expects of a host around it: names and connections by name. */
export class Services {
  readonly stack: Stack;
  readonly resolver: Resolver;
  readonly connector: Connector;
  readonly #hosts: HostsSource | null;
  readonly #options: EngineOptions;
  readonly #tls: NameServerTlsMaker;
  readonly #settings: ResolverSettings;
  readonly #configurations = new Map<Interface, AddressConfiguration>();
  /** What the network says of names, by interface. */
  readonly #names = new Map<Interface, NetworkNames>();

  /** @param encryptedDns null: the options ask for none (`needsEncryptedDns`) */
  constructor(
    options: EngineOptions,
    rings: RingSource,
    now: number,
    encryptedDns: typeof EncryptedDns | null,
  ) {
    const random: RandomSource =
      options.seed === undefined ? new SystemRandom() : new SeededRandom(options.seed);
    this.stack = new Stack({ random, rings, now });
    if (options.ports !== undefined) this.stack.ports.use(options.ports);
    const resolver = options.resolver ?? {};
    const hostsFile = resolver.hostsFile === undefined ? '/etc/hosts' : resolver.hostsFile;
    this.#hosts = hostsFile === null ? null : new HostsSource(hostsFile);
    const hosts = this.#hosts?.reload(now) ?? HostsFile.parse('');
    this.#options = options;
    const encrypted = encryptedDns === null ? null : new encryptedDns(resolver, random);
    this.#tls = (...server) => encrypted!.server(...server);
    this.#settings = resolverSettings(resolver, hosts, this.#tls);
    this.resolver = new Resolver(this.stack, this.#settings);
    this.connector = new Connector(this.stack, this.resolver);
  }

  /** Starts asking the network of an interface for what is left to it. @throws NetError ARGUMENT_INVALID */
  configure(iface: Interface, settings: ConfigurationSettings): void {
    const user = {
      nameServers: (servers: readonly IpAddress[], search: readonly string[]): void => {
        this.#names.set(iface, { servers, search });
        this.#useNames();
      },
    };
    this.#configurations.set(iface, new AddressConfiguration(this.stack, iface, settings, user));
  }

  /** Which interface still waits for what; '': none does. @throws NetError ADDRESS_IN_USE */
  get awaited(): string {
    for (const [{ name }, { awaited }] of this.#configurations)
      if (awaited !== '') return `${name} has not got ${awaited}`;
    return '';
  }

  /** Gives back what the network has lent. */
  release(): void {
    for (const configuration of this.#configurations.values()) configuration.close();
  }

  /** Its device is gone: it has no addresses and no routes any more, and its virtual LANs neither. */
  interfaceLost(iface: Interface): void {
    for (const each of this.stack.interfaces) {
      if (each !== iface && !each.name.startsWith(`${iface.name}.`)) continue;
      this.#configurations.get(each)?.close();
      this.#configurations.delete(each);
      this.#names.delete(each);
      for (const source of CONFIGURATION_SOURCES) this.stack.configure(each, source, null);
    }
    this.#useNames();
  }

  /** What is given by options goes before what the network says. */
  #useNames(): void {
    const given = this.#settings;
    const all = [...this.#names.values()];
    const servers = all.flatMap((names) => names.servers);
    const search = all.flatMap((names) => names.search);
    this.resolver.setServers(
      given.servers.length > 0
        ? given.servers
        : nameServersAt(servers, this.#options.resolver ?? {}, this.#tls),
      given.search !== undefined && given.search.length > 0 ? given.search : search,
    );
  }

  /** Takes a changed hosts file over; looks at most once a second. */
  reloadHosts(now: number): void {
    const changed = this.#hosts?.reload(now);
    if (changed) this.resolver.setHosts(changed);
  }
}
