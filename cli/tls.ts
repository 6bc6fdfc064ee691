import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { WOULD_BLOCK } from '../engine/channel.ts';
import { EngineClient } from '../engine/client.ts';
import { planConnection } from '../inet/connect.ts';
import { INET_PROTOCOL_TCP } from '../inet/constants.ts';
import { type Dialed, dial } from '../inet/dial.ts';
import { deadlineAfter, sleepRecv } from '../inet/wait.ts';
import { ConnectionSessions } from '../net/sessions.ts';
import { tlsSettings } from '../net/tls-settings.ts';
import { NetError, Phase } from '../stack/errors.ts';
import {
  decodeSession,
  encodeSession,
  MemorySessionStore,
  NamedGroup,
  type TlsInfo,
  type TlsSession,
  type TracedMessage,
} from '../tls/client.ts';
import { CIPHER_SUITES } from '../tls/keys/suites.ts';
import { CertificateStatus } from '../tls/x509/verdict.ts';
import { ExitCode } from './exit-code.ts';
import { ExitError } from './exit-error.ts';
import { withStack } from './own-stack.ts';
import { note } from './report.ts';
import { capturesToOutput, readInput, tlsOptionsOf } from './stack-options.ts';
import { startTls } from './start-tls.ts';
import { splitTarget } from './target.ts';
import { START_TLS_PORTS, type TlsVerbFlags } from './verbs/tls.ts';

const HTTPS_PORT = 443;
/** How long a server may take for the session that is to be kept. */
const SESSION_PATIENCE_MS = 3000;
const SCRATCH_BYTES = 4096;

/** One certificate of the chain, as reports have it. */
interface CertificateReport {
  readonly subject: string;
  readonly issuer: string;
  readonly validFrom: string;
  readonly validTo: string;
  readonly names: string | null;
  readonly key: string;
  readonly sha256: string;
}

/** @returns the exit code */
export function tls(target: string, flags: TlsVerbFlags): Promise<ExitCode> {
  return withStack(flags, async (stack) => {
    if (capturesToOutput(flags)) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: 'standard output is for the report: give the capture a file',
      });
    }
    const { starttls } = flags;
    const { host, port } = splitTarget(target, starttls ? START_TLS_PORTS[starttls] : HTTPS_PORT);
    const messages: TracedMessage[] = [];
    const sessions = new ConnectionSessions(null, sessionOf(flags));
    const dialed = handshake(EngineClient.of(stack.arena), host, port, flags, messages, sessions);
    const { socket, info } = dialed;
    if (flags.sess_out !== undefined) keepSession(dialed, sessions, flags.sess_out);
    dialed.channel.shutdown();
    socket.release();
    if (info === null) throw new NetError('INTERNAL', { phase: Phase.Handshake });
    if (flags.msg) for (const message of messages) console.log(JSON.stringify(message));
    report(dialed, info, flags);
    const isValid = info.certificate?.status === CertificateStatus.Valid;
    if (isValid || flags.trustedSite) return ExitCode.Ok;
    console.error(`tunwire: the certificate is not valid: ${reasonOf(info)}`);
    return ExitCode.Certificate;
  });
}

/** Goes on whatever the certificates are worth, for a report is wanted all the more then. */
function handshake(
  client: EngineClient,
  host: string,
  port: number,
  flags: TlsVerbFlags,
  messages: TracedMessage[],
  sessions: ConnectionSessions,
): Dialed {
  const { starttls } = flags;
  const { request } = planConnection(host, port, INET_PROTOCOL_TCP, flags.timeout, 0, null, null);
  const unknown = flags.ciphersuites.find((name) => CIPHER_SUITES.every((suite) => suite.name !== name));
  if (unknown !== undefined) throw new ExitError(ExitCode.Cipher, `--ciphersuites: there is no '${unknown}'`);
  const trace = (message: TracedMessage): void => {
    messages.push(message);
    if (flags.state) note(`${message.sender} ${message.type}, ${message.lengthBytes} bytes`);
  };
  const settings = tlsSettings(
    {
      ...tlsOptionsOf(flags),
      rejectUnauthorized: flags.verify_return_error === true,
      ...(flags.servername === undefined ? {} : { servername: flags.servername }),
      ...(flags.ciphersuites.length === 0 ? {} : { cipherSuites: flags.ciphersuites }),
      ...(flags.tls1_2 ? { maxVersion: 'TLSv1.2' } : {}),
      ...(flags.tls1_3 ? { minVersion: 'TLSv1.3' } : {}),
      alpnProtocols: flags.alpn,
      sessions: flags.sess_in === undefined && flags.sess_out === undefined ? false : sessions,
      tuning: { ...groupsOf(flags), testing: { trace } },
    },
    { host, port, sessions: new MemorySessionStore() },
  );
  const deadline = deadlineAfter(request.timeoutMs);
  return dial(client, request, settings, (socket) => {
    if (starttls !== undefined) startTls(socket, starttls, settings.serverName, deadline);
  });
}

/** @throws ExitError for a name that is none */
function groupsOf({ groups: names }: TlsVerbFlags): { groups?: readonly NamedGroup[] } {
  if (names.length === 0) return {};
  const groups = names.map((name) => {
    const wanted = GROUP_NAMES[name.toUpperCase()] ?? name;
    const found = Object.entries(NamedGroup).find(([known]) => known.toUpperCase() === wanted.toUpperCase());
    if (found !== undefined) return found[1];
    throw new ExitError(
      ExitCode.Usage,
      `--groups: there is no '${name}'; ${Object.keys(NamedGroup).join(', ')}`,
    );
  });
  return { groups };
}

/** Other names of the curves of NIST. */
const GROUP_NAMES: Readonly<Record<string, string>> = {
  'P-256': 'secp256r1',
  PRIME256V1: 'secp256r1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};

function sessionOf({ sess_in }: TlsVerbFlags): TlsSession | null {
  if (sess_in === undefined) return null;
  const session = decodeSession(readInput('--sess_in', sess_in));
  if (session !== null) return session;
  const detail = `--sess_in: ${sess_in} holds no session that --sess_out has written`;
  throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}

/** Waits for the session, which comes after the handshake with TLS 1.3 (RFC 8446 §4.6.1), and writes it down. */
function keepSession({ socket, channel }: Dialed, sessions: ConnectionSessions, file: string): void {
  const deadline = deadlineAfter(SESSION_PATIENCE_MS);
  const scratch = new Uint8Array(SCRATCH_BYTES);
  while (sessions.received === null) {
    const { recvSequence } = socket;
    const got = channel.read(scratch, 0, scratch.length);
    if (got === 0 || (got === WOULD_BLOCK && !sleepRecv(socket, recvSequence, deadline))) break;
  }
  if (sessions.received === null) {
    note('the server has given no session to resume');
    return;
  }
  writeFileSync(file, encodeSession(sessions.received), { mode: 0o600 });
  note(`the session is in ${file}, with its secrets`);
}

function report({ socket }: Dialed, info: TlsInfo, flags: TlsVerbFlags): void {
  const chain = info.peerCertificates.map(certificateReport);
  const verdict = { status: statusOf(info), reason: reasonOf(info) };
  const remote = { address: String(socket.remoteAddress), port: socket.remotePort };
  const { version, cipherSuite, group, signatureScheme, alpn, serverName, isResumed: resumed } = info;
  if (flags.json) {
    const agreed = { version, cipherSuite, group, signatureScheme, alpn, serverName, resumed };
    console.log(JSON.stringify({ remote, ...agreed, certificate: verdict, chain }));
  } else {
    if (flags.brief) {
      line('version', version);
      line('cipher suite', cipherSuite);
      line('group', group);
      line('certificate', `${verdict.status}: ${verdict.reason}`);
      return;
    }
    line('server', `${remote.address} port ${remote.port}, asked for ${serverName}`);
    line('version', version);
    line('cipher suite', cipherSuite);
    line('group', group);
    line('signature', signatureScheme);
    line('session', resumed ? 'resumed' : 'new');
    line('ALPN', alpn ?? 'none');
    line('OCSP', info.ocspResponse === null ? 'not stapled' : 'stapled');
    line('certificate', `${verdict.status}: ${verdict.reason}`);
    for (const [i, one] of chain.entries()) {
      console.log(`\ncertificate ${i + 1} of ${chain.length}`);
      line('  subject', one.subject);
      line('  issuer', one.issuer);
      line('  valid', `${one.validFrom} to ${one.validTo}`);
      if (one.names !== null) line('  names', one.names);
      line('  key', one.key);
      line('  SHA-256', one.sha256);
    }
  }
  if (flags.showcerts) for (const der of info.peerCertificates) process.stdout.write(pem(der));
}

function line(name: string, value: string): void {
  console.log(`${name.padEnd(14)}${value}`);
}

function certificateReport(der: Uint8Array): CertificateReport {
  try {
    const certificate = new X509Certificate(der);
    const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
    const size = asymmetricKeyDetails?.modulusLength ?? asymmetricKeyDetails?.namedCurve ?? '';
    return {
      subject: certificate.subject.replaceAll('\n', ', '),
      issuer: certificate.issuer.replaceAll('\n', ', '),
      validFrom: certificate.validFromDate.toISOString(),
      validTo: certificate.validToDate.toISOString(),
      names: certificate.subjectAltName ?? null,
      key: `${asymmetricKeyType} ${size}`.trim(),
      sha256: certificate.fingerprint256,
    };
  } catch (error) {
    const reason = `cannot be read: ${(error as Error).message}`;
    return { subject: reason, issuer: '', validFrom: '', validTo: '', names: null, key: '', sha256: '' };
  }
}

function statusOf({ certificate }: TlsInfo): string {
  const status = certificate?.status ?? CertificateStatus.None;
  return (
    Object.entries(CertificateStatus)
      .find(([, value]) => value === status)?.[0]
      .toLowerCase() ?? 'none'
  );
}

function reasonOf({ certificate }: TlsInfo): string {
  return certificate?.reason ?? 'the server sent none';
}

function pem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
