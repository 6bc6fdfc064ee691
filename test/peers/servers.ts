import { mkdirSync, writeFileSync } from 'node:fs';
import type { Lab, LabProcess } from '../netns.ts';
import type { Credentials } from './credentials.ts';

/** Programs to talk to, started in a lab and listening when the promise resolves. They end with the lab. */

/**
 * `openssl s_server` on all addresses, of both families.
 * @param args further arguments: `-rev`, `-www`, `-tls1_3`, `-ciphersuites …`
 */
export async function startOpenssl(
  lab: Lab,
  port: number,
  credentials: Credentials,
  args: readonly string[] = [],
): Promise<LabProcess> {
  const { certFile, keyFile } = credentials;
  const server = lab.start('openssl', [
    's_server',
    // a port alone: with an address, even [::], it listens on one family
    '-accept',
    String(port),
    '-cert',
    certFile,
    '-key',
    keyFile,
    ...args,
  ]);
  await lab.listening(server, port);
  return server;
}

/** nginx with plain HTTP on port 80, HTTPS on 443, and with HTTP/2 on 444. @param pages file names and contents to serve */
export async function startNginx(
  lab: Lab,
  credentials: Credentials,
  pages: Readonly<Record<string, string | Uint8Array>>,
): Promise<LabProcess> {
  const root = lab.file('www');
  mkdirSync(root);
  for (const [name, content] of Object.entries(pages)) writeFileSync(`${root}/${name}`, content);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (what) => `${what}_temp_path ${lab.file(what)};`,
  );
  const configuration = lab.file('nginx.conf');
  writeFileSync(
    configuration,
    `user root; daemon off; worker_processes 1; pid ${lab.file('nginx.pid')}; error_log stderr;
events { worker_connections 256; }
http {
  access_log ${lab.file('access.log')};
  ${temporary.join(' ')}
  server {
    listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl; listen 444 ssl http2;
    ssl_certificate ${credentials.certFile}; ssl_certificate_key ${credentials.keyFile};
    ssl_protocols TLSv1.2 TLSv1.3;
    root ${root};
  }
}
`,
  );
  const server = lab.start('nginx', ['-p', lab.folder, '-c', configuration, '-e', 'stderr']);
  await lab.listening(server, 443);
  return server;
}

/** Names and their addresses: `{ 'www.lab.test': ['10.77.0.1', 'fd77::1'] }`. */
export type Hosts = Readonly<Record<string, readonly string[]>>;

/** The zone in which a name that is not listed does not exist (RFC 6761 §6.2 keeps `test` for us). */
export const ZONE = 'lab.test';

/** dnsmasq on port 53: knows `hosts`, says NXDOMAIN for the rest of {@link ZONE}, asks nobody else. */
export async function startDnsmasq(
  lab: Lab,
  hosts: Hosts,
  args: readonly string[] = [],
): Promise<LabProcess> {
  const file = lab.file('hosts');
  const lines = Object.entries(hosts).flatMap(([name, addresses]) =>
    addresses.map((address) => `${address} ${name}\n`),
  );
  writeFileSync(file, lines.join(''));
  const server = lab.start('dnsmasq', [
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--user=root',
    '--pid-file=',
    '--no-resolv',
    '--no-hosts',
    `--addn-hosts=${file}`,
    `--local=/${ZONE}/`,
    '--log-queries',
    '--log-facility=-',
    ...args,
  ]);
  await lab.listening(server, 53, 'udp');
  return server;
}

/** unbound on port 53, authoritative for {@link ZONE}. @param lines further lines of its `server:` section */
export async function startUnbound(
  lab: Lab,
  hosts: Hosts,
  lines: readonly string[] = [],
): Promise<LabProcess> {
  const data = Object.entries(hosts).flatMap(([name, addresses]) =>
    addresses.map(
      (address) => `local-data: "${name}. 60 IN ${address.includes(':') ? 'AAAA' : 'A'} ${address}"`,
    ),
  );
  const configuration = lab.file('unbound.conf');
  writeFileSync(
    configuration,
    `server:
  ${[
    'interface: 0.0.0.0',
    'interface: ::0',
    'access-control: 0.0.0.0/0 allow',
    'access-control: ::0/0 allow',
    'do-daemonize: no',
    'username: ""',
    'chroot: ""',
    `directory: "${lab.folder}"`,
    `pidfile: "${lab.file('unbound.pid')}"`,
    'use-syslog: no',
    'logfile: ""',
    'log-queries: yes',
    'num-threads: 1',
    'module-config: "iterator"',
    `local-zone: "${ZONE}." static`,
    ...data,
    ...lines,
  ].join('\n  ')}
remote-control:
  control-enable: no
`,
  );
  const server = lab.start('unbound', ['-d', '-p', '-c', configuration]);
  await lab.listening(server, 53, 'udp');
  return server;
}

/** BIND's named on port 53, authoritative for {@link ZONE}, with cookies as it comes. @param records further lines of the zone */
export async function startNamed(
  lab: Lab,
  hosts: Hosts,
  records: readonly string[] = [],
): Promise<LabProcess> {
  const zone = writeZone(lab, hosts, records);
  const configuration = lab.file('named.conf');
  writeFileSync(
    configuration,
    `options {
  directory "${lab.folder}"; pid-file "${lab.file('named.pid')}"; session-keyfile "${lab.file('session.key')}";
  listen-on { any; }; listen-on-v6 { any; }; recursion no; allow-query { any; }; dnssec-validation no;
};
controls { };
zone "${ZONE}" { type primary; file "${zone}"; };
`,
  );
  const server = lab.start('named', ['-f', '-g', '-u', 'root', '-n', '1', '-c', configuration]);
  await lab.listening(server, 53, 'udp');
  return server;
}

/** NSD on port 53, authoritative for {@link ZONE}. @param records further lines of the zone */
export async function startNsd(lab: Lab, hosts: Hosts, records: readonly string[] = []): Promise<LabProcess> {
  const zone = writeZone(lab, hosts, records);
  const configuration = lab.file('nsd.conf');
  writeFileSync(
    configuration,
    `server:
  ip-address: 0.0.0.0
  ip-address: ::0
  username: root
  chroot: ""
  zonesdir: "${lab.folder}"
  zonelistfile: "${lab.file('zone.list')}"
  xfrdfile: "${lab.file('xfrd.state')}"
  xfrdir: "${lab.folder}"
  database: ""
  pidfile: ""
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: "${ZONE}"
  zonefile: "${zone}"
`,
  );
  const server = lab.start('nsd', ['-d', '-c', configuration]);
  await lab.listening(server, 53, 'udp');
  return server;
}

function writeZone(lab: Lab, hosts: Hosts, records: readonly string[]): string {
  const file = lab.file('zone');
  const addresses = Object.entries(hosts).flatMap(([name, list]) =>
    list.map((address) => `${name}. 60 IN ${address.includes(':') ? 'AAAA' : 'A'} ${address}`),
  );
  const soa = `@ 60 IN SOA ns admin 1 3600 600 86400 60`;
  const lines = [`$ORIGIN ${ZONE}.`, soa, '@ 60 IN NS ns', 'ns 60 IN A 127.0.0.1', ...addresses, ...records];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** How {@link startNodeServer}'s server treats a connection. */
export type NodeServerMode =
  /** Sends back what comes. */
  | 'echo'
  /** Reads to the end, prints `BYTES SHA256` and closes. */
  | 'sink'
  /** Sends `bytes` bytes of the pattern in kernel-server.ts, then ends. */
  | 'source'
  /** Never reads or writes. */
  | 'silent';

/** node:net, or node:tls with credentials: the kernel's TCP under Node's own TLS. */
export async function startNodeServer(
  lab: Lab,
  port: number,
  mode: NodeServerMode,
  options: { readonly bytes?: number; readonly credentials?: Credentials } = {},
): Promise<LabProcess> {
  const { bytes = 0, credentials } = options;
  const tls = credentials === undefined ? [] : [credentials.certFile, credentials.keyFile];
  const server = lab.node('test/peers/kernel-server.ts', [String(port), mode, String(bytes), ...tls]);
  await lab.listening(server, port);
  return server;
}

/** socat, which listens on `port`. @param args its two addresses: `['TCP6-LISTEN:7,fork', 'PIPE']` */
export async function startSocat(
  lab: Lab,
  port: number,
  args: readonly string[],
  protocol: 'tcp' | 'udp' = 'tcp',
): Promise<LabProcess> {
  const server = lab.start('socat', args);
  await lab.listening(server, port, protocol);
  return server;
}
