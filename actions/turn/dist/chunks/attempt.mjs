import { a as toSignalboxError, t as SignalboxError } from "./error.mjs";
// src/kernel/attempt.ts
/**
* @throws the signal's reason; `outcome_unknown` when the bound passed; else what the call throws, as `SignalboxError`
*/
function attempt({ clock, boundMs, signal }, call) {
	return new Promise((resolve, reject) => {
		if (signal?.aborted === true) {
			reject(signal.reason);
			return;
		}
		const hangUp = new AbortController();
		const giveUp = (reason) => {
			reject(reason);
			hangUp.abort(reason);
			end();
		};
		const onAbort = () => giveUp(signal?.reason);
		const timer = clock.timer(boundMs, () => {
			giveUp(new SignalboxError("outcome_unknown", `no answer within ${Math.round(boundMs / 100) / 10}s`));
		});
		const end = () => {
			timer.cancel();
			signal?.removeEventListener("abort", onAbort);
		};
		signal?.addEventListener("abort", onAbort, { once: true });
		call(hangUp.signal).then((value) => {
			end();
			resolve(value);
		}, (error) => {
			end();
			reject(toSignalboxError(error));
		});
	});
}
/** May the same call succeed a little later? (`queue_paused` may too, but is the caller's to decide.) */
function isTransient(error) {
	return error instanceof SignalboxError && (error.code === "unavailable" || error.code === "outcome_unknown" || error.code === "throttled");
}
export { isTransient as n, attempt as t };
