import { loadRoots, loadSystemRoots } from '../drivers/system-roots.ts';
import type { RandomSource } from '../stack/random.ts';
import type { NameServerTls } from '../stack/resolver/name-server.ts';
import { ChainVerifier, TrustedSiteVerifier } from '../tls/x509/chain-verifier.ts';
import type { TrustStore } from '../tls/x509/trust-store.ts';
import type { CertificateVerifier } from '../tls/x509/verdict.ts';
import { DnsTlsChannel } from './dns-over-tls.ts';
import type { ResolverOptions } from './options.ts';

/**
 * Makes the TLS side of name servers; the roots are read when first needed. With what it imports it takes longer to load than all the rest
 * of an engine, so that only an engine whose options ask for it loads it.
 */
export class EncryptedDns {
  readonly #options: ResolverOptions;
  readonly #random: RandomSource;
  #verifier: ChainVerifier | null = null;

  constructor(options: ResolverOptions, random: RandomSource) {
    this.#options = options;
    this.#random = random;
  }

  /** @param strict false: whoever answers is believed */
  server(port: number, serverName: string, strict: boolean): NameServerTls {
    return {
      port,
      strict,
      channel: () => new DnsTlsChannel({ serverName, verifier: this.#verifierFor(strict) }, this.#random),
    };
  }

  #verifierFor(strict: boolean): CertificateVerifier {
    this.#verifier ??= new ChainVerifier(this.#roots());
    return strict ? this.#verifier : new TrustedSiteVerifier(this.#verifier);
  }

  #roots(): TrustStore {
    return this.#options.caFile === undefined ? loadSystemRoots() : loadRoots(this.#options.caFile);
  }
}
