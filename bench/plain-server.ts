/**
 * The peer of measurements over plain TCP, on the kernel's: sinks, sources and echoes on the ports of job.ts. Its event loop is made of
 * system calls, so that the peer costs little beside its kernel and the subjects are what is measured: a round trip costs it 4.5 µs,
 * an echo on `node:net` 7.7 µs (64 connections to a stack on TUN).
 */
import * as sys from '../drivers/syscalls.ts';
import { CHUNK_BYTES, Port, SET_UP_PORTS } from './job.ts';

// asm-generic numbers, and those of linux/eventpoll.h
const AF_INET = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 0x1;
const EPOLLOUT = 0x4;
/** `struct epoll_event`, packed on x64 only. */
const EVENT_BYTES: number = process.arch === 'x64' ? 12 : 16;
const EVENT_DATA: number = EVENT_BYTES - 8;
const EVENTS = 256;
/** What the kernel lets wait at most (net.core.somaxconn). */
const BACKLOG = 4096;
/** Read or written in one call. */
const BUFFER_BYTES: number = 4 * CHUNK_BYTES;
const SOCKADDR_BYTES = 16;

function required(prototype: string): (...args: number[]) => number {
  const found = sys.symbol(prototype);
  if (found === null) throw new Error(`the C library has no ${prototype}`);
  return found as (...args: number[]) => number;
}

const epollCreate = required('int epoll_create1(int flags)');
const epollControl = required('int epoll_ctl(int epfd, int op, int fd, uintptr_t event)');
const epollWait = required('int epoll_wait(int epfd, uintptr_t events, int count, int timeout)');
const listen = required('int listen(int fd, int backlog)');
const accept = required('int accept4(int fd, uintptr_t address, uintptr_t length, int flags)');

/** What is done with the connections of a port. */
const Service = { Sink: 1, Source: 2, Echo: 3 } as const;
type Service = (typeof Service)[keyof typeof Service];

const epoll = epollCreate(0);
const events = new DataView(new ArrayBuffer(EVENTS * EVENT_BYTES));
const eventsAddress = sys.addressOf(events);
const request = new DataView(new ArrayBuffer(EVENT_BYTES));
const requestAddress = sys.addressOf(request);
const one = new Int32Array(new ArrayBuffer(4)).fill(1);
const oneAddress = sys.addressOf(one);
const buffer = new Uint8Array(new ArrayBuffer(BUFFER_BYTES));
const bufferAddress = sys.addressOf(buffer);
/** By descriptor: what connections do, and (negative) what a listener's connections will do. */
const services: number[] = [];

function watch(fd: number, wanted: number): void {
  request.setUint32(0, wanted, true);
  request.setInt32(EVENT_DATA, fd, true);
  if (epollControl(epoll, EPOLL_CTL_ADD, fd, requestAddress) < 0) throw new Error('epoll_ctl failed');
}

function serve(port: number, service: Service): void {
  const fd = sys.socket(AF_INET, sys.SOCK_STREAM | sys.SOCK_NONBLOCK | sys.SOCK_CLOEXEC, 0);
  const address = new DataView(new ArrayBuffer(SOCKADDR_BYTES));
  address.setUint16(0, AF_INET, true);
  address.setUint16(2, port);
  sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, oneAddress, 4);
  // what it accepts inherits that
  sys.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, oneAddress, 4);
  if (sys.bind(fd, sys.addressOf(address), SOCKADDR_BYTES) < 0 || listen(fd, BACKLOG) < 0)
    throw new Error(`cannot listen on port ${port}`);
  services[fd] = -service;
  watch(fd, EPOLLIN);
}

function acceptAll(listener: number, service: number): void {
  for (;;) {
    const fd = accept(listener, 0, 0, sys.SOCK_NONBLOCK | sys.SOCK_CLOEXEC);
    if (fd < 0) return;
    services[fd] = service;
    // one that is busy or over already needs no watch
    if (work(fd, service)) watch(fd, service === Service.Source ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

/** Does what can be done. @returns false: the connection is closed */
function work(fd: number, service: number): boolean {
  if (service === Service.Source) {
    if (sys.write(fd, bufferAddress, BUFFER_BYTES) > 0) return true;
  }
  const got = sys.read(fd, bufferAddress, BUFFER_BYTES);
  if (got > 0) {
    // answers are taken at once: a connection has one request under way
    if (service === Service.Echo) sys.write(fd, bufferAddress, got);
    return true;
  }
  if (got === -sys.Errno.EAGAIN) return true;
  services[fd] = 0;
  sys.close(fd);
  return false;
}

serve(Port.Sink, Service.Sink);
serve(Port.Source, Service.Source);
serve(Port.Echo, Service.Echo);
for (let i = 0; i < SET_UP_PORTS; i++) serve(Port.FirstSetUp + i, Service.Sink);

for (;;) {
  const count = epollWait(epoll, eventsAddress, EVENTS, -1);
  for (let i = 0; i < count; i++) {
    const fd = events.getInt32(i * EVENT_BYTES + EVENT_DATA, true);
    const service = services[fd] ?? 0;
    if (service < 0) acceptAll(fd, -service);
    else if (service > 0) work(fd, service);
  }
}
