import { NetError, Phase } from '../stack/errors.ts';
import { undiciConnector } from './agents.ts';
import type { NetStack } from './stack.ts';
import type { TlsConnectOptions } from './tls-settings.ts';

/** Options of {@link NetStack.fetch}: those of `fetch`, and: */
export interface FetchOptions extends RequestInit {
  /** For https: URLs. Requests with the very same object share their connections. */
  readonly tls?: TlsConnectOptions | undefined;
}

/** Where undici, Node's own too, keeps the dispatcher that fetch uses when it is given none; the newer version's first. */
const GLOBAL_DISPATCHERS = [Symbol.for('undici.globalDispatcher.2'), Symbol.for('undici.globalDispatcher.1')];

type AgentClass = new (options: { connect: unknown }) => object;

/** Node's fetch over one stack, with the connections that it keeps. */
export class StackFetch {
  readonly #stack: NetStack;
  readonly #agents = new WeakMap<TlsConnectOptions, object>();
  /** The key of those without `tls`. */
  readonly #plain: TlsConnectOptions = {};

  constructor(stack: NetStack) {
    this.#stack = stack;
  }

  fetch(input: string | URL | Request, { tls, ...init }: FetchOptions = {}): Promise<Response> {
    const dispatcher = this.#agentFor(tls ?? this.#plain);
    return fetch(input, { ...init, dispatcher } as RequestInit);
  }

  #agentFor(tls: TlsConnectOptions): object {
    let agent = this.#agents.get(tls);
    if (agent === undefined) {
      agent = new (agentClass())({ connect: undiciConnector(this.#stack, { tls }) });
      this.#agents.set(tls, agent);
    }
    return agent;
  }
}

/** The class of agents that belongs to the fetch in use. @throws NetError ARGUMENT_INVALID */
function agentClass(): AgentClass {
  // Node loads its undici, which sets the dispatcher, with the first use of one of its classes
  void globalThis.Request;
  const known = globalThis as unknown as Record<symbol, object | undefined>;
  for (const symbol of GLOBAL_DISPATCHERS) {
    const kind = known[symbol]?.constructor;
    if (kind?.name === 'Agent') return kind as unknown as AgentClass;
  }
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail:
      'the process has set a global dispatcher that is no Agent of undici: call fetch itself with ' +
      'dispatcher: new Agent({ connect: undiciConnector(stack) })',
  });
}
