import { type TcpConnection, TcpTimer } from './connection.ts';
import { delayedAckExpired } from './delayed-ack.ts';
import { keepAliveExpired } from './keepalive.ts';
import { pacingExpired } from './pacing.ts';
import { persistExpired } from './persist.ts';
import { reorderingExpired } from './rack.ts';
import { retransmissionTimeout } from './recovery.ts';
import { tailProbeExpired } from './tail-loss-probe.ts';

/** Does what a timer of the connection was set for. */
export function timerExpired(c: TcpConnection, timer: TcpTimer): void {
  switch (timer) {
    case TcpTimer.Retransmit:
      retransmissionTimeout(c);
      break;
    case TcpTimer.Persist:
      persistExpired(c);
      break;
    case TcpTimer.DelayedAck:
      delayedAckExpired(c);
      break;
    case TcpTimer.KeepAlive:
      keepAliveExpired(c);
      break;
    case TcpTimer.FinWait2:
      c.terminate(null, '');
      break;
    case TcpTimer.User:
      c.terminateWithReset('TIMEOUT', 'the peer acknowledged nothing within the user timeout');
      break;
    case TcpTimer.Reordering:
      reorderingExpired(c);
      break;
    case TcpTimer.TailProbe:
      tailProbeExpired(c);
      break;
    case TcpTimer.Pacing:
      pacingExpired(c);
      break;
  }
}
