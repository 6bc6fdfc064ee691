import { IpAddress } from '../wire/ip-address.ts';

/** resolv.conf(5): more name servers, and more search domains, are left out. */
export const MAX_NAME_SERVERS = 3;
const MAX_SEARCH_DOMAINS = 32;
/** resolv.conf(5): larger values are silently cut to these. */
const MAX_NDOTS = 15;
const MAX_TIMEOUT_SECONDS = 30;
const MAX_ATTEMPTS = 5;

/** What a resolv.conf says; undefined: nothing about it. */
export interface ResolvConf {
  readonly servers: readonly IpAddress[];
  readonly search?: readonly string[];
  readonly ndots?: number;
  readonly timeoutMs?: number;
  readonly attempts?: number;
  readonly rotate?: boolean;
  /** The option `edns0`. */
  readonly edns?: boolean;
  /** Lines that could not be used: counted from 1, with what is wrong. */
  readonly skipped: readonly { readonly line: number; readonly reason: string }[];
}

/**
 * Reads a resolv.conf(5). Never fails: a line that cannot be used is skipped and noted. `domain` and `search` exclude each
 * other, the last one counts. Options that are not known are no fault: the C library has more of them.
 */
export function parseResolvConf(text: string): ResolvConf {
  const servers: IpAddress[] = [];
  const skipped: { line: number; reason: string }[] = [];
  let search: string[] | undefined;
  const options: { -readonly [K in keyof ResolvConf]?: ResolvConf[K] } = {};
  for (const [index, line] of text.split('\n').entries()) {
    // A comment begins in the first column
    if (line.startsWith('#') || line.startsWith(';')) continue;
    const [keyword = '', ...values] = line.trim().split(/[ \t]+/);
    const skip = (reason: string): void => void skipped.push({ line: index + 1, reason });
    switch (keyword) {
      case '':
        break;
      case 'nameserver':
        addServer(servers, values[0] ?? '', skip);
        break;
      case 'domain':
        search = domains(values.slice(0, 1));
        break;
      case 'search':
        search = domains(values);
        break;
      case 'options':
        for (const value of values) takeOption(options, value, skip);
        break;
      case 'sortlist':
        skip('sortlist is not supported: addresses keep the order of the server');
        break;
      default:
        skip(`not a keyword of resolv.conf: ${keyword.slice(0, 64)}`);
    }
  }
  return { ...options, servers, skipped, ...(search === undefined ? {} : { search }) };
}

function addServer(servers: IpAddress[], value: string, skip: (reason: string) => void): void {
  const address = IpAddress.parse(value);
  if (address === null) skip(`expected the address of a name server, got ${value.slice(0, 64) || 'nothing'}`);
  else if (servers.length === MAX_NAME_SERVERS) skip(`more than ${MAX_NAME_SERVERS} name servers`);
  else servers.push(address);
}

function domains(values: readonly string[]): string[] {
  return values
    .map((value) => value.toLowerCase().replace(/\.$/, ''))
    .filter((value) => value !== '')
    .slice(0, MAX_SEARCH_DOMAINS);
}

function takeOption(
  options: { -readonly [K in keyof ResolvConf]?: ResolvConf[K] },
  option: string,
  skip: (reason: string) => void,
): void {
  const [name = '', value = ''] = option.split(':');
  if (name === 'rotate') options.rotate = true;
  if (name === 'edns0') options.edns = true;
  if (name !== 'ndots' && name !== 'timeout' && name !== 'attempts') return;
  if (!/^\d+$/.test(value)) {
    skip(`the option ${name} needs a number, got ${option.slice(0, 64)}`);
    return;
  }
  const number = Number(value);
  if (name === 'ndots') options.ndots = Math.min(number, MAX_NDOTS);
  else if (name === 'timeout') options.timeoutMs = Math.min(Math.max(number, 1), MAX_TIMEOUT_SECONDS) * 1000;
  else options.attempts = Math.min(Math.max(number, 1), MAX_ATTEMPTS);
}
