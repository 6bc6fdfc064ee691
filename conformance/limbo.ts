/**
 * Runs the TLS server cases of an x509-limbo file against the certificate validator:
 *
 *     node conformance/limbo.ts FILE.json[.gz]
 *
 * Prints a summary and every disagreement with its reason. Those that are meant are listed in limbo-disagreements.json;
 * the exit code is 1 when there are others, 2 when the file cannot be used. The suite: https://github.com/C2SP/x509-limbo
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { ChainVerifier } from '../tls/x509/chain-verifier.ts';
import { DerError } from '../tls/x509/der.ts';
import { readPem } from '../tls/x509/pem.ts';
import { RevocationLists } from '../tls/x509/revocation-lists.ts';
import { TrustStore } from '../tls/x509/trust-store.ts';
import type { CertificateVerdict } from '../tls/x509/verdict.ts';

/** What is used of a case in x509-limbo's format, version 1. */
interface LimboCase {
  readonly id: string;
  readonly features: readonly string[];
  readonly validation_kind: 'SERVER' | 'CLIENT';
  readonly trusted_certs: readonly string[];
  readonly untrusted_intermediates: readonly string[];
  readonly peer_certificate: string;
  readonly validation_time: string | null;
  readonly expected_result: 'SUCCESS' | 'FAILURE';
  readonly expected_peer_name: { readonly kind: 'DNS' | 'IP' | 'RFC822'; readonly value: string } | null;
  readonly max_chain_depth: number | null;
  /** PEM */
  readonly crls?: readonly string[];
}

/** Counts of one part of the suite. */
interface Tally {
  passed: number;
  skipped: number;
  wronglyAccepted: number;
  wronglyRejected: number;
}

/** @returns the exit code */
function main(args: readonly string[]): number {
  const [file] = args;
  if (file === undefined || args.length !== 1) {
    console.error('usage: node conformance/limbo.ts FILE.json[.gz]');
    return 2;
  }
  const cases = readCases(file);
  const listed = readDisagreements();
  const tallies = new Map<string, Tally>();
  let unlisted = 0;
  const now = Date.now();
  for (const test of cases) {
    const part = test.id.startsWith('bettertls::') ? test.id.split('::').slice(0, 2).join('::') : 'own';
    let tally = tallies.get(part);
    if (tally === undefined) {
      tally = { passed: 0, skipped: 0, wronglyAccepted: 0, wronglyRejected: 0 };
      tallies.set(part, tally);
    }
    if (test.validation_kind !== 'SERVER') {
      tally.skipped++;
      continue;
    }
    const verdict = judge(test, now);
    const why = listed.find(({ pattern }) => pattern.test(test.id))?.reason;
    if (verdict.accepted === (test.expected_result === 'SUCCESS')) {
      tally.passed++;
      continue;
    }
    if (verdict.accepted) tally.wronglyAccepted++;
    else tally.wronglyRejected++;
    if (why === undefined) unlisted++;
    console.log(`${verdict.accepted ? 'accepted' : 'rejected'}: ${test.id}\n    verdict: ${verdict.reason}`);
    console.log(why === undefined ? '    NOT LISTED' : `    listed: ${why}`);
  }
  for (const [part, tally] of tallies) {
    const { passed, skipped, wronglyAccepted, wronglyRejected } = tally;
    console.log(
      `${part}: ${passed} passed, ${skipped} skipped, ${wronglyAccepted} wrongly accepted, ${wronglyRejected} wrongly rejected`,
    );
  }
  console.log(`${unlisted} disagreements that are not listed`);
  return unlisted === 0 ? 0 : 1;
}

function judge(test: LimboCase, now: number): Pick<CertificateVerdict, 'accepted' | 'reason'> {
  try {
    return verify(test, now);
  } catch (error) {
    // as the product's faces do: who gave lists that cannot be used is not connected
    if (error instanceof DerError)
      return { accepted: false, reason: `unusable revocation list: ${error.message}` };
    throw error;
  }
}

function verify(test: LimboCase, now: number): CertificateVerdict {
  const roots = new TrustStore();
  for (const pem of test.trusted_certs) roots.addPem(pem);
  const chain = [test.peer_certificate, ...test.untrusted_intermediates].flatMap((pem) =>
    readPem(pem).map((block) => block.bytes),
  );
  const { max_chain_depth: depth, crls: lists = [] } = test;
  const verifier = new ChainVerifier(roots, {
    revocationLists: RevocationLists.fromFiles(lists),
    // as net does: who gives lists wants to know of every certificate
    requireRevocationLists: lists.length > 0,
    ...(depth === null ? {} : { maxIntermediates: depth }),
  });
  const time = test.validation_time === null ? now : Date.parse(test.validation_time);
  const name = test.expected_peer_name;
  return name === null ? verifier.verifyPath(chain, time) : verifier.verify(chain, name.value, time);
}

function readCases(file: string): readonly LimboCase[] {
  const raw = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(raw) : raw).toString('utf8');
  const suite = JSON.parse(text) as { readonly version: number; readonly testcases: readonly LimboCase[] };
  if (suite.version !== 1 || !Array.isArray(suite.testcases)) {
    throw new Error(`${file} is not x509-limbo's JSON, version 1`);
  }
  return suite.testcases;
}

/** A disagreement that is meant. */
interface Disagreement {
  readonly pattern: RegExp;
  readonly reason: string;
}

/** The list is one of case names (letters, digits, `:`, `-`, `.`), in which `*` stands for anything, each with its reason. */
function readDisagreements(): readonly Disagreement[] {
  const text = readFileSync(new URL('limbo-disagreements.json', import.meta.url), 'utf8');
  const list = JSON.parse(text) as Readonly<Record<string, string>>;
  return Object.entries(list).map(([name, reason]) => ({
    pattern: new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('*', '.*')}$`),
    reason,
  }));
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
