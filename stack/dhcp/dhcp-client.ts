import type { Route, StackContext } from '../context.ts';
import { NetError } from '../errors.ts';
import { AddressProbe, type AddressProbeOwner } from '../ip/address-probe.ts';
import type { EthernetLink } from '../ip/ethernet-link.ts';
import type { Interface } from '../ip/interface.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { UdpLayer } from '../udp/udp-layer.ts';
import type { DatagramReceiver, UdpSocket } from '../udp/udp-socket.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IpProtocol } from '../wire/ipv4.ts';
import { Slab } from '../wire/slab.ts';
import { UDP_HEADER_BYTES, Udp, writeUdpHeader } from '../wire/udp.ts';
import { type DhcpLease, leaseOf } from './dhcp-lease.ts';
import {
  DHCP_CLIENT_PORT,
  DHCP_SERVER_PORT,
  type DhcpReply,
  DhcpType,
  parseDhcpReply,
  writeDhcpRequest,
} from './dhcp-message.ts';

/** RFC 2131 §4.1: 4, 8, 16, 32, 64 s, each up to 1 s more or less. */
export const FIRST_RETRANSMISSION_MS = 4000;
export const LONGEST_RETRANSMISSION_MS = 64_000;
export const RETRANSMISSION_JITTER_MS = 1000;
/** RFC 2131 §4.4.1 (4): after so many unanswered requests, the search for a server begins again. */
export const MAX_REQUESTS = 4;
/** RFC 2131 §3.1 (5): the least time between a DECLINE and the next DISCOVER. */
export const DECLINE_WAIT_MS = 10_000;
/** RFC 2131 §4.4.5: the least time between two requests to renew. */
export const LEAST_RENEWAL_WAIT_MS = 60_000;

const ANY = IpAddress.v4(0);
const EVERYBODY = IpAddress.v4(-1);
const MESSAGE_ROOM_BYTES = 400;

/** RFC 2131 figure 5. Probing: an address is given, and the link is asked whether somebody has it. */
export const DhcpState = {
  Init: 'init',
  Selecting: 'selecting',
  Requesting: 'requesting',
  Probing: 'probing',
  Bound: 'bound',
  Renewing: 'renewing',
  Rebinding: 'rebinding',
  Stopped: 'stopped',
} as const;
export type DhcpState = (typeof DhcpState)[keyof typeof DhcpState];

/** What DHCP clients have sent, received and dropped. */
export class DhcpCounters {
  sentDiscover = 0;
  sentRequest = 0;
  sentDecline = 0;
  sentRelease = 0;
  /** The device was full, or there was no way to the server. */
  sendFailed = 0;
  receivedOffer = 0;
  receivedAck = 0;
  receivedNak = 0;
  bound = 0;
  renewed = 0;
  expired = 0;
  /** Addresses given that somebody on the link had. */
  conflicts = 0;
  dropMalformed = 0;
  /** Another client's, or an answer to an older question. */
  dropNotForUs = 0;
  /** Of a kind that is not waited for, or not from the server asked. */
  dropUnexpected = 0;
  /** Without a usable address, lease time or server. */
  dropUnusable = 0;
}

/** Is told what the interface is to be; called while packets are received or timers run. */
export interface DhcpClientOwner {
  /** There is a lease, or its data have changed: its address is to be used from now on. */
  leased(lease: DhcpLease): void;
  /** The lease has ended: its address must not be used any more. */
  leaseLost(): void;
}

/**
 * A DHCPv4 client (RFC 2131) for one Ethernet interface, without I/O. It begins at once, and goes on until {@link close}. Departs
 * from RFC 2131 §4.4.1 in that it does not wait 1 … 10 s at first: that keeps machines apart that get power at the same time.
 */
export class DhcpClient implements TimerTarget, DatagramReceiver, AddressProbeOwner {
  readonly counters: DhcpCounters;
  readonly #context: StackContext;
  readonly #iface: Interface;
  readonly #link: EthernetLink;
  readonly #owner: DhcpClientOwner;
  readonly #socket: UdpSocket;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #message: Slab = Slab.alloc(MESSAGE_ROOM_BYTES);
  #state: DhcpState = DhcpState.Init;
  /** What is offered, being requested or probed, or in use. */
  #lease: DhcpLease | null = null;
  #probe: AddressProbe | null = null;
  #transactionId = 0;
  #beganAt = 0;
  /** When the request was sent that an ACK would answer. */
  #requestedAt = 0;
  #tries = 0;
  /** Refusals in a row. */
  #refusals = 0;

  /** @throws NetError ADDRESS_IN_USE when UDP port 68 is taken */
  constructor(
    context: StackContext,
    udp: UdpLayer,
    counters: DhcpCounters,
    iface: Interface,
    link: EthernetLink,
    owner: DhcpClientOwner,
  ) {
    this.#context = context;
    this.counters = counters;
    this.#iface = iface;
    this.#link = link;
    this.#owner = owner;
    this.#socket = udp.open({
      local: null,
      localPort: DHCP_CLIENT_PORT,
      remote: null,
      remotePort: 0,
      broadcast: false,
      receiver: this,
    });
    iface.awaitsAddress = true;
    context.timers.set(this.#timer, context.now);
  }

  get state(): DhcpState {
    return this.#state;
  }

  /** The lease in use; null: none. */
  get lease(): DhcpLease | null {
    return this.#isBound ? this.#lease : null;
  }

  /** Gives the address back and ends. */
  close(): void {
    if (this.#state === DhcpState.Stopped) return;
    const lease = this.lease;
    if (lease !== null) {
      this.#transactionId = this.#context.random.uint32() | 0;
      this.counters.sentRelease++;
      this.#toServer(DhcpType.Release, lease);
    }
    this.#lose();
    this.#iface.awaitsAddress = false;
    this.#state = DhcpState.Stopped;
    this.#context.timers.remove(this.#timer);
    this.#socket.close();
  }

  /** TimerTarget */
  onDeadline(now: number): void {
    switch (this.#state) {
      case DhcpState.Init:
        this.#state = DhcpState.Selecting;
        this.#transactionId = this.#context.random.uint32() | 0;
        this.#beganAt = now;
        this.#tries = 0;
        this.#discover();
        break;
      case DhcpState.Selecting:
        this.#discover();
        break;
      case DhcpState.Requesting:
        if (this.#tries < MAX_REQUESTS) this.#request();
        else this.#restart(0);
        break;
      case DhcpState.Bound:
      case DhcpState.Renewing:
      case DhcpState.Rebinding:
        this.#extend(now);
        break;
      default:
    }
  }

  /** DatagramReceiver: judges what came to port 68. Never throws for what is in it. */
  datagram(_socket: UdpSocket, slab: Slab, off: number, lengthBytes: number): void {
    const { counters } = this;
    const reply = parseDhcpReply(slab, off, lengthBytes);
    if (reply === null) {
      counters.dropMalformed++;
      return;
    }
    const isOurs = reply.transactionId === this.#transactionId && this.#link.isOwn(reply.high, reply.low);
    if (!isOurs) {
      counters.dropNotForUs++;
      return;
    }
    switch (reply.type) {
      case DhcpType.Offer:
        this.#offered(reply);
        break;
      case DhcpType.Ack:
        this.#acknowledged(reply);
        break;
      case DhcpType.Nak:
        this.#refused(reply);
        break;
      default:
        counters.dropUnexpected++;
    }
  }

  /** AddressProbeOwner */
  addressFree(): void {
    this.counters.bound++;
    this.#refusals = 0;
    if (this.#lease !== null) this.#bind(this.#lease);
  }

  /** AddressProbeOwner: RFC 2131 §3.1 (5) */
  addressInUse(): void {
    this.counters.conflicts++;
    this.#probe = null;
    const lease = this.#lease;
    if (lease !== null) {
      this.counters.sentDecline++;
      this.#broadcast(DhcpType.Decline, null, lease.address.address, lease.server);
    }
    this.#restart(DECLINE_WAIT_MS);
  }

  get #isBound(): boolean {
    const state = this.#state;
    return state === DhcpState.Bound || state === DhcpState.Renewing || state === DhcpState.Rebinding;
  }

  #offered(reply: DhcpReply): void {
    const { counters } = this;
    // RFC 2131 §4.4.1: which offer to take is ours to choose; it is the first
    if (this.#state !== DhcpState.Selecting) {
      counters.dropUnexpected++;
      return;
    }
    const lease = leaseOf(reply, this.#context.now, null);
    if (lease === null) {
      counters.dropUnusable++;
      return;
    }
    counters.receivedOffer++;
    this.#lease = lease;
    this.#state = DhcpState.Requesting;
    this.#tries = 0;
    this.#request();
  }

  #acknowledged(reply: DhcpReply): void {
    const { counters } = this;
    const state = this.#state;
    const offered = this.#lease;
    const isAwaited =
      state === DhcpState.Requesting || state === DhcpState.Renewing || state === DhcpState.Rebinding;
    if (!isAwaited || offered === null) {
      counters.dropUnexpected++;
      return;
    }
    const lease = leaseOf(reply, this.#requestedAt, offered.server);
    if (lease === null) {
      counters.dropUnusable++;
      return;
    }
    // whoever answers while it is asked of all may take the lease over
    const isFromServer = state === DhcpState.Rebinding || lease.server.equals(offered.server);
    if (!isFromServer || !lease.address.address.equals(offered.address.address)) {
      counters.dropUnexpected++;
      return;
    }
    counters.receivedAck++;
    if (state !== DhcpState.Requesting) {
      counters.renewed++;
      this.#bind(lease);
      return;
    }
    this.#lease = lease;
    this.#state = DhcpState.Probing;
    this.#context.timers.cancel(this.#timer);
    this.#probe = new AddressProbe(this.#context, this.#link, lease.address.address, this);
  }

  #refused(reply: DhcpReply): void {
    const state = this.#state;
    const isAwaited =
      state === DhcpState.Requesting || state === DhcpState.Renewing || state === DhcpState.Rebinding;
    if (!isAwaited || reply.type !== DhcpType.Nak) {
      this.counters.dropUnexpected++;
      return;
    }
    this.counters.receivedNak++;
    // RFC 2131 §3.1 (4): from the beginning; a server that refuses what it has offered is not asked without end
    const waitMs = this.#refusals === 0 ? 0 : this.#backoffMs(this.#refusals - 1);
    this.#refusals++;
    this.#restart(waitMs);
  }

  #bind(lease: DhcpLease): void {
    this.#lease = lease;
    this.#iface.awaitsAddress = false;
    this.#state = DhcpState.Bound;
    this.#context.timers.set(this.#timer, lease.renewAtMs);
    this.#owner.leased(lease);
  }

  /** RFC 2131 §4.4.5: the server is asked from T1 on, everybody from T2 on. */
  #extend(now: number): void {
    const lease = this.#lease;
    if (lease === null) return;
    if (now >= lease.expiresAtMs) {
      this.counters.expired++;
      this.#restart(0);
      return;
    }
    const isLate = now >= lease.rebindAtMs;
    const next = isLate ? DhcpState.Rebinding : DhcpState.Renewing;
    if (this.#state !== next) {
      if (this.#state === DhcpState.Bound) {
        this.#transactionId = this.#context.random.uint32() | 0;
        this.#beganAt = now;
      }
      this.#state = next;
    }
    this.#requestedAt = now;
    this.counters.sentRequest++;
    if (isLate) this.#broadcast(DhcpType.Request, lease.address.address, null, null);
    else this.#toServer(DhcpType.Request, lease);
    const end = isLate ? lease.expiresAtMs : lease.rebindAtMs;
    const waitMs = Math.max((end - now) / 2, LEAST_RENEWAL_WAIT_MS);
    this.#context.timers.set(this.#timer, Math.min(now + waitMs, end));
  }

  #discover(): void {
    this.counters.sentDiscover++;
    this.#broadcast(DhcpType.Discover, null, null, null);
    this.#retransmitLater();
  }

  #request(): void {
    const lease = this.#lease;
    if (lease === null) return;
    this.counters.sentRequest++;
    this.#requestedAt = this.#context.now;
    this.#broadcast(DhcpType.Request, null, lease.address.address, lease.server);
    this.#retransmitLater();
  }

  #retransmitLater(): void {
    this.#context.timers.set(this.#timer, this.#context.now + this.#backoffMs(this.#tries++));
  }

  #backoffMs(tries: number): number {
    const waitMs = Math.min(FIRST_RETRANSMISSION_MS * 2 ** tries, LONGEST_RETRANSMISSION_MS);
    return waitMs + (this.#context.random.uint32() / 2 ** 31 - 1) * RETRANSMISSION_JITTER_MS;
  }

  #restart(waitMs: number): void {
    this.#lose();
    this.#state = DhcpState.Init;
    this.#context.timers.set(this.#timer, this.#context.now + waitMs);
  }

  #lose(): void {
    const wasBound = this.#isBound;
    this.#probe?.cancel();
    this.#probe = null;
    this.#lease = null;
    this.#iface.awaitsAddress = true;
    if (wasBound) this.#owner.leaseLost();
  }

  #broadcast(
    type: DhcpType,
    own: IpAddress | null,
    requested: IpAddress | null,
    server: IpAddress | null,
  ): void {
    const route: Route = {
      iface: this.#iface,
      source: own ?? ANY,
      destination: EVERYBODY,
      nextHop: EVERYBODY,
      pathMtuBytes: this.#iface.mtuBytes(4),
      isStale: false,
      flowKey: 0,
      progressAt: -Infinity,
      identification: null,
    };
    this.#send(route, type, own, requested, server);
  }

  /** To the server of a lease that is in use. */
  #toServer(type: DhcpType, lease: DhcpLease): void {
    const own = lease.address.address;
    try {
      const route = this.#context.ip.route(lease.server, own);
      // RFC 2131 §4.4.1 table 5: only RELEASE names the server
      this.#send(route, type, own, null, type === DhcpType.Release ? lease.server : null);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.counters.sendFailed++;
    }
  }

  #send(
    route: Route,
    type: DhcpType,
    clientAddress: IpAddress | null,
    requestedAddress: IpAddress | null,
    server: IpAddress | null,
  ): void {
    const { ip, tx, now } = this.#context;
    const { high, low } = this.#link;
    const seconds = Math.min(Math.floor((now - this.#beganAt) / 1000), 0xffff);
    const isQuestion = type === DhcpType.Discover || type === DhcpType.Request;
    const length = writeDhcpRequest(this.#message, {
      type,
      transactionId: this.#transactionId,
      seconds: isQuestion ? seconds : 0,
      broadcast: isQuestion && clientAddress === null,
      high,
      low,
      clientAddress,
      requestedAddress,
      server,
    });
    const at = ip.begin(route, UDP_HEADER_BYTES);
    writeUdpHeader(tx.head.view, at, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, UDP_HEADER_BYTES + length);
    tx.body = this.#message;
    tx.bodyOff = 0;
    tx.bodyLen = length;
    if (!ip.finish(route, IpProtocol.Udp, Udp.Checksum, 0, 0)) this.counters.sendFailed++;
  }
}
