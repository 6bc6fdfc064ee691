import { Direction, LINKTYPE_RAW, PcapngWriter } from '../../drivers/pcapng.ts';
import { type Outcome, runScenario } from './run.ts';
import type { Scenario } from './scenario.ts';

/** Runs a scenario and writes what both stacks send, as they send it. @throws Violation, after the capture is written */
export function recordScenario(scenario: Scenario, file: string): Outcome {
  const writer = new PcapngWriter(file, { comment: `seed ${scenario.seed}` });
  const iface = writer.addInterface('link0', LINKTYPE_RAW);
  try {
    return runScenario(scenario, (from, bytes, nowMs) => {
      const since = nowMs - scenario.startMs;
      const whole = Math.floor(since);
      const at = writer.beginPacket(
        iface,
        whole,
        Math.min(Math.round((since - whole) * 1e6), 999_999),
        bytes.length,
      );
      if (at < 0) return;
      writer.slab.bytes.set(bytes, at);
      writer.endPacket(from === 'a' ? Direction.Outbound : Direction.Inbound, '');
    });
  } finally {
    writer.close();
  }
}
