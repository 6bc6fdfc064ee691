import { writeFileSync } from 'node:fs';
import { Duplex } from 'node:stream';
import type { ExecutionContext } from 'ava';
import { SeededRandom } from '../../stack/random.ts';
import { TlsClient, type TlsClientOptions } from '../../tls/client.ts';
import { type CipherSuite, isSuiteOf } from '../../tls/keys/suites.ts';
import {
  dnsName,
  issue,
  issueCa,
  type KeyType,
  subjectAltName,
  type TestCertificate,
} from '../../tls/testing/certificates.ts';
import { TestConnection } from '../../tls/testing/connection.ts';
import type { TlsVersion } from '../../tls/wire/codes.ts';
import { ChainVerifier } from '../../tls/x509/chain-verifier.ts';
import { TrustStore } from '../../tls/x509/trust-store.ts';
import { createLab, type Lab, type LabProcess, type Teardown } from '../netns.ts';

/** The name that all certificates are for. */
export const SERVER_NAME = 'server.test';

/** Certificates of a server, and of those whom it trusts, in files. */
export interface PeerFiles {
  readonly root: TestCertificate;
  readonly caFile: string;
  /** By key type: certificate and key in PEM. */
  readonly certFile: (key: KeyType) => string;
  readonly keyFile: (key: KeyType) => string;
}

const DAY_MS = 86_400_000;
let nextSeed = 1;

/** A lab for the tests of a whole file, in which servers may listen on all addresses; closed by {@link PeerLab.close}. */
export class PeerLab {
  readonly lab: Lab;
  readonly files: PeerFiles;
  readonly #cleanups: (() => Promise<void> | void)[];

  private constructor(lab: Lab, files: PeerFiles, cleanups: (() => Promise<void> | void)[]) {
    this.lab = lab;
    this.files = files;
    this.#cleanups = cleanups;
  }

  /** @param keys of the server's certificates to be made */
  static async open(keys: readonly KeyType[]): Promise<PeerLab> {
    const cleanups: (() => Promise<void> | void)[] = [];
    const lab = await createLab({ teardown: (clean) => cleanups.push(clean) });
    return new PeerLab(lab, makeFiles(lab, keys), cleanups);
  }

  async close(): Promise<void> {
    for (const clean of this.#cleanups.reverse()) await clean();
  }

  /** Starts a program that listens on a TCP port. */
  async start(port: number, command: string, args: readonly string[]): Promise<LabProcess> {
    const server = this.lab.start(command, args);
    await this.lab.listening(server, port);
    return server;
  }

  /** A client that trusts the root of the files. */
  client(options: Partial<TlsClientOptions> = {}): TlsClient {
    const roots = new TrustStore();
    roots.add(this.files.root.der);
    return new TlsClient({
      serverName: SERVER_NAME,
      random: new SeededRandom(nextSeed++),
      unixTimeMs: Date.now(),
      verifier: new ChainVerifier(roots, { legacy: options.fallback ?? false }),
      ...options,
    });
  }

  /** Connects to a port of the lab; the connection is closed at the end of the test. @param early data to send before the server has answered */
  connect(t: Teardown, port: number, client: TlsClient, early?: Uint8Array): TestConnection {
    // when the server has ended it stays for as long as we may need to read what has come: its own end would take that away
    const relay = this.lab.start('socat', ['-t', '60', '-', `TCP:127.0.0.1:${port}`]);
    t.teardown(() => relay.kill('SIGKILL'));
    const { stdin, stdout } = relay.child;
    const stream = Duplex.from({ readable: stdout, writable: stdin });
    return new TestConnection(client, stream, Date.now(), early);
  }
}

/** Sends what takes several records to a server that sends it back. */
export async function echoes(t: ExecutionContext, connection: TestConnection): Promise<void> {
  const data = Buffer.alloc(40_000, 'a line of data\n');
  connection.send(data);
  await connection.until(() => connection.receivedBytes >= data.length);
  t.true(connection.received === data.toString('latin1'));
}

/** The combinations of a version and one of its suites. */
export function combinations(
  versions: readonly TlsVersion[],
  suites: readonly CipherSuite[],
): readonly (readonly [TlsVersion, CipherSuite])[] {
  return versions.flatMap((version) =>
    suites.filter((suite) => isSuiteOf(suite, version)).map((suite) => [version, suite] as const),
  );
}

function makeFiles(lab: Lab, keys: readonly KeyType[]): PeerFiles {
  const valid = { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS };
  const root = issueCa('interop root', { ...valid, key: 'rsa2048' });
  const files: PeerFiles = {
    root,
    caFile: lab.file('ca.pem'),
    certFile: (key) => lab.file(`${key}.pem`),
    keyFile: (key) => lab.file(`${key}.key`),
  };
  writeFileSync(files.caFile, root.pem);
  for (const key of keys) {
    const names = [subjectAltName(dnsName(SERVER_NAME))];
    const { pem, privateKey } = issue({
      subject: `${key} server`,
      issuer: root,
      key,
      extensions: names,
      ...valid,
    });
    writeFileSync(files.certFile(key), pem);
    writeFileSync(files.keyFile(key), privateKey.export({ format: 'pem', type: 'pkcs8' }));
  }
  return files;
}
