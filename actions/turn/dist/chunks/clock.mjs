// src/kernel/clock.ts
/** The longest delay Node's timers take; a longer one is cut to it (Node would fire at once instead). */
const MAX_TIMER_MS = 2 ** 31 - 1;
const systemClock = {
	now: () => Date.now(),
	monotonic: () => Number(process.hrtime.bigint() / 1000n) / 1e3,
	timer(ms, fire, options) {
		const handle = setTimeout(fire, Math.min(Math.max(ms, 0), MAX_TIMER_MS));
		if (options?.unref === true) handle.unref();
		return { cancel: () => clearTimeout(handle) };
	}
};
/**
* Resolves after `ms` milliseconds of the clock.
* @throws the signal's reason as soon as it aborts.
*/
function sleep(clock, ms, signal) {
	return new Promise((resolve, reject) => {
		if (signal?.aborted === true) {
			reject(signal.reason);
			return;
		}
		const onAbort = () => {
			timer.cancel();
			reject(signal?.reason);
		};
		const timer = clock.timer(ms, () => {
			signal?.removeEventListener("abort", onAbort);
			resolve();
		});
		signal?.addEventListener("abort", onAbort, { once: true });
	});
}
export { systemClock as n, sleep as t };
