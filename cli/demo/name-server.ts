import dnsPacket from 'dns-packet';

const NAME_ERROR = 3;
const TTL_SECONDS = 60;

/**
 * The answer of a name server that knows `names`, all with the same `addresses`, and no others.
 * @param noteAsked is told every name that is asked for
 * @returns null for what is no question
 */
export function answerNames(
  data: Buffer,
  names: readonly string[],
  addresses: readonly string[],
  noteAsked?: (name: string) => void,
): Buffer | null {
  const query = readQuery(data);
  const question = query?.questions?.[0];
  if (query === null || question === undefined) return null;
  const name = question.name.toLowerCase();
  noteAsked?.(name);
  const known = names.includes(name);
  const answers = addresses
    .map((address) => ({ type: address.includes(':') ? ('AAAA' as const) : ('A' as const), address }))
    .filter(({ type }) => known && type === question.type)
    .map(({ type, address }) => ({ type, name, ttl: TTL_SECONDS, data: address }));
  return dnsPacket.encode({
    type: 'response',
    id: query.id ?? 0,
    flags: dnsPacket.AUTHORITATIVE_ANSWER | (known ? 0 : NAME_ERROR),
    questions: query.questions ?? [],
    answers,
  });
}

/** @returns null when it cannot be read, or is no query */
function readQuery(data: Buffer): dnsPacket.Packet | null {
  try {
    const packet = dnsPacket.decode(data);
    return packet.type === 'query' ? packet : null;
  } catch {
    return null;
  }
}
