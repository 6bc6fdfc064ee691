import { type TcpConnection, TcpTimer } from '../../stack/tcp/connection.ts';
import type { FastOpenFailure } from '../../stack/tcp/fast-open.ts';
import type { CongestionState } from '../../stack/tcp/info.ts';
import { TcpState } from '../../stack/tcp/tcp-state.ts';
import type { ScriptSocket } from './sockets.ts';

/** Linux's numbers of the states (include/net/tcp_states.h), by ours. */
const LINUX_STATES: Readonly<Record<number, number>> = {
  [TcpState.Closed]: 7,
  [TcpState.SynSent]: 2,
  [TcpState.SynReceived]: 3,
  [TcpState.Established]: 1,
  [TcpState.FinWait1]: 4,
  [TcpState.FinWait2]: 5,
  [TcpState.CloseWait]: 8,
  [TcpState.Closing]: 11,
  [TcpState.LastAck]: 9,
  [TcpState.TimeWait]: 6,
};
const LISTEN = 10;

/** Constants that scripts name: Linux's TCP_…, and TCPI_… of the FreeBSD collection. */
const CONSTANTS: Readonly<Record<string, number>> = {
  TCP_ESTABLISHED: 1,
  TCP_SYN_SENT: 2,
  TCP_SYN_RECV: 3,
  TCP_FIN_WAIT1: 4,
  TCP_FIN_WAIT2: 5,
  TCP_TIME_WAIT: 6,
  TCP_CLOSE: 7,
  TCP_CLOSE_WAIT: 8,
  TCP_LAST_ACK: 9,
  TCP_LISTEN: LISTEN,
  TCP_CLOSING: 11,
  TCPI_ESTABLISHED: 1,
  TCPI_SYN_SENT: 2,
  TCPI_SYN_RECEIVED: 3,
  TCPI_FIN_WAIT_1: 4,
  TCPI_FIN_WAIT_2: 5,
  TCPI_TIME_WAIT: 6,
  TCPI_CLOSED: 7,
  TCPI_CLOSE_WAIT: 8,
  TCPI_LAST_ACK: 9,
  TCPI_LISTEN: LISTEN,
  TCPI_CLOSING: 11,
  TCPI_OPT_TIMESTAMPS: 1,
  TCPI_OPT_SACK: 2,
  TCPI_OPT_WSCALE: 4,
  TCPI_OPT_ECN: 8,
  TCPI_OPT_ECN_SEEN: 16,
  TCPI_OPT_SYN_DATA: 32,
  TCP_CA_Open: 0,
  TCP_CA_Disorder: 1,
  TCP_CA_CWR: 2,
  TCP_CA_Recovery: 3,
  TCP_CA_Loss: 4,
  TCP_INFINITE_SSTHRESH: 0x7fffffff,
};

/** Linux's numbers (include/uapi/linux/tcp.h). */
const CA_STATES: Readonly<Record<CongestionState, number>> = {
  open: 0,
  disorder: 1,
  cwr: 2,
  recovery: 3,
  loss: 4,
};

const FAST_OPEN_FAILURES: Readonly<Record<FastOpenFailure, number>> = {
  none: 0,
  'no cookie': 1,
  'data not acknowledged': 2,
  'SYN lost': 3,
};

/** The value of a name in the code of a script; undefined: the stack does not tell it. */
export function tcpInfo(name: string, socket: ScriptSocket | null): number | undefined {
  const constant = CONSTANTS[name];
  if (constant !== undefined) return constant;
  if (!name.startsWith('tcpi_')) return undefined;
  const connection = socket?.connection ?? null;
  if (name === 'tcpi_state') {
    if (connection === null) return socket?.listener ? LISTEN : LINUX_STATES[TcpState.Closed];
    return LINUX_STATES[connection.state];
  }
  return connection === null ? undefined : connectionInfo(name, connection, socket!.host.ageMs(connection));
}

function connectionInfo(name: string, c: TcpConnection, ageMs: number): number | undefined {
  const info = c.info();
  const segments = (bytes: number): number => Math.ceil(bytes / Math.max(c.mss, 1));
  switch (name) {
    case 'tcpi_ca_state':
      return CA_STATES[info.congestionState];
    case 'tcpi_snd_cwnd':
      return Math.floor(info.cwndBytes / Math.max(c.mss, 1));
    case 'tcpi_snd_ssthresh':
      return info.ssthreshBytes < 0 ? 0x7fffffff : Math.floor(info.ssthreshBytes / Math.max(c.mss, 1));
    case 'tcpi_unacked':
      return segments(info.unackedBytes);
    case 'tcpi_sacked':
      return segments(info.sackedBytes);
    case 'tcpi_lost':
      return segments(info.lostBytes);
    case 'tcpi_retrans':
      return segments(c.sent.retransmittedBytes);
    case 'tcpi_total_retrans':
      return info.retransmits.fast + info.retransmits.timeout;
    case 'tcpi_reordering':
      return info.reorderingSegments;
    case 'tcpi_total_rto':
      return info.timeouts;
    case 'tcpi_total_rto_recoveries':
      return info.timeoutRecoveries;
    case 'tcpi_total_rto_time':
      return Math.round(info.timeoutMs);
    case 'tcpi_rcv_ooopack':
      return info.segmentsOutOfOrder;
    case 'tcpi_received_ce':
      return info.ceSegmentsIn;
    case 'tcpi_fastopen_client_fail':
      return FAST_OPEN_FAILURES[info.fastOpenFailure];
    case 'tcpi_ato':
      return info.delayedAckMs * 1000;
    case 'tcpi_rcv_rtt':
      return Math.max(Math.round(info.receiverRttMs * 1000), 0);
    case 'tcpi_rcv_space':
      return info.readPerRoundBytes;
    case 'tcpi_rcv_ssthresh':
      return info.receiveBufferBytes;
    // The kernel keeps them for old programs only
    case 'tcpi_fackets':
    case 'tcpi_last_ack_sent':
      return 0;
    case 'tcpi_reord_seen':
      return info.reorderings;
    case 'tcpi_dsack_dups':
      return info.dsacks;
    case 'tcpi_pacing_rate':
      return info.pacingBytesPerSecond;
    case 'tcpi_max_pacing_rate':
      return info.maxPacingBytesPerSecond;
    case 'tcpi_delivery_rate':
      return info.deliveryBytesPerSecond;
    case 'tcpi_delivery_rate_app_limited':
      return info.deliveryIsAppLimited ? 1 : 0;
    case 'tcpi_delivered':
      // Linux counts the SYN as a segment, with data in it or without
      return segments(info.totalDeliveredBytes) + (c.isSynchronized ? 1 : 0);
    case 'tcpi_delivered_ce':
      return info.accurateEcn?.ceSegmentsOut ?? segments(info.totalDeliveredCeBytes);
    case 'tcpi_delivered_ce_bytes':
      return info.accurateEcn?.out.ce;
    case 'tcpi_delivered_e0_bytes':
      return info.accurateEcn?.out.ect0;
    case 'tcpi_delivered_e1_bytes':
      return info.accurateEcn?.out.ect1;
    case 'tcpi_received_ce_bytes':
      return info.accurateEcn?.in.ce;
    case 'tcpi_received_e0_bytes':
      return info.accurateEcn?.in.ect0;
    case 'tcpi_received_e1_bytes':
      return info.accurateEcn?.in.ect1;
    case 'tcpi_bytes_acked':
      return info.bytesOut;
    case 'tcpi_bytes_sent':
      return info.bytesSent;
    case 'tcpi_bytes_retrans':
      return info.bytesRetransmitted;
    case 'tcpi_notsent_bytes':
      return info.unsentBytes;
    case 'tcpi_data_segs_in':
      return info.dataSegmentsIn;
    case 'tcpi_data_segs_out':
      return info.dataSegmentsOut;
    case 'tcpi_busy_time':
      return Math.round(info.busyMs * 1000);
    case 'tcpi_rwnd_limited':
      return Math.round(info.peerLimitedMs * 1000);
    case 'tcpi_sndbuf_limited':
      return Math.round(info.bufferLimitedMs * 1000);
    case 'tcpi_snd_wnd':
      return info.sendWindowBytes;
    case 'tcpi_rcv_wnd':
      return info.receiveWindowBytes;
    case 'tcpi_last_data_sent':
      return Math.round(info.sinceSentMs);
    case 'tcpi_options':
      return (
        (c.tsOk ? 1 : 0) |
        (c.sackOk ? 2 : 0) |
        (c.scaleOk ? 4 : 0) |
        (info.ecn ? 8 : 0) |
        (info.ectSeen ? 16 : 0) |
        (info.fastOpen ? 32 : 0)
      );
    case 'tcpi_rtt':
      return Math.round(info.srttMs * 1000);
    case 'tcpi_min_rtt':
      return Math.round(info.minRttMs * 1000);
    case 'tcpi_rttvar':
      return Math.round(info.rttvarMs * 1000);
    case 'tcpi_rto':
      return Math.round(info.rtoMs * 1000);
    case 'tcpi_backoff':
      return c.backoff;
    case 'tcpi_retransmits':
      return c.retries;
    case 'tcpi_probes':
      return c.deadlineOf(TcpTimer.Persist) === Infinity ? c.keepAliveProbes : c.retries;
    case 'tcpi_snd_mss':
      return info.mssBytes;
    case 'tcpi_advmss':
      return info.advertisedMssBytes;
    case 'tcpi_rcv_mss':
      return c.rcvMss;
    case 'tcpi_pmtu':
      return info.pathMtuBytes;
    case 'tcpi_snd_wscale':
      return c.scaleOk ? c.sndShift : 0;
    case 'tcpi_rcv_wscale':
      return c.scaleOk ? c.rcvShift : 0;
    case 'tcpi_bytes_received':
      return info.bytesIn;
    case 'tcpi_segs_in':
      return info.segmentsIn;
    case 'tcpi_segs_out':
      return info.segmentsOut;
    case 'tcpi_last_data_recv':
      // Without any Linux counts from the handshake
      return Math.round(info.sinceDataReceivedMs < 0 ? ageMs : info.sinceDataReceivedMs);
    case 'tcpi_last_ack_recv':
      return Math.round(info.sinceReceivedMs);
    default:
      return undefined;
  }
}
