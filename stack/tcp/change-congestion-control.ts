import type { TcpConnection } from './connection.ts';
import { beginValidation } from './window-validation.ts';

/** RFC 7323 §2.3 */
const MAX_WINDOW_BYTES: number = 2 ** 30;

/** Another congestion control takes over, with the window there is. @throws NetError ARGUMENT_INVALID */
export function changeCongestionControl(c: TcpConnection, name: string): void {
  if (name === c.cc.name) return;
  const cc = c.layer.congestionControl(name);
  const { cwndBytes, ssthreshBytes } = c.cc;
  c.cc = cc;
  c.sent.lossObserver = cc.lossObserver;
  if (!c.isSynchronized) return;
  cc.start(c.mss, c.sent.rate, c.rtt.srttMs, c.sackOk, c.now);
  beginValidation(c);
  // What was learnt of the path is not forgotten; no window at all is not what another one has learnt
  if (cwndBytes < MAX_WINDOW_BYTES && cc.cwndBytes < MAX_WINDOW_BYTES) {
    cc.cwndBytes = cwndBytes;
    cc.ssthreshBytes = ssthreshBytes;
  }
  c.context.wantsToTransmit(c);
}
