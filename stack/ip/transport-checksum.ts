import type { RxPacket } from '../context.ts';
import { foldChecksum, sumPseudoHeaderV4, sumPseudoHeaderV6, sumSlab } from '../wire/checksum.ts';

/**
 * Verifies the checksum over pseudo-header, transport header and payload (`rx.off`, `rx.len`), unless the device has.
 * A transport calls it for every packet, before it believes anything in it.
 * @param protocol IP protocol number, part of the pseudo-header
 */
export function verifyTransportChecksum(rx: RxPacket, protocol: number): boolean {
  if (rx.checksumValid) return true;
  const pseudo =
    rx.family === 4
      ? sumPseudoHeaderV4(rx.src3, rx.dst3, protocol, rx.len)
      : sumPseudoHeaderV6(
          rx.src0,
          rx.src1,
          rx.src2,
          rx.src3,
          rx.dst0,
          rx.dst1,
          rx.dst2,
          rx.dst3,
          protocol,
          rx.len,
        );
  return foldChecksum(sumSlab(rx.slab, rx.off, rx.len, pseudo)) === 0;
}
