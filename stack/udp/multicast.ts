import type { RxPacket, StackContext } from '../context.ts';
import { NetError, Phase } from '../errors.ts';
import type { Interface } from '../ip/interface.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/** Groups, and sources of groups, that one socket belongs to. */
export const MAX_SOCKET_MEMBERSHIPS = 64;
/** RFC 1112 §6.1 */
export const DEFAULT_MULTICAST_TTL = 1;

interface Membership {
  readonly group: IpAddress;
  readonly iface: Interface;
  /** null: from any. */
  readonly source: IpAddress | null;
}

/** What a UDP socket says of multicast (RFC 1112 §6, RFC 3376 §2, RFC 3493 §5.2, RFC 3678). */
export class MulticastSettings {
  /** Hop limit of datagrams to groups, 0 … 255; 0: they do not leave this stack. */
  ttl: number = DEFAULT_MULTICAST_TTL;
  /** Sockets of this stack that belong to the group get the datagrams too. */
  loop = true;
  /** An own address, whose interface datagrams to groups leave by; null: as routes say. */
  source: IpAddress | null = null;
  readonly #context: StackContext;
  readonly #memberships: Membership[] = [];

  constructor(context: StackContext) {
    this.#context = context;
  }

  /** True when the socket has joined the group that a datagram is for, on the interface it came from, from that source. */
  wants(rx: RxPacket): boolean {
    for (const { group, iface, source } of this.#memberships) {
      if (iface !== rx.iface || !isSame(group, rx.family, rx.dst0, rx.dst1, rx.dst2, rx.dst3)) continue;
      if (source === null || isSame(source, rx.family, rx.src0, rx.src1, rx.src2, rx.src3)) return true;
    }
    return false;
  }

  /**
   * Joins a group.
   * @param by an own address on the interface to join on; null: where routes say
   * @param from the source that is wanted; null: any. More of them: one call each
   * @throws NetError ARGUMENT_INVALID, ADDRESS_IN_USE (joined already), ADDRESS_NOT_AVAILABLE, NETWORK_UNREACHABLE, NO_BUFFERS
   */
  join(group: IpAddress, by: IpAddress | null, from: IpAddress | null): void {
    if (!group.isMulticast) throw invalid(`${group} is no multicast group`);
    if (from !== null && (from.family !== group.family || from.isMulticast || from.isUnspecified))
      throw invalid(`${from} cannot be a source of ${group}`);
    const { iface } = this.#context.ip.route(group, by);
    if (this.#find(group, iface, from) >= 0)
      throw new NetError('ADDRESS_IN_USE', {
        phase: Phase.Argument,
        detail: `the socket belongs to ${group} already`,
        address: group.toString(),
      });
    // RFC 3678 §4.1.3: of one group all sources are wanted, or some
    if (this.#memberships.some((each) => isOther(each, group, iface, from)))
      throw invalid(`the socket belongs to ${group} already, with ${from === null ? '' : 'all '}sources`);
    const hosts = group.family === 4 ? iface.igmp : iface.mld;
    const isFull = this.#memberships.length >= MAX_SOCKET_MEMBERSHIPS;
    if (isFull || (!isAllHosts(group) && hosts?.groups.join(group, from) !== true))
      throw new NetError('NO_BUFFERS', { phase: Phase.Argument, detail: 'too many multicast groups' });
    this.#memberships.push({ group, iface, source: from });
  }

  /**
   * Undoes {@link join}, called with the same arguments.
   * @throws NetError ADDRESS_NOT_AVAILABLE when that was not joined, and what {@link join} throws
   */
  leave(group: IpAddress, by: IpAddress | null, from: IpAddress | null): void {
    const { iface } = this.#context.ip.route(group, by);
    const at = this.#find(group, iface, from);
    if (at < 0)
      throw new NetError('ADDRESS_NOT_AVAILABLE', {
        phase: Phase.Argument,
        detail: `the socket does not belong to ${group}`,
        address: group.toString(),
      });
    const [membership] = this.#memberships.splice(at, 1);
    end(membership!);
  }

  /** Leaves all. */
  close(): void {
    for (const membership of this.#memberships.splice(0)) end(membership);
  }

  #find(group: IpAddress, iface: Interface, source: IpAddress | null): number {
    return this.#memberships.findIndex(
      (each) =>
        each.iface === iface &&
        each.group.equals(group) &&
        (source === null ? each.source === null : each.source?.equals(source) === true),
    );
  }
}

function isOther(each: Membership, group: IpAddress, iface: Interface, source: IpAddress | null): boolean {
  return each.iface === iface && each.group.equals(group) && (each.source === null) !== (source === null);
}

function end({ group, iface, source }: Membership): void {
  if (isAllHosts(group)) return;
  (group.family === 4 ? iface.igmp : iface.mld)?.groups.leave(group, source);
}

/** RFC 3376 §6, RFC 3810 §6: nobody reports the groups of all hosts, which every interface belongs to, nor what stays in a node. */
function isAllHosts({ family, w0, w1, w2, w3 }: IpAddress): boolean {
  if (family === 4) return w3 === (0xe0000001 | 0);
  const scope = (w0 >>> 16) & 0x0f;
  return scope <= 1 || (w0 === (0xff020000 | 0) && w1 === 0 && w2 === 0 && w3 === 1);
}

function isSame(a: IpAddress, family: number, w0: number, w1: number, w2: number, w3: number): boolean {
  return a.w3 === w3 && a.family === family && a.w2 === w2 && a.w1 === w1 && a.w0 === w0;
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
