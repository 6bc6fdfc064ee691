/**
 * Loaded into AVA's process before AVA: lets its TAP report name the tests that were still running when its time limit struck. As published (8.0.1), the reporter
 * hands an Error to a function that expects AVA's own description of one, throws, and nobody learns which test hung.
 */
interface TimeoutEvent {
  period: number;
  pendingTests: Map<string, Set<string>>;
}

interface TapReporter {
  writeTest(event: object, flags: { passed: boolean; todo: boolean; skip: boolean }): void;
  writeTimeout(event: TimeoutEvent): void;
}

// AVA exports no types for it
const reporterFile: string = new URL('../node_modules/ava/lib/reporters/tap.js', import.meta.url).href;
const { default: TapReporter } = (await import(reporterFile)) as { default: { prototype: TapReporter } };

TapReporter.prototype.writeTimeout = function (event): void {
  for (const [testFile, titles] of event.pendingTests) {
    for (const title of titles) {
      const logs = [`still running, or not yet begun, when no test had ended for ${event.period} ms`];
      this.writeTest({ testFile, title, logs }, { passed: false, todo: false, skip: false });
    }
  }
};
