import { X509Certificate } from 'node:crypto';
import { EngineClient } from '../engine/client.ts';
import { planConnection } from '../inet/connect.ts';
import { INET_PROTOCOL_TCP } from '../inet/constants.ts';
import { type Dialed, dial } from '../inet/dial.ts';
import { tlsSettings } from '../net/tls-settings.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { MemorySessionStore, type TlsInfo, type TracedMessage } from '../tls/client.ts';
import { CertificateStatus } from '../tls/x509/verdict.ts';
import { ExitCode } from './exit-code.ts';
import { withStack } from './own-stack.ts';
import { capturesToOutput, tlsOptionsOf } from './stack-options.ts';
import { splitTarget } from './target.ts';
import type { TlsVerbFlags } from './verbs/tls.ts';

const HTTPS_PORT = 443;

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
    const { host, port } = splitTarget(target, HTTPS_PORT);
    const messages: TracedMessage[] = [];
    const dialed = handshake(EngineClient.of(stack.arena), host, port, flags, messages);
    const { socket, info } = dialed;
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
): Dialed {
  const { request } = planConnection(host, port, INET_PROTOCOL_TCP, flags.timeout, 0, null, null);
  const settings = tlsSettings(
    {
      ...tlsOptionsOf(flags),
      rejectUnauthorized: false,
      ...(flags.servername === undefined ? {} : { servername: flags.servername }),
      ...(flags.ciphersuites.length === 0 ? {} : { cipherSuites: flags.ciphersuites }),
      ...(flags.tls1_2 ? { maxVersion: 'TLSv1.2' } : {}),
      ...(flags.tls1_3 ? { minVersion: 'TLSv1.3' } : {}),
      alpnProtocols: flags.alpn,
      sessions: false,
      tuning: { testing: { trace: (message) => messages.push(message) } },
    },
    { host, port, sessions: new MemorySessionStore() },
  );
  return dial(client, request, settings);
}

function report({ socket }: Dialed, info: TlsInfo, flags: TlsVerbFlags): void {
  const chain = info.peerCertificates.map(certificateReport);
  const verdict = { status: statusOf(info), reason: reasonOf(info) };
  const remote = { address: String(socket.remoteAddress), port: socket.remotePort };
  const { version, cipherSuite, group, signatureScheme, alpn, serverName } = info;
  if (flags.json) {
    const agreed = { version, cipherSuite, group, signatureScheme, alpn, serverName };
    console.log(JSON.stringify({ remote, ...agreed, certificate: verdict, chain }));
  } else {
    line('server', `${remote.address} port ${remote.port}, asked for ${serverName}`);
    line('version', version);
    line('cipher suite', cipherSuite);
    line('group', group);
    line('signature', signatureScheme);
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
