import { type IcmpError, IcmpErrorKind } from '../context.ts';
import type { ErrorCode } from '../errors.ts';
import type { TcpConnection } from './connection.ts';
import { synDataTooBig } from './fast-open.ts';
import { presumeAllLost } from './recovery.ts';
import { TcpState } from './tcp-state.ts';

/**
 * Acts on an ICMP error about one of our segments (RFC 9293 §3.9.2.2 [MUST-54]), under the rules of RFC 5927: it must quote
 * something that is in flight, and it never ends a synchronized connection. Source Quench does not get here [MUST-55].
 */
export function icmpErrorArrives(c: TcpConnection, error: IcmpError): void {
  const { counters } = c.layer;
  // RFC 5927 §4.1: SND.UNA <= quoted sequence number < SND.NXT
  if (!error.hasSeq || ((error.seq - c.sndUna) | 0) < 0 || ((error.seq - c.sndNxt) | 0) >= 0) {
    counters.icmpIgnored++;
    return;
  }
  counters.icmpMatched++;
  switch (error.kind) {
    case IcmpErrorKind.TooBig:
      tooBig(c, error.mtuBytes);
      break;
    case IcmpErrorKind.UnreachableProtocol:
    case IcmpErrorKind.UnreachablePort:
    // Not among the soft ones of [MUST-56]: a firewall that refuses says so, and trying on changes nothing
    case IcmpErrorKind.AdminProhibited:
      // [SHLD-26] as RFC 5927 §5.2 narrows it: hard errors abort in SYN-SENT only
      if (c.state === TcpState.SynSent) {
        c.terminate('CONNECT_REFUSED', `ICMP: ${c.remote} does not take TCP on port ${c.remotePort}`);
      } else {
        c.softError = 'CONNECT_REFUSED';
        c.trouble();
      }
      break;
    default:
      // [MUST-56]: soft errors end nothing; they are told [MUST-47] [SHLD-25], and kept for when the connection times out
      c.softError = softCode(error.kind);
      c.trouble();
  }
}

function softCode(kind: IcmpErrorKind): ErrorCode {
  return kind === IcmpErrorKind.UnreachableNet ? 'NETWORK_UNREACHABLE' : 'HOST_UNREACHABLE';
}

/** RFC 1191 §6.4, RFC 8201 §5.4: smaller segments from now on, and what is in flight again. */
function tooBig(c: TcpConnection, mtuBytes: number): void {
  // Another connection may have lowered the MTU already; this one's large segments are lost all the same
  const lowered = c.context.ip.reducePathMtu(c.route, mtuBytes);
  if (!lowered && c.route.pathMtuBytes >= c.pathMtuBytes) return;
  c.layer.counters.pathMtuReduced++;
  if (!c.isSynchronized) {
    if (c.state === TcpState.SynSent && synDataTooBig(c)) c.context.wantsToTransmit(c);
    return;
  }
  c.updateMss();
  // No sign of congestion: cwnd stays
  c.undo.possible = false;
  presumeAllLost(c);
  c.context.wantsToTransmit(c);
}
