// needs: tun socat ethtool
import test from 'ava';
import { RxFlag } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';
import { createLab, ETHERNET_NAME, ETHERNET_V4, joinByEthernet, type Lab, PEER_V4 } from '../test/netns.ts';
import { PacketReader } from './packet-reader.ts';
import { PacketRing } from './packet-ring.ts';
import * as sys from './syscalls.ts';
import { checksumIsRight } from './testing/raw-packets.ts';

const ETH_P_IP = 0x0800;
const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const IP_AT = 14;
const BOTH = RxFlag.ChecksumValid | RxFlag.ChecksumPartial;

/** A socket whose frames come without a virtio header, as from kernels that know none. */
function openPlain(lab: Lab, index: number, withRing: boolean): { fd: number; ring: PacketRing | null } {
  return lab.within(() => {
    const type = sys.SOCK_RAW | sys.SOCK_NONBLOCK | sys.SOCK_CLOEXEC;
    const fd = sys.socket(sys.AF_PACKET, type, 0);
    const one = Int32Array.of(1);
    sys.setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, sys.addressOf(one), 4);
    const ring = withRing ? PacketRing.open(fd, 1500, 0) : null;
    const link = new DataView(new ArrayBuffer(20));
    link.setUint16(0, sys.AF_PACKET, true);
    link.setUint16(2, ETH_P_IP);
    link.setInt32(4, index, true);
    if (sys.bind(fd, sys.addressOf(link), 20) < 0) throw new Error('bind');
    return { fd, ring };
  });
}

for (const [how, withRing] of [
  ['in shared memory', true],
  ['one by one', false],
] as const) {
  test(`without a virtio header the auxiliary data tell which checksums are partial (${how})`, async (t) => {
    const own = await createLab(t);
    const peer = await createLab(t);
    await joinByEthernet(own, peer);
    await own.ok('ip', ['addr', 'add', `${ETHERNET_V4}/24`, 'dev', ETHERNET_NAME]);
    const index = Number(await own.ok('cat', [`/sys/class/net/${ETHERNET_NAME}/ifindex`]));
    const { fd, ring } = openPlain(own, index, withRing);
    t.teardown(() => {
      ring?.close();
      sys.close(fd);
    });
    t.is(ring !== null, withRing);
    const memory = Slab.alloc(2048);
    const reader = new PacketReader(sys.addressOf(memory.bytes), 2048);
    /** The next frame that carries UDP, and what is known of it. */
    const next = (): { flags: number; packet: Uint8Array } | null => {
      for (;;) {
        let frame: Uint8Array;
        let flags: number;
        if (ring !== null) {
          if (!ring.next()) return null;
          frame = ring.slab.bytes.slice(ring.off, ring.off + ring.lengthBytes);
          flags = ring.rxFlags;
          ring.release();
        } else {
          const length = reader.read(fd);
          if (length < 0) return null;
          frame = memory.bytes.slice(0, length);
          flags = reader.rxFlags;
        }
        if (frame[IP_AT + 9] === 17) return { flags, packet: frame.slice(IP_AT) };
      }
    };
    const send = async (): Promise<{ flags: number; packet: Uint8Array }> => {
      const options = { input: 'partial' };
      await peer.ok('socat', ['-u', '-', `UDP4-SENDTO:${ETHERNET_V4}:9,bind=${PEER_V4}`], options);
      let got = next();
      await own.until('it has come', () => {
        got ??= next();
        return got !== null;
      });
      return got!;
    };
    // the cable takes packets without a checksum, and so the other kernel leaves it out
    const partial = await send();
    t.is(partial.flags, BOTH);
    t.false(checksumIsRight(partial.packet));
    await peer.ok('ethtool', ['-K', ETHERNET_NAME, 'tx', 'off']);
    const whole = await send();
    t.is(whole.flags & RxFlag.ChecksumPartial, 0);
    t.true(checksumIsRight(whole.packet));
  });
}
