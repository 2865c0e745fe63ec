import { A as providerLabel, B as toSignalboxError, C as attempt, D as momentOf, E as leaseTiming, F as sleep, I as systemClock, L as input, M as runStep, N as progressFold, O as shortened, P as say, R as SignalboxError, S as backoffDelay, T as isUsable, V as warning, _ as waitTimeoutInput, a as noteRequest, b as isForeign404, c as leaseServer, d as fixedPriority, f as mergeGroup, g as serverInput, h as priorityInput, i as noteEnd, j as systemRandom, k as formatDuration, l as maskSecrets, m as formInput, o as announce, p as stepWords, r as Waiting, s as following, t as release, u as commitsAhead, v as Hold, w as isTransient, x as isStrangeSuccess, y as tell, z as isSignalboxError } from "./chunks/release.mjs";
// src/leases/session/request.ts
/**
* Asking, waiting and withdrawing of one request; the states and invariants are in `../session.ts`.
*/
/** What servers get that do not say when they want to be asked again. */
const DEFAULT_POLL_MS = 5e3;
/** Asked sooner, a server gains nothing; asked later, it may forget the request. */
const POLL_LIMITS = {
	leastMs: 500,
	mostMs: 3e4
};
/** So that the groups of one queue do not ask all at once. */
const JITTER = .1;
const ANSWER_MS = 15e3;
const FIRST_ANSWER_MS = 5e3;
const WITHDRAW_MS = 3e3;
const RETRY_BACKOFF = {
	baseMs: 500,
	maxMs: 5e3
};
const WITHDRAW_BACKOFF = {
	baseMs: 100,
	maxMs: 1e3
};
/** One call of `openLease`. */
var Request = class {
	#options;
	#timing;
	#startedAt;
	/** Aborted to end the waiting. */
	#ending = new AbortController();
	#waitTimer;
	/** Does the server know this request? */
	#known = "no";
	#reached = false;
	#failing;
	constructor(options, timing) {
		this.#options = options;
		this.#timing = timing;
		this.#startedAt = options.clock.monotonic();
	}
	async open() {
		const { signal, waitTimeoutMs, onProgress } = this.#options;
		const onAbort = () => this.#ending.abort(this.#cancelled(signal?.reason));
		if (signal?.aborted === true) onAbort();
		signal?.addEventListener("abort", onAbort, { once: true });
		if (waitTimeoutMs !== void 0) this.#endAfter(Math.max(waitTimeoutMs, FIRST_ANSWER_MS));
		try {
			this.#ending.signal.throwIfAborted();
			const { answer, sent } = await this.#wait();
			if (answer.status === "completed") {
				tell(onProgress, { type: "completed" });
				return {
					status: "completed",
					answer
				};
			}
			this.#ending.signal.throwIfAborted();
			tell(onProgress, {
				type: "acquired",
				fence: answer.fence,
				stacked: answer.stacked ?? []
			});
			return {
				status: "acquired",
				lease: this.#hold(answer, sent),
				answer
			};
		} catch (error) {
			await this.#withdraw();
			throw toSignalboxError(error);
		} finally {
			this.#waitTimer?.cancel();
			signal?.removeEventListener("abort", onAbort);
		}
	}
	/** Until the answer is `acquired`, recently enough to work with, or `completed`. */
	async #wait() {
		const { clock, waitTimeoutMs, onProgress } = this.#options;
		for (let first = true;; first = false) {
			const { answer, sent } = await this.#ask();
			if (answer.kind === "lease" && answer.status === "completed") return {
				answer,
				sent
			};
			if (answer.kind === "lease" && answer.status === "acquired") {
				this.#adopt(answer);
				if (this.#timing === void 0 || isUsable(sent, this.#timing, clock)) return {
					answer,
					sent
				};
				continue;
			}
			if (first && waitTimeoutMs !== void 0) this.#endAfter(waitTimeoutMs - (clock.monotonic() - this.#startedAt));
			const nextMs = this.#pause(answer.retryAfterMs);
			const admitted = answer.kind === "lease";
			tell(onProgress, {
				type: "waiting",
				admitted,
				reason: answer.reason,
				nextMs
			});
			await sleep(clock, nextMs, this.#ending.signal);
		}
	}
	/** A server that says nothing of an expiry knows no renewal, and would refuse it; one may also grant less. */
	#adopt({ expiresAt, leaseMs }) {
		if (this.#timing === void 0) return;
		if (expiresAt === void 0) this.#timing = void 0;
		else if (leaseMs !== void 0) this.#timing = shortened(this.#timing, leaseMs);
	}
	#pause(retryAfterMs = DEFAULT_POLL_MS) {
		const { leastMs, mostMs } = POLL_LIMITS;
		return Math.round(Math.min(mostMs, Math.max(leastMs, retryAfterMs)) * (1 + JITTER * this.#options.random.next()));
	}
	/** Repeats the call until it is answered or refused for good. */
	async #ask() {
		const { api, clock, random, provider, request } = this.#options;
		const { signal } = this.#ending;
		for (let n = 0;; n++) {
			const sent = momentOf(clock);
			const before = this.#known;
			if (before === "no") this.#known = "maybe";
			try {
				const answer = await attempt({
					clock,
					boundMs: ANSWER_MS,
					signal
				}, (s) => api.acquire(provider, request, s));
				this.#known = answer.kind === "refused" || answer.status === "completed" ? "no" : "yes";
				this.#succeeded();
				return {
					answer,
					sent
				};
			} catch (error) {
				if (error !== signal.reason && wasNotApplied(error)) this.#known = before;
				signal.throwIfAborted();
				if (!this.#mayPass(error)) throw error;
				this.#failed(error);
				const asked = Math.min(POLL_LIMITS.mostMs, Number(error.details["retryAfterMs"] ?? 0));
				await sleep(clock, Math.max(asked, backoffDelay(RETRY_BACKOFF, n, random)), signal);
			}
		}
	}
	#mayPass(error) {
		return isTransient(error) || isForeign404(error) && this.#reached;
	}
	#succeeded() {
		this.#reached = true;
		if (this.#failing === void 0) return;
		this.#failing = void 0;
		tell(this.#options.onProgress, { type: "reachable" });
	}
	#failed(error) {
		const now = this.#options.clock.monotonic();
		const since = this.#failing?.since ?? now;
		this.#failing = {
			since,
			error
		};
		tell(this.#options.onProgress, {
			type: "unreachable",
			error,
			forMs: now - since
		});
	}
	#hold(answer, sent) {
		const { api, clock, random, provider, request, onProgress } = this.#options;
		const { fence, stacked = [], expiresAt } = answer;
		const timing = this.#timing;
		const hold = new Hold({
			api,
			clock,
			random,
			provider,
			request,
			fence,
			sent,
			timing,
			onProgress
		});
		return {
			provider,
			sha: request.sha,
			fence,
			stacked,
			expiresAt,
			waitedMs: clock.monotonic() - this.#startedAt,
			limits: () => hold.limits,
			stopping: hold.stopping,
			lost: hold.lost,
			isHeld: () => hold.isHeld(),
			onDeadline: (listener) => hold.onDeadline(listener),
			release: (outcome, options) => hold.release(outcome, options?.signal),
			abandon: () => hold.abandon()
		};
	}
	#endAfter(ms) {
		this.#waitTimer?.cancel();
		if (ms <= 0) this.#ending.abort(this.#timedOut());
		else this.#waitTimer = this.#options.clock.timer(ms, () => this.#ending.abort(this.#timedOut()));
	}
	#timedOut() {
		const { provider, waitTimeoutMs = 0 } = this.#options;
		const what = `${providerLabel(provider)}: the lease did not come within ${formatDuration(waitTimeoutMs)}`;
		const error = this.#failing?.error;
		const why = error === void 0 ? "wait longer, or look at who holds it" : `last: ${error.message}`;
		return new SignalboxError("wait_timeout", `${what}; ${why}`, { cause: error });
	}
	/** Best effort, for a few seconds: a request that cannot be withdrawn is forgotten after the server's ttl. */
	async #withdraw() {
		if (this.#known === "no") return;
		const { api, clock, random, provider, request, onProgress } = this.#options;
		const { sha, ref, priority } = request;
		const until = clock.monotonic() + WITHDRAW_MS;
		for (let n = 0;; n++) {
			const boundMs = until - clock.monotonic();
			try {
				await attempt({
					clock,
					boundMs
				}, (s) => api.release(provider, {
					sha,
					ref,
					priority,
					success: false
				}, s));
				return;
			} catch (error) {
				const delayMs = backoffDelay(WITHDRAW_BACKOFF, n, random);
				if (!isTransient(error) || clock.monotonic() + delayMs >= until) {
					tell(onProgress, {
						type: "withdraw_failed",
						error: toSignalboxError(error)
					});
					return;
				}
				await sleep(clock, delayMs);
			}
		}
	}
	#cancelled(reason) {
		if (isSignalboxError(reason)) return reason;
		const what = `${providerLabel(this.#options.provider)}: given up while waiting for the lease`;
		return new SignalboxError("cancelled", what, { cause: reason });
	}
};
/** Is it certain that a request with this outcome left nothing behind? */
function wasNotApplied(error) {
	return isSignalboxError(error) && !isStrangeSuccess(error) && error.code !== "outcome_unknown" && error.code !== "internal" && error.code !== "cancelled";
}
// src/leases/session.ts
/** Time between the sign to stop and the end. */
const DEFAULT_STOP_GRACE_MS = 5e3;
/**
* Asks for the lease and waits until it is granted, or needed no more.
*
* @throws SignalboxError `invalid_argument`, `not_found`, `unauthenticated`, `permission_denied` (at once), `wait_timeout`,
*   `cancelled` (the signal), and what else the server refuses with
*/
async function openLease(options) {
	const { request, stopGraceMs = DEFAULT_STOP_GRACE_MS } = options;
	return new Request(options, request.leaseMs === void 0 ? void 0 : leaseTiming(request.leaseMs, stopGraceMs)).open();
}
// actions/lease/src/acquire.ts
/** Asking for the lease and waiting until it is granted, or needed no more. */
/** GitHub is waited for this long before the first question. */
const PRIORITY_PATIENCE_MS = 12e4;
/** @param end who gives the lease back: this step's post step, or a step after it */
async function acquire(end, { env, signal }) {
	const url = serverInput(env);
	const group = mergeGroup(env);
	const asked = priorityInput();
	const waitTimeoutMs = waitTimeoutInput();
	const server = leaseServer(url, env);
	try {
		const priority = asked === void 0 ? await commitsAhead({
			env,
			group,
			patienceMs: PRIORITY_PATIENCE_MS,
			signal
		}) : fixedPriority(asked);
		const name = providerLabel(group.provider);
		say(`${name}: asking for the lease for commit ${group.sha} with priority ${priority.current}`);
		if (end === "post") noteRequest({
			url,
			group,
			priority: priority.current
		});
		const waiting = await wait(server.leases, {
			group,
			priority,
			waitTimeoutMs,
			signal
		}, end);
		await announce(waiting, {
			group,
			priority
		});
	} finally {
		await server.close();
	}
}
async function wait(leases, options, end) {
	const { group, priority, waitTimeoutMs, signal } = options;
	const { provider, sha, ref } = group;
	const fold = progressFold(`Waiting for the lease on ${providerLabel(provider)}`);
	const waiting = new Waiting(fold.output, priority);
	try {
		const opened = await openLease({
			api: following(leases, priority),
			clock: systemClock,
			random: systemRandom,
			provider,
			request: {
				sha,
				ref,
				priority: priority.current
			},
			waitTimeoutMs,
			signal,
			onProgress: waiting.progress
		});
		if (end === "post") noteEnd(opened.status);
		return {
			opened,
			waitedMs: waiting.elapsedMs,
			reason: waiting.reason
		};
	} catch (error) {
		if (end === "post" && !waiting.leftBehind) noteEnd("withdrawn");
		throw isSignalboxError(error, "wait_timeout") ? named(error) : error;
	} finally {
		fold.close();
	}
}
function named(error) {
	return new SignalboxError(error.code, `${error.message} (wait_timeout)`, { cause: error });
}
// actions/lease/src/main.ts
/** The step itself. */
await runStep(stepWords, async (signal) => {
	const { env } = process;
	maskSecrets(env);
	const form = formInput();
	if (form !== "release") return acquire(form === "take" ? "post" : "step", {
		env,
		signal
	});
	if (input("wait_timeout") !== void 0) warning("wait_timeout: has no effect with release_with_status");
	return release({
		env,
		signal
	});
});
export {};
