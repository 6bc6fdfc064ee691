import { loadSystemRoots } from '../drivers/system-roots.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { ChainVerifier, TrustedSiteVerifier } from '../tls/x509/chain-verifier.ts';
import { TrustStore } from '../tls/x509/trust-store.ts';
import type { CertificateVerifier } from '../tls/x509/verdict.ts';

/** How TLS is to be spoken; the names are those of `tls.connect`. */
export interface TlsConnectOptions {
  /** The name the certificate must be for, and that the server is told. Default: the host. */
  readonly servername?: string | undefined;
  /** Trusted roots in place of the system's: PEM text, PEM or DER bytes, several of them, or a store made once. */
  readonly ca?: string | Uint8Array | TrustStore | readonly (string | Uint8Array)[] | undefined;
  /** false: go on whatever the certificate is worth; `authorized` and `authorizationError` say. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Application protocols in the order of preference (ALPN). */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** Gets the connection's secrets, one line of an NSS key log (RFC 9850) at a time. */
  readonly keylog?: ((line: string) => void) | undefined;
}

/** Verifiers remember the chains that they accepted: one per set of roots. */
const verifiers = new WeakMap<TrustStore, ChainVerifier>();

/** @throws NetError ARGUMENT_INVALID when `ca` holds no certificate, or the system's roots cannot be read */
export function verifierOf(options: TlsConnectOptions): CertificateVerifier {
  const roots = rootsOf(options.ca);
  let verifier = verifiers.get(roots);
  if (verifier === undefined) {
    verifier = new ChainVerifier(roots);
    verifiers.set(roots, verifier);
  }
  return options.rejectUnauthorized === false ? new TrustedSiteVerifier(verifier) : verifier;
}

function rootsOf(ca: TlsConnectOptions['ca']): TrustStore {
  if (ca instanceof TrustStore) return ca;
  if (ca === undefined) return systemRoots();
  const store = new TrustStore();
  for (const one of typeof ca === 'string' || ca instanceof Uint8Array ? [ca] : ca) addTo(store, one);
  if (store.size > 0) return store;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `tls.ca holds no certificate${store.problems[0] ? `: ${store.problems[0].reason}` : ''}`,
  });
}

function systemRoots(): TrustStore {
  try {
    return loadSystemRoots();
  } catch (error) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

function addTo(store: TrustStore, ca: string | Uint8Array): void {
  if (typeof ca === 'string') store.addPem(ca);
  // a DER certificate is a SEQUENCE of more than 255 octets (X.690 §8.1.3.5); PEM is text
  else if (ca[0] === 0x30 && ca[1] === 0x82) store.add(new Uint8Array(ca));
  else store.addPem(new TextDecoder('latin1').decode(ca));
}
