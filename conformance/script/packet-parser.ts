import type { TokenReader } from './parser.ts';
import type { EcnCounter, EcnSpec, IcmpSpec, IpSpec, OptionSpec, PacketSpec } from './syntax.ts';

const NO_IP: IpSpec = { ecn: null, trafficClass: null, ttl: null, flowLabel: null };
const ECN_WORDS: readonly string[] = ['noecn', 'ect0', 'ect1', 'ect01', 'ce'];

/** Reads a packet from its direction on. @throws ScriptSyntaxError */
export function parsePacket(tokens: TokenReader): PacketSpec {
  const inbound = tokens.next().text === '<';
  const prefix = tokens.peek();
  if (prefix.kind === 'word' && /^(ipv4|ipv6|gre|GREv0|mpls)$/.test(prefix.text))
    return unsupported(tokens, inbound, `packets inside ${prefix.text}`);
  if (tokens.sees('[') && tokens.sees('sctp', 1)) return unsupported(tokens, inbound, 'SCTP');
  const quoted = parseQuotedInFront(tokens);
  if (quoted !== null) return parseIcmp(tokens, inbound, NO_IP, quoted);
  const ip = parseIpInfo(tokens);
  if (tokens.sees('sctp')) return unsupported(tokens, inbound, 'SCTP');
  if (tokens.sees('udplite')) return unsupported(tokens, inbound, 'UDP-Lite');
  if (tokens.sees('encap')) return unsupported(tokens, inbound, 'PSP encapsulation');
  if (tokens.take('icmp')) return parseIcmp(tokens, inbound, ip);
  if (tokens.take('udp')) {
    const ports = parsePorts(tokens);
    tokens.expect('(');
    const payloadBytes = tokens.integer('a payload length');
    tokens.expect(')');
    return { kind: 'udp', inbound, ip, ports, payloadBytes };
  }
  return parseTcp(tokens, inbound, ip);
}

/** `[1:1461(1460)] icmp …`: the first packetdrill's place for what an ICMP error quotes. */
function parseQuotedInFront(tokens: TokenReader): IcmpSpec['quoted'] {
  if (!tokens.sees('[') || tokens.peek(1).kind !== 'integer' || !tokens.sees(':', 2)) return null;
  tokens.expect('[');
  const { seq, payloadBytes } = parseSequence(tokens);
  tokens.expect(']');
  tokens.expect('icmp');
  return { protocol: 'tcp', seq: seq ?? 0, payloadBytes };
}

/** Leaves out everything up to the next event: the line, and further ones while a bracket or a list is open. */
function unsupported(tokens: TokenReader, inbound: boolean, reason: string): PacketSpec {
  let lastLine = tokens.peek().line;
  let depth = 0;
  let last = '';
  while (
    tokens.peek().kind !== 'end' &&
    (depth > 0 || /^[,;:]$/.test(last) || tokens.peek().line === lastLine)
  ) {
    const { text, line } = tokens.next();
    last = text;
    lastLine = line;
    if ('([{'.includes(text)) depth++;
    else if (')]}'.includes(text)) depth--;
  }
  return { kind: 'unsupported', inbound, reason };
}

/** `[ect0]`, `(ttl 4)`, `(tos 0x20)`, `[flowlabel 0x1]`, also several, separated by commas. */
function parseIpInfo(tokens: TokenReader): IpSpec {
  const close = tokens.sees('(') ? ')' : ']';
  if (!tokens.take('(') && !tokens.take('[')) return NO_IP;
  let ip = NO_IP;
  do {
    const word = tokens.next().text;
    if (ECN_WORDS.includes(word)) ip = { ...ip, ecn: word as EcnSpec };
    else if (word === 'tos' || word === 'class')
      ip = { ...ip, trafficClass: tokens.integer('a traffic class') };
    else if (word === 'ttl' || word === 'hlim') ip = { ...ip, ttl: tokens.integer('a hop limit') };
    else if (word === 'flowlabel') ip = { ...ip, flowLabel: tokens.integer('a flow label') };
    else tokens.fail(`unknown IP field '${word}'`);
  } while (tokens.take(','));
  tokens.expect(close);
  return ip;
}

function parsePorts(tokens: TokenReader): readonly [number, number] | null {
  if (tokens.peek().kind !== 'integer' || !tokens.sees('>', 1)) return null;
  const source = tokens.integer('a port');
  tokens.expect('>');
  return [source, tokens.integer('a port')];
}

/** `unreachable frag_needed mtu 1200 [1:1001(1000)]`, `echo_request id 7` */
function parseIcmp(
  tokens: TokenReader,
  inbound: boolean,
  ip: IpSpec,
  quotedInFront: IcmpSpec['quoted'] = null,
): PacketSpec {
  const type = tokens.next().text;
  let code = '';
  let mtuBytes = -1;
  let id = 0;
  let quoted = quotedInFront;
  if (tokens.peek().kind === 'word' && !tokens.sees('mtu') && !tokens.sees('id')) code = tokens.next().text;
  if (tokens.take('mtu')) mtuBytes = tokens.integer('an MTU');
  if (tokens.take('id')) id = tokens.integer('an identifier');
  if (tokens.take('[')) {
    if (tokens.sees('sctp')) return unsupported(tokens, inbound, 'SCTP');
    if (tokens.sees('udplite')) return unsupported(tokens, inbound, 'UDP-Lite');
    if (tokens.sees('udp') || tokens.sees('raw')) {
      const protocol = tokens.next().text === 'udp' ? 'udp' : 'raw';
      tokens.expect('(');
      quoted = { protocol, payloadBytes: tokens.integer('a payload length') };
      tokens.expect(')');
    } else {
      const { seq, payloadBytes } = parseSequence(tokens);
      quoted = { protocol: 'tcp', seq: seq ?? 0, payloadBytes };
      if (tokens.sees('/')) return unsupported(tokens, inbound, 'TCP encapsulated in UDP');
    }
    tokens.expect(']');
  }
  return { kind: 'icmp', inbound, ip, type, code, mtuBytes, id, quoted };
}

function parseTcp(tokens: TokenReader, inbound: boolean, ip: IpSpec): PacketSpec {
  const ports = parsePorts(tokens);
  const { flags, ace } = parseFlags(tokens);
  const { seq, payloadBytes } = parseSequence(tokens);
  const seqIsAbsolute = tokens.take('!');
  let ack: number | null = null;
  let window: number | null = null;
  let urgent = 0;
  if (tokens.take('ack')) {
    ack = tokens.take('...') ? null : tokens.integer('an acknowledgment number');
    tokens.take('!');
  }
  if (tokens.take('win')) window = tokens.take('...') ? null : tokens.integer('a window');
  if (tokens.take('urg')) urgent = tokens.integer('an urgent pointer');
  const options = parseOptions(tokens);
  // nplab: TCP inside UDP
  if (tokens.take('/')) return unsupported(tokens, inbound, 'TCP encapsulated in UDP');
  const kind = 'tcp';
  return {
    kind,
    inbound,
    ip,
    ports,
    flags,
    ace,
    seq,
    seqIsAbsolute,
    payloadBytes,
    ack,
    window,
    urgent,
    options,
  };
}

/** `S`, `.`, `P.`, `SEW`, `-`; `.5` and `P.5` state the AccECN counter. */
function parseFlags(tokens: TokenReader): { flags: string; ace: number } {
  if (tokens.take('-')) return { flags: '', ace: -1 };
  let flags = '';
  if (tokens.peek().kind === 'word') flags = tokens.next().text;
  if (tokens.peek().kind === 'float') {
    const { text } = tokens.next();
    return { flags: `${flags}.`, ace: Number(text.slice(1)) };
  }
  if (tokens.take('.')) flags += '.';
  if (flags === '' || !/^[FSRPUEWACN.]+$/.test(flags))
    tokens.fail(`expected TCP flags, got '${flags}' before`);
  return { flags, ace: -1 };
}

/** `1:1001(1000)`; `...` in place of a number is any. */
function parseSequence(tokens: TokenReader): { seq: number | null; payloadBytes: number } {
  const seq = sequenceNumber(tokens);
  // nplab: `...(0)`
  const end = seq === null && !tokens.sees(':') ? null : endNumber(tokens);
  tokens.expect('(');
  const payloadBytes = tokens.integer('a payload length');
  if (seq !== null && end !== null && (seq + payloadBytes) >>> 0 !== end >>> 0)
    tokens.fail(`sequence numbers ${seq}:${end} do not fit ${payloadBytes} bytes`);
  tokens.expect(')');
  return { seq, payloadBytes };
}

function endNumber(tokens: TokenReader): number | null {
  tokens.expect(':');
  return sequenceNumber(tokens);
}

function sequenceNumber(tokens: TokenReader): number | null {
  if (tokens.take('...')) return null;
  return tokens.integer('a sequence number') >>> 0;
}

/** @returns null for `<...>` */
function parseOptions(tokens: TokenReader): readonly OptionSpec[] | null {
  if (!tokens.take('<')) return [];
  if (tokens.take('...')) {
    tokens.expect('>');
    return null;
  }
  const options: OptionSpec[] = [];
  if (tokens.take('>')) return options;
  do {
    options.push(parseOption(tokens));
  } while (tokens.take(','));
  tokens.expect('>');
  return options;
}

function parseOption(tokens: TokenReader): OptionSpec {
  const { text } = tokens.next();
  switch (text) {
    case 'nop':
    case 'eol':
    case 'sackOK':
      return { kind: text };
    case 'mss':
    case 'wscale':
      return { kind: text, value: tokens.integer(`the value of ${text}`) };
    case 'TS': {
      tokens.expect('val');
      const val = tokens.integer('a timestamp') >>> 0;
      tokens.expect('ecr');
      return { kind: 'TS', val, ecr: tokens.integer('a timestamp') >>> 0 };
    }
    case 'sack': {
      const blocks: [number, number][] = [];
      while (tokens.peek().kind === 'integer') {
        const left = tokens.integer('a sequence number') >>> 0;
        tokens.expect(':');
        blocks.push([left, tokens.integer('a sequence number') >>> 0]);
      }
      return { kind: 'sack', blocks };
    }
    case 'FO':
    case 'FOEXP':
    case 'md5': {
      const token = tokens.peek();
      const hasValue = token.kind === 'word' || token.kind === 'integer';
      return { kind: text, hex: hasValue ? tokens.next().text : '' };
    }
    case 'ECN': {
      const counters: [EcnCounter, number][] = [];
      while (!tokens.sees(',') && !tokens.sees('>')) counters.push(parseEcnCounter(tokens));
      return { kind: 'ECN', counters };
    }
    default:
      return tokens.fail(`unknown TCP option '${text}'`);
  }
}

function parseEcnCounter(tokens: TokenReader): [EcnCounter, number] {
  const name = tokens.next().text;
  if (name !== 'e0b' && name !== 'ceb' && name !== 'e1b')
    return tokens.fail(`expected e0b, ceb or e1b, got '${name}' before`);
  return [name, tokens.integer('a count of bytes')];
}
