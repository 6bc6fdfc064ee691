import { basename } from 'node:path';
import type { SocketSummary, StackStats } from '../engine/questions.ts';
import { askControl, type ControlQuestion, controlFolder, controlSockets } from './control.ts';
import { ExitCode } from './exit-code.ts';
import { infoLine } from './info-line.ts';
import { statsLines } from './stats-lines.ts';
import type { SsFlags } from './verbs/ss.ts';

/** @returns the exit code */
export async function ss(target: string | undefined, flags: SsFlags): Promise<ExitCode> {
  const question: ControlQuestion = questionOf(flags);
  let answers = 0;
  for (const path of pathsOf(target)) {
    const reply = await askControl(path, question);
    if (reply === null) continue;
    const [process = ''] = basename(path).split('-');
    if (flags.metrics) console.log(reply.trimEnd());
    else show(process, JSON.parse(reply) as SocketSummary[] | StackStats, flags);
    answers++;
  }
  if (answers > 0) return ExitCode.Ok;
  console.error(
    `tunwire: ${target === undefined ? 'no stack runs' : `no stack runs as '${target}'`}, as far as ${controlFolder()} tells; tunwire listen 7 --echo would make one`,
  );
  return ExitCode.Failed;
}

function questionOf(flags: SsFlags): ControlQuestion {
  if (flags.metrics) return 'metrics';
  if (flags.statistics) return 'stats';
  return flags.info ? 'described' : 'sockets';
}

function pathsOf(target: string | undefined): readonly string[] {
  if (target === undefined) return controlSockets();
  if (target.includes('/')) return [target];
  return controlSockets().filter((path) => basename(path).startsWith(`${target}-`));
}

function show(process: string, answer: SocketSummary[] | StackStats, flags: SsFlags): void {
  if (Array.isArray(answer))
    showSockets(
      process,
      answer.filter((socket) => isWanted(socket, flags)),
      flags,
    );
  else if (flags.json) console.log(JSON.stringify({ process: Number(process), ...answer }));
  else showStats(process, answer);
}

function isWanted({ protocol, state }: SocketSummary, flags: SsFlags): boolean {
  if (flags.listening && state !== 'LISTEN') return false;
  return (!flags.tcp && !flags.udp) || (protocol === 'tcp' ? flags.tcp === true : flags.udp === true);
}

function showSockets(process: string, sockets: readonly SocketSummary[], flags: SsFlags): void {
  if (flags.json) {
    console.log(JSON.stringify({ process: Number(process), sockets }));
    return;
  }
  console.log(`process ${process}`);
  console.log(row('', 'state', 'recv-q', 'send-q', 'local', 'peer'));
  for (const one of sockets) {
    const { protocol, state, receiveQueueBytes, sendQueueBytes } = one;
    const local = end(one.localAddress, one.localPort);
    const peer = end(one.remoteAddress, one.remotePort);
    console.log(row(protocol, state, String(receiveQueueBytes), String(sendQueueBytes), local, peer));
    if (one.info !== undefined) console.log(`\t ${infoLine(one.info)}`);
  }
}

function row(
  protocol: string,
  state: string,
  receive: string,
  send: string,
  local: string,
  peer: string,
): string {
  const numbers = `${receive.padStart(8)} ${send.padStart(8)}`;
  return `${protocol.padEnd(4)} ${state.padEnd(12)} ${numbers}  ${local.padEnd(24)} ${peer}`.trimEnd();
}

function end(address: string | null, port: number): string {
  const host = address === null ? '*' : address.includes(':') ? `[${address}]` : address;
  return `${host}:${port === 0 ? '*' : port}`;
}

function showStats(process: string, stats: StackStats): void {
  console.log(`process ${process}`);
  for (const line of statsLines(stats)) console.log(line);
}
