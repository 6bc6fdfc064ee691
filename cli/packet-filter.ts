import { NetError, Phase } from '../stack/errors.ts';
import type { PacketSummary } from './packet-line.ts';

/** Whether a packet is wanted. @param packet null: it carries neither IP nor ARP */
export type PacketFilter = (packet: PacketSummary | null) => boolean;

type Side = 'src' | 'dst' | 'any';

/** Words that stand for a kind of packet. */
const KINDS: Readonly<Record<string, (packet: PacketSummary) => boolean>> = {
  tcp: ({ protocol }) => protocol === 'tcp',
  udp: ({ protocol }) => protocol === 'udp',
  arp: ({ protocol }) => protocol === 'arp',
  icmp: ({ protocol }) => protocol.startsWith('icmp'),
  ip: ({ protocol, source }) => protocol !== 'arp' && !source.includes(':'),
  ip6: ({ source }) => source.includes(':'),
};

/**
 * Reads a filter in words of pcap-filter(7): `tcp and not (port 22 or src host 10.9.0.1)`. As there, `and` and `or` bind alike, from left
 * to right, and `not` binds more; words side by side mean `and`. No words: everything.
 * @throws NetError ARGUMENT_INVALID for a word that means nothing there
 */
export function parseFilter(words: readonly string[]): PacketFilter {
  const tokens = words.flatMap((word) => word.split(/\s+|([()!])/)).filter((token) => token);
  if (tokens.length === 0) return () => true;
  const parser = new FilterParser(tokens as string[]);
  const filter = parser.expression();
  parser.expectEnd();
  return (packet) => filter(packet);
}

class FilterParser {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  expression(): PacketFilter {
    let filter = this.#factor();
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined || token === ')') return filter;
      const left = filter;
      if (token === 'or' || token === '||') {
        this.#at++;
        const right = this.#factor();
        filter = (packet) => left(packet) || right(packet);
      } else {
        if (token === 'and' || token === '&&') this.#at++;
        const right = this.#factor();
        filter = (packet) => left(packet) && right(packet);
      }
    }
  }

  expectEnd(): void {
    const token = this.#tokens[this.#at];
    if (token !== undefined) throw unknownWord(token);
  }

  #factor(): PacketFilter {
    const token = this.#next();
    if (token === 'not' || token === '!') {
      const inner = this.#factor();
      return (packet) => !inner(packet);
    }
    if (token === '(') {
      const inner = this.expression();
      if (this.#next() !== ')') throw unknownWord('(');
      return inner;
    }
    if (token === 'src' || token === 'dst') return this.#end(this.#next(), token);
    const kind = Object.hasOwn(KINDS, token) ? KINDS[token] : undefined;
    if (kind !== undefined) return (packet) => packet !== null && kind(packet);
    return this.#end(token, 'any');
  }

  #end(what: string, side: Side): PacketFilter {
    const value = this.#next();
    if (what === 'host') {
      return (packet) =>
        packet !== null &&
        ((side !== 'dst' && packet.source === value) || (side !== 'src' && packet.destination === value));
    }
    const port = value === '' ? Number.NaN : Number(value);
    if (what !== 'port' || !Number.isInteger(port)) throw unknownWord(what === 'port' ? value : what);
    return (packet) =>
      packet !== null &&
      ((side !== 'dst' && packet.sourcePort === port) || (side !== 'src' && packet.destinationPort === port));
  }

  #next(): string {
    return this.#tokens[this.#at++] ?? '';
  }
}

function unknownWord(word: string): NetError {
  const got = word === '' ? 'nothing more' : `'${word}'`;
  return new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `a filter is made of host ADDRESS and port NUMBER (each also after src or dst), tcp, udp, icmp, arp, ip, ip6, and, or, not and parentheses; got ${got}`,
  });
}
