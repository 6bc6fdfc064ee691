/**
 * What it costs to look at the chain of a server: three certificates, read and validated, in CPU time of this process after warm-up: by a
 * verifier that has never seen one of them, by one that knows the authority from another server, and by one that knows the chain.
 *
 *     node bench/certificates.ts [ROUNDS]
 */
import { issueCa, issueServer, type KeyType, TEST_TIME } from '../tls/testing/certificates.ts';
import { ChainVerifier } from '../tls/x509/chain-verifier.ts';
import { TrustStore } from '../tls/x509/trust-store.ts';

const HOST = 'www.example.com';

/** The mean CPU time of a call, in microseconds, of the best of five runs. */
function cpuMicros(rounds: number, call: () => void): number {
  let best = Infinity;
  for (let run = 0; run < 5; run++) {
    const before = process.cpuUsage();
    for (let i = 0; i < rounds; i++) call();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / rounds);
  }
  return best;
}

const rounds = Number(process.argv[2] ?? 500);
for (const key of ['p256', 'p384', 'rsa2048'] satisfies KeyType[]) {
  const root = issueCa('Root', { key });
  const intermediate = issueCa('Intermediate', { issuer: root, key });
  const leaf = issueServer([HOST], intermediate, { key });
  const chain = [leaf.der, intermediate.der, root.der];
  const neighbour = [issueServer([HOST], intermediate, { key }).der, intermediate.der, root.der];
  const roots = new TrustStore();
  roots.add(root.der);
  const each = new ChainVerifier(roots, { cacheEntries: 0 });
  each.verify(neighbour, HOST, TEST_TIME);
  const remembering = new ChainVerifier(roots);
  const check = (verifier: ChainVerifier | null) => (): void => {
    const verdict = (verifier ?? new ChainVerifier(roots)).verify(chain, HOST, TEST_TIME);
    if (!verdict.accepted) throw new Error(verdict.reason);
  };
  cpuMicros(50, check(each));
  const first = cpuMicros(rounds, check(null));
  const fresh = cpuMicros(rounds, check(each));
  const cached = cpuMicros(rounds * 20, check(remembering));
  console.log(
    `${key.padEnd(8)} read and validated ${first.toFixed(0).padStart(5)} µs, of a known authority ${fresh.toFixed(0).padStart(5)} µs, seen before ${cached.toFixed(1).padStart(5)} µs`,
  );
}
