import { NetError, Phase } from '../stack/errors.ts';

/**
 * `HOST:PORT`, `HOST`, `[fd09::1]:443` or `fd09::1` taken apart.
 * @throws NetError PORT_INVALID
 */
export function splitTarget(text: string, defaultPort: number): { host: string; port: number } {
  const [, bracketed, name, port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? name;
  // more than one colon without brackets: an IPv6 address
  if (host === undefined || host === '') return { host: text, port: defaultPort };
  const number = port === undefined ? defaultPort : Number(port);
  if (number >= 1 && number <= 65_535) return { host, port: number };
  throw new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `got '${text}'` });
}
