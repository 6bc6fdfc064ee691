import type { TcpConnection } from './connection.ts';

/** What becomes of the last, short segment of what is queued. */
export const ShortSegment = {
  /** Nagle's algorithm decides. */
  Ordinary: 0,
  /** The last write said that more follows: it waits for that, for an acknowledgment, or for the override timeout. */
  Held: 1,
  /** … and it waits no longer; but it is not pushed. */
  Released: 2,
  /** It goes in spite of a cork. */
  Pushed: 3,
} as const;
export type ShortSegment = (typeof ShortSegment)[keyof typeof ShortSegment];

/**
 * The application has written. @param more SEND without the PUSH flag of RFC 9293 §3.9.1.2 [MAY-15], which Linux has as MSG_MORE: more
 * follows soon, and what is written may be collected [MAY-16]
 */
export function noteWrite(c: TcpConnection, more: boolean): void {
  c.shortSegment = more ? ShortSegment.Held : ShortSegment.Ordinary;
}

/** The application does not want to wait, after all (TCP_NODELAY): once this holds against a cork, too, as on Linux. */
export function overrideCork(c: TcpConnection): void {
  if (c.shortSegment === ShortSegment.Held) c.shortSegment = ShortSegment.Released;
  else if (c.corked) c.shortSegment = ShortSegment.Pushed;
  c.context.wantsToTransmit(c);
}

/** An acknowledgment, or a window, has come. */
export function releaseShort(c: TcpConnection): void {
  if (c.shortSegment === ShortSegment.Held && !c.corked) c.shortSegment = ShortSegment.Released;
}

/** A short segment waits, whatever Nagle's algorithm says. */
export function holdsShort(c: TcpConnection): boolean {
  return c.shortSegment === ShortSegment.Held || (c.corked && c.shortSegment === ShortSegment.Ordinary);
}

/** PSH belongs on what empties the send queue [MUST-61], unless the application has said that it is not all. */
export function pushesLast(c: TcpConnection): boolean {
  return c.shortSegment === ShortSegment.Ordinary || c.shortSegment === ShortSegment.Pushed;
}
