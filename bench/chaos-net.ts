import { NetError, type NetStack, type Socket } from '../net/index.ts';
import type { ThreadTask } from './chaos-thread.ts';

export type Does = 'read' | 'write' | 'connect';

/** What one event loop does with Node's face, all at the same time. */
export interface NetUse {
  /** Everything has been done once. */
  readonly moving: Promise<unknown>;
  /** How each ends: a code of the closed set, `END`, or what else came. */
  readonly tasks: ReadonlyMap<Does, Promise<string>>;
  /** Bytes that were read or taken, and connections. */
  readonly progress: Readonly<Record<Does, number>>;
  stop(): void;
}

const CHUNK_BYTES = 65_536;

/** Reads, writes and connects at full speed until it fails. */
export function useNet(
  stack: NetStack,
  { host, sinkPort, sourcePort, timeoutS }: Omit<ThreadTask, 'face' | 'does'>,
): NetUse {
  const progress: Record<Does, number> = { read: 0, write: 0, connect: 0 };
  const begun = new Map<Does, () => void>();
  const moving = Promise.all(
    (['read', 'write', 'connect'] as const).map((does) => new Promise<void>((done) => begun.set(does, done))),
  );
  const open = new Set<Socket>();
  let stopped = false;

  function moved(does: Does, count: number): void {
    progress[does] += count;
    begun.get(does)?.();
  }

  async function connect(port: number): Promise<Socket> {
    const socket = await stack.connect({ host, port, timeoutMs: timeoutS * 1000 });
    open.add(socket);
    return socket;
  }

  /** @returns why the socket closed */
  function closed(socket: Socket): Promise<string> {
    return new Promise((done) => {
      let code = 'END';
      socket.on('error', (error) => {
        code = codeOf(error);
      });
      socket.once('close', () => {
        open.delete(socket);
        done(code);
      });
    });
  }

  async function read(): Promise<string> {
    const socket = await connect(sourcePort);
    socket.on('data', (data: Buffer) => moved('read', data.length));
    return closed(socket);
  }

  async function write(): Promise<string> {
    const socket = await connect(sinkPort);
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const fill = (): void => {
      moved('write', CHUNK_BYTES);
      while (!socket.destroyed && socket.write(chunk)) moved('write', CHUNK_BYTES);
    };
    socket.on('drain', fill).resume();
    fill();
    return closed(socket);
  }

  async function connectAll(): Promise<string> {
    while (!stopped) {
      const socket = await connect(sinkPort);
      moved('connect', 1);
      const gone = closed(socket);
      socket.resetAndDestroy();
      await gone;
    }
    return 'END';
  }

  const told = (ended: Promise<string>): Promise<string> => ended.catch(codeOf);
  return {
    moving,
    progress,
    tasks: new Map([
      ['read', told(read())],
      ['write', told(write())],
      ['connect', told(connectAll())],
    ]),
    stop(): void {
      stopped = true;
      for (const socket of open) socket.resetAndDestroy();
    },
  };
}

function codeOf(error: unknown): string {
  return error instanceof NetError ? error.tunwireCode : String(error);
}
