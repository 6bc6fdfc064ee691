import type { SocketInfo } from '../engine/questions.ts';

/** What is known of a connection, in the words and the order of `ss -i` (iproute2, misc/ss.c); what is not in use is left out. */
export function infoLine(info: SocketInfo): string {
  const { mssBytes } = info;
  const segments = (bytes: number): number => Math.round(bytes / mssBytes);
  const words: string[] = [];
  const word = (name: string, value: number | string, isUsed = true): void => {
    if (isUsed) words.push(`${name}:${value}`);
  };
  const flag = (name: string, isUsed: boolean): void => {
    if (isUsed) words.push(name);
  };
  const rate = (name: string, bytesPerSecond: number): void => {
    if (bytesPerSecond > 0) words.push(`${name} ${bitsPerSecond(bytesPerSecond)}`);
  };
  flag('ts', info.timestamps);
  flag('sack', info.sack);
  flag('ecn', info.ecn);
  flag('ecnseen', info.ectSeen);
  flag('fastopen', info.fastOpen);
  words.push(info.congestion);
  word('wscale', `${info.sendWindowShift},${info.receiveWindowShift}`, info.sendWindowShift >= 0);
  word('rto', number(info.rtoMs));
  word('backoff', info.backoff, info.backoff > 0);
  word('rtt', `${number(info.srttMs)}/${number(info.rttvarMs)}`, info.srttMs >= 0);
  word('ato', number(info.delayedAckMs));
  word('mss', mssBytes);
  word('pmtu', info.pathMtuBytes);
  word('rcvmss', info.receivedMssBytes);
  word('advmss', info.advertisedMssBytes);
  word('cwnd', segments(info.cwndBytes));
  word('ssthresh', segments(info.ssthreshBytes), info.ssthreshBytes >= 0);
  word('bytes_sent', info.bytesSent, info.bytesSent > 0);
  word('bytes_retrans', info.bytesRetransmitted, info.bytesRetransmitted > 0);
  word('bytes_acked', info.bytesOut, info.bytesOut > 0);
  word('bytes_received', info.bytesIn, info.bytesIn > 0);
  word('segs_out', info.segmentsOut);
  word('segs_in', info.segmentsIn);
  word('data_segs_out', info.dataSegmentsOut, info.dataSegmentsOut > 0);
  word('data_segs_in', info.dataSegmentsIn, info.dataSegmentsIn > 0);
  rate('send', info.srttMs > 0 ? (info.cwndBytes * 1000) / info.srttMs : 0);
  word('lastsnd', number(info.sinceSentMs), info.sinceSentMs >= 0);
  word('lastrcv', number(info.sinceDataReceivedMs), info.sinceDataReceivedMs >= 0);
  word('lastack', number(info.sinceReceivedMs), info.sinceReceivedMs >= 0);
  rate('pacing_rate', info.pacingBytesPerSecond);
  rate('delivery_rate', info.deliveryBytesPerSecond);
  word('delivered', segments(info.totalDeliveredBytes));
  flag('app_limited', info.deliveryIsAppLimited);
  word('busy', `${Math.round(info.busyMs)}ms`, info.busyMs > 0);
  word('rwnd_limited', `${Math.round(info.peerLimitedMs)}ms`, info.peerLimitedMs > 0);
  word('sndbuf_limited', `${Math.round(info.bufferLimitedMs)}ms`, info.bufferLimitedMs > 0);
  word('unacked', segments(info.unackedBytes), info.unackedBytes > 0);
  const retransmitted = segments(info.retransmittedBytes);
  word('retrans', `${retransmitted}/${segments(info.bytesRetransmitted)}`, info.bytesRetransmitted > 0);
  word('lost', segments(info.lostBytes), info.lostBytes > 0);
  word('sacked', segments(info.sackedBytes), info.sackedBytes > 0);
  word('dsack_dups', info.dsacks, info.dsacks > 0);
  word('reordering', info.reorderingSegments, info.reorderings > 0);
  word('reord_seen', info.reorderings, info.reorderings > 0);
  word('rcv_rtt', number(info.receiverRttMs), info.receiverRttMs >= 0);
  word('rcv_space', info.receiveBufferBytes);
  word('notsent', info.unsentBytes, info.unsentBytes > 0);
  word('minrtt', number(info.minRttMs), info.minRttMs >= 0);
  word('rcv_ooopack', info.segmentsOutOfOrder, info.segmentsOutOfOrder > 0);
  word('snd_wnd', info.sendWindowBytes);
  word('rcv_wnd', info.receiveWindowBytes);
  return words.join(' ');
}

function number(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

/** `83200bps`, whole as `ss` writes it by default. */
function bitsPerSecond(bytesPerSecond: number): string {
  return `${Math.round(bytesPerSecond * 8)}bps`;
}
