import type { KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createMemoryLink, type MemoryLinkEnd } from '../../drivers/memory.ts';
import {
  CLIENT_AUTH,
  dnsName,
  extendedKeyUsage,
  issue,
  issueCa,
  issueServer,
  subjectAltName,
} from '../../tls/testing/certificates.ts';
import { integer } from '../../tls/testing/der-writer.ts';
import { issueCrl, revokedEntry } from '../../tls/testing/revocation.ts';
import { issueLogged, makeLog } from '../../tls/testing/timestamps.ts';

/** What listens where on the peer (192.0.2.1, 2001:db8::1; its name server knows peer.test, four.test, six.test). */
export const PeerPort = {
  Echo: 7,
  /** Sends `hello` and ends. */
  Greet: 13,
  /** Resets at the first byte. */
  Reset: 70,
  /** Accepts and says nothing. */
  Silent: 71,
  /** Accepts and reads nothing. */
  Full: 72,
  /** Answers the number of bytes it has read up to the end. */
  Count: 73,
  /** Echoes too: ports that the examples of the documentation name. */
  EchoHttp: 80,
  EchoBgp: 179,
  TlsEcho: 443,
  /** Knows the application protocol `lab/1`. */
  TlsExample: 8443,
  /** Wait for an empty line, answer like an HTTP server, and end. */
  HttpLike: 8000,
  HttpsLike: 8001,
  /** Its certificate is for other.test. */
  TlsOther: 444,
  /** A device of long ago: TLS 1.0, RSA key exchange, AES with CBC; its certificate has 1024 bits and is signed with SHA-1. */
  TlsOld: 446,
  /** Their certificates are past their time, of nobody we know, not for servers, and revoked. */
  TlsExpired: 448,
  TlsUntrusted: 449,
  TlsInvalid: 450,
  TlsRevoked: 451,
  /** Demands a client certificate, and greets it by its common name. */
  TlsClient: 447,
  /** Ends without close_notify at the first byte. */
  TlsTruncated: 445,
  /** Greets; answers `STARTTLS` with `go` and does TLS, echoing; after its close_notify it says `clear` and echoes in clear. */
  StartTls: 587,
  /** The same, but somebody has put `INJECTED` into the segment with `go`. */
  Injected: 588,
  /** Its certificate has the timestamps of two certificate logs inside. */
  TlsLogged: 452,
  /** Passes everything on to the port of the kernel's loopback that {@link startPeer} was given. */
  Bridge: 453,
  /** A line broken over many segments, and one that never ends. */
  Lines: 74,
  /** Reads a port, connects to it on 192.0.2.2, and passes everything on in both directions. */
  Callback: 75,
} as const;

/** Within the link's network, and nobody's. */
export const NOBODY = '192.0.2.99';

export interface PeerData {
  readonly end: MemoryLinkEnd;
  /** Size of each of its send and receive buffers, or undefined for the default. */
  readonly bufferBytes: number | undefined;
  readonly cert: string;
  readonly key: string;
  readonly otherCert: string;
  readonly otherKey: string;
  readonly oldCert: string;
  readonly oldKey: string;
  /** By port: certificates that are refused by default, or by those who ask for timestamps; with their keys. */
  readonly others: readonly (readonly [port: number, cert: string, key: string])[];
  /** The authority of client certificates. */
  readonly ca: string;
  /** Where {@link PeerPort}.Bridge leads to; 0: nowhere. */
  readonly bridgedPort: number;
}

/** A stack with servers at the other end of a memory link, in a thread of its own. */
export interface Peer {
  /** Our end of the link. */
  readonly end: MemoryLinkEnd;
  /** What its certificates lead to. */
  readonly caFile: string;
  /** A list of that authority, which names the certificate of {@link PeerPort}.TlsRevoked. */
  readonly crlFile: string;
  /** A store with the certificate `Bench 7`, its key encrypted with `secret`, and another one. */
  readonly clientStore: string;
  /** The key of `Bench 7`. */
  readonly clientKey: KeyObject;
  /** The public keys of the logs of {@link PeerPort}.TlsLogged: DER. */
  readonly logs: readonly Uint8Array[];
  stop(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** Starts the peer; it listens when the promise resolves. */
export async function startPeer(bufferBytes?: number, bridgedPort = 0): Promise<Peer> {
  const [end, otherEnd] = createMemoryLink();
  const valid = { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS };
  const ca = issueCa('inet test authority', valid);
  const server = issueServer(['peer.test', 'four.test', 'six.test', 'dut.lab.test'], ca, valid);
  const other = issueServer(['other.test'], ca, valid);
  const names = [subjectAltName(dnsName('peer.test'))];
  const weak = { subject: 'device', issuer: ca, key: 'rsa1024', signature: 'sha1' } as const;
  const old = issue({ ...weak, extensions: names, ...valid });
  const past = issueServer(['peer.test'], ca, {
    notBefore: Date.now() - 2 * DAY_MS,
    notAfter: valid.notBefore,
  });
  const revokedSerial = integer(0x7777);
  const revoked = issueServer(['peer.test'], ca, { serial: revokedSerial, ...valid });
  const own = issue({ subject: 'peer.test', extensions: names, ...valid });
  const noServer = issue({
    subject: 'peer.test',
    issuer: ca,
    extensions: [...names, extendedKeyUsage(CLIENT_AUTH)],
    ...valid,
  });
  const logs = [makeLog(), makeLog()];
  const logged = issueLogged(['peer.test'], ca, logs, valid.notBefore, valid);
  const pem = (certificate: typeof server): string =>
    certificate.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const data: PeerData = {
    end: otherEnd,
    bufferBytes,
    cert: server.pem,
    key: pem(server),
    otherCert: other.pem,
    otherKey: pem(other),
    oldCert: old.pem,
    oldKey: pem(old),
    others: [
      [PeerPort.TlsLogged, logged.pem, pem(logged)],
      [PeerPort.TlsExpired, past.pem, pem(past)],
      [PeerPort.TlsUntrusted, own.pem, pem(own)],
      [PeerPort.TlsInvalid, noServer.pem, pem(noServer)],
      [PeerPort.TlsRevoked, revoked.pem, pem(revoked)],
    ],
    ca: ca.pem,
    bridgedPort,
  };
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-inet-'));
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, ca.pem);
  const crlFile = join(folder, 'ca.crl');
  writeFileSync(
    crlFile,
    issueCrl(ca, {
      revoked: [revokedEntry(revokedSerial)],
      thisUpdate: valid.notBefore,
      nextUpdate: valid.notAfter,
    }),
  );
  const client = issue({ subject: 'Bench 7', issuer: ca, ...valid });
  const locked = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
  const clientStore = join(folder, 'client.pem');
  writeFileSync(clientStore, `${other.pem}${client.pem}${client.privateKey.export(locked).toString()}`);
  const worker = new Worker(new URL('./peer-thread.ts', import.meta.url), { workerData: data });
  await new Promise<void>((done, fail) => {
    worker.once('message', () => done());
    worker.once('error', fail);
  });
  return {
    end,
    caFile,
    crlFile,
    clientStore,
    clientKey: client.privateKey,
    logs: logs.map(({ spki }) => spki),
    stop: async (): Promise<void> => {
      await worker.terminate();
      rmSync(folder, { recursive: true });
    },
  };
}
