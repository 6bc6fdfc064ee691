import type { CongestionControlName } from '../stack/tcp/congestion/congestion-control-names.ts';
import { CONGESTION_CONTROLS } from '../stack/tcp/congestion/congestion-control-names.ts';
import {
  checkCongestionControl,
  ECN_MODES,
  NAGLE_MODES,
  type PolicyChange,
  policyChange,
  type SendOptions,
  WINDOW_VALIDATIONS,
} from '../stack/tcp/send-policy.ts';

/** What a connection's {@link SendOptions} are for the stack. */
export interface SendChoice {
  readonly congestion?: CongestionControlName;
  readonly policy?: PolicyChange;
}

const PACING = [false, true] as const;
/** A choice is its place in the list, from 1; 0: as the stack has it. */
const CHOICE_BITS = 3;
const CHOICE_MASK: number = (1 << CHOICE_BITS) - 1;

/** The options in a word of a socket's block. @throws NetError ARGUMENT_INVALID naming the option */
export function packSendOptions(options: SendOptions): number {
  const { pacing, windowValidation, ecn, accurateEcn, nagle } = policyChange(options) ?? {};
  return [
    placeOf(CONGESTION_CONTROLS, checkCongestionControl(options.congestionControl)),
    placeOf(PACING, pacing),
    placeOf(WINDOW_VALIDATIONS, windowValidation),
    placeOf(ECN_MODES, ecn),
    placeOf(NAGLE_MODES, nagle),
    placeOf(ECN_MODES, accurateEcn),
  ].reduce((word, place, i) => word | (place << (i * CHOICE_BITS)), 0);
}

/** What {@link packSendOptions} has packed. */
export function unpackSendOptions(word: number): SendChoice {
  if (word === 0) return {};
  const congestion = choiceAt(CONGESTION_CONTROLS, word, 0);
  const policy = policyChange({
    pacing: choiceAt(PACING, word, 1),
    windowValidation: choiceAt(WINDOW_VALIDATIONS, word, 2),
    ecn: choiceAt(ECN_MODES, word, 3),
    nagle: choiceAt(NAGLE_MODES, word, 4),
    accurateEcn: choiceAt(ECN_MODES, word, 5),
  });
  return { ...(congestion && { congestion }), ...(policy && { policy }) };
}

function placeOf<T>(choices: readonly T[], choice: T | undefined): number {
  return choice === undefined ? 0 : 1 + choices.indexOf(choice);
}

function choiceAt<T>(choices: readonly T[], word: number, index: number): T | undefined {
  return choices[((word >>> (index * CHOICE_BITS)) & CHOICE_MASK) - 1];
}
