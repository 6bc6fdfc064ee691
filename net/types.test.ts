import http from 'node:http';
import type https from 'node:https';
import type net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import test from 'ava';
import pg from 'pg';
import type { ConnectConfig as SshConfig } from 'ssh2';
import * as undici7 from 'undici7';
import * as undici8 from 'undici8';
import { WebSocket } from 'ws';
import { type ConnectOptions, createConnection, type NetStack, Socket, undiciConnector } from './index.ts';

// The type checker is what tests here: each line must compile.
const asSocket = (socket: Socket): net.Socket => socket;
const asSslClient = (socket: Socket): https.RequestOptions => ({ createConnection: () => socket });
const asDatabaseStream = (stack: NetStack): pg.Client => new pg.Client({ stream: () => stack.socket() });
const asShell = (socket: Socket): SshConfig => ({ sock: socket });
const asDuplex = (socket: Socket): Duplex => socket;
const asRequest = (options: ConnectOptions): http.ClientRequest =>
  http.request({ createConnection: () => createConnection(options) });
const asTransport = (socket: Socket): tls.TLSSocket => tls.connect({ socket });
const asServerSide = (socket: Socket): tls.TLSSocket => new tls.TLSSocket(socket, { isServer: true });
const asNodeOptions = (socket: Socket, options: net.SocketConnectOpts): Socket => socket.connect(options);
const asUndici7 = (stack: NetStack): undici7.Agent => new undici7.Agent({ connect: undiciConnector(stack) });
const asUndici8 = (stack: NetStack): undici8.Agent => new undici8.Agent({ connect: undiciConnector(stack) });
const asWebSocket = (options: ConnectOptions): WebSocket =>
  new WebSocket('ws://device.test/', { createConnection: () => createConnection(options) });

test('a socket passes for net.Socket, and an unused one costs nothing', (t) => {
  const consumers = [asUndici7, asUndici8, asWebSocket, asSslClient, asDatabaseStream, asShell];
  for (const use of [asSocket, asDuplex, asRequest, asTransport, asServerSide, asNodeOptions, ...consumers]) {
    t.is(typeof use, 'function');
  }
  const socket = new Socket(null);
  t.is(asSocket(socket), socket);
  t.deepEqual(socket.address(), {});
  t.true(socket.pending);
  t.is(socket.remoteAddress, undefined);
  const connect = (): Socket => socket.connect({ host: 'device.test', port: 80 });
  t.throws(connect, { code: 'ENODEV' });
  socket.destroy();
});
