import { createLab, type Lab, type LabProcess } from '../test/netns.ts';
import { type Credentials, makeCredentials } from '../test/peers/credentials.ts';
import { deviceQueuePackets, type LinkKind, mostLinks, type SubjectKind } from './cases.ts';
import { DNS_ZONE, type Job, Port, SET_UP_PORTS, type SubjectOptions } from './job.ts';

/** A way from the peer to a subject, with the addresses of both. */
interface Link {
  readonly kind: LinkKind;
  readonly name: string;
  /** The other end of a veth pair, in the other namespace; '' where there is none. */
  readonly farName: string;
  readonly peerAddress: string;
  readonly ownAddress: string;
}

/** The kernel's usual queue for a TUN device. */
const QUEUE_PACKETS = 500;
const MTU_BYTES = 1500;
const CONGESTION_CONTROL = 'cubic';
/** How `ss -i` names what is in effect. */
const KNOWN_CONGESTION_CONTROLS = /\b(cubic|bbr\d?|reno|dctcp|vegas|htcp|bic|westwood|illinois)\b/g;

/** As many of each kind as a case has subjects for. */
const LINKS: readonly Link[] = (['veth', 'tun', 'queues', 'raw'] as const)
  .flatMap((kind) => new Array<LinkKind>(mostLinks(kind)).fill(kind))
  .map((kind, number) => ({
    kind,
    name: `${kind}${number}`,
    farName: isPair(kind) ? `far${number}` : '',
    peerAddress: `10.80.${number}.1`,
    ownAddress: `10.80.${number}.2`,
  }));

function isPair(kind: LinkKind): boolean {
  return kind === 'veth' || kind === 'raw';
}

/**
 * A namespace with the peer's servers on the kernel's TCP and several TUN devices, one for each subject of a case; and a second
 * one, over a veth pair, in which node's subjects run.
 */
export class Network {
  readonly #peer: Lab;
  readonly #far: Lab;
  readonly #credentials: Credentials;
  readonly #cleanUps: (() => Promise<void> | void)[];
  /** The peer's programs, whose work belongs to the benchmark. */
  readonly servers: LabProcess[] = [];

  private constructor(peer: Lab, far: Lab, cleanUps: (() => Promise<void> | void)[]) {
    this.#peer = peer;
    this.#far = far;
    this.#cleanUps = cleanUps;
    this.#credentials = makeCredentials(
      peer.folder,
      LINKS.map(({ peerAddress }) => peerAddress),
    );
  }

  /** Needs root. {@link close} removes everything; a process of its own does when this one is killed. */
  static async create(): Promise<Network> {
    const cleanUps: (() => Promise<void> | void)[] = [];
    const teardown = { teardown: (clean: () => Promise<void> | void) => cleanUps.push(clean) };
    const network = new Network(await createLab(teardown), await createLab(teardown), cleanUps);
    try {
      await network.#addLinks();
      await network.#startServers();
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  async #addLinks(): Promise<void> {
    for (const one of LINKS) {
      const { kind, name, peerAddress } = one;
      if (isPair(kind)) await this.#addPair(one);
      else await this.#ip(`tuntap add dev ${name} mode tun${kind === 'queues' ? ' multi_queue' : ''}`);
      await this.#ip(`link set ${name} mtu ${MTU_BYTES} addrgenmode none`);
      await this.#ip(`addr add ${peerAddress}/24 dev ${name}`);
      await this.#ip(`link set ${name} up`);
      await this.#fixCongestionControl(this.#peer, name, peerAddress);
    }
  }

  /** The address of the other end is the kernel's, or a packet socket's, which the kernel must not answer for. */
  async #addPair({ kind, name, farName, ownAddress }: Link): Promise<void> {
    await this.#ip(`link add ${name} type veth peer name ${farName}`);
    await this.#ip(`link set ${farName} netns ${this.#far.namespace}`);
    if (kind === 'veth') await this.#far.ok('ip', `addr add ${ownAddress}/24 dev ${farName}`.split(' '));
    await this.#far.ok('ip', `link set ${farName} mtu ${MTU_BYTES} addrgenmode none up`.split(' '));
    if (kind === 'veth') await this.#fixCongestionControl(this.#far, farName, ownAddress);
  }

  /** By the route, which needs no right to change the namespace's settings. */
  async #fixCongestionControl(lab: Lab, name: string, address: string): Promise<void> {
    const net = address.replace(/\d+$/, '0/24');
    const change = `route change ${net} dev ${name} proto kernel scope link src ${address} congctl`;
    await lab.ok('ip', [...change.split(' '), CONGESTION_CONTROL]);
  }

  #ip(args: string): Promise<string> {
    return this.#peer.ok('ip', args.split(' '));
  }

  async #startServers(): Promise<void> {
    const { certFile, keyFile } = this.#credentials;
    const server = this.#peer.node('bench/server.ts', [certFile, keyFile]);
    const plainServer = this.#peer.node('bench/plain-server.ts', []);
    this.servers.push(server, plainServer);
    await this.#peer.listening(plainServer, Port.FirstSetUp + SET_UP_PORTS - 1);
    await this.#peer.listening(server, Port.UdpSource, 'udp');
  }

  /** dnsmasq, which knows every name of the zone and asks nobody. */
  async startNameServer(): Promise<void> {
    const args = [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--user=root',
      '--pid-file=',
      '--no-resolv',
      '--no-hosts',
      `--local=/${DNS_ZONE}/`,
      `--address=/${DNS_ZONE}/192.0.2.1`,
    ];
    const server = this.#peer.start('dnsmasq', args);
    this.servers.push(server);
    await this.#peer.listening(server, 53, 'udp');
  }

  /** Starts a subject's process. @param number which link of its kind @param flags of Node
   * @param profile where CPU profiles go; '': none */
  async start(
    kind: SubjectKind,
    job: Job,
    number: number,
    flags: readonly string[],
    profile: string,
  ): Promise<LabProcess> {
    const { name, farName, peerAddress, ownAddress } = LINKS.filter((one) => one.kind === kind.link)[number]!;
    const options: SubjectOptions = {
      face: kind.face,
      job,
      device: deviceOf(kind.link, name, farName),
      engines: kind.engines,
      offload: kind.offload,
      ownAddress,
      peerAddress,
      caFile: this.#credentials.caFile,
      profile,
    };
    await this.#shape(name, job);
    if (farName !== '') await this.#far.ok('ip', `link set ${farName} mtu ${job.mtuBytes}`.split(' '));
    const lab = farName !== '' ? this.#far : this.#peer;
    const script = new URL('./subject.ts', import.meta.url).pathname;
    return lab.start(process.execPath, [...flags, script, JSON.stringify(options)]);
  }

  async #shape(name: string, job: Job): Promise<void> {
    const bare = job.packetBytes > 0;
    const queue = bare ? deviceQueuePackets(job) : QUEUE_PACKETS;
    await this.#ip(`link set ${name} mtu ${job.mtuBytes} txqueuelen ${queue}`);
  }

  /** The congestion controls of the connections that the peer's kernel has now, sorted. */
  async congestionControls(): Promise<string[]> {
    const connections = await this.#peer.ok('ss', ['-Htin', 'state', 'established']);
    return [...new Set(connections.match(KNOWN_CONGESTION_CONTROLS) ?? [])].sort();
  }

  async close(): Promise<void> {
    for (const clean of this.#cleanUps.splice(0)) await clean();
  }
}

function deviceOf(kind: LinkKind, name: string, farName: string): string {
  switch (kind) {
    case 'veth':
      return '';
    case 'raw':
      return `raw:${farName}`;
    default:
      return `tun:${name}`;
  }
}
