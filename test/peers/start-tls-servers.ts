import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { KERNEL_V4, type Lab } from '../netns.ts';
import type { Credentials } from './credentials.ts';

/** Servers of protocols that begin without TLS, on the usual ports of {@link KERNEL_V4}. They keep what they write in the lab's folder. */

/** Dovecot: IMAP on port 143, POP3 on 110, ManageSieve on 4190. */
export async function startDovecot(lab: Lab, { certFile, keyFile }: Credentials): Promise<void> {
  chmodSync(lab.folder, 0o711);
  const configuration = lab.file('dovecot.conf');
  writeFileSync(
    configuration,
    `protocols = imap pop3 sieve
listen = ${KERNEL_V4}
base_dir = ${lab.file('dovecot')}
state_dir = ${lab.file('dovecot-state')}
log_path = /dev/stderr
ssl = yes
ssl_cert = <${certFile}
ssl_key = <${keyFile}
passdb {
  driver = static
  args = password=none
}
userdb {
  driver = static
}
`,
  );
  const server = lab.start('dovecot', ['-F', '-c', configuration]);
  for (const port of [143, 110, 4190]) await lab.listening(server, port);
}

/** vsftpd on port 21. */
export async function startVsftpd(lab: Lab, { certFile, keyFile }: Credentials): Promise<void> {
  const empty = lab.file('empty');
  mkdirSync(empty, { mode: 0o555 });
  const configuration = lab.file('vsftpd.conf');
  writeFileSync(
    configuration,
    `listen=YES
listen_address=${KERNEL_V4}
background=NO
secure_chroot_dir=${empty}
ssl_enable=YES
rsa_cert_file=${certFile}
rsa_private_key_file=${keyFile}
`,
  );
  const server = lab.start('vsftpd', [configuration]);
  await lab.listening(server, 21);
}

/** OpenLDAP's slapd on port 389. */
export async function startSlapd(lab: Lab, { certFile, keyFile }: Credentials): Promise<void> {
  const configuration = lab.file('slapd.conf');
  writeFileSync(
    configuration,
    `pidfile ${lab.file('slapd.pid')}
TLSCertificateFile ${certFile}
TLSCertificateKeyFile ${keyFile}
`,
  );
  const server = lab.start('slapd', ['-d', '0', '-h', `ldap://${KERNEL_V4}`, '-f', configuration]);
  await lab.listening(server, 389);
}

/** Prosody on port 5222. @param host that it serves */
export async function startProsody(
  lab: Lab,
  { certFile, keyFile }: Credentials,
  host: string,
): Promise<void> {
  chmodSync(lab.folder, 0o711);
  const data = lab.file('prosody');
  mkdirSync(data);
  execFileSync('chown', ['prosody', data]);
  const key = `${data}/key.pem`;
  const certificate = `${data}/certificate.pem`;
  execFileSync('install', ['-o', 'prosody', '-m', '600', keyFile, key]);
  execFileSync('install', ['-o', 'prosody', '-m', '644', certFile, certificate]);
  const configuration = `${data}/prosody.cfg.lua`;
  writeFileSync(
    configuration,
    `pidfile = "${data}/prosody.pid"
data_path = "${data}"
interfaces = { "${KERNEL_V4}" }
modules_enabled = { "tls", "saslauth" }
modules_disabled = { "s2s" }
log = { error = "*console" }
ssl = { key = "${key}", certificate = "${certificate}" }
VirtualHost "${host}"
`,
  );
  const user = ['--reuid=prosody', '--regid=prosody', '--clear-groups'];
  const server = lab.start('setpriv', [...user, 'prosody', '-F', '--config', configuration]);
  await lab.listening(server, 5222);
}
