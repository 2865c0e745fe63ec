// src/kernel/backoff.ts
/** @param attempt 0 for the first retry. @returns milliseconds to wait. */
function backoffDelay(backoff, attempt, random) {
	const ceiling = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
	return random.next() * ceiling;
}
export { backoffDelay as t };
