import { a as toSignalboxError, i as isSignalboxError, t as SignalboxError } from "./chunks/error.mjs";
import { n as systemClock, t as sleep } from "./chunks/clock.mjs";
import { S as formatDuration, _ as publish, a as deadlineOf, b as reserve, c as momentOf, g as logPath, l as proofOf, m as forget, n as agentRequest, o as holdTiming, s as isUsable, t as systemRandom, u as suspendedMs, w as processSignals } from "./chunks/id.mjs";
import { n as DEFAULT_TTL_MS, t as DEFAULT_STOP_GRACE_MS } from "./chunks/api.mjs";
import { t as backoffDelay } from "./chunks/backoff.mjs";
import { n as isTransient, t as attempt } from "./chunks/attempt.mjs";
import { i as markOf, r as isAlive } from "./chunks/processes.mjs";
import { r as defaultLabels, t as Reporter } from "./chunks/reporter.mjs";
// src/cli/output.ts
/**
* What the commands print: results on standard output, everything else on standard error, errors as one line each.
* With `--json` both are JSON.
*/
/**
* Prints an error: `signalbox: <message>`, or `{ "error": { code, message, details } }`.
* @returns the exit code
*/
function printError(thrown, output, options) {
	const error = toSignalboxError(thrown);
	output.stderr.write(options.json ? `${JSON.stringify({ error: errorView(error) })}\n` : errorLines(error));
	return error.facts.exit;
}
function errorLines(error) {
	return (error.code === "internal" ? `internal error: ${error.message}; this is a defect, please report it` : error.message).split("\n").filter((line) => line.trim() !== "").map((line) => `signalbox: ${line}\n`).join("");
}
function errorView({ code, message, details }) {
	return Object.keys(details).length === 0 ? {
		code,
		message
	} : {
		code,
		message,
		details
	};
}
/** Watches over this process. Rejections that nobody handles arrive here too (Node's default). */
function catchCrashes(terminal) {
	process.on("uncaughtException", (error) => {
		const crash = new SignalboxError("internal", error.message, { cause: error });
		printError(crash, terminal, { json: terminal.argv.includes("--json") });
		process.exit(crash.facts.exit);
	});
	process.stdout.on("error", (error) => {
		if (error.code !== "EPIPE") throw error;
		process.exit();
	});
}
// src/cli/terminal.ts
/** The process a command line runs in, handed in so that tests run command lines without one. */
/** The terminal of this process. */
function processTerminal() {
	return {
		argv: process.argv.slice(2),
		env: process.env,
		cwd: process.cwd(),
		stdout: process.stdout,
		stderr: process.stderr
	};
}
/** What the commands of a capability get. The client is loaded when one connects. */
function cliContext(terminal, setExitCode) {
	const { stdout, stderr, env } = terminal;
	const facts = {
		env,
		clock: systemClock,
		random: systemRandom
	};
	return {
		...facts,
		stdout,
		stderr,
		setExitCode,
		connect: async (options) => (await import("./chunks/connect.mjs")).connect(options, facts)
	};
}
// src/turns/session/progress.ts
function tell(listener, progress) {
	try {
		listener?.(progress);
	} catch {}
}
// src/turns/session/hold.ts
/**
* A held turn: beats from the grant on, knows until when it may be relied on, and says so.
*
* Invariants:
* - the deadline only moves forward, and only by an acknowledged call, counted from its sending (`deadline.ts`);
* - `stopping` aborts at the latest one stop grace before the deadline, `lost` at it, at once when the server says so
*   or when the machine turns out to have been suspended; both stay aborted, whatever is acknowledged later;
* - beats overlap rather than queue: one that hangs delays no other;
* - no beat is sent once `release` or `abandon` was called, and none counts.
*/
const MAX_TICK_MS = 1e3;
const LEAVE_ATTEMPT_MS$1 = 5e3;
const LEAVE_BACKOFF$1 = {
	baseMs: 100,
	maxMs: 1e3
};
var Hold = class {
	#options;
	#stopping = new AbortController();
	#lost = new AbortController();
	/** Aborted when the hold is over: ends the beats under way. */
	#over = new AbortController();
	#listeners = /* @__PURE__ */ new Set();
	#proof;
	#nextBeatAt;
	#failing = false;
	#timer;
	#released;
	constructor(options) {
		this.#options = options;
		this.#proof = options.proof;
		this.#nextBeatAt = options.proof.base + options.timing.beatMs;
		this.#tick();
	}
	/** Until when the turn may be relied on, on both clocks. */
	get limits() {
		return deadlineOf(this.#proof, this.#options.timing);
	}
	get stopping() {
		return this.#stopping.signal;
	}
	get lost() {
		return this.#lost.signal;
	}
	/** Looks at the clocks now, for callers whose event loop may have been blocked. False once released. */
	isHeld() {
		this.#check();
		return !this.#over.signal.aborted && !this.#lost.signal.aborted;
	}
	/** @returns a function that removes the listener */
	onDeadline(listener) {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}
	/** See `Turn.release`. */
	release(signal) {
		this.#released ??= this.#leave(signal);
		return this.#released;
	}
	/** See `Turn.abandon`. */
	abandon() {
		this.#end();
	}
	async #leave(signal) {
		this.#end();
		const { api, clock, random, queue, id, fence, timing } = this.#options;
		const goneAt = this.#proof.base + timing.ttlMs;
		const bounds = {
			clock,
			boundMs: LEAVE_ATTEMPT_MS$1,
			...signal === void 0 ? {} : { signal }
		};
		for (let n = 0;; n++) try {
			return (await attempt(bounds, (s) => api.leave(queue, id, fence, s))).outcome;
		} catch (error) {
			if (isSignalboxError(error, "turn_lost") || isSignalboxError(error, "not_found")) return "gone";
			if (!isTransient(error)) throw error;
			if (clock.monotonic() >= goneAt) return "gone";
			tell(this.#options.onProgress, {
				type: "leave_failed",
				error
			});
			await sleep(clock, backoffDelay(LEAVE_BACKOFF$1, n, random), signal);
		}
	}
	#tick() {
		this.#check();
		if (this.#over.signal.aborted) return;
		const now = this.#options.clock.monotonic();
		if (now >= this.#nextBeatAt) this.#beat();
		this.#arm(now);
	}
	#arm(now) {
		const { clock, timing } = this.#options;
		const { at } = this.limits;
		const stopAt = this.#stopping.signal.aborted ? at : at - timing.stopGraceMs;
		const next = Math.min(now + MAX_TICK_MS, this.#nextBeatAt, stopAt, at);
		this.#timer?.cancel();
		this.#timer = clock.timer(Math.max(0, next - now), () => this.#tick());
	}
	/** Draws the consequences of what the clocks say. */
	#check() {
		if (this.#over.signal.aborted) return;
		const { clock, timing } = this.#options;
		const { at } = this.limits;
		const now = clock.monotonic();
		const slept = suspendedMs(this.#proof, timing, clock);
		if (slept !== void 0) this.#lose(this.#lostError(`the machine was suspended, or its clock set forward, for ${formatDuration(slept)}`));
		else if (now >= at) this.#lose(this.#lostError(`no beat was acknowledged for ${formatDuration(now - this.#proof.base)}`));
		else if (now >= at - timing.stopGraceMs) this.#stopping.abort(this.#lostError(`no beat was acknowledged for ${formatDuration(now - this.#proof.base)}`));
	}
	#beat() {
		const { api, clock, queue, id, fence, timing } = this.#options;
		const sent = momentOf(clock);
		this.#nextBeatAt = sent.mono + timing.retryMs;
		const bounds = {
			clock,
			boundMs: timing.beatMs,
			signal: this.#over.signal
		};
		attempt(bounds, (s) => api.beat(queue, id, fence, s)).then(() => this.#acknowledged(sent), (error) => this.#refused(error));
	}
	#acknowledged(sent) {
		this.#check();
		if (this.#over.signal.aborted || sent.mono <= this.#proof.base) return;
		const { clock, timing, onProgress } = this.#options;
		this.#proof = proofOf(sent, 0, clock.monotonic());
		this.#nextBeatAt = sent.mono + timing.beatMs;
		if (this.#failing) {
			this.#failing = false;
			tell(onProgress, { type: "beat_restored" });
		}
		this.#tick();
		if (this.#over.signal.aborted) return;
		for (const listener of this.#listeners) try {
			listener(this.limits);
		} catch {}
	}
	#refused(error) {
		if (this.#over.signal.aborted) return;
		if (error.code === "turn_lost" || error.code === "not_found") {
			this.#lose(this.#lostError(error.message, error));
			return;
		}
		const { clock, onProgress } = this.#options;
		this.#failing = true;
		tell(onProgress, {
			type: "beat_failed",
			error,
			leftMs: this.limits.at - clock.monotonic()
		});
	}
	#lose(error) {
		this.#end();
		this.#stopping.abort(error);
		this.#lost.abort(error);
	}
	#end() {
		this.#timer?.cancel();
		this.#over.abort(new SignalboxError("cancelled", "the hold is over"));
		this.#listeners.clear();
	}
	#lostError(why, cause) {
		const { queue, fence } = this.#options;
		return new SignalboxError("turn_lost", `${queue}: the turn was lost: ${why}`, {
			cause,
			details: {
				queue,
				fence
			}
		});
	}
};
// src/turns/session/membership.ts
/**
* Joining, waiting and leaving of one member; the states and invariants are in `../session.ts`.
*/
const DEFAULT_CONNECT_TIMEOUT_MS = 5e3;
/** What a call may take beyond the time it asks the server to wait. */
const ANSWER_MS = 1e4;
const LEAVE_MS = 3e3;
const LONGEST_WAIT_MS = 12e4;
const RETRY_BACKOFF = {
	baseMs: 100,
	maxMs: 2e3
};
/** An answer sooner than this that says nothing new is a server that does not wait: ask it less often. */
const PROMPT_MS = 20;
const PROMPT_BACKOFF = {
	baseMs: 20,
	maxMs: 1e3
};
/** One call of `openTurn`. */
var Membership = class {
	#options;
	#timing;
	#id;
	#startedAt;
	/** Aborted to end the joining and waiting. */
	#ending = new AbortController();
	#waitTimer;
	#joined = "no";
	#failingSince;
	constructor(options, timing) {
		this.#options = options;
		this.#timing = timing;
		this.#id = options.random.id();
		this.#startedAt = options.clock.monotonic();
	}
	async open() {
		const { signal, waitTimeoutMs, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS } = this.#options;
		const onAbort = () => this.#ending.abort(cancelled(signal?.reason));
		if (signal?.aborted === true) onAbort();
		signal?.addEventListener("abort", onAbort, { once: true });
		if (waitTimeoutMs !== void 0) this.#endAfter(Math.max(waitTimeoutMs, connectTimeoutMs));
		try {
			this.#ending.signal.throwIfAborted();
			const joined = await this.#join();
			const granted = await this.#wait(joined);
			const proof = await this.#confirm(granted);
			this.#ending.signal.throwIfAborted();
			return this.#hold(granted.value, proof, joined.value.position);
		} catch (error) {
			await this.#leave();
			throw toSignalboxError(error);
		} finally {
			this.#waitTimer?.cancel();
			signal?.removeEventListener("abort", onAbort);
		}
	}
	async #join() {
		const { api, queue, permits, priority, labels } = this.#options;
		const request = {
			id: this.#id,
			ttlMs: this.#timing.ttlMs,
			...permits === void 0 ? {} : { permits },
			...priority === void 0 ? {} : { priority },
			...labels === void 0 ? {} : { labels: { ...labels } }
		};
		const answer = await this.#persist(ANSWER_MS, (signal) => api.join(queue, request, signal));
		this.#joined = "yes";
		const { ttlMs } = answer.value;
		if (ttlMs < this.#timing.ttlMs) this.#timing = holdTiming(ttlMs, this.#timing.stopGraceMs);
		return answer;
	}
	/** Until the turn is granted. */
	async #wait(joined) {
		const { api, clock, random, queue, waitTimeoutMs, onProgress } = this.#options;
		let answer = joined;
		let prompt = 0;
		if (waitTimeoutMs !== void 0 && answer.value.state === "waiting") this.#endAfter(waitTimeoutMs - (clock.monotonic() - this.#startedAt));
		while (answer.value.state === "waiting") {
			const { position, pollMs } = answer.value;
			tell(onProgress, {
				type: "waiting",
				view: answer.value
			});
			this.#ending.signal.throwIfAborted();
			const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(0, Math.floor(pollMs)));
			const request = {
				waitMs,
				seenPosition: position
			};
			answer = await this.#persist(waitMs + ANSWER_MS, (s) => api.wait(queue, this.#id, request, s));
			prompt = answer.value.state !== "waiting" || answer.value.position !== position || answer.receivedAt - answer.sent.mono >= PROMPT_MS ? 0 : prompt + 1;
			if (prompt > 0) await sleep(clock, backoffDelay(PROMPT_BACKOFF, prompt, random), this.#ending.signal);
		}
		return answer;
	}
	/** From when the grant counts; a beat confirms one whose proof is too old to work with. */
	async #confirm({ value: view, sent, receivedAt }) {
		const { api, clock, queue } = this.#options;
		const { fence } = view;
		if (view.state !== "holding") throw removed(queue, view.state);
		if (fence === void 0) throw new SignalboxError("internal", `${queue}: a grant came without a fence`);
		let proof = proofOf(sent, view.elapsedMs, receivedAt);
		while (!isUsable(proof, this.#timing, clock)) {
			const beat = await this.#persist(this.#timing.beatMs, (s) => api.beat(queue, this.#id, fence, s));
			proof = proofOf(beat.sent, 0, beat.receivedAt);
		}
		return proof;
	}
	#hold({ ticket, fence = 0 }, proof, positionAtJoin) {
		const { api, clock, random, queue, onProgress } = this.#options;
		const id = this.#id;
		const hold = new Hold({
			api,
			clock,
			random,
			queue,
			id,
			fence,
			timing: this.#timing,
			proof,
			onProgress
		});
		return {
			id,
			queue,
			ticket,
			fence,
			waitedMs: clock.monotonic() - this.#startedAt,
			positionAtJoin,
			deadline: () => hold.limits.at,
			limits: () => hold.limits,
			stopping: hold.stopping,
			lost: hold.lost,
			isHeld: () => hold.isHeld(),
			onDeadline: (listener) => hold.onDeadline(listener),
			release: (options) => hold.release(options?.signal),
			abandon: () => hold.abandon()
		};
	}
	/** Repeats a call until it is answered or refused. */
	async #persist(boundMs, call) {
		const { clock, random } = this.#options;
		for (let n = 0;; n++) {
			const sent = momentOf(clock);
			const before = this.#joined;
			if (before === "no") this.#joined = "maybe";
			try {
				const value = await attempt({
					clock,
					boundMs,
					signal: this.#ending.signal
				}, call);
				this.#succeeded();
				return {
					value,
					sent,
					receivedAt: clock.monotonic()
				};
			} catch (error) {
				if (error !== this.#ending.signal.reason && wasNotApplied(error)) this.#joined = before;
				this.#ending.signal.throwIfAborted();
				if (!isTransient(error)) throw error;
				this.#failed(error);
				await sleep(clock, backoffDelay(RETRY_BACKOFF, n, random), this.#ending.signal);
			}
		}
	}
	#succeeded() {
		if (this.#failingSince === void 0) return;
		this.#failingSince = void 0;
		tell(this.#options.onProgress, { type: "reachable" });
	}
	#failed(error) {
		const { clock, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS, onProgress } = this.#options;
		const now = clock.monotonic();
		if (this.#joined === "no" && error.code === "unavailable" && now - this.#startedAt >= connectTimeoutMs) throw error;
		this.#failingSince ??= now;
		tell(onProgress, {
			type: "unreachable",
			error,
			forMs: now - this.#failingSince
		});
	}
	#endAfter(ms) {
		const { clock, queue, waitTimeoutMs = ms } = this.#options;
		this.#waitTimer?.cancel();
		const end = () => this.#ending.abort(new SignalboxError("wait_timeout", `${queue}: the turn did not come within ${formatDuration(waitTimeoutMs)}; wait longer, or look at who holds it`));
		if (ms <= 0) end();
		else this.#waitTimer = clock.timer(ms, end);
	}
	/** Best effort, for a few seconds: what cannot be told lapses after the TTL. */
	async #leave() {
		if (this.#joined === "no") return;
		const { api, clock, random, queue, onProgress } = this.#options;
		const until = clock.monotonic() + LEAVE_MS;
		for (let n = 0;; n++) {
			const leftMs = until - clock.monotonic();
			try {
				await attempt({
					clock,
					boundMs: leftMs
				}, (s) => api.leave(queue, this.#id, void 0, s));
				return;
			} catch (error) {
				const delayMs = backoffDelay(RETRY_BACKOFF, n, random);
				if (!isTransient(error) || clock.monotonic() + delayMs >= until) {
					tell(onProgress, {
						type: "leave_failed",
						error: toSignalboxError(error)
					});
					return;
				}
				await sleep(clock, delayMs);
			}
		}
	}
};
/** Is it certain that a join with this outcome left nothing behind? */
function wasNotApplied(error) {
	return isSignalboxError(error) && error.code !== "outcome_unknown" && error.code !== "internal" && error.code !== "cancelled";
}
function cancelled(reason) {
	if (isSignalboxError(reason)) return reason;
	return new SignalboxError("cancelled", "given up while waiting for the turn", { cause: reason });
}
function removed(queue, state) {
	return new SignalboxError("turn_lost", `${queue}: ${state === "left" ? "this member was removed from the queue" : "this member was evicted"} before it could start; join again`);
}
// src/turns/session.ts
/**
* Joins the queue and waits for the turn.
*
* @throws SignalboxError `invalid_argument` (nothing was sent), `conflict`, `queue_paused`, `unavailable` (could not
*   connect), `wait_timeout`, `cancelled` (the signal), `turn_lost` (evicted or removed), and what else the server refuses with
*/
async function openTurn(options) {
	const { ttlMs = DEFAULT_TTL_MS, stopGraceMs = DEFAULT_STOP_GRACE_MS } = options;
	return new Membership(options, holdTiming(ttlMs, stopGraceMs)).open();
}
// src/turns/agent/place.ts
/**
* `TurnsApi` that remembers what became of one member's place: its id, and whether the server has acknowledged that it
* is gone. A session does not tell these, because to it a place that lapsed is as good as one released.
*/
const LEAVE_ATTEMPT_MS = 5e3;
const LEAVE_BACKOFF = {
	baseMs: 100,
	maxMs: 1e3
};
function watchPlace(api) {
	let member;
	let left;
	return {
		api: {
			wait: (...call) => api.wait(...call),
			beat: (...call) => api.beat(...call),
			show: (...call) => api.show(...call),
			list: (...call) => api.list(...call),
			join(queue, request, signal) {
				member = request.id;
				return api.join(queue, request, signal);
			},
			async leave(queue, id, fence, signal) {
				try {
					const view = await api.leave(queue, id, fence, signal);
					left = view.outcome;
					return view;
				} catch (error) {
					if (isSignalboxError(error, "turn_lost") || isSignalboxError(error, "not_found")) left = "gone";
					throw error;
				}
			}
		},
		member: () => member,
		left: () => left
	};
}
/** Repeats the leaving until the server has answered it, for `forMs`; then the place lapses by itself. */
async function insistOnLeaving(place, options) {
	const { queue, clock, random, forMs } = options;
	const until = clock.monotonic() + forMs;
	for (let n = 0; place.left() === void 0; n++) {
		const id = place.member();
		if (id === void 0) return;
		try {
			await attempt({
				clock,
				boundMs: LEAVE_ATTEMPT_MS
			}, (s) => place.api.leave(queue, id, void 0, s));
		} catch (error) {
			if (!isTransient(error) || clock.monotonic() >= until) return;
			await sleep(clock, backoffDelay(LEAVE_BACKOFF, n, random));
		}
	}
}
// src/turns/agent/agent.ts
const LOOK_MS = 1e3;
var Agent = class {
	#options;
	#place;
	#asked = new AbortController();
	#joined = Promise.withResolvers();
	#listeners = /* @__PURE__ */ new Set();
	ended;
	#wish;
	#turn;
	#front = false;
	/** The session could not tell the server that it leaves. */
	#leaveFailed = false;
	#progress = { state: "joining" };
	constructor(options) {
		this.#options = options;
		this.#place = watchPlace(options.api);
		this.#joined.promise.catch(() => void 0);
		this.#look();
		this.ended = this.#live();
	}
	/** Settles when the server has given it a place. @throws what kept it from joining */
	get joined() {
		return this.#joined.promise;
	}
	/** Is the turn held now, by its own deadline? */
	isFront() {
		return this.#front && this.#turn?.isHeld() === true;
	}
	/** Calls `listener` at each change of `isFront`. @returns a function that removes it */
	onFront(listener) {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}
	/** Leaves the queue; may be called again. @returns when the place is gone */
	stop() {
		this.#end("asked");
		return this.ended;
	}
	#end(wish) {
		this.#wish ??= wish;
		this.#asked.abort(new SignalboxError("cancelled", "the agent was told to stop"));
	}
	async #live() {
		const { queue, clock, random, ttlMs } = this.#options;
		let turn;
		try {
			turn = await openTurn({
				...this.#options,
				api: this.#place.api,
				signal: this.#asked.signal,
				onProgress: (event) => this.#hear(event)
			});
		} catch (error) {
			this.#joined.reject(error);
			this.#change({ state: "stopping" });
			if (this.#leaveFailed) await insistOnLeaving(this.#place, {
				queue,
				clock,
				random,
				forMs: ttlMs
			});
			const failure = toSignalboxError(error);
			const why = this.#wish ?? (failure.code === "turn_lost" ? "lost" : "failed");
			return this.#ending(why, failure);
		}
		this.#turn = turn;
		this.#granted(turn);
		const limit = clock.timer(this.#options.maxHoldMs, () => this.#end("max_hold"));
		await aborted(AbortSignal.any([this.#asked.signal, turn.lost]));
		limit.cancel();
		this.#setFront(false);
		if (turn.lost.aborted) return this.#ending("lost", toSignalboxError(turn.lost.reason));
		this.#change({
			state: "stopping",
			heldUntil: void 0
		});
		try {
			await turn.release();
		} catch (error) {
			this.#leaveFailed = true;
			tell(this.#options.onProgress, {
				type: "leave_failed",
				error: toSignalboxError(error)
			});
		}
		return this.#ending(this.#wish ?? "asked");
	}
	#hear(event) {
		const { clock, onProgress } = this.#options;
		tell(onProgress, event);
		if (event.type === "leave_failed") this.#leaveFailed = true;
		if (event.type === "waiting") {
			const { view } = event;
			const { id, ticket } = view;
			const viewAt = clock.monotonic();
			if (this.#wish === void 0) this.#change({
				state: "waiting",
				member: id,
				ticket,
				view,
				viewAt
			});
			this.#joined.resolve();
		} else if (event.type === "unreachable" || event.type === "beat_failed") {
			const since = this.#progress.trouble?.since ?? clock.monotonic();
			this.#change({ trouble: {
				message: event.error.message,
				since
			} });
		} else if (this.#progress.trouble !== void 0 && event.type !== "leave_failed") this.#change({ trouble: void 0 });
	}
	#granted(turn) {
		const { id: member, ticket, fence, waitedMs, positionAtJoin } = turn;
		const heldUntil = turn.limits();
		this.#change({
			state: "holding",
			member,
			ticket,
			fence,
			waitedMs,
			positionAtJoin,
			heldUntil,
			view: void 0,
			viewAt: void 0,
			trouble: void 0
		});
		this.#setFront(true);
		this.#joined.resolve();
		turn.onDeadline((heldUntil) => this.#change({ heldUntil }));
	}
	#ending(why, error) {
		const { queue, ttlMs, maxHoldMs } = this.#options;
		const left = this.#place.left() ?? (this.#leaveFailed ? "unconfirmed" : "gone");
		const messages = {
			asked: `${queue}: left the queue`,
			max_hold: `${queue}: the turn was given back: it was held for ${formatDuration(maxHoldMs)} (--max-hold)`,
			process_gone: `${queue}: left the queue: the process it was held for has ended`,
			lost: error?.message ?? `${queue}: the turn was lost`,
			failed: error?.message ?? `${queue}: the agent failed`
		};
		const lapse = `; the server could not be told, the place lapses within ${formatDuration(ttlMs)}`;
		return {
			why,
			place: left,
			message: messages[why] + (left === "unconfirmed" ? lapse : "")
		};
	}
	#change(change) {
		this.#progress = {
			...this.#progress,
			...change
		};
		this.#options.onChange(this.#progress);
	}
	#setFront(isFront) {
		this.#front = isFront;
		for (const listener of this.#listeners) listener(isFront);
	}
	/** Goes on until somebody wishes the end. */
	#look() {
		const { isWanted, clock } = this.#options;
		if (isWanted === void 0 || this.#asked.signal.aborted) return;
		if (isWanted()) clock.timer(LOOK_MS, () => this.#look(), { unref: true });
		else this.#end("process_gone");
	}
};
function aborted(signal) {
	return new Promise((done) => {
		if (signal.aborted) done();
		else signal.addEventListener("abort", () => done(), { once: true });
	});
}
// src/turns/agent/cancel-run.ts
/**
* Cancels the workflow run that an agent works for, through GitHub's API: the one way to stop steps that no longer hold
* their turn. POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel (docs.github.com, REST API, workflow runs).
*/
const PATIENCE_MS = 1e4;
/**
* Asks once.
*
* @throws SignalboxError `invalid_argument` that names the variables that are missing; `unavailable`, `permission_denied`
*/
async function cancelRun(env) {
	const { GITHUB_TOKEN: token, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run, GITHUB_API_URL: api = "https://api.github.com" } = env;
	if (!token || !repository || !run) {
		const names = Object.entries({
			GITHUB_TOKEN: token,
			GITHUB_REPOSITORY: repository,
			GITHUB_RUN_ID: run
		}).filter(([, value]) => !value).map(([name]) => name);
		throw new SignalboxError("invalid_argument", `the run cannot be cancelled without ${names.join(", ")}; give the step that starts the agent a token with 'actions: write'`);
	}
	const url = `${api.replace(/\/$/, "")}/repos/${repository}/actions/runs/${run}/cancel`;
	let answer;
	try {
		answer = await fetch(url, {
			method: "POST",
			headers: {
				accept: "application/vnd.github+json",
				authorization: `Bearer ${token}`,
				"user-agent": "signalbox"
			},
			redirect: "error",
			signal: AbortSignal.timeout(PATIENCE_MS)
		});
	} catch (cause) {
		throw new SignalboxError("unavailable", `${url}: could not be called; the run goes on`, { cause });
	}
	await answer.body?.cancel();
	if (answer.ok) return;
	const remedy = answer.status === 403 ? "; the token needs 'actions: write'" : "";
	throw new SignalboxError(answer.status === 401 || answer.status === 403 ? "permission_denied" : "unavailable", `${url}: answered with status ${answer.status}; the run goes on${remedy}`);
}
// src/turns/cli/agent/serve.ts
/** What may keep a process that is done from ending gets this long. */
const LINGER_MS = 2e3;
/** Runs until the agent has ended. @throws SignalboxError when it was not started by `turn agent start` */
async function serveAgent(context) {
	const serving = new Serving(await orderFromStarter(), context);
	const giveBack = processSignals(() => serving.stop());
	process.once("disconnect", () => serving.starterGone());
	try {
		await serving.run();
	} finally {
		giveBack();
		context.clock.timer(LINGER_MS, () => process.exit(), { unref: true });
	}
}
var Serving = class {
	#order;
	#request;
	#context;
	#reporter;
	#state;
	#agent;
	#reported = false;
	#stopping = false;
	#publishes = true;
	constructor(order, context) {
		const { id, folder, queue, flags } = order;
		const { clock, env } = context;
		const request = agentRequest(queue, flags, defaultLabels(env));
		this.#order = order;
		this.#request = request;
		this.#context = context;
		this.#reporter = new Reporter({
			queue,
			mode: "lines",
			stderr: dated(context),
			clock
		});
		this.#state = {
			id,
			queue,
			pid: process.pid,
			born: markOf(process.pid)?.born,
			address: "",
			state: "joining",
			ttlMs: request.ttlMs,
			startedAt: new Date(clock.now()).toISOString(),
			log: logPath(folder, id)
		};
	}
	stop() {
		this.#stopping = true;
		this.#agent?.stop();
	}
	starterGone() {
		if (!this.#reported) this.stop();
	}
	async run() {
		const { folder, id, flags } = this.#order;
		const { QueueService } = await import("./chunks/queue-service.mjs");
		const service = new QueueService();
		let connection;
		let asPlanned = false;
		let reserved = false;
		try {
			const address = await service.listen(this.#request.port);
			this.#state = {
				...this.#state,
				address
			};
			reserve(folder, this.#state);
			reserved = true;
			connection = await this.#context.connect(flags);
			const agent = this.#join(connection);
			service.serve(agent);
			await agent.joined;
			const { describe } = connection;
			this.#reporter.note(`joined at ${describe}; serving on ${address}`, { event: "joined" });
			await this.#report({
				type: "joined",
				state: this.#state
			});
			const end = await agent.ended;
			asPlanned = (end.why === "asked" || end.why === "process_gone") && end.place !== "unconfirmed";
			if (!asPlanned) this.#publish({
				state: "ended",
				end
			});
			await this.#conclude(end);
		} catch (error) {
			await this.#agent?.stop();
			if (reserved) forget(folder, id, { log: !process.connected });
			const { code, message, details } = toSignalboxError(error);
			await this.#report({
				type: "failed",
				code,
				message,
				details
			});
		} finally {
			this.#reporter.close();
			await service.close(this.#context.clock);
			await connection?.close();
			if (asPlanned) forget(folder, id, { log: true });
		}
	}
	#join({ turns }) {
		const { clock, random } = this.#context;
		const { watched } = this.#order;
		const agent = new Agent({
			...this.#request,
			api: turns,
			clock,
			random,
			isWanted: watched === void 0 ? void 0 : () => isAlive(watched),
			onChange: (progress) => this.#publish(progress),
			onProgress: (event) => this.#reporter.progress(event)
		});
		this.#agent = agent;
		if (this.#stopping) agent.stop();
		return agent;
	}
	/** Notes how it ended, and acts on a loss. */
	async #conclude(end) {
		this.#reporter.note(withoutQueue(end.message, this.#request.queue), { event: "ended" });
		if (end.why !== "lost" || this.#request.onLost !== "cancel-run") return;
		try {
			await cancelRun(this.#context.env);
			this.#reporter.note("the workflow run was asked to cancel", { event: "cancelled_run" });
		} catch (error) {
			this.#reporter.warn(toSignalboxError(error), "the steps go on without the turn");
		}
	}
	/** A state that cannot be written is stale for those who read it, but the turn is kept. */
	#publish(change) {
		this.#state = {
			...this.#state,
			...change
		};
		try {
			publish(this.#order.folder, this.#state);
			this.#publishes = true;
		} catch (error) {
			if (this.#publishes) this.#reporter.warn(toSignalboxError(error), "the state file is out of date");
			this.#publishes = false;
		}
	}
	#report(report) {
		this.#reported = true;
		return new Promise((done) => {
			if (process.send === void 0 || !process.connected) {
				done();
				return;
			}
			process.send(report, void 0, void 0, () => {
				if (process.connected) process.disconnect();
				done();
			});
		});
	}
};
/** The order comes through the channel that `turn agent start` opened. */
function orderFromStarter() {
	if (process.send === void 0) throw new SignalboxError("invalid_argument", "serve: is what 'signalbox turn agent start' runs; use that");
	return new Promise((done, failed) => {
		process.once("message", (order) => done(order));
		process.once("disconnect", () => failed(new SignalboxError("cancelled", "the starter has gone")));
	});
}
/** Lines of the log begin with the time. */
function dated({ stderr, clock }) {
	return { write: (text) => stderr.write(`${new Date(clock.now()).toISOString()} ${text}`) };
}
function withoutQueue(message, queue) {
	return message.startsWith(`${queue}: `) ? message.slice(queue.length + 2) : message;
}
// actions/turn/src/agent.ts
/** The background process that holds a place across steps: what `turn agent serve` is to the command line. */
const terminal = processTerminal();
catchCrashes(terminal);
try {
	await serveAgent(cliContext(terminal, (code) => process.exitCode = code));
} catch (error) {
	process.exitCode = printError(error, terminal, { json: false });
}
export {};
