import { deflateSync } from 'node:zlib';
import { TlsError } from '../../tls/errors.ts';
import {
  CERTIFICATE_DECOMPRESSORS,
  decompressCertificate,
} from '../../tls/handshake/compressed-certificate.ts';
import { readEchConfigList } from '../../tls/handshake/ech/config.ts';
import { NamedGroup } from '../../tls/keys/groups.ts';
import { ObservedSecrets, TlsObserver } from '../../tls/observer.ts';
import { decodeSession, encodeSession } from '../../tls/session-encoding.ts';
import * as t from '../../tls/testing/certificates.ts';
import { testClient, testServer, testServer12 } from '../../tls/testing/client-under-test.ts';
import { echConfig, echConfigList } from '../../tls/testing/ech-server.ts';
import { issueCrl, ocspResponse, reasonCode, revokedEntry } from '../../tls/testing/revocation.ts';
import { plainRecords, u16 } from '../../tls/testing/scripted-server.ts';
import { listOf, makeLog, timestamp, x509Entry } from '../../tls/testing/timestamps.ts';
import { HandshakeType } from '../../tls/wire/codes.ts';
import * as messages from '../../tls/wire/messages.ts';
import { CertificateList } from '../../tls/x509/certificate-list.ts';
import { readTimestampList } from '../../tls/x509/certificate-transparency.ts';
import { ChainVerifier } from '../../tls/x509/chain-verifier.ts';
import { DerError } from '../../tls/x509/der.ts';
import { readOcspResponse } from '../../tls/x509/ocsp-response.ts';
import { TrustStore } from '../../tls/x509/trust-store.ts';
import type { FuzzTarget } from './targets.ts';

const ANY: ReadonlySet<number> = new Set(Array.from({ length: 64 }, (_, i) => i));

/** Runs what may refuse its input with an error of its own. */
function refusing(kind: typeof TlsError | typeof DerError, run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
  }
}

/** Readers of what a server says in TLS 1.3, by the type of the message. */
const READERS: Readonly<Record<number, (message: messages.HandshakeMessage) => unknown>> = {
  [HandshakeType.ServerHello]: messages.readServerHello,
  [HandshakeType.EncryptedExtensions]: (message) => messages.readEncryptedExtensions(message, ANY),
  [HandshakeType.CertificateRequest]: messages.readCertificateRequest,
  [HandshakeType.Certificate]: (message) => messages.readCertificate(message, ANY),
  [HandshakeType.CompressedCertificate]: (message) =>
    messages.readCertificate(decompressCertificate(message, CERTIFICATE_DECOMPRESSORS), ANY),
  [HandshakeType.CertificateVerify]: messages.readCertificateVerify,
  [HandshakeType.Finished]: (message) => messages.readFinished(message, 32),
  [HandshakeType.NewSessionTicket]: messages.readNewSessionTicket,
  [HandshakeType.KeyUpdate]: messages.readKeyUpdate,
};

/** RFC 8879 §4 */
function compressed(certificate: Uint8Array): Uint8Array {
  const bytes = deflateSync(certificate);
  const u24 = (value: number): number[] => [0, value >> 8, value & 0xff];
  const body = Uint8Array.of(0, 1, ...u24(certificate.length), ...u24(bytes.length), ...bytes);
  return messages.handshakeMessage(HandshakeType.CompressedCertificate, body);
}

/** Every message of a server of TLS 1.3, header and all. */
function messagesTarget(): FuzzTarget {
  const good: Uint8Array[] = [];
  const edit = (_part: string, message: Uint8Array): Uint8Array => {
    good.push(message.slice());
    return message;
  };
  const client = testClient({ groups: [NamedGroup.X25519], alpn: ['h2'] });
  client.start();
  testServer({ edit }).answer(client.takeOutgoing()!);
  good.push(
    messages.handshakeMessage(
      HandshakeType.NewSessionTicket,
      Uint8Array.of(0, 0, 28, 32, 1, 2, 3, 4, 1, 0, 0, 4, 9, 9, 9, 9, 0, 8, 0, 42, 0, 4, 0, 0, 64, 0),
    ),
    messages.writeKeyUpdate(true),
    messages.handshakeMessage(
      HandshakeType.CertificateRequest,
      Uint8Array.of(0, 0, 10, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4),
    ),
    compressed(good.find(([type]) => type === HandshakeType.Certificate)!.subarray(4)),
  );
  return {
    name: 'TLS 1.3 message',
    good,
    run: (input) => {
      const read = READERS[input[0]!];
      if (read !== undefined && input.length >= 4)
        refusing(TlsError, () => read({ type: input[0]!, raw: input }));
    },
  };
}

/** The records with which a server of each version begins, given to a client of its own each. */
function flightTarget(): FuzzTarget {
  const options = { fallback: true, groups: [NamedGroup.X25519, NamedGroup.Secp256r1] };
  const newClient = (): ReturnType<typeof testClient> => {
    const client = testClient(options);
    client.start();
    return client;
  };
  const hello = newClient().takeOutgoing()!;
  const good = [
    testServer12({ suite: 0xc02b }).answer(hello),
    testServer12({ suite: 0xc009, version: 'TLSv1' }).answer(hello),
    testServer().answer(hello),
    plainRecords(
      testServer({ group: NamedGroup.Secp256r1 })
        .retry(hello, [
          [43, Uint8Array.of(3, 4)],
          [51, u16(NamedGroup.Secp256r1)],
          [44, Uint8Array.of(0, 3, 1, 2, 3)],
        ])
        .slice(5),
      16384,
    ),
  ];
  return {
    name: 'TLS flight',
    good,
    run: (input) => {
      const client = newClient();
      client.receive(input, 0, input.length);
    },
  };
}

/** Whatever the chain is, the verifier throws nothing. */
function chainTarget(root: t.TestCertificate, leaf: t.TestCertificate): FuzzTarget {
  const store = new TrustStore();
  store.add(root.der);
  const verifier = new ChainVerifier(store, { cacheEntries: 0 });
  const right = Buffer.from(leaf.der);
  return {
    name: 'X.509 certificate',
    good: [leaf.der, root.der],
    run: (input) => {
      const { accepted } = verifier.verify([input, root.der], 'a.lab.test', t.TEST_TIME);
      if (accepted && !right.equals(input)) throw new Error('accepted');
      verifier.verify([leaf.der, input], 'a.lab.test', t.TEST_TIME);
    },
  };
}

/** What reads the messages of TLS, and the certificates, lists, answers and sessions that belong to it. */
export function tlsTargets(): FuzzTarget[] {
  const root = t.issueCa('fuzz root', {
    extensions: [t.nameConstraints([t.dnsName('lab.test')])],
  });
  const leaf = t.issueServer(['a.lab.test', 'b.lab.test'], root);
  const serial = Uint8Array.of(2, 1, 9);
  const log = makeLog();
  const at = t.TEST_TIME - 1000;
  const config = echConfig({ publicName: 'public.test', publicKey: new Uint8Array(32).fill(9) });
  const session = encodeSession({
    version: 'TLSv1.3',
    cipherSuite: 0x1301,
    secret: new Uint8Array(32).fill(7),
    ticket: Uint8Array.of(1, 2, 3),
    sessionId: new Uint8Array(0),
    ageAdd: 7,
    receivedUnixTimeMs: at,
    lifetimeSeconds: 7200,
    maxEarlyDataBytes: 0,
    alpn: 'h2',
    ocspResponse: null,
    signedCertificateTimestamps: null,
    chain: [leaf.der],
  });
  const hello = testClient();
  hello.start();
  return [
    messagesTarget(),
    flightTarget(),
    {
      name: 'TLS observer',
      good: [hello.takeOutgoing()!, Uint8Array.of(20, 3, 3, 0, 1, 1), Uint8Array.of(21, 3, 3, 0, 2, 1, 0)],
      run: (input) => {
        const observer = new TlsObserver(new ObservedSecrets());
        const half = input.length >> 1;
        for (const sender of ['client', 'server'] as const) {
          observer.receive(sender, input.subarray(0, half));
          observer.receive(sender, input.subarray(half));
        }
      },
    },
    chainTarget(root, leaf),
    {
      name: 'certificate revocation list',
      good: [issueCrl(root, { revoked: [revokedEntry(serial, reasonCode(1)), revokedEntry(serial)] })],
      run: (input) => refusing(DerError, () => new CertificateList(input)),
    },
    {
      name: 'OCSP response',
      good: [
        ocspResponse(serial, root, { certificates: [root] }),
        ocspResponse(serial, root, { byKey: true }),
      ],
      run: (input) => refusing(DerError, () => readOcspResponse(input)),
    },
    {
      name: 'certificate timestamps',
      good: [listOf(timestamp(log, x509Entry(leaf.der), at), timestamp(log, x509Entry(root.der), at))],
      run: (input) => refusing(DerError, () => readTimestampList(input)),
    },
    {
      name: 'PEM',
      good: [new TextEncoder().encode(root.pem + leaf.pem)],
      run: (input) => void TrustStore.fromPem(Buffer.from(input).toString('latin1')),
    },
    {
      name: 'ECH configurations',
      good: [echConfigList(config, config)],
      run: (input) => refusing(TlsError, () => readEchConfigList(input)),
    },
    {
      name: 'TLS session',
      good: [session],
      run: (input) => void decodeSession(input),
    },
  ];
}
