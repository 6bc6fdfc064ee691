// needs: tun openssl pg_ctlcluster mariadbd postfix setpriv dovecot vsftpd slapd prosody
import test, { type ExecutionContext } from 'ava';
import { createLab, KERNEL_V4, type Lab } from '../test/netns.ts';
import { startMariadb, startPostfix, startPostgres } from '../test/peers/application-servers.ts';
import { type Credentials, makeCredentials } from '../test/peers/credentials.ts';
import { startOpenssl } from '../test/peers/servers.ts';
import { startDovecot, startProsody, startSlapd, startVsftpd } from '../test/peers/start-tls-servers.ts';
import { jsonOf, tunwire } from './testing/command.ts';

const NAME = 'peer.lab.test';

async function bench(t: ExecutionContext): Promise<{ lab: Lab; credentials: Credentials; flags: string[] }> {
  t.timeout(120_000);
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [NAME]);
  return { lab, credentials, flags: ['--cafile', credentials.caFile, '--servername', NAME, '--json'] };
}

const SERVERS: readonly (readonly [
  string,
  (lab: Lab, credentials: Credentials) => Promise<unknown>,
  readonly string[],
])[] = [
  ['Postfix', startPostfix, ['smtp']],
  ['Dovecot', startDovecot, ['imap', 'pop3', 'sieve']],
  ['vsftpd', startVsftpd, ['ftp']],
  ['slapd', startSlapd, ['ldap']],
  ['Prosody', (lab, credentials) => startProsody(lab, credentials, NAME), ['xmpp']],
  ['PostgreSQL', startPostgres, ['postgres']],
  ['MariaDB', startMariadb, ['mysql']],
];

for (const [server, start, protocols] of SERVERS) {
  test(`tls --starttls ${protocols.join(', ')}: ${server}`, async (t) => {
    const { lab, credentials, flags } = await bench(t);
    await start(lab, credentials);
    for (const protocol of protocols) {
      const result = await tunwire(lab, 'tls', [KERNEL_V4, '--starttls', protocol, ...flags]);
      t.is(result.code, 0, `${protocol}: ${result.stderr}`);
      t.like(jsonOf(result), { certificate: { status: 'valid' }, serverName: NAME });
    }
  });
}

test('tls --starttls: a server that does not have it, and one that says nothing', async (t) => {
  const { lab, credentials, flags } = await bench(t);
  await startPostfix(lab, credentials);
  const other = await tunwire(lab, 'tls', [`${KERNEL_V4}:25`, '--starttls', 'imap', ...flags]);
  t.is(other.code, 35);
  t.regex(other.stderr, /the server says '220 peer\.lab\.test ESMTP Postfix[^']*'; does it speak imap/);
  await startOpenssl(lab, 4433, credentials);
  const silent = await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, '--starttls', 'smtp', '--timeout', '1']);
  t.is(silent.code, 28, silent.stderr);
  t.regex(silent.stderr, /smtp's STARTTLS, and got nothing/);
});

/** What the request for TLS is: the extended operation of RFC 4511 §4.14.1. */
const LDAP_ASKED = '0\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037';
/** SSLRequest. */
const POSTGRES_ASKED = '\0\0\0\x08\x04\xd2\x16\x2f';
const XMPP_OPEN =
  "<stream:stream><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";

/** MySQL's Protocol::HandshakeV10. @param capabilities the lower two bytes of them */
function mysqlGreeting(capabilities: number): string {
  const low = String.fromCharCode(capabilities & 0xff, capabilities >>> 8);
  const content = `\x0a8.0\0${'\0'.repeat(4)}${'x'.repeat(8)}\0${low}${'\0'.repeat(20)}`;
  return `${String.fromCharCode(content.length)}\0\0\0${content}`;
}

/** Port, protocol, what the server says: at once and then for each line; what it may have heard in the end; exit code and reason. */
const STRIPPED: readonly (readonly [number, string, readonly string[], RegExp | string, number, RegExp])[] = [
  [81, 'smtp', ['220 mail\r\n', '250 mail\r\n'], /^EHLO [\w.]+\r\n$/, 64, /does not offer STARTTLS/],
  [
    82,
    'smtp',
    ['220 mail\r\n', '250-mail\r\n250 STARTTLS\r\n', '454 not now\r\n'],
    /^EHLO [\w.]+\r\nSTARTTLS\r\n$/,
    64,
    /answers '454 not now'/,
  ],
  [
    83,
    'smtp',
    ['220 mail\r\n', '250-mail\r\n250 STARTTLS\r\n', '220 go\r\n250 injected\r\n'],
    /^EHLO [\w.]+\r\nSTARTTLS\r\n$/,
    35,
    /says something else/,
  ],
  [84, 'imap', ['* OK mail\r\n', 'a1 NO not here\r\n'], /^a1 STARTTLS\r\n$/, 64, /answers 'a1 NO not here'/],
  [
    85,
    'imap',
    ['* OK mail\r\n', '* OK soon\r\na1 BAD what\r\n'],
    /^a1 STARTTLS\r\n$/,
    64,
    /answers 'a1 BAD what'/,
  ],
  [86, 'pop3', ['+OK\r\n', '-ERR no\r\n'], /^STLS\r\n$/, 64, /answers '-ERR no'/],
  [87, 'pop3', ['220 mail\r\n'], /^$/, 35, /says '220 mail'; does it speak pop3/],
  [88, 'sieve', ['"SASL" ""\r\nOK\r\n', 'NO "later"\r\n'], /^STARTTLS\r\n$/, 64, /answers 'NO "later"'/],
  [89, 'ftp', ['220-files\r\n220 here\r\n', '534 no\r\n'], /^AUTH TLS\r\n$/, 64, /answers '534 no'/],
  [90, 'ftp', ['220 files\r\n', '331 who\r\n'], /^AUTH TLS\r\n$/, 35, /says '331 who'/],
  // LDAPResult: unwillingToPerform (53), and protocolError (2) with a length in the long form
  [
    91,
    'ldap',
    ['', '0\x0c\x02\x01\x01\x78\x07\x0a\x01\x35\x04\x00\x04\x00'],
    LDAP_ASKED,
    64,
    /result code 53/,
  ],
  [
    92,
    'ldap',
    ['', '0\x81\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00'],
    LDAP_ASKED,
    64,
    /result code 2;/,
  ],
  [
    93,
    'ldap',
    ['', '0\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00'],
    LDAP_ASKED,
    35,
    /says something else/,
  ],
  [
    94,
    'xmpp',
    ['', XMPP_OPEN, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"],
    /<starttls /,
    64,
    /answers with failure/,
  ],
  [
    95,
    'xmpp',
    ['', '<stream:stream><stream:features/></stream:features>'],
    /^<\?xml[^?]*\?><stream:stream /,
    64,
    /does not offer starttls/,
  ],
  [96, 'postgres', ['', 'N'], POSTGRES_ASKED, 64, /answers 'N' in place of 'S'/],
  [97, 'postgres', ['', 'E'], POSTGRES_ASKED, 64, /answers 'E' in place of 'S'/],
  [98, 'mysql', [mysqlGreeting(0xf7ff)], /^$/, 64, /does not offer TLS/],
  [99, 'mysql', ['\x03\0\0\0\xff\x15\x04'], /^$/, 35, /says something else/],
];

test('tls --starttls: where somebody takes STARTTLS away, nothing goes on in the clear', async (t) => {
  const { lab, flags } = await bench(t);
  const answers = Object.fromEntries(STRIPPED.map(([port, , says]) => [port, says]));
  const server = lab.start(process.execPath, [
    '-e',
    `for (const [port, [greeting, ...answers]] of Object.entries(${JSON.stringify(answers)})) {
      require('node:net').createServer((socket) => {
        let heard = '';
        socket.setEncoding('latin1').on('error', () => {});
        socket.setDefaultEncoding('latin1');
        socket.write(greeting);
        socket.on('data', (text) => {
          heard += text;
          socket.write(answers.shift() ?? '');
        });
        socket.on('close', () => console.log(JSON.stringify({ port, heard })));
      }).listen(Number(port), '${KERNEL_V4}');
    }`,
  ]);
  for (const [port, protocol, , heard, code, reason] of STRIPPED) {
    await lab.listening(server, port);
    const result = await tunwire(lab, 'tls', [`${KERNEL_V4}:${port}`, '--starttls', protocol, ...flags]);
    t.is(result.code, code, result.stderr);
    t.regex(result.stderr, reason);
    const line = (): string | undefined =>
      server.stdout.split('\n').find((one) => one.startsWith(`{"port":"${port}"`) && one.endsWith('}'));
    await lab.until(`the connection to port ${port} is closed`, () => line() !== undefined);
    const said = (JSON.parse(line()!) as { heard: string }).heard;
    if (typeof heard === 'string') t.is(said, heard);
    else t.regex(said, heard);
  }
});

test('tls --sess_out and --sess_in: another process resumes the session', async (t) => {
  const { lab, credentials, flags } = await bench(t);
  await startOpenssl(lab, 4433, credentials);
  for (const version of ['--tls1_3', '--tls1_2']) {
    const file = lab.file(`session${version}`);
    const first = await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, version, '--sess_out', file, ...flags]);
    t.is(first.code, 0, first.stderr);
    t.like(jsonOf(first), { resumed: false });
    const second = await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, version, '--sess_in', file, ...flags]);
    t.is(second.code, 0, second.stderr);
    t.like(jsonOf(second), { resumed: true, certificate: { status: 'valid' } });
  }
  const wrong = await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, '--sess_in', credentials.certFile, ...flags]);
  t.is(wrong.code, 2);
});
