import { readFileSync } from 'node:fs';
import { domainToASCII } from 'node:url';
import { NetError, Phase } from '../stack/errors.ts';
import type { HostsFile } from '../stack/resolver/hosts-file.ts';
import type { NameServerAddress, NameServerTls } from '../stack/resolver/name-server.ts';
import { parseResolvConf, type ResolvConf } from '../stack/resolver/resolv-conf.ts';
import type { ResolverOptions as StackResolverOptions } from '../stack/resolver/resolver.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import type { ResolverOptions } from './options.ts';

const DNS_PORT = 53;
/** RFC 7858 §3.1 */
const DNS_OVER_TLS_PORT = 853;
const TLS_SCHEME = 'tls://';

/**
 * What the stack's resolver is made with: what was given, below it what a resolv.conf says, below that the defaults.
 * @throws NetError ARGUMENT_INVALID for a name server that is none, and a file that cannot be read
 */
export function resolverSettings(
  options: ResolverOptions,
  hosts: HostsFile,
  tls: NameServerTlsMaker,
): StackResolverOptions {
  const conf = options.resolvConf ? readResolvConf(options.resolvConf) : null;
  const given = options.servers?.map((text) => parseServer(text, options, tls));
  const configured = conf?.servers.map((address) => opportunistic(address, DNS_PORT, options, tls));
  return {
    servers: given ?? configured ?? [],
    hosts,
    timeoutMs: options.timeoutMs ?? conf?.timeoutMs ?? 2000,
    attempts: options.attempts ?? conf?.attempts ?? 2,
    toAscii: (name: string): string | null => domainToASCII(name) || null,
    search: (options.search ?? conf?.search ?? []).map((domain) => domain.toLowerCase().replace(/\.$/, '')),
    ndots: options.ndots ?? conf?.ndots ?? 1,
    rotate: options.rotate ?? conf?.rotate ?? false,
    edns: options.edns ?? true,
    staleMs: options.staleMs ?? 0,
    multicastNames: options.multicastNames ?? 'dns',
  };
}

/** Name servers that the network has told of: plain, or with TLS where the options ask for it. */
export function nameServersAt(
  addresses: readonly IpAddress[],
  options: ResolverOptions,
  tls: NameServerTlsMaker,
): NameServerAddress[] {
  return addresses.map((address) => opportunistic(address, DNS_PORT, options, tls));
}

function readResolvConf(path: string): ResolvConf {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `the resolver's configuration ${path} cannot be read: ${error instanceof Error ? error.message : error}`,
      cause: error,
    });
  }
}

/** Whether name servers are asked over TLS: what for takes a while to load, and is handed in as {@link NameServerTlsMaker}. */
export function needsEncryptedDns(options: ResolverOptions): boolean {
  return options.opportunisticTls === true || options.servers?.some(isOverTls) === true;
}

/** What makes the TLS side of a name server, as `encrypted-dns.ts` does. */
export type NameServerTlsMaker = (port: number, serverName: string, strict: boolean) => NameServerTls;

function strictServer(
  address: IpAddress,
  port: number,
  serverName: string,
  tls: NameServerTlsMaker,
): NameServerAddress {
  // RFC 8310 §5: over TLS with the right certificate, or not at all
  return { address, port, tls: tls(port, serverName, true) };
}

/** Plain, unless the options ask for TLS where there is some (RFC 7858 §4.1: whoever answers is believed). */
function opportunistic(
  address: IpAddress,
  port: number,
  options: ResolverOptions,
  tls: NameServerTlsMaker,
): NameServerAddress {
  if (options.opportunisticTls !== true) return { address, port };
  return { address, port, tls: tls(DNS_OVER_TLS_PORT, address.toString(), false) };
}

function isOverTls(server: string): boolean {
  return server.startsWith(TLS_SCHEME);
}

/** `192.0.2.53`, `2001:db8::53`, either with `#port`; `tls://dns.example@192.0.2.53#853`, where name and port can be left out. */
function parseServer(text: string, options: ResolverOptions, tls: NameServerTlsMaker): NameServerAddress {
  const isTls = isOverTls(text);
  const rest = isTls ? text.slice(TLS_SCHEME.length) : text;
  const at = rest.lastIndexOf('@');
  const serverName = at < 0 ? null : rest.slice(0, at);
  const [host = '', port] = rest.slice(at + 1).split('#');
  const address = IpAddress.parse(host);
  const number = port === undefined ? (isTls ? DNS_OVER_TLS_PORT : DNS_PORT) : Number(port);
  const isPort = Number.isInteger(number) && number >= 1 && number <= 65535;
  if (address === null || !isPort || serverName === '' || (serverName !== null && !isTls)) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail:
        'a name server is an IP address, with #port when it is not 53, or tls://NAME@ADDRESS for DNS over TLS; ' +
        `got '${text}'`,
    });
  }
  if (!isTls) return opportunistic(address, number, options, tls);
  return strictServer(address, number, serverName ?? address.toString(), tls);
}
