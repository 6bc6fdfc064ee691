import { Buffer } from 'node:buffer';

/** Flags that belong to the credential before them. */
const OF_CREDENTIALS: ReadonlySet<string> = new Set([
  'cert-file',
  'key-file',
  'must-match-issuer',
  'signing-prefs',
]);

/** What the shim is told about one connection: flag names without their dash. A flag given twice has two values. */
export class ShimConfig {
  /** Of each -new-x509-credential, the flags that came after it. */
  readonly credentials: ShimConfig[] = [];
  readonly #values = new Map<string, string[]>();

  add(name: string, value: string): void {
    if (name === 'new-x509-credential') {
      this.credentials.push(new ShimConfig());
      return;
    }
    const credential = this.credentials.at(-1);
    if (credential !== undefined && OF_CREDENTIALS.has(name)) {
      credential.add(name, value);
      return;
    }
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The last value, or an empty string. */
  text(name: string): string {
    return this.#values.get(name)?.at(-1) ?? '';
  }

  /** The last value as a number, or 0. */
  number(name: string): number {
    return Number(this.text(name));
  }

  numbers(name: string): readonly number[] {
    return (this.#values.get(name) ?? []).map(Number);
  }

  /** The last value, base64, as bytes. */
  bytes(name: string): Uint8Array {
    return Buffer.from(this.text(name), 'base64');
  }
}

/** What the command line says: the first connection, those that resume, and the one after rejected early data. */
export interface ShimCommand {
  readonly initial: ShimConfig;
  readonly resume: ShimConfig;
  readonly retry: ShimConfig;
  /** The first flag that this shim does not serve, or null. */
  readonly unimplemented: string | null;
}

/** Flags without a value that are served, or whose absence no client can notice. */
const SWITCHES: ReadonlySet<string> = new Set([
  'async',
  'check-close-notify',
  'enable-early-data',
  'enable-ech-grease',
  'enable-grease',
  'enable-ocsp-stapling',
  'enable-signed-cert-timestamps',
  'expect-accept-early-data',
  'expect-ech-accept',
  'expect-extended-master-secret',
  'expect-hrr',
  'expect-no-ech-name-override',
  'expect-no-ech-retry-configs',
  'expect-no-hrr',
  'expect-no-offer-early-data',
  'expect-no-secure-renegotiation',
  'expect-no-session',
  'expect-no-session-id',
  'expect-reject-early-data',
  'expect-secure-renegotiation',
  'expect-session-id',
  'expect-session-miss',
  'expect-ticket-renewal',
  'expect-ticket-supports-early-data',
  'expect-verify-result',
  'fail-ocsp-callback',
  'fallback-scsv',
  'fips-202205',
  'forbid-renegotiation-after-handshake',
  'handshake-twice',
  'must-match-issuer',
  'new-x509-credential',
  'implicit-handshake',
  'install-cert-compression-algs',
  'ipv6',
  'is-handshaker-supported',
  'key-update',
  'key-update-before-read',
  'no-key-shares',
  'no-legacy-server-connect',
  'no-op-extra-handshake',
  'no-ticket',
  'no-tls1',
  'no-tls11',
  'no-tls12',
  'no-tls13',
  'partial-write',
  'peek-then-read',
  'permute-extensions',
  'read-with-unfinished-write',
  'reject-unusable-ech-config',
  'renegotiate-explicit',
  'renegotiate-freely',
  'renegotiate-ignore',
  'renegotiate-once',
  'reverify-on-resume',
  'shim-shuts-down',
  'shim-writes-first',
  'use-export-context',
  'use-exporter-between-reads',
  'use-ocsp-callback',
  'wpa-202304',
  'cnsa1-202603',
  'use-old-client-cert-callback',
  'verify-fail',
  'verify-peer',
  'use-custom-verify-callback',
  'cbc-record-splitting',
  'write-different-record-sizes',
  'expect-no-peer-cert',
  'send-alert',
]);

/** Flags with a value. */
const PARAMETERS: ReadonlySet<string> = new Set([
  'advertise-alpn',
  'cert-file',
  'cipher',
  'curves',
  'ech-config-list',
  'expect-alpn',
  'expect-certificate-types',
  'expect-cipher',
  'expect-cipher-aes',
  'expect-cipher-no-aes',
  'expect-client-ca-list',
  'expect-curve-id',
  'expect-early-data-reason',
  'expect-ech-name-override',
  'expect-ech-retry-configs',
  'expect-msg-callback',
  'expect-ocsp-response',
  'expect-peer-cert-file',
  'expect-peer-signature-algorithm',
  'expect-peer-verify-pref',
  'expect-signed-cert-timestamps',
  'expect-selected-credential',
  'expect-total-renegotiations',
  'expect-version',
  'export-context',
  'export-keying-material',
  'export-label',
  'host-name',
  'install-one-cert-compression-alg',
  'key-file',
  'key-shares',
  'max-send-fragment',
  'max-version',
  'min-version',
  'port',
  'read-size',
  'repeat-shim-initial-write',
  'resume-count',
  'resumption-delay',
  'shim-id',
  'shim-initial-write',
  'signing-prefs',
  'srtp-profiles',
  'trust-cert',
  'verify-prefs',
]);

/** Flags for the other kind of process that BoringSSL's tests know, which is never started here. */
const HANDSHAKER = 'on-handshaker-';

/**
 * Reads the command line of BoringSSL's test runner (`test_config.cc` in its sources). A flag may be meant for one of the
 * connections only, by its prefix.
 */
export function readCommand(args: readonly string[]): ShimCommand {
  const initial = new ShimConfig();
  const resume = new ShimConfig();
  const retry = new ShimConfig();
  for (let i = 0; i < args.length; i++) {
    let name = args[i]!.replace(/^-+(on-shim-)?/, '');
    const isForHandshaker = name.startsWith(HANDSHAKER);
    if (isForHandshaker) name = name.slice(HANDSHAKER.length);
    let configs = [initial, resume, retry];
    for (const [prefix, config] of [
      ['on-initial-', initial],
      ['on-resume-', resume],
      ['on-retry-', retry],
    ] as const) {
      if (!name.startsWith(prefix)) continue;
      name = name.slice(prefix.length);
      configs = [config];
    }
    const hasValue = PARAMETERS.has(name);
    if (!hasValue && !SWITCHES.has(name)) return { initial, resume, retry, unimplemented: name };
    const value = hasValue ? (args[++i] ?? '') : '1';
    if (isForHandshaker) continue;
    for (const config of configs) config.add(name, value);
  }
  return { initial, resume, retry, unimplemented: null };
}
