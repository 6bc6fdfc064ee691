import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { KERNEL_V4, type Lab, type LabProcess } from '../netns.ts';
import type { Credentials } from './credentials.ts';

/**
 * The servers of databases, queues, mail and shells, started in a lab and listening on {@link KERNEL_V4} when the promise resolves. Each
 * keeps its data in the lab's folder and ends with the lab.
 */

/** The account on all of them, where they have accounts. */
export const ACCOUNT = { user: 'lab', password: 'a secret', database: 'lab' } as const;

/** Starts a program as another user, who may read the lab's folder. */
function startAs(lab: Lab, user: string, command: string, args: readonly string[]): LabProcess {
  chmodSync(lab.folder, 0o711);
  return lab.start('setpriv', [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', command, ...args]);
}

/** A folder that belongs to a user. */
function folderOf(lab: Lab, user: string, name: string): string {
  const folder = lab.file(name);
  mkdirSync(folder, { mode: 0o700 });
  execFileSync('chown', [user, folder]);
  return folder;
}

/** A key that a server running as `user` accepts as its own. */
function keyOf(lab: Lab, user: string, { certFile, keyFile }: Credentials): { cert: string; key: string } {
  const cert = lab.file(`${user}.pem`);
  const key = lab.file(`${user}-key.pem`);
  execFileSync('install', ['-o', user, '-m', '600', keyFile, key]);
  execFileSync('install', ['-o', user, '-m', '644', certFile, cert]);
  return { cert, key };
}

/** PostgreSQL on port 5432, with TLS on request; passwords by SCRAM. */
export async function startPostgres(lab: Lab, credentials: Credentials): Promise<LabProcess> {
  const user = 'postgres';
  const releases = '/usr/lib/postgresql';
  const release = readdirSync(releases).sort((a, b) => Number(b) - Number(a))[0];
  const programs = `${releases}/${release}/bin`;
  const data = folderOf(lab, user, 'postgres');
  const { cert, key } = keyOf(lab, user, credentials);
  const passwordFile = lab.file('postgres-password');
  writeFileSync(passwordFile, ACCOUNT.password);
  chmodSync(passwordFile, 0o644);
  const made = startAs(lab, user, `${programs}/initdb`, [
    ...['-D', data, '-U', ACCOUNT.user, '-A', 'scram-sha-256', '--pwfile', passwordFile],
    ...['--no-sync', '--locale=C', '-E', 'UTF8'],
  ]);
  if ((await made.exited) !== 0) throw new Error(`initdb: ${made.stderr}`);
  writeFileSync(`${data}/pg_hba.conf`, 'host all all all scram-sha-256\n');
  const settings = [
    ...[`listen_addresses=${KERNEL_V4}`, 'unix_socket_directories=', 'fsync=off', 'shared_buffers=16MB'],
    ...['ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${key}`],
  ];
  const args = settings.flatMap((setting) => ['-c', setting]);
  const server = startAs(lab, user, `${programs}/postgres`, ['-D', data, ...args]);
  // it listens before it takes connections
  await lab.until('PostgreSQL is ready', () => {
    if (server.ended) throw new Error(server.stderr);
    return server.stderr.includes('ready to accept connections');
  });
  return server;
}

/** MariaDB on port 3306, with TLS on request. */
export async function startMariadb(lab: Lab, credentials: Credentials): Promise<LabProcess> {
  const user = 'mysql';
  const data = folderOf(lab, user, 'mariadb');
  const { cert, key } = keyOf(lab, user, credentials);
  const made = startAs(lab, user, 'mariadb-install-db', [
    '--no-defaults',
    `--datadir=${data}`,
    '--skip-test-db',
    '--auth-root-authentication-method=normal',
  ]);
  if ((await made.exited) !== 0) throw new Error(`mariadb-install-db: ${made.stdout}${made.stderr}`);
  const first = `${data}/first.sql`;
  const account = `'${ACCOUNT.user}'@'%'`;
  writeFileSync(
    first,
    `CREATE DATABASE ${ACCOUNT.database};
CREATE USER ${account} IDENTIFIED BY '${ACCOUNT.password}';
GRANT ALL ON ${ACCOUNT.database}.* TO ${account};
`,
  );
  chmodSync(first, 0o644);
  const server = startAs(lab, user, 'mariadbd', [
    '--no-defaults',
    `--datadir=${data}`,
    `--socket=${data}/socket`,
    `--pid-file=${data}/pid`,
    `--bind-address=${KERNEL_V4}`,
    '--skip-name-resolve',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-buffer-pool-size=16M',
    `--ssl-cert=${cert}`,
    `--ssl-key=${key}`,
    `--init-file=${first}`,
  ]);
  await lab.listening(server, 3306);
  return server;
}

/** Redis on port 6379, and with TLS on 6380. */
export async function startRedis(lab: Lab, { certFile, keyFile, caFile }: Credentials): Promise<LabProcess> {
  const server = lab.start(
    'redis-server',
    [
      ...['--bind', KERNEL_V4, '--port', '6379', '--save', '', '--requirepass', ACCOUNT.password],
      ...['--tls-port', '6380', '--tls-cert-file', certFile, '--tls-key-file', keyFile],
      ...['--tls-ca-cert-file', caFile, '--tls-auth-clients', 'no'],
    ],
    { cwd: lab.folder },
  );
  await lab.listening(server, 6380);
  return server;
}

/** mosquitto, an MQTT broker, on port 1883 for everybody. */
export async function startMosquitto(lab: Lab): Promise<LabProcess> {
  const configuration = lab.file('mosquitto.conf');
  writeFileSync(configuration, `user root\nlistener 1883 ${KERNEL_V4}\nallow_anonymous true\n`);
  const server = lab.start('mosquitto', ['-c', configuration]);
  await lab.listening(server, 1883);
  return server;
}

/**
 * Postfix on port 25, with STARTTLS. What it accepts for `lab.test` is on hold: it stays in its queue.
 * @returns the folder of the held messages
 */
export async function startPostfix(lab: Lab, { certFile, keyFile }: Credentials): Promise<string> {
  chmodSync(lab.folder, 0o711);
  const folder = lab.file('postfix');
  mkdirSync(folder);
  const queue = lab.file('queue');
  mkdirSync(queue);
  const data = folderOf(lab, 'postfix', 'postfix-data');
  writeFileSync(
    `${folder}/main.cf`,
    `compatibility_level = 3.6
queue_directory = ${queue}
data_directory = ${data}
maillog_file_prefixes = ${lab.folder}
maillog_file = ${lab.file('mail.log')}
inet_interfaces = ${KERNEL_V4}
myhostname = peer.lab.test
mydestination = lab.test
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
smtpd_client_restrictions = static:HOLD
smtpd_tls_cert_file = ${certFile}
smtpd_tls_key_file = ${keyFile}
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_peername_lookup = no
`,
  );
  // only what takes a message in; nothing in a chroot
  writeFileSync(
    `${folder}/master.cf`,
    `smtp inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`,
  );
  const server = lab.start('postfix', ['-c', folder, 'start-fg']);
  await lab.listening(server, 25);
  return `${queue}/hold`;
}

/**
 * OpenSSH on port 22, for root with a key.
 * @returns that key, PEM
 */
export async function startSshd(lab: Lab): Promise<string> {
  const hostKey = lab.file('host-key');
  const userKey = lab.file('user-key');
  for (const file of [hostKey, userKey]) {
    await lab.ok('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  }
  const configuration = lab.file('sshd.conf');
  writeFileSync(
    configuration,
    `ListenAddress ${KERNEL_V4}
HostKey ${hostKey}
AuthorizedKeysFile ${userKey}.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
`,
  );
  const script = `mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$(command -v sshd)" -D -e -f "$1"`;
  const server = lab.start('sh', ['-c', script, 'sh', configuration]);
  await lab.listening(server, 22);
  return lab.ok('cat', [userKey]);
}
