import { closeSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import type koffi from 'koffi';
import { type ERRORS, NetError, Phase } from '../stack/errors.ts';

/**
 * The system calls that devices and the engine are made of, and the only file that touches koffi. Every call returns what
 * the kernel returns, or `-errno`: nothing throws and nothing is allocated. Addresses are JavaScript numbers (user space ends
 * below 2^53); memory whose address was taken must stay referenced by its owner for as long as the address is used.
 */

/** Flags and numbers of Linux on x64, arm64, riscv64 and loong64 (asm-generic). */
export const O_RDWR = 0o2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const EFD_NONBLOCK: number = O_NONBLOCK;
export const EFD_CLOEXEC: number = O_CLOEXEC;
export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
export const AF_UNIX = 1;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK: number = O_NONBLOCK;
export const SOCK_CLOEXEC: number = O_CLOEXEC;

/** Numbers of the errors that callers tell apart (positive). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
  EPIPE: 32,
  /** File descriptor in bad state: a TUN descriptor whose device was deleted. Not in node:os. */
  EBADFD: 77,
  EMSGSIZE: 90,
  ENETDOWN: 100,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ECONNREFUSED: 111,
} as const;

/** The name of an error number, e.g. `ENOENT` for 2; accepts `-errno` as the calls return it. */
export function errnoName(errno: number): string {
  const positive = Math.abs(errno);
  if (positive === Errno.EBADFD) return 'EBADFD';
  return getSystemErrorName(-positive);
}

/** A function of a C library. */
export type Native = (...args: (number | string)[]) => number;

interface LibC {
  readonly koffi: typeof koffi;
  readonly close: Native;
  readonly read: Native;
  readonly write: Native;
  readonly readv: Native;
  readonly writev: Native;
  readonly ioctl: Native;
  readonly fcntl: Native;
  readonly ppoll: Native;
  readonly eventfd: Native;
  readonly socket: Native;
  readonly bind: Native;
  readonly connect: Native;
  readonly setsockopt: Native;
  readonly getsockopt: Native;
  readonly recvmsg: Native;
  readonly mmap: Native;
  readonly munmap: Native;
  readonly setns: Native;
  readonly syscall: Native;
}

let loaded: LibC | null = null;

/** Loaded at the first call, so that programs that use only the memory device need no native code. */
function libc(): LibC {
  loaded ??= load();
  return loaded;
}

/** The calls are declared with 64-bit little-endian layouts and asm-generic numbers. */
const PLATFORMS: readonly string[] = ['x64', 'arm64', 'riscv64', 'loong64'];

function load(): LibC {
  if (process.platform !== 'linux' || !PLATFORMS.includes(process.arch)) {
    throw new NetError('DEVICE_FAILED', {
      phase: Phase.None,
      detail: `devices need Linux on ${PLATFORMS.join(', ')}; this is ${process.platform} on ${process.arch}. The memory device works everywhere`,
    });
  }
  const module = process.getBuiltinModule('node:module');
  const native = module.createRequire(import.meta.url)('koffi') as typeof koffi;
  // the symbols of the running program: whatever C library Node was linked with
  const self = native.load(null);
  const declare = (prototype: string): Native => self.func(prototype) as Native;
  return {
    koffi: native,
    close: declare('int close(int fd)'),
    read: declare('intptr_t read(int fd, uintptr_t buf, size_t count)'),
    write: declare('intptr_t write(int fd, uintptr_t buf, size_t count)'),
    readv: declare('intptr_t readv(int fd, uintptr_t iov, int count)'),
    writev: declare('intptr_t writev(int fd, uintptr_t iov, int count)'),
    // variadic in C; on these platforms integer arguments travel alike
    ioctl: declare('int ioctl(int fd, unsigned long request, uintptr_t argument)'),
    fcntl: declare('int fcntl(int fd, int command, uintptr_t argument)'),
    ppoll: declare('int ppoll(uintptr_t fds, unsigned long count, uintptr_t timeout, uintptr_t sigmask)'),
    eventfd: declare('int eventfd(unsigned int initval, int flags)'),
    socket: declare('int socket(int domain, int type, int protocol)'),
    bind: declare('int bind(int fd, uintptr_t address, unsigned int length)'),
    connect: declare('int connect(int fd, uintptr_t address, unsigned int length)'),
    setsockopt: declare(
      'int setsockopt(int fd, int level, int option, uintptr_t value, unsigned int length)',
    ),
    getsockopt: declare('int getsockopt(int fd, int level, int option, uintptr_t value, uintptr_t length)'),
    recvmsg: declare('intptr_t recvmsg(int fd, uintptr_t message, int flags)'),
    mmap: declare(
      'intptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, intptr_t offset)',
    ),
    munmap: declare('int munmap(uintptr_t address, size_t length)'),
    setns: declare('int setns(int fd, int nstype)'),
    syscall: declare(
      'intptr_t syscall(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f)',
    ),
  };
}

/** The function of the running program, or of what it is linked with, with a C prototype; null: there is none. */
export function symbol(prototype: string): Native | null {
  try {
    const { koffi: native } = libc();
    return native.load(null).func(prototype) as Native;
  } catch {
    return null;
  }
}

/** How many calls this thread has made that move data or wait: the others are made at the start and the end. */
export const systemCalls: { count: number } = { count: 0 };

function checked(result: number): number {
  return result < 0 ? -libc().koffi.errno() : result;
}

/** Where the memory of a view starts. The view's buffer must neither be detached nor resized while the address is in use. */
export function addressOf(memory: ArrayBufferView): number {
  // makes sure that the bytes lie outside the garbage-collected heap, where they do not move
  if (memory.buffer.byteLength === 0) return 0;
  return Number(libc().koffi.address(memory));
}

/**
 * open(2), to be closed by {@link closeFile}. Through node:fs, which closes what a worker has open when it is terminated:
 * a device would stay busy otherwise.
 */
export function open(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    return errno;
  }
}

/** close(2) for {@link open}. */
export function closeFile(fd: number): void {
  closeSync(fd);
}

/** close(2). */
export function close(fd: number): number {
  return checked(libc().close(fd));
}

/** read(2) to an address. */
export function read(fd: number, address: number, lengthBytes: number): number {
  systemCalls.count++;
  const result = libc().read(fd, address, lengthBytes);
  return result < 0 ? checked(result) : result;
}

/** write(2) from an address. */
export function write(fd: number, address: number, lengthBytes: number): number {
  systemCalls.count++;
  const result = libc().write(fd, address, lengthBytes);
  return result < 0 ? checked(result) : result;
}

/** readv(2); `address` is that of an {@link IoVector}. */
export function readv(fd: number, address: number, count: number): number {
  systemCalls.count++;
  const result = libc().readv(fd, address, count);
  return result < 0 ? checked(result) : result;
}

/** writev(2); `address` is that of an {@link IoVector}. */
export function writev(fd: number, address: number, count: number): number {
  systemCalls.count++;
  const result = libc().writev(fd, address, count);
  return result < 0 ? checked(result) : result;
}

/** ioctl(2) with an integer or an address. */
export function ioctl(fd: number, request: number, argument: number): number {
  return checked(libc().ioctl(fd, request, argument));
}

/** fcntl(2) with an integer argument. */
export function fcntl(fd: number, command: number, argument: number): number {
  return checked(libc().fcntl(fd, command, argument));
}

/** eventfd(2): a counter that wakes poll. Non-blocking. */
export function eventfd(): number {
  return checked(libc().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

/** socket(2). The process makes no AF_INET or AF_INET6 socket: callers pass other families only. */
export function socket(domain: number, type: number, protocol: number): number {
  return checked(libc().socket(domain, type, protocol));
}

/** bind(2); `address` is that of the socket's address in memory. */
export function bind(fd: number, address: number, lengthBytes: number): number {
  return checked(libc().bind(fd, address, lengthBytes));
}

/** connect(2); `address` is that of the peer's address in memory. */
export function connect(fd: number, address: number, lengthBytes: number): number {
  return checked(libc().connect(fd, address, lengthBytes));
}

/** setsockopt(2); `address` is that of the value. */
export function setsockopt(
  fd: number,
  level: number,
  option: number,
  address: number,
  lengthBytes: number,
): number {
  return checked(libc().setsockopt(fd, level, option, address, lengthBytes));
}

/** getsockopt(2); the addresses are those of the value, and of its length in 32 bits. */
export function getsockopt(
  fd: number,
  level: number,
  option: number,
  address: number,
  lengthAddress: number,
): number {
  systemCalls.count++;
  return checked(libc().getsockopt(fd, level, option, address, lengthAddress));
}

/** recvmsg(2); `address` is that of a `struct msghdr`. */
export function recvmsg(fd: number, address: number, flags: number): number {
  systemCalls.count++;
  const result = libc().recvmsg(fd, address, flags);
  return result < 0 ? checked(result) : result;
}

const PROT_READ_WRITE = 1 | 2;
const MAP_SHARED = 1;
const MAP_ANONYMOUS = 0x20;

/** mmap(2) of a descriptor's memory, or of new memory (-1), to read and write. @returns where it lies, or -errno */
export function mapShared(fd: number, lengthBytes: number): number {
  const flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  const result = libc().mmap(0, lengthBytes, PROT_READ_WRITE, flags, fd, 0);
  return result === -1 ? checked(result) : result;
}

/** Memory that was mapped, as an ArrayBuffer: it must not be touched any more after {@link unmap}. */
export function memoryAt(address: number, lengthBytes: number): ArrayBuffer {
  return libc().koffi.view(BigInt(address), lengthBytes);
}

/** munmap(2) */
export function unmap(address: number, lengthBytes: number): number {
  return checked(libc().munmap(address, lengthBytes));
}

/** setns(2): moves the calling thread to another namespace. Threads and processes it starts inherit that. */
export function setns(fd: number, type: number): number {
  return checked(libc().setns(fd, type));
}

// asm-generic, and x64 as well
const IO_URING_SETUP = 425;
const IO_URING_ENTER = 426;
const IO_URING_REGISTER = 427;

/** io_uring_setup(2); `address` is that of a `struct io_uring_params`. */
export function ioUringSetup(entries: number, address: number): number {
  return checked(libc().syscall(IO_URING_SETUP, entries, address, 0, 0, 0, 0));
}

/** io_uring_enter(2) */
export function ioUringEnter(ring: number, submit: number, complete: number, flags: number): number {
  systemCalls.count++;
  const result = libc().syscall(IO_URING_ENTER, ring, submit, complete, flags, 0, 0);
  return result < 0 ? checked(result) : result;
}

/** io_uring_register(2); `address` is that of the argument. */
export function ioUringRegister(ring: number, opcode: number, address: number, count: number): number {
  return checked(libc().syscall(IO_URING_REGISTER, ring, opcode, address, count, 0, 0));
}

const counterWord = new BigUint64Array(new ArrayBuffer(8));
let counterAddress = 0;

/** Adds 1 to an eventfd: whoever polls it wakes. @returns 0, or `-errno` (never blocks) */
export function signalEvent(fd: number): number {
  if (counterAddress === 0) counterAddress = addressOf(counterWord);
  counterWord[0] = 1n;
  const result = write(fd, counterAddress, 8);
  return result === 8 || result === -Errno.EAGAIN ? 0 : result;
}

/** Sets an eventfd back to 0 after poll has reported it. */
export function clearEvent(fd: number): void {
  if (counterAddress === 0) counterAddress = addressOf(counterWord);
  read(fd, counterAddress, 8);
}

/** An array of `struct iovec { void *base; size_t length }`, written without BigInt. */
export class IoVector {
  readonly address: number;
  readonly #words: Uint32Array;

  constructor(entries: number) {
    this.#words = new Uint32Array(new ArrayBuffer(entries * 16));
    this.address = addressOf(this.#words);
  }

  set(entry: number, address: number, lengthBytes: number): void {
    const at = entry * 4;
    this.#words[at] = address >>> 0;
    this.#words[at + 1] = address / 0x1_0000_0000;
    this.#words[at + 2] = lengthBytes;
    this.#words[at + 3] = 0;
  }
}

/** The descriptors that one thread sleeps on: `struct pollfd { int fd; short events; short revents }`. */
export class PollSet {
  readonly #words: Int32Array;
  readonly #address: number;
  readonly #timeout: Uint32Array = new Uint32Array(new ArrayBuffer(16));
  readonly #timeoutAddress: number;
  readonly #count: number;

  /** @param count number of slots; all empty at first */
  constructor(count: number) {
    this.#words = new Int32Array(new ArrayBuffer(count * 8));
    this.#words.fill(-1);
    this.#address = addressOf(this.#words);
    this.#timeoutAddress = addressOf(this.#timeout);
    this.#count = count;
  }

  /** @param fd a negative one leaves the slot empty. @param events POLLIN, POLLOUT, or both */
  set(slot: number, fd: number, events: number): void {
    this.#words[slot * 2] = fd;
    this.#words[slot * 2 + 1] = events;
  }

  /** What happened on the slot during the last {@link wait}: POLLIN, POLLOUT, POLLERR, POLLHUP, POLLNVAL. */
  happened(slot: number): number {
    return this.#words[slot * 2 + 1]! >>> 16;
  }

  /**
   * Sleeps until something happens, with the resolution of the kernel's timers (not of whole milliseconds).
   * @param timeoutMs 0 … Infinity; fractions count
   * @returns the number of slots with events, 0 after the timeout, -errno (EINTR is possible)
   */
  wait(timeoutMs: number): number {
    let timeout = 0;
    if (timeoutMs < MAX_TIMEOUT_MS) {
      const positive = Math.max(timeoutMs, 0);
      const seconds = Math.floor(positive / 1000);
      this.#timeout[0] = seconds;
      this.#timeout[2] = Math.ceil((positive - seconds * 1000) * 1e6);
      timeout = this.#timeoutAddress;
    }
    systemCalls.count++;
    const result = libc().ppoll(this.#address, this.#count, timeout, 0);
    return result < 0 ? checked(result) : result;
  }
}

/** Longer is for ever: seconds are written as 32 bits. */
const MAX_TIMEOUT_MS = 0xffff_ffff * 1000;

/** A {@link NetError} for a failed call, e.g. `… open /dev/net/tun: ENOENT`. */
export function callError(
  code: keyof typeof ERRORS,
  phase: Phase,
  what: string,
  errno: number,
  hint = '',
): NetError {
  const cause = new Error(`${what}: ${errnoName(errno)}`);
  return new NetError(code, {
    phase,
    detail: `${what}: ${errnoName(errno)}${hint === '' ? '' : `; ${hint}`}`,
    cause,
  });
}
