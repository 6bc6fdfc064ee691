import { NetError, Phase } from '../../errors.ts';
import type { RandomSource } from '../../random.ts';
import { Bbr } from './bbr.ts';
import type { CongestionControl } from './congestion-control.ts';
import { CONGESTION_CONTROLS } from './congestion-control-names.ts';
import { Cubic } from './cubic.ts';
import { NewReno } from './newreno.ts';
import { NoCongestionControl } from './no-congestion-control.ts';

/** @throws NetError ARGUMENT_INVALID for a name it does not know */
export function makeCongestionControl(name: string, random: RandomSource): CongestionControl {
  switch (name) {
    case 'cubic':
      return new Cubic();
    case 'newreno':
      return new NewReno();
    case 'bbr':
      return new Bbr(random);
    case 'none':
      return new NoCongestionControl();
    default:
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `congestion control '${name}', expected one of ${CONGESTION_CONTROLS.join(', ')}`,
      });
  }
}
