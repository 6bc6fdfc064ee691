import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import * as t from '../tls/testing/certificates.ts';
import { integer } from '../tls/testing/der-writer.ts';
import { issueCrl, revokedEntry } from '../tls/testing/revocation.ts';

const root = t.issueCa('Root');
const SERIAL = integer(4711);
const server = t.issueServer(['www.example.com'], root, { serial: SERIAL });
const crl = (revoked: readonly Uint8Array[]): string => t.toPem(issueCrl(root, { revoked }), 'X509 CRL');
const strangersCrl: string = t.toPem(issueCrl(t.issueCa('Stranger'), {}), 'X509 CRL');

function limboCase(id: string, changes: Record<string, unknown>): Record<string, unknown> {
  return {
    id,
    features: [],
    validation_kind: 'SERVER',
    trusted_certs: [root.pem],
    untrusted_intermediates: [],
    peer_certificate: server.pem,
    validation_time: new Date(t.TEST_TIME).toISOString(),
    expected_result: 'SUCCESS',
    expected_peer_name: { kind: 'DNS', value: 'www.example.com' },
    max_chain_depth: null,
    ...changes,
  };
}

function run(
  a: ExecutionContext,
  file: string,
  contents: string | Uint8Array,
): { status: number; output: string } {
  const directory = mkdtempSync(join(tmpdir(), 'tunwire-limbo-'));
  a.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, file);
  writeFileSync(path, contents);
  const script = fileURLToPath(new URL('limbo.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, path], { encoding: 'utf8' });
  return { status: status ?? -1, output: stdout + stderr };
}

test('agreement, cases left out, and listed disagreements', (a) => {
  const suite = {
    version: 1,
    testcases: [
      limboCase('rfc5280::fine', {}),
      limboCase('bettertls::pathbuilding::tc1', { expected_result: 'FAILURE', trusted_certs: [] }),
      limboCase('rfc5280::without-a-name', { expected_peer_name: null }),
      limboCase('rfc5280::client', { validation_kind: 'CLIENT' }),
      limboCase('crl::none', { features: ['has-crl'], crls: [crl([])] }),
      limboCase('crl::revoked', { crls: [crl([revokedEntry(SERIAL)])], expected_result: 'FAILURE' }),
      limboCase('crl::broken', { crls: ['no list'], expected_result: 'FAILURE' }),
      limboCase('crl::of-another', { crls: [strangersCrl], expected_result: 'FAILURE' }),
      limboCase('webpki::cn::any-mismatch', { expected_result: 'FAILURE' }),
    ],
  };
  const { status, output } = run(a, 'suite.json.gz', gzipSync(JSON.stringify(suite)));
  a.is(status, 0, output);
  a.regex(output, /^own: 6 passed, 1 skipped, 1 wrongly accepted, 0 wrongly rejected$/m);
  a.regex(output, /^bettertls::pathbuilding: 1 passed, 0 skipped/m);
  a.regex(output, /^accepted: webpki::cn::any-mismatch$/m);
  a.regex(output, /^ {4}listed: RFC 9525/m);
});

test('a disagreement that is not listed fails', (a) => {
  const suite = {
    version: 1,
    testcases: [limboCase('rfc5280::other', { max_chain_depth: 0, trusted_certs: [] })],
  };
  const { status, output } = run(a, 'suite.json', JSON.stringify(suite));
  a.is(status, 1, output);
  a.regex(output, /rejected: rfc5280::other\n {4}verdict: no trusted issuer.*\n {4}NOT LISTED/);
});

test('a file of another kind is refused', (a) => {
  const { status, output } = run(a, 'other.json', '{"version":2,"testcases":[]}');
  a.is(status, 2);
  a.regex(output, /is not x509-limbo's JSON/);
});
