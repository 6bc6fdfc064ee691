import type { DnsRecord, NetStack } from '../net/index.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { RecordData } from '../stack/resolver/record.ts';
import { ExitCode } from './exit-code.ts';
import { withStack } from './own-stack.ts';
import { formatMs, note } from './report.ts';
import { printerOf } from './stack-options.ts';
import type { ResolveFlags } from './verbs/resolve.ts';

/** What was asked, after the words that dig knows have been understood. */
interface Question {
  readonly name: string;
  readonly type: string | null;
  readonly reverse: boolean;
  readonly short: boolean;
}

/** A record, or an address that has no time to live because a hosts file may have it. */
type Found = Omit<DnsRecord, 'ttlSeconds'> & { readonly ttlSeconds: number | null };

/** @returns the exit code */
export function resolve(name: string, words: readonly string[], flags: ResolveFlags): Promise<ExitCode> {
  const servers = words.filter((word) => word.startsWith('@')).map((word) => word.slice(1));
  const own = servers.length === 0 ? flags : { ...flags, dns: servers };
  return withStack(own, async (stack, interrupted) => {
    const question = questionOf(name, words, flags);
    const startedAt = performance.now();
    const limit = flags.timeout > 0 ? AbortSignal.timeout(flags.timeout * 1000) : null;
    const signal = limit === null ? interrupted : AbortSignal.any([interrupted, limit]);
    try {
      const print = printerOf(flags);
      for (const found of await look(stack, question, signal)) {
        if (flags.json) print(JSON.stringify(found));
        else print(question.short ? formatData(found.type, found.data) : recordLine(found));
      }
    } catch (error) {
      if (!limit?.aborted) throw error;
      console.error(`tunwire: no answer within ${flags.timeout} s (--timeout); check --dns`);
      return ExitCode.Timeout;
    }
    if (flags.verbose > 0)
      note(`in ${formatMs(performance.now() - startedAt)}, asking ${own.dns.join(', ')}`);
    return ExitCode.Ok;
  });
}

function questionOf(name: string, words: readonly string[], flags: ResolveFlags): Question {
  let type = flags.type ?? null;
  let short = flags.short === true;
  for (const word of words) {
    if (word === '+short') short = true;
    else if (/^[a-z][a-z0-9]*$/i.test(word)) type = word;
    else if (!word.startsWith('@')) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `expected @SERVER, a type or +short, got '${word}'`,
      });
    }
  }
  return { name, type, short, reverse: flags.reverse === true };
}

async function look(stack: NetStack, question: Question, signal: AbortSignal): Promise<readonly Found[]> {
  const { name, type, reverse } = question;
  if (reverse) {
    const names = await stack.reverse(name, { signal });
    return names.map((data) => ({ name, type: 'PTR', ttlSeconds: null, data }));
  }
  if (type !== null) return stack.resolve(name, { type, signal });
  const addresses = await stack.resolve(name, { signal });
  return addresses.map(({ address, family }) => ({
    name,
    type: family === 4 ? 'A' : 'AAAA',
    ttlSeconds: null,
    data: address,
  }));
}

/** As in a zone file: `server.lab.test. 60 IN A 10.9.0.1` */
export function recordLine({ name, type, ttlSeconds, data }: Found): string {
  const ttl = ttlSeconds === null ? '' : `${ttlSeconds}\t`;
  return `${absolute(name)}\t${ttl}IN\t${type}\t${formatData(type, data)}`;
}

function absolute(name: string): string {
  return name.endsWith('.') ? name : `${name}.`;
}

const NAME_TYPES: ReadonlySet<string> = new Set(['CNAME', 'DNAME', 'NS', 'PTR']);

function formatData(type: string, data: RecordData): string {
  if (typeof data === 'string') return NAME_TYPES.has(type) ? absolute(data) : data;
  if (Array.isArray(data)) return data.map((part) => JSON.stringify(part)).join(' ');
  if (data === null || typeof data !== 'object') return String(data);
  return Object.entries(data)
    .map(([, value]) => (typeof value === 'object' ? JSON.stringify(value) : String(value)))
    .join(' ');
}
