import { type ErrorCode, type ErrorDetail, NetError, PHASE_NAMES, type Phase } from '../stack/errors.ts';

/** Addresses whose failures are told one by one; the message has all. */
const MAX_FAILURES = 32;

interface PlainFailure {
  readonly code: ErrorCode;
  readonly phase: (typeof PHASE_NAMES)[number];
  readonly detail: string;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
}

interface PlainFailures {
  readonly detail: string;
  readonly errors: readonly PlainFailure[];
}

/** The failures of an attempt with several addresses, on their way to another thread. */
export function packFailures(error: NetError): Uint8Array {
  const errors = (error.errors ?? []).slice(0, MAX_FAILURES).map((each) => ({
    code: each.tunwireCode,
    phase: each.phase,
    detail: each.detail,
    address: each.address,
    port: each.port,
  }));
  return new TextEncoder().encode(JSON.stringify({ detail: error.detail, errors } satisfies PlainFailures));
}

/** What {@link packFailures} has packed, as part of the error. */
export function unpackFailures(bytes: Uint8Array): Pick<ErrorDetail, 'detail' | 'errors'> {
  const { detail, errors } = JSON.parse(new TextDecoder().decode(bytes)) as PlainFailures;
  return {
    detail,
    errors: errors.map(
      ({ code, phase, detail, address, port }) =>
        new NetError(code, {
          phase: Math.max(0, PHASE_NAMES.indexOf(phase)) as Phase,
          detail,
          ...(address === undefined ? {} : { address }),
          ...(port === undefined ? {} : { port }),
        }),
    ),
  };
}
