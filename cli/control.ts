import { randomBytes } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket as KernelSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { NetStack } from '../net/index.ts';

/** What a control socket is asked, and answers with JSON, or Prometheus' text. */
export const CONTROL_QUESTIONS = ['sockets', 'described', 'stats', 'metrics'] as const;
export type ControlQuestion = (typeof CONTROL_QUESTIONS)[number];

/** Only their owner may look into stacks. */
const FOLDER_MODE = 0o700;
const SOCKET_MODE = 0o600;
/** The longest question, and how long one may take. */
const MAX_QUESTION_BYTES = 64;
const QUESTION_TIMEOUT_MS = 5000;
const SUFFIX = '.sock';

/** Where this user's control sockets are: TUNWIRE_RUN, else below XDG_RUNTIME_DIR, else below the folder for temporary files. */
export function controlFolder(): string {
  const { TUNWIRE_RUN: own, XDG_RUNTIME_DIR: runtime } = process.env;
  if (own !== undefined && own !== '') return own;
  if (runtime !== undefined && runtime !== '') return join(runtime, 'tunwire');
  return join(tmpdir(), `tunwire-${process.getuid?.() ?? 0}`);
}

/**
 * Answers questions about a stack at a socket of its own that only this user can open, until the process ends.
 * @returns its path, or why there is none: a stack works without
 */
export function serveControl(stack: NetStack): { readonly path: string } | { readonly problem: string } {
  const folder = controlFolder();
  const problem = makeOwnFolder(folder);
  if (problem !== '') return { problem };
  // labs count processes anew
  const path = join(folder, `${process.pid}-${randomBytes(3).toString('hex')}${SUFFIX}`);
  const server = createServer((socket) => answer(stack, socket));
  server.on('error', () => {});
  server.listen(path, () => chmodSync(path, SOCKET_MODE));
  server.unref();
  process.on('exit', () => rmSync(path, { force: true }));
  return { path };
}

/** @returns what is wrong with it; '': nothing */
function makeOwnFolder(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
    const { uid, mode } = lstatSync(folder);
    if (!lstatSync(folder).isDirectory()) return `${folder} is no folder`;
    if (uid !== process.getuid?.()) return `${folder} belongs to somebody else`;
    // others could put sockets of theirs there
    if ((mode & 0o077) !== 0) return `${folder} is open to others; chmod 700 ${folder}`;
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

function answer(stack: NetStack, socket: KernelSocket): void {
  socket.unref();
  socket.on('error', () => socket.destroy());
  socket.setTimeout(QUESTION_TIMEOUT_MS, () => socket.destroy());
  let asked = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    asked += chunk;
    if (!asked.includes('\n') && asked.length < MAX_QUESTION_BYTES) return;
    socket.removeAllListeners('data').pause();
    void answerTo(stack, asked.trim()).then((reply) => socket.end(reply));
  });
}

async function answerTo(stack: NetStack, question: string): Promise<string> {
  try {
    if (question === 'sockets') return `${JSON.stringify(await stack.sockets())}\n`;
    if (question === 'described') return `${JSON.stringify(await stack.sockets({ info: true }))}\n`;
    if (question === 'stats') return `${JSON.stringify(await stack.stats())}\n`;
    if (question === 'metrics') return await stack.metrics();
    return `${JSON.stringify({ error: `there are ${CONTROL_QUESTIONS.join(', ')}` })}\n`;
  } catch (error) {
    return `${JSON.stringify({ error: (error as Error).message })}\n`;
  }
}

/** The sockets of stacks that run; those that processes left behind are removed. */
export function controlSockets(): string[] {
  try {
    return readdirSync(controlFolder())
      .filter((name) => name.endsWith(SUFFIX))
      .sort()
      .map((name) => join(controlFolder(), name));
  } catch {
    // nothing has run yet
    return [];
  }
}

/** @returns the answer, or null when nobody listens there any more. @throws Error */
export async function askControl(path: string, question: ControlQuestion): Promise<string | null> {
  const socket = connect(path);
  try {
    const reply = text(socket);
    socket.write(`${question}\n`);
    return await reply;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ECONNREFUSED' && code !== 'ENOENT') throw error;
    if (code === 'ECONNREFUSED') rmSync(path, { force: true });
    return null;
  }
}
