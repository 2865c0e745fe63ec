import { i as isSignalboxError, t as SignalboxError } from "./error.mjs";
import { t as sleep } from "./clock.mjs";
import { n as decimalKey } from "./store.mjs";
import { n as DEFAULT_TTL_MS } from "./api.mjs";
import { i as safetyMargin, n as deepPollInterval, t as beatInterval } from "./timing.mjs";
import { t as backoffDelay } from "./backoff.mjs";
import { n as isTransient } from "./attempt.mjs";
import { n as describeEngine } from "./engine.mjs";
import { createHash } from "node:crypto";
// src/turns/records.ts
/**
* How a turn queue lies in the store (../ports/store.ts). All keys are decimal, so that a table with a numeric range
* key can hold them.
*
*   signalbox:q:<queue>        0        → Control: the queue's one point of decision
*                              ticket   → Beat: exists exactly while the member holds or is in the window
*   signalbox:w:<queue>        line key → Waiter: exists exactly while the member waits; key order is the line
*   signalbox:i:<queue>        random   → Posted: a join that met contention, until somebody gives it its ticket
*   signalbox:m:<queue>:<id>   0        → Member: from join until 24 h after its end; makes join and leave idempotent
*   signalbox:h:<queue>        fence    → PastHold, for 30 days
*   signalbox:queues           hash     → the queue's name (there is no scan)
*
* Every commit that grants, ends, enlists or evicts carries the control record with its expected version; a beat is
* the only write that does not, beside the posting of a join (and its withdrawal), which decides nothing.
*/
/** How long past holds are kept. */
const HISTORY_KEPT_MS = 2592e6;
/** How long the record of an ended member keeps late repeats from doing harm. */
const MEMBER_KEPT_MS = 864e5;
/** How long a posted join may wait for its ticket; the member asks again long before. */
const POSTED_KEPT_MS = 6e5;
const TICKETS_PER_CLASS = 10 ** 13;
const controlKey = (queue) => [`signalbox:q:${queue}`, decimalKey(0)];
const beatKey = (queue, ticket) => [`signalbox:q:${queue}`, decimalKey(ticket)];
const memberKey = (queue, id) => [`signalbox:m:${queue}:${id}`, decimalKey(0)];
const historyPartition = (queue) => `signalbox:h:${queue}`;
const linePartition = (queue) => `signalbox:w:${queue}`;
const inboxPartition = (queue) => `signalbox:i:${queue}`;
/** Higher priority first, then ticket order. */
function lineKey(priority, ticket) {
	return decimalKey((99 - priority) * TICKETS_PER_CLASS + ticket);
}
const waiterKey = (queue, entry) => [linePartition(queue), lineKey(entry.priority, entry.ticket)];
/** Negative when `a` stands before `b` in line. */
function compareInLine(a, b) {
	return b.priority - a.priority || a.ticket - b.ticket;
}
const registryPartition = "signalbox:queues";
/** The registry key of a queue name; `probe` counts up past another name with the same hash. */
function registryKey(queue, probe = 0) {
	const hash = createHash("sha256").update(queue).digest().readUIntBE(0, 6) % 10 ** 14;
	return [registryPartition, decimalKey(hash + probe)];
}
/** Records are plain JSON; interfaces lack the index signature that `Json` asks for. */
function asJson(value) {
	return value;
}
// src/turns/guard/record.ts
/**
* The guard: one record in the partition that bears the queue's bare name, where clients of the dynamo-q tool keep their
* entries. Its key sorts before any of theirs, so a client that sees it is not at the front; and its expiry is their
* `lastUpdated`, in the future, so that none takes it for dead. `../guard.ts` says what follows from that.
*/
/** A guard stands this long after each refresh (longer for a hold TTL above 70 s, see `guardLife`). */
const GUARD_LIFE_MS = 12e4;
/** From here on nobody relies on a guard any more that is about to lapse. */
const LAPSE_MARGIN_MS = 1e4;
/** Longer than a read of theirs may be out of date, by far. */
const SETTLE_MS = 5e3;
/** Their longest pause between two heartbeats is 24 s; one more for its way. */
const QUIET_MS = 25e3;
/** They take an entry for dead after 120 s; ours is measured on another clock. */
const DEAD_MS = 13e4;
/** While their jobs are waited for. */
const LOOK_MS = 5e3;
const guardKey = (queue) => [queue, decimalKey(1)];
/** For how long after a beat the holder may go on working; a suspended machine's wall clock gives it half a margin more. */
function workAfterBeat(ttlMs) {
	return ttlMs - safetyMargin(ttlMs) / 2 + LAPSE_MARGIN_MS;
}
/** So long that two thirds of it, what is left when a refresh falls due, are more than `workAfterBeat`. */
function guardLife(ttlMs) {
	return Math.max(GUARD_LIFE_MS, Math.ceil(ttlMs * 1.5) + 15e3);
}
/** Undefined: not a guard of ours. */
function asGuard(value) {
	const guard = value;
	return typeof guard === "object" && guard?.kind === "signalbox-guard" ? guard : void 0;
}
/** How long it still stands at least, by the engine's clock. */
function leftMs({ until }, { store }) {
	const { ms, uncertaintyMs } = store.now();
	return until - ms - uncertaintyMs;
}
/**
* Writes the guard with a whole life from now, or what was left of it if that is more.
* @returns undefined when what was expected did not hold
*/
async function writeGuard({ store, clock }, queue, expect, guard, lifeMs) {
	const sentAt = clock.monotonic();
	const { ms, uncertaintyMs } = store.now();
	const until = Math.max(guard.until ?? 0, Math.ceil(ms + uncertaintyMs + lifeMs));
	const value = {
		...guard,
		kind: "signalbox-guard",
		until
	};
	const change = {
		op: "put",
		key: guardKey(queue),
		expect,
		value: { ...value },
		expiresAt: until
	};
	const result = await store.commit([change]);
	const version = result.ok ? result.versions[0] : void 0;
	return version === void 0 ? void 0 : {
		version,
		value,
		safeUntil: sentAt + lifeMs
	};
}
/** @returns false when it has changed meanwhile */
async function deleteGuard({ store }, queue, version) {
	return (await store.commit([{
		op: "delete",
		key: guardKey(queue),
		expect: { version }
	}])).ok;
}
async function readOurs({ store }, queue) {
	const control = (await store.get(controlKey(queue)))?.value;
	return {
		holders: control?.holders ?? [],
		waits: (control?.window.length ?? 0) > 0
	};
}
/**
* May a holder other than `id` rely on this guard? Whoever takes it over raises its fence to its own or above, and changes its
* version; so a holder with a higher fence did not, as long as the version stays. `ours` must be read after the guard.
*/
function isReliedOn({ verified, fence }, { holders }, id) {
	return verified && holders.some((holder) => holder.id !== id && holder.fence <= fence);
}
// src/turns/guard/look.ts
/**
* One look at the bare partition: the guard and everybody else, in one read. Entries proven dead are removed, each on
* condition that it is still as it was when last seen, so that nobody after us has to wait for them again.
*/
const PAGE$2 = 1e3;
const BURIED_AT_ONCE = 10;
async function lookAround(context, queue, strangers) {
	const { store, clock } = context;
	const sentAt = clock.monotonic();
	const records = [];
	for (let after;;) {
		const options = after === void 0 ? { limit: PAGE$2 } : {
			limit: PAGE$2,
			after
		};
		const page = await store.list({ partition: queue }, options);
		records.push(...page.records);
		if (page.next === void 0) break;
		after = page.next;
	}
	const seenAt = clock.monotonic();
	const guard = records.map(standing).find((found) => found !== void 0);
	strangers.saw(records.filter((record) => standing(record) === void 0), sentAt, seenAt);
	const shown = {
		anyAlive: strangers.anyAlive,
		anyWaiting: strangers.anyWaiting(store.now().ms)
	};
	await bury(context, queue, strangers);
	return {
		sentAt,
		seenAt,
		guard,
		...shown
	};
}
function standing({ key, version, value }) {
	if (key[1] !== guardKey(key[0])[1]) return void 0;
	const guard = asGuard(value);
	return guard === void 0 ? void 0 : {
		version,
		value: guard
	};
}
async function bury({ store }, queue, { dead }) {
	for (const [key, version] of dead.slice(0, BURIED_AT_ONCE)) try {
		await store.commit([{
			op: "delete",
			key: [queue, key],
			expect: { version }
		}]);
	} catch (error) {
		if (!isSignalboxError(error)) throw error;
		return;
	}
}
// src/turns/guard/claim.ts
/**
* What one holder of ours has to do with the guard: secure it before it may work, keep it standing while it works.
*
* ```
*   no guard, or one about to lapse ──place──▶ unverified ──5 s, then a look: nobody alive──▶ verified ──▶ relied on
*            ▲      (nobody alive)                 │                                            ▲            │
*            └────────── somebody alive: delete ───┘         found verified: take it over ──────┘      refreshed
* ```
*
* Each call of `secure` goes as far as it can without waiting; who calls it waits. Nothing goes on between calls.
*/
const CHANCES$1 = 4;
/** After a step that failed, or met others at the guard again and again. */
const RETRY_MS = 500;
var Claim = class {
	holder;
	#context;
	#strangers;
	/** The unverified guard that is known to have stood since then (monotonic ms). */
	#placed;
	#reliance;
	#lost;
	#progress = {
		secured: false,
		waitsFor: "settling",
		againAt: -Infinity
	};
	#step;
	#refresh;
	#leaving = false;
	/** Monotonic ms since when it waits for jobs of the other tool. */
	waitingSince;
	constructor(context, holder, strangers) {
		this.#context = context;
		this.holder = holder;
		this.#strangers = strangers;
	}
	get secured() {
		return this.#reliance !== void 0;
	}
	/** How far the last step came. */
	get progress() {
		return this.secured ? { secured: true } : this.#progress;
	}
	/** One step, or the one under way. @throws what the store throws; `turn_lost` */
	secure() {
		this.#step ??= this.#advance().finally(() => this.#step = void 0);
		return this.#step;
	}
	/** Nothing new is placed from now on. */
	leave() {
		this.#leaving = true;
	}
	/** The member is back after a `leave` that failed. */
	stay() {
		this.#leaving = false;
	}
	/** Is the guard certain to stand for as long as a beat acknowledged now lets the holder work? */
	get covers() {
		return this.#leftMs() >= workAfterBeat(this.holder.ttlMs);
	}
	/** Refreshes the guard when a third of its life has passed, or joins a refresh under way. @throws `turn_lost`, what the store throws */
	async keep() {
		if (this.#lost !== void 0) throw this.#lost;
		if (this.#leftMs() > guardLife(this.holder.ttlMs) * 2 / 3) return;
		this.#refresh ??= this.#renew().finally(() => this.#refresh = void 0);
		await this.#refresh;
	}
	async #advance() {
		if (this.#lost !== void 0) throw this.#lost;
		const { clock } = this.#context;
		let progress;
		try {
			for (let chances = CHANCES$1; chances > 0 && progress === void 0; chances--) {
				if (this.#leaving) throw new SignalboxError("cancelled", "the member leaves");
				const look = await lookAround(this.#context, this.holder.queue, this.#strangers);
				progress = await this.#decide(look);
			}
		} finally {
			if (progress?.secured !== true) this.#progress = progress ?? {
				...this.#progress,
				againAt: clock.monotonic() + RETRY_MS
			};
		}
		const waits = this.#progress.waitsFor === "jobs";
		this.waitingSince = waits ? this.waitingSince ?? clock.monotonic() : void 0;
	}
	/** @returns undefined when the guard has changed since the look: look again */
	#decide(look) {
		const { guard } = look;
		if (guard === void 0 || leftMs(guard.value, this.#context) < 1e4) return this.#place(look);
		return guard.value.verified ? this.#takeOver(look, guard) : this.#verify(look, guard);
	}
	async #place(look) {
		const { random, clock } = this.#context;
		this.#placed = void 0;
		const { quietFrom } = this.#strangers;
		if (look.anyAlive || look.sentAt < quietFrom) return this.#jobsGoFirst(look, quietFrom);
		const placement = random.id();
		const expect = look.guard === void 0 ? "absent" : { version: look.guard.version };
		const { id, fence } = this.holder;
		const written = await this.#write(expect, {
			placement,
			verified: false,
			fence,
			by: id
		});
		if (written === void 0) return void 0;
		if (this.#leaving) await deleteGuard(this.#context, this.holder.queue, written.version);
		this.#placed = {
			placement,
			since: clock.monotonic()
		};
		return {
			secured: false,
			waitsFor: "settling",
			againAt: this.#placed.since + SETTLE_MS
		};
	}
	/** Whoever placed it, it is verified by whoever has known it long enough. */
	async #verify(look, guard) {
		const { placement } = guard.value;
		if (look.anyAlive) {
			this.#placed = void 0;
			await deleteGuard(this.#context, this.holder.queue, guard.version);
			return this.#jobsGoFirst(look, this.#strangers.quietFrom);
		}
		if (this.#placed?.placement !== placement) this.#placed = {
			placement,
			since: look.seenAt
		};
		const ripeAt = SETTLE_MS + Math.max(this.#placed.since, this.#strangers.quietFrom);
		if (look.sentAt < ripeAt) return {
			secured: false,
			waitsFor: "settling",
			againAt: ripeAt
		};
		return this.#rely(guard);
	}
	/** It has held the other tool's jobs back since it was verified, so none is at work; but one that waits goes first. */
	async #takeOver(look, guard) {
		if (!look.anyWaiting) return this.#rely(guard);
		const { queue, id } = this.holder;
		const ours = await readOurs(this.#context, queue);
		if (!isReliedOn(guard.value, ours, id)) await deleteGuard(this.#context, queue, guard.version);
		return this.#jobsGoFirst(look, this.#strangers.quietFrom);
	}
	/** The write tells who leaves meanwhile that somebody relies on it. */
	async #rely(guard) {
		const { id } = this.holder;
		const fence = Math.max(guard.value.fence, this.holder.fence);
		const written = await this.#write({ version: guard.version }, {
			...guard.value,
			verified: true,
			fence,
			by: id
		});
		if (written === void 0) return void 0;
		this.#reliance = written;
		return { secured: true };
	}
	#jobsGoFirst(look, quietFrom) {
		const next = look.seenAt + LOOK_MS;
		return {
			secured: false,
			waitsFor: "jobs",
			againAt: look.anyAlive ? next : Math.min(next, Math.max(quietFrom, look.seenAt))
		};
	}
	async #renew() {
		const { store, clock } = this.#context;
		const { queue, fence, id } = this.holder;
		for (let chances = CHANCES$1; chances > 0; chances--) {
			const known = this.#reliance;
			if (known !== void 0) {
				const written = await this.#write({ version: known.version }, {
					...known.value,
					by: id
				});
				if (written !== void 0) {
					this.#reliance = written;
					return;
				}
			}
			const record = await store.get(guardKey(queue));
			const at = clock.monotonic();
			const value = record === void 0 ? void 0 : asGuard(record.value);
			if (record === void 0 || value === void 0 || !value.verified || value.fence < fence) this.#lose(record === void 0 ? "is gone" : "was replaced");
			const safeUntil = at + leftMs(value, this.#context);
			this.#reliance = {
				version: record.version,
				value,
				safeUntil
			};
			if (this.covers && known !== void 0) return;
		}
		throw new SignalboxError("throttled", `the guard of queue '${queue}' is too busy; ask again`);
	}
	#write(expect, guard) {
		return writeGuard(this.#context, this.holder.queue, expect, guard, guardLife(this.holder.ttlMs));
	}
	/** By the monotonic clock or the engine's, whichever says less: one stands still while the machine sleeps, the other may jump. */
	#leftMs() {
		if (this.#reliance === void 0) return 0;
		const { safeUntil, value } = this.#reliance;
		return Math.min(safeUntil - this.#context.clock.monotonic(), leftMs(value, this.#context));
	}
	#lose(how) {
		this.#lost = new SignalboxError("turn_lost", `the guard of queue '${this.holder.queue}' against jobs of the dynamo-q tool ${how}, so one of them may be at work: stop the work and join again`);
		throw this.#lost;
	}
};
// src/turns/guard/recent.ts
/** A map that remembers the most recently used entries only. */
var Recent = class {
	#entries = /* @__PURE__ */ new Map();
	#capacity;
	constructor(capacity) {
		this.#capacity = capacity;
	}
	get(key) {
		const value = this.#entries.get(key);
		if (value !== void 0) this.set(key, value);
		return value;
	}
	set(key, value) {
		this.#entries.delete(key);
		this.#entries.set(key, value);
		if (this.#entries.size <= this.#capacity) return;
		for (const oldest of this.#entries.keys()) {
			this.#entries.delete(oldest);
			return;
		}
	}
	delete(key) {
		this.#entries.delete(key);
	}
};
// src/turns/guard/strangers.ts
/** Their clocks and ours may differ by a minute before an entry looks dead to the eye; see `waiting`. */
const FRESH_MS$1 = 18e4;
var Strangers = class {
	#seen = /* @__PURE__ */ new Map();
	#vanishedAt = -Infinity;
	/** A complete look, asked for and answered at these times (monotonic ms). */
	saw(records, sentAt, seenAt) {
		const shown = /* @__PURE__ */ new Set();
		for (const { key, version, value } of records) {
			const [, id] = key;
			shown.add(id);
			const before = this.#seen.get(id);
			if (before?.version === version) {
				before.dead = sentAt - before.since >= DEAD_MS;
				continue;
			}
			const beats = before !== void 0;
			this.#seen.set(id, {
				version,
				since: seenAt,
				beats,
				lastUpdated: lastUpdatedOf(value),
				dead: false
			});
		}
		for (const [id, { dead }] of this.#seen) {
			if (shown.has(id)) continue;
			this.#seen.delete(id);
			if (!dead) this.#vanishedAt = seenAt;
		}
	}
	/** Any that is not known to be dead. */
	get anyAlive() {
		for (const { dead } of this.#seen.values()) if (!dead) return true;
		return false;
	}
	/**
	* Does one of them seem to wait for its turn? Decides who goes first, never whether it is safe to go: an entry that was not seen
	* to beat is taken at its word.
	* @param now engine time
	*/
	anyWaiting(now) {
		for (const { dead, beats, lastUpdated } of this.#seen.values()) if (!dead && (beats || lastUpdated * 1e3 > now - FRESH_MS$1)) return true;
		return false;
	}
	/** Entries proven dead, by key. */
	get dead() {
		return [...this.#seen].filter(([, seen]) => seen.dead).map(([id, { version }]) => [id, version]);
	}
	/**
	* Monotonic ms from which on an entry that another client of theirs destroyed would have been put back by the next
	* heartbeat of its owner, which may be at work.
	*/
	get quietFrom() {
		return this.#vanishedAt + QUIET_MS;
	}
};
function lastUpdatedOf(value) {
	if (typeof value !== "object" || value === null || !("lastUpdated" in value)) return 0;
	return Number(value.lastUpdated) || 0;
}
// src/turns/guard/tidy.ts
/**
* What a member that leaves does with the guard: away with it if somebody of the other tool waits, or nobody of ours would
* use it; otherwise it stays for the next of ours. It is deleted only as it was read before asking who relies on it.
*/
const CHANCES = 4;
const BACKOFF = {
	baseMs: 50,
	maxMs: 400
};
/** Best effort: what is left behind lapses by itself. @param id of the member that has left */
async function tidy(context, queue, id, strangers) {
	for (let n = 0; n < CHANCES; n++) {
		if (n > 0) await sleep(context.clock, backoffDelay(BACKOFF, n, context.random));
		try {
			if (await tidyOnce(context, queue, id, strangers)) return;
		} catch (error) {
			if (!isSignalboxError(error)) throw error;
		}
	}
}
/** @returns false when the guard changed meanwhile */
async function tidyOnce(context, queue, id, strangers) {
	const { guard, anyWaiting } = await lookAround(context, queue, strangers);
	if (guard === void 0) return true;
	const ours = await readOurs(context, queue);
	if (isReliedOn(guard.value, ours, id)) return true;
	if ((ours.waits || ours.holders.some((holder) => holder.id !== id)) && !anyWaiting) return true;
	return deleteGuard(context, queue, guard.version);
}
// src/turns/guard/waiting-view.ts
const STAND_IN = {
	id: "dynamo-q",
	fence: 0,
	labels: { name: "jobs of the dynamo-q tool" }
};
const REASONS = {
	jobs: "jobs of the dynamo-q tool on this queue go first",
	settling: "making sure that no job of the dynamo-q tool is at work on this queue"
};
/** @param waitedMs for how long jobs of the other tool have been waited for */
function notYet(granted, { waitsFor }, waitedMs, elapsedMs) {
	const { fence: _, ...view } = granted;
	return {
		...view,
		state: "waiting",
		position: 1,
		positionExact: true,
		inWindow: true,
		pollMs: beatInterval(view.ttlMs),
		holders: waitsFor === "jobs" ? [{
			...STAND_IN,
			sinceMs: waitedMs
		}] : [],
		reason: REASONS[waitsFor],
		elapsedMs
	};
}
// src/turns/guard.ts
/**
* Beside the reference: turns of ours and jobs of the dynamo-q tool on the same queue of the same table never run at once.
* A decorator of `TurnsApi`: who is granted a turn is told so only when a *guard* (guard/record.ts) holds the other tool back.
*
* What a client of that tool does: it puts an entry, reads all entries in order (up to a few seconds out of date), and is at the
* front, for good, once the first entry is its own. Before that it deletes leading entries whose `lastUpdated` is more than
* 120 s old. Until it ends it beats every 10–24 s, which on DynamoDB puts its entry back should it be gone.
*
* Invariants:
*  1. A member is told "holding", and a beat is acknowledged, only while a verified guard stands that is certain to outlast
*     the work which that answer allows (`workAfterBeat`). What a holder does not hear it does not rely on.
*  2. A guard is verified only by a look that was sent 5 s after the guard was known to stand, and that showed nobody alive.
*     It stays verified, since it is only ever replaced and deleted on condition of its version; a new one starts unverified.
*  3. A guard is deleted only as it was before the queue's holders were read, and only if none of them but the leaver had a
*     fence it counts in. Relying on it raises that fence and changes the version, so one of the two fails.
*  4. Nobody takes over or puts a guard while somebody of the other tool seems to wait: they go first.
*
* Why nobody of theirs is at work beside one of ours:
* - *Read out of date, answers on their way.* A client at the front saw its own entry, and no guard. Each item it read may be a few
*   seconds old, on its own: so it read within seconds of the guard's placing, and its entry stands at our look, 5 s later.
*   Without the 5 s its entry could be newer than our look, and the guard it missed older.
* - *A put on its way, or tried again.* It is in the table before its owner reads; then the guard is, too.
* - *An entry that is gone while its owner works* (two of one second share one key; clocks far apart): the owner's next beat
*   puts it back. Once an entry was seen to go we wait `QUIET_MS` more, so that our look finds it. Not covered: it went
*   before our first look, less than 24 s ago; or on Firestore, where their beats put nothing back.
* - *Their zombie deletion.* The guard's `lastUpdated` lies in the future while any of ours relies on it, and must be 120 s old: their clocks may
*   be ahead of the engine's by 3 minutes (2 when refreshing fails to the last), and behind by anything.
* - *Lost answers of ours* are followed by a look; what it shows counts from that look. A late write meets another version.
* - *A crash of ours* leaves at worst a guard: unverified, it is verified anew, 5 s from the next look; verified, it has held them back
*   without a gap; lapsed, it does not count. Dead entries of theirs go only as they were for 130 s by our monotonic clock.
* - *Clocks.* A guard expires by engine time with its uncertainty on the safe side; our wall clock is not asked.
*
* Costs. A grant beside nobody: 5 s, 2 reads, 2 writes; its release: 2 reads, 1 write. A hand-over between ours: 1 read and 1 write to take
* over, 2 reads to leave. A holder: 1 write each 40 s. Those who wait in our own line: nothing.
*/
/** What one step at the guard may take before the caller is answered without it. */
const STEP_MS = 1e3;
const TIDY_MS = 1500;
const REFRESH_MS = 2e3;
/** What is forgotten beyond this is found out anew. */
const CLAIMS = 1e4;
const QUEUES = 1e3;
/** Names of our own partitions begin so; a queue of such a name would lie among them. */
const RESERVED = "signalbox:";
/**
* @example
* const turns = besideReference({ turns: createTurnsService({ store, clock, random }), store, clock, random })
*/
function besideReference(options) {
	return new BesideReference(options);
}
var BesideReference = class {
	#context;
	#turns;
	/** By queue and member id. */
	#claims = new Recent(CLAIMS);
	#strangers = new Recent(QUEUES);
	constructor({ turns, store, clock, random }) {
		this.#turns = turns;
		this.#context = {
			store,
			clock,
			random
		};
	}
	async join(queue, request, signal) {
		if (queue.startsWith(RESERVED)) throw new SignalboxError("invalid_argument", `queue: '${queue}' begins with '${RESERVED}', which is kept for the records of Signalbox itself; use another name`);
		const { id, waitMs } = request;
		const call = {
			queue,
			id,
			arrivedAt: this.#context.clock.monotonic(),
			waitMs,
			signal
		};
		const joined = await this.#turns.join(queue, request, signal);
		try {
			return await this.#admit(call, joined);
		} catch (error) {
			if (isTransient(error)) throw new SignalboxError("outcome_unknown", error.message, { cause: error });
			await this.leave(queue, id).catch(() => {});
			throw error;
		}
	}
	async wait(queue, id, request, signal) {
		const call = {
			queue,
			id,
			arrivedAt: this.#context.clock.monotonic(),
			waitMs: request.waitMs,
			signal
		};
		return this.#admit(call, await this.#turns.wait(queue, id, request, signal));
	}
	async beat(queue, id, fence, signal) {
		const answer = await this.#turns.beat(queue, id, fence, signal);
		const claim = this.#claims.get(keyOf(queue, id)) ?? await this.#adopt(queue, id, fence);
		await this.#keep(claim);
		return answer;
	}
	async leave(queue, id, fence, signal) {
		const claim = this.#claims.get(keyOf(queue, id));
		claim?.leave();
		const left = await this.#turns.leave(queue, id, fence, signal);
		if (claim === void 0 && left.outcome !== "released") return left;
		this.#claims.delete(keyOf(queue, id));
		const tidied = tidy(this.#context, queue, id, this.#strangersOf(queue));
		await within(this.#context.clock, TIDY_MS, tidied.catch(() => {}));
		return left;
	}
	show(queue, options) {
		return this.#turns.show(queue, options);
	}
	list(options) {
		return this.#turns.list(options);
	}
	setState(queue, state, act) {
		return this.#turns.setState(queue, state, act);
	}
	setPermits(queue, permits, act) {
		return this.#turns.setPermits(queue, permits, act);
	}
	evict(queue, id, act) {
		return this.#turns.evict(queue, id, act);
	}
	history(queue, options) {
		return this.#turns.history(queue, options);
	}
	/** Passes on what was answered, but "holding" only when the guard is secured. */
	async #admit({ queue, id, arrivedAt, waitMs = 0, signal }, view) {
		if (view.state !== "holding" || view.fence === void 0) return view;
		const { clock } = this.#context;
		const answeredAt = clock.monotonic();
		const claim = this.#claimOf(view, view.fence);
		claim.stay();
		if (!claim.secured) {
			const until = arrivedAt + Math.min(waitMs, beatInterval(view.ttlMs));
			const progress = await this.#secure(claim, until, signal);
			if (!progress.secured) {
				const now = clock.monotonic();
				return notYet(view, progress, now - (claim.waitingSince ?? now), now - arrivedAt);
			}
		}
		const askedAt = clock.monotonic();
		if (askedAt - answeredAt >= STEP_MS) {
			const fresh = await this.#turns.wait(queue, id, { waitMs: 0 }, signal);
			view = {
				...fresh,
				elapsedMs: fresh.elapsedMs + askedAt - arrivedAt
			};
		}
		if (view.state === "holding") await this.#keep(claim);
		return view;
	}
	/** Until the guard is secured, or `until` (monotonic ms). */
	async #secure(claim, until, signal) {
		const { clock } = this.#context;
		for (;;) {
			const { progress } = claim;
			if (progress.secured) return progress;
			const now = clock.monotonic();
			if (progress.againAt > now && until > now) await this.#sleep(Math.min(progress.againAt, until) - now, signal);
			if (progress.againAt > until) return progress;
			try {
				await within(clock, Math.max(STEP_MS, until - clock.monotonic()), claim.secure());
			} catch (error) {
				if (!isTransient(error)) throw error;
			}
			if (clock.monotonic() >= until) return claim.progress;
		}
	}
	/** A beat is worth something only while the guard covers what it allows. @throws `turn_lost`, `unavailable` */
	async #keep(claim) {
		let failure;
		try {
			await within(this.#context.clock, REFRESH_MS, claim.keep());
		} catch (error) {
			if (isSignalboxError(error, "turn_lost")) throw error;
			failure = error;
		}
		if (claim.covers) return;
		throw new SignalboxError("unavailable", `the guard of queue '${claim.holder.queue}' against jobs of the dynamo-q tool could not be refreshed in time; ask again`, { cause: failure });
	}
	/** A holder that another process was told of, or this one before it was started anew. */
	async #adopt(queue, id, fence) {
		const { holders } = await readOurs(this.#context, queue);
		const grant = holders.find((holder) => holder.id === id && holder.fence === fence);
		if (grant === void 0) throw new SignalboxError("unavailable", `queue '${queue}' changed meanwhile; ask again`);
		return this.#claimOf({
			queue,
			id,
			ttlMs: grant.ttlMs
		}, fence);
	}
	#claimOf({ queue, id, ttlMs }, fence) {
		const known = this.#claims.get(keyOf(queue, id));
		if (known?.holder.fence === fence) return known;
		const claim = new Claim(this.#context, {
			queue,
			id,
			fence,
			ttlMs
		}, this.#strangersOf(queue));
		this.#claims.set(keyOf(queue, id), claim);
		return claim;
	}
	#strangersOf(queue) {
		let strangers = this.#strangers.get(queue);
		if (strangers === void 0) this.#strangers.set(queue, strangers = new Strangers());
		return strangers;
	}
	async #sleep(ms, signal) {
		try {
			await sleep(this.#context.clock, Math.max(0, ms), signal);
		} catch (cause) {
			throw new SignalboxError("cancelled", "the caller hung up", { cause });
		}
	}
};
function keyOf(queue, id) {
	return `${queue}\n${id}`;
}
/** The outcome of a promise, or undefined if it takes longer; then it goes on unheard. */
function within(clock, ms, promise) {
	return new Promise((resolve, reject) => {
		const timer = clock.timer(ms, () => resolve(void 0));
		promise.then(resolve, reject).finally(() => timer.cancel());
	});
}
// src/ports/elsewhere.ts
/** How long after a look the next one begins. */
const LOOK_AGAIN_MS$1 = 2e3;
/** Reads of one look that are under way at the same time. */
const AT_ONCE = 32;
var Elsewhere = class {
	#options;
	#known = /* @__PURE__ */ new Map();
	#timer;
	/** Counts starts and stops, so that a look that was under way then changes nothing. */
	#round = 0;
	constructor(options) {
		this.#options = options;
	}
	start() {
		this.#known = /* @__PURE__ */ new Map();
		this.#lookLater(++this.#round);
	}
	stop() {
		this.#round++;
		this.#timer?.cancel();
	}
	#lookLater(round) {
		const look = async () => {
			const found = await this.#look().catch(() => this.#known);
			if (round !== this.#round) return;
			for (const [name, version] of found) if (this.#known.get(name) !== version) this.#options.changed(name);
			this.#known = found;
			this.#lookLater(round);
		};
		this.#timer = this.#options.clock.timer(LOOK_AGAIN_MS$1, () => void look(), { unref: true });
	}
	async #look() {
		const { store, records } = this.#options;
		const versions = /* @__PURE__ */ new Map();
		const all = [...await records()];
		for (let first = 0; first < all.length; first += AT_ONCE) {
			const some = all.slice(first, first + AT_ONCE);
			const found = await Promise.all(some.map(([, key]) => store.get(key)));
			some.forEach(([name], index) => {
				const record = found[index];
				if (record !== void 0) versions.set(name, record.version);
			});
		}
		return versions;
	}
};
// src/ports/audit.ts
/** Entries are kept this long. */
const AUDIT_KEPT_MS = 7776e6;
function auditPartition(at) {
	return `signalbox:audit:${new Date(at).toISOString().slice(0, 10)}`;
}
/** The change that records `entry`. A conflict on its key (two of one instant) goes away with another random number. */
function auditChange(entry, random) {
	const key = decimalKey(Math.floor(entry.at) * 100 + Math.floor(random.next() * 100));
	const value = JSON.parse(JSON.stringify(entry));
	return {
		op: "put",
		key: [auditPartition(entry.at), key],
		expect: "absent",
		value,
		expiresAt: entry.at + AUDIT_KEPT_MS
	};
}
// src/turns/commands.ts
/**
* The commands a queue's mailbox takes, and how each is applied to a transition. Pure, like the rules; what a command
* decided becomes an answer only when the commit is durable.
*/
/** Applies one command. A refusal changes nothing. */
function apply(t, command, facts, context) {
	if (command.kind === "settle") return { kind: "done" };
	if (command.kind === "set") return applySet(t, command, context);
	const standing = t.standing(command.id, facts.member, facts.waits);
	switch (command.kind) {
		case "join": return applyJoin(t, command, standing, context);
		case "wait": return applyWait(t, command.id, command.wait, standing, context);
		case "beat":
			if (standing.state === "unknown") return {
				kind: "refused",
				error: unknownMember(context.queue, command.id)
			};
			if (standing.state !== "holding" || standing.grant.fence !== command.fence) return {
				kind: "refused",
				error: lost(context.queue, standing)
			};
			t.beat(standing.grant);
			return { kind: "beaten" };
		case "leave": return {
			kind: "left",
			id: command.id,
			outcome: t.leave(command.id, standing, facts.member, command.fence)
		};
		case "remove": return applyRemove(t, command, standing, facts.member, context);
		case "evict": {
			const { ticket, fence, beat } = command.suspect;
			if (!context.observer.suspects(context.at).some((s) => s.ticket === ticket && s.beat === beat)) return { kind: "done" };
			if (!t.evict(ticket, fence, beat, facts.member)) return { kind: "done" };
			return {
				kind: "done",
				happened: fence === 0 ? "evicted" : "lost"
			};
		}
	}
}
function applyJoin(t, command, standing, context) {
	if (standing.state !== "unknown") return standing.state === "left" || standing.state === "lost" || standing.state === "ending" ? {
		kind: "refused",
		error: lost(context.queue, standing)
	} : applyWait(t, command.id, command.wait, standing, context);
	try {
		const entry = t.join(command.join);
		return {
			kind: "member",
			id: command.id,
			standing: {
				state: "waiting",
				entry
			},
			wait: command.wait,
			happened: "joined"
		};
	} catch (error) {
		if (error instanceof SignalboxError) return {
			kind: "refused",
			error
		};
		throw error;
	}
}
/** An answer that says "holding" must rest on a beat of its own: the member counts its deadline from this request. */
function applyWait(t, id, wait, standing, context) {
	switch (standing.state) {
		case "unknown": return {
			kind: "refused",
			error: unknownMember(context.queue, id)
		};
		case "holding":
			t.beat(standing.grant);
			break;
		case "waiting": {
			const beatAt = context.observer.wroteAt(standing.entry.ticket);
			if (beatAt === void 0 || context.at - beatAt >= beatInterval(standing.entry.ttlMs) / 2) t.beat(standing.entry);
			break;
		}
		case "posted": return applyPosted(t, id, wait, standing, context);
		case "evicted": return {
			kind: "member",
			id,
			standing: {
				state: "waiting",
				entry: t.reinstate(standing.member)
			},
			wait
		};
	}
	return {
		kind: "member",
		id,
		standing,
		wait
	};
}
/** Gives a posted join its ticket, and with it as many others as fit into the commit. */
function applyPosted(t, id, wait, standing, { posted, fits }) {
	const own = posted.get(standing.key);
	if (own === void 0) return { kind: "stale" };
	try {
		const entry = t.enlist(standing.key, own);
		for (const [key, other] of posted) if (key !== standing.key && fits()) enlistOther(t, key, other);
		return {
			kind: "member",
			id,
			standing: {
				state: "waiting",
				entry
			},
			wait,
			happened: "joined"
		};
	} catch (error) {
		if (!(error instanceof SignalboxError)) throw error;
		t.leave(id, standing, void 0, void 0);
		return {
			kind: "refused",
			error
		};
	}
}
/** A refusal is told to the one it concerns, by its own request. */
function enlistOther(t, key, other) {
	try {
		t.enlist(key, other);
	} catch (error) {
		if (!(error instanceof SignalboxError)) throw error;
	}
}
function applySet(t, { to, act }, context) {
	const { queue, now } = context;
	if (!t.exists && !("permits" in to)) return {
		kind: "refused",
		error: unknownQueue(queue)
	};
	const changed = "permits" in to ? t.setPermits(to.permits) : t.setState(to.state, {
		...act,
		at: now
	});
	if (changed) audit(t, "permits" in to ? "set-permits" : verbs[to.state], queue, act, context, to);
	return {
		kind: "changed",
		changed
	};
}
const verbs = {
	open: "resume",
	paused: "pause",
	draining: "drain"
};
function applyRemove(t, { id, force, act }, standing, member, context) {
	if (!t.exists) return {
		kind: "refused",
		error: unknownQueue(context.queue)
	};
	const repeated = standing.state === "ending" && !force;
	const outcome = t.remove(standing, member, {
		...act,
		at: context.now
	}, force);
	if (outcome !== "gone" && !repeated) audit(t, "evict", context.queue, act, context, {
		member: id,
		force
	});
	return {
		kind: "removed",
		id,
		outcome
	};
}
function audit(t, verb, target, { by, reason }, { now, random }, details) {
	t.add(auditChange({
		at: now,
		actor: by,
		action: `turns.${verb}`,
		target,
		reason,
		details
	}, random));
}
function lost(queue, standing) {
	const note = standing.state === "ending" ? standing.grant.ending : standing.state === "lost" ? standing.member.end?.note : void 0;
	const why = note === void 0 ? "" : ` (evicted by ${note.by}: ${note.reason})`;
	return new SignalboxError("turn_lost", `this member no longer holds queue '${queue}'${why}: stop the work and join again`);
}
function unknownQueue(queue) {
	return new SignalboxError("not_found", `there is no turn queue '${queue}'; a queue exists from its first join on`);
}
function unknownMember(queue, id) {
	return new SignalboxError("not_found", `queue '${queue}' has no member '${id}'; join first`);
}
// src/turns/inbox.ts
/**
* The inbox of a queue: joins that met contention. A member posts its join under a random key, where it contends with
* nobody; whoever comes first gives tickets to as many of them as fit into one commit (`Transition.enlist`).
*
* Invariants: a join is acknowledged when it has its ticket, so one that was acknowledged before another began has the smaller one;
* a posted join is either given its ticket or withdrawn, since both delete its record.
*/
/** As many as one commit takes beside the rest: three changes each. */
const POSTED_READ = 33;
const KEYS = 10 ** 15;
/**
* Does nothing if the member is known already. Repeat it until a look shows what became of it.
* @returns the key under which it may be posted now
*/
async function postJoin(store, queue, { id, permits, priority, ttlMs, labels }, random) {
	const key = decimalKey(Math.floor(random.next() * KEYS));
	const now = store.now().ms;
	const expiresAt = now + POSTED_KEPT_MS;
	const posted = {
		id,
		...permits === void 0 ? {} : { permits },
		priority,
		ttlMs,
		labels
	};
	const member = {
		id,
		ticket: 0,
		priority,
		ttlMs,
		joinedAt: now,
		labels,
		posted: key
	};
	try {
		await store.commit([{
			op: "put",
			key: memberKey(queue, id),
			expect: "absent",
			value: asJson(member),
			expiresAt
		}, {
			op: "put",
			key: [inboxPartition(queue), key],
			expect: "absent",
			value: asJson(posted),
			expiresAt
		}]);
	} catch (error) {
		if (!isSignalboxError(error, "outcome_unknown") && !isSignalboxError(error, "throttled")) throw error;
	}
	return key;
}
/**
* Is it this member's turn to empty the inbox? That of the first always, and now and then that of any other, so that
* the first may sleep, or be dead, and yet few contend.
*/
async function mayEmpty(store, queue, own, random) {
	const { records } = await store.list({ partition: inboxPartition(queue) }, { limit: POSTED_READ });
	const first = records[0]?.key[1];
	return first === void 0 || first === own || random.next() < 2 / records.length;
}
/** The first posted joins by key, and those under `own`. */
async function loadPosted(store, queue, own) {
	const partition = inboxPartition(queue);
	const page = await store.list({ partition }, { limit: POSTED_READ });
	const posted = new Map(page.records.map((r) => [r.key[1], r.value]));
	for (const key of own) {
		const record = posted.has(key) ? void 0 : await store.get([partition, key]);
		if (record !== void 0) posted.set(key, record.value);
	}
	return posted;
}
// src/turns/observer.ts
var Observer = class {
	#seen = /* @__PURE__ */ new Map();
	#shown = /* @__PURE__ */ new Set();
	/** Who must beat now, as an answer at `at` (monotonic ms) showed. Others are dropped. */
	watch(members, at) {
		const stay = /* @__PURE__ */ new Set();
		for (const watched of members) {
			stay.add(watched.ticket);
			const seen = this.#seen.get(watched.ticket);
			if (seen === void 0 || seen.watched.fence !== watched.fence) this.#seen.set(watched.ticket, {
				watched,
				beat: void 0,
				since: at
			});
			else seen.watched = watched;
		}
		if (stay.size === this.#seen.size) return;
		for (const ticket of this.#seen.keys()) if (!stay.has(ticket)) this.#seen.delete(ticket);
	}
	/** Members whose beat record a complete look at `at` did not show, `shown` being all it did. */
	missed(shown, at) {
		this.#shown = new Set(shown);
		for (const ticket of this.#seen.keys()) if (!shown.has(ticket)) this.saw(ticket, null, at);
	}
	/** The version of a member's beat record (null: absent), as an answer at `at` (monotonic ms) showed it. */
	saw(ticket, beat, at) {
		const seen = this.#seen.get(ticket);
		if (seen === void 0 || seen.beat === beat) return;
		seen.beat = beat;
		seen.since = at;
	}
	/** This process has put that beat record itself. */
	wrote(ticket, beat, at) {
		this.#shown.add(ticket);
		this.saw(ticket, beat, at);
		const seen = this.#seen.get(ticket);
		if (seen !== void 0) seen.wroteAt = at;
	}
	/** This observer was stalled: the silence of those whose margin is shorter than that does not count yet. */
	restart(stalledMs, at) {
		for (const seen of this.#seen.values()) if (stalledMs > safetyMargin(seen.watched.ttlMs)) seen.since = at;
	}
	/** This process has deleted that beat record. */
	deleted(ticket) {
		this.#shown.delete(ticket);
	}
	/** As far as is known there is a beat record of this ticket, whether anybody must beat there or not. */
	isShown(ticket) {
		return this.#shown.has(ticket);
	}
	/** Looked for, and not there. */
	isMissing(ticket) {
		return this.#seen.get(ticket)?.beat === null;
	}
	/** When (monotonic ms) this process last beat for the member; undefined: not since it is watched. */
	wroteAt(ticket) {
		return this.#seen.get(ticket)?.wroteAt;
	}
	/** When the next member could become suspect; undefined when nobody must beat. */
	nextDue() {
		let due;
		for (const { since, watched } of this.#seen.values()) if (due === void 0 || since + watched.ttlMs < due) due = since + watched.ttlMs;
		return due;
	}
	/** Silent for a whole TTL at `at`. */
	suspects(at) {
		const found = [];
		for (const { since, watched, beat } of this.#seen.values()) if (beat !== void 0 && at - since >= watched.ttlMs) found.push({
			...watched,
			beat
		});
		return found;
	}
};
// src/turns/line.ts
/**
* The line of waiters as far as it is known, and the window at its head. Order only; what a change of it means for records
* is up to the rules.
*
* Invariants: entries stand in line order; the window is a prefix of them; `complete` says that nobody stands behind them.
*/
const MAX_WINDOW = 64;
/** How many the window is to hold: one more than there are permits, doubled by each eviction since the last grant. */
function windowSize({ permits, evictions }) {
	return Math.max(permits + 1, Math.min(MAX_WINDOW, (permits + 1) * 2 ** Math.min(evictions, 6)));
}
/** What a window never exceeds, whoever steps into it. */
function longestWindow({ permits }) {
	return Math.max(MAX_WINDOW, permits + 1);
}
var Line = class {
	#entries;
	#window;
	complete;
	constructor(entries, window, complete) {
		this.#entries = [...entries];
		this.#window = window;
		this.complete = complete;
	}
	get entries() {
		return this.#entries;
	}
	get window() {
		return this.#entries.slice(0, this.#window);
	}
	get windowLength() {
		return this.#window;
	}
	get first() {
		return this.#entries[0];
	}
	byId(id) {
		return this.#entries.find((e) => e.id === id);
	}
	byTicket(ticket) {
		return this.#entries.find((e) => e.ticket === ticket);
	}
	inWindow(ticket) {
		const index = this.#entries.findIndex((e) => e.ticket === ticket);
		return index >= 0 && index < this.#window;
	}
	/** Puts an entry in its place, if that is in the known part. @returns whether it landed within the window */
	insert(entry) {
		let at = this.#entries.findIndex((other) => compareInLine(entry, other) < 0);
		if (at < 0) {
			if (!this.complete) return false;
			at = this.#entries.length;
		}
		this.#entries.splice(at, 0, entry);
		if (at >= this.#window) return false;
		this.#window++;
		return true;
	}
	/** Takes an entry out. @returns whether it stood in the window */
	remove(ticket) {
		const at = this.#entries.findIndex((e) => e.ticket === ticket);
		if (at < 0) return false;
		this.#entries.splice(at, 1);
		if (at >= this.#window) return false;
		this.#window--;
		return true;
	}
	/** Lets the next one into the window. @returns undefined when nobody is known to stand behind it */
	widen() {
		const next = this.#entries[this.#window];
		if (next !== void 0) this.#window++;
		return next;
	}
	/** Puts the last one of the window out of it. */
	narrow() {
		if (this.#window === 0) return void 0;
		this.#window--;
		return this.#entries[this.#window];
	}
};
// src/turns/queue-state.ts
const emptyState = {
	control: {
		permits: 1,
		tail: 0,
		fence: 0,
		holders: [],
		window: [],
		evictions: 0,
		waiting: 0,
		shape: 0,
		state: "open"
	},
	version: void 0,
	line: [],
	complete: true
};
const HOLDERS_TOLD = 3;
/** @param elapsedMs from the arrival of the request to the moment of the decision */
function memberView(queue, state, id, standing, now, elapsedMs) {
	const { control } = state;
	const common = {
		queue,
		id,
		permits: control.permits,
		elapsedMs,
		holders: []
	};
	switch (standing.state) {
		case "posted":
		case "unknown": throw new SignalboxError("not_found", `queue '${queue}' has no member '${id}'; join first`);
		case "left":
		case "lost":
		case "evicted": {
			const { member } = standing;
			return {
				...common,
				...ended(member),
				state: standing.state === "left" ? "left" : "lost",
				...because(member.end?.note)
			};
		}
		case "ending": return {
			...common,
			...ended(standing.grant),
			state: "lost",
			...because(standing.grant.ending)
		};
		case "holding": {
			const { ticket, priority, ttlMs, fence } = standing.grant;
			const pollMs = beatInterval(ttlMs);
			return {
				...common,
				state: "holding",
				ticket,
				priority,
				ttlMs,
				fence,
				position: 0,
				positionExact: true,
				inWindow: false,
				pollMs
			};
		}
		case "waiting": {
			const { ticket, priority, ttlMs } = standing.entry;
			const { position, exact } = positionOf(state, standing.entry);
			const inWindow = position <= control.window.length;
			const estimate = estimateWait(control, position, now);
			return {
				...common,
				state: "waiting",
				ticket,
				priority,
				ttlMs,
				position,
				positionExact: exact,
				inWindow,
				pollMs: inWindow ? beatInterval(ttlMs) : deepPollInterval(ttlMs),
				...estimate === void 0 ? {} : { estimatedWaitMs: estimate },
				...control.state === "open" ? {} : {
					queueState: control.state,
					...because(control.note)
				},
				holders: control.holders.slice(0, HOLDERS_TOLD).map((h) => ({
					id: h.id,
					fence: h.fence,
					sinceMs: Math.max(0, now - h.grantedAt)
				}))
			};
		}
	}
}
function ended({ ticket, priority, ttlMs }) {
	return {
		ticket,
		priority,
		ttlMs,
		position: 0,
		positionExact: true,
		inWindow: false,
		pollMs: ttlMs
	};
}
function because(note) {
	return note === void 0 ? {} : { reason: `${note.reason} (${note.by})` };
}
function noteView({ by, at, reason }) {
	return {
		by,
		at: iso(at),
		reason
	};
}
function pastHoldView({ note, ...hold }) {
	const { joinedAt, grantedAt, endedAt } = hold;
	return {
		id: hold.id,
		ticket: hold.ticket,
		fence: hold.fence,
		priority: hold.priority,
		joinedAt: iso(joinedAt),
		grantedAt: iso(grantedAt),
		endedAt: iso(endedAt),
		heldMs: Math.max(0, endedAt - grantedAt),
		as: hold.as,
		labels: hold.labels,
		...note === void 0 ? {} : { note: noteView(note) }
	};
}
/** 1 for the next in line. Beyond the known line: an estimate by tickets of the same priority. */
function positionOf(state, entry) {
	const index = state.line.findIndex((e) => e.ticket === entry.ticket);
	if (index >= 0) return {
		position: index + 1,
		exact: index < 100
	};
	const last = state.line.at(-1);
	const behind = last === void 0 ? 1 : Math.max(1, entry.ticket - last.ticket);
	return {
		position: state.line.length + behind,
		exact: false
	};
}
function estimateWait(control, position, now) {
	if (control.holdMs === void 0) return void 0;
	const rounds = Math.ceil(position / control.permits);
	const oldest = control.holders[0];
	const done = oldest === void 0 ? 0 : Math.min(control.holdMs, Math.max(0, now - oldest.grantedAt));
	return Math.max(0, Math.round(rounds * control.holdMs - done));
}
/** @param labels of the holders, by member id */
function queueView(queue, state, waiters, moreWaiters, labels) {
	const { control } = state;
	const window = new Set(control.window.map((e) => e.ticket));
	return {
		queue,
		permits: control.permits,
		state: control.state,
		...control.note === void 0 ? {} : { note: noteView(control.note) },
		holders: control.holders.map((h) => ({
			id: h.id,
			ticket: h.ticket,
			fence: h.fence,
			priority: h.priority,
			ttlMs: h.ttlMs,
			joinedAt: iso(h.joinedAt),
			grantedAt: iso(h.grantedAt),
			labels: labels.get(h.id) ?? {},
			...h.ending === void 0 ? {} : { ending: noteView(h.ending) }
		})),
		waiters: waiters.map((w, index) => ({
			id: w.id,
			ticket: w.ticket,
			priority: w.priority,
			position: index + 1,
			joinedAt: iso(w.joinedAt),
			ttlMs: w.ttlMs,
			inWindow: window.has(w.ticket),
			labels: w.labels
		})),
		moreWaiters,
		lastTicket: control.tail,
		lastFence: control.fence,
		...control.holdMs === void 0 ? {} : { averageHoldMs: control.holdMs }
	};
}
function iso(ms) {
	return new Date(ms).toISOString();
}
// src/turns/state-loader.ts
/**
* Reads a queue's state for the rules: the control record with its beats, and as much of the line as decisions and
* positions need.
*
* What was read of the line is used again as long as the control record shows that it still tells the truth: its version, since
* every change of the line or the holders writes that record, or its `shape`, with which the known part of the line has
* only lost what left through the window.
*
* Invariant: the control record and the line tell of the same moment. They are read one after the other, and an engine may show a
* transaction that it is still applying: its control record already, its waiter records not yet. A commit that rests on
* such a half would pass, since it expects the control record's version alone. So what does not fit together is read again.
*/
/** Read past what is needed, so that the next turns need no read at all. */
const READ_AHEAD = 64;
const PAGE$1 = 1e3;
/**
* The state as of now: `held` as far as that is still true.
* @param trusting takes the records as they are, though they do not fit together: somebody changed them from outside
* @returns undefined when they do not fit together, and are to be read again
*/
async function loadState(store, queue, record, held, { depth, trusting }) {
	if (record === void 0) return emptyState;
	const known = stillTrue(held, record);
	if (known !== void 0 && isDeepEnough(known, depth)) return known;
	const read = known === void 0 ? await freshState(store, queue, record) : await extendLine(store, queue, known);
	return trusting || fits(record.value, read) ? read : void 0;
}
/** Is this line the one that the control record tells of, as far as can be seen? */
function fits(control, { control: read, line, complete }) {
	if (read.window.length !== control.window.length) return false;
	if (complete ? line.length !== control.waiting : line.length > control.waiting) return false;
	return !line.some((e) => control.holders.some((h) => h.ticket === e.ticket));
}
/** Is as much of the line known as is needed? */
function isDeepEnough({ control, line, complete }, depth) {
	const wanted = depth === "positions" ? positionsDepth(control) : windowSize(control) + 4;
	return complete || line.length >= wanted;
}
/** What `held` says of the queue as this control record has it; undefined when the line must be read anew. */
function stillTrue(held, record) {
	if (held === void 0 || held.version === record.version) return held;
	const control = record.value;
	if (held.version === void 0 || held.control.shape !== control.shape) return void 0;
	const last = control.window.at(-1);
	if (last === void 0 && control.waiting > 0) return void 0;
	const behind = last === void 0 ? [] : held.line.filter((e) => compareInLine(last, e) < 0);
	const line = [...control.window, ...behind];
	if (line.length > control.waiting) return void 0;
	return {
		control,
		version: record.version,
		line,
		complete: line.length === control.waiting
	};
}
/**
* Reads control and beats in one, and tells the observer what they show.
* @param at monotonic now, read after the answer
* @returns the control record
*/
async function loadBeats(store, queue, observer, at) {
	const [partition, from] = controlKey(queue);
	const records = [];
	for (let after;;) {
		const page = await store.list({
			partition,
			from
		}, after === void 0 ? { limit: PAGE$1 } : {
			limit: PAGE$1,
			after
		});
		records.push(...page.records);
		if (page.next === void 0) break;
		after = page.next;
	}
	const first = records[0];
	if (first === void 0 || first.key[1] !== from) return void 0;
	watchState(observer, first.value, at());
	const shown = /* @__PURE__ */ new Set();
	for (const { key, version } of records.slice(1)) {
		observer.saw(Number(key[1]), version, at());
		shown.add(Number(key[1]));
	}
	observer.missed(shown, at());
	return first;
}
/** Tells the observer who must beat. */
function watchState(observer, control, at) {
	observer.watch([...control.holders, ...control.window.map((e) => ({
		...e,
		fence: 0
	}))], at);
}
/** What a command needs to know of its member besides the state. */
async function loadFacts(store, queue, state, command) {
	if (command.kind === "settle" || command.kind === "set") return unknown;
	const { id, kind } = command;
	const listed = state.control.holders.some((h) => h.id === id) || state.line.some((e) => e.id === id);
	if (listed && (kind === "wait" || kind === "beat" || kind === "join")) return unknown;
	const record = await store.get(memberKey(queue, id));
	if (record === void 0) return unknown;
	const member = record.value;
	if (member.posted !== void 0) return {
		member,
		waits: false
	};
	if (listed || member.end !== void 0 || state.complete) return {
		member,
		waits: false
	};
	return {
		member,
		waits: await store.get(waiterKey(queue, member)) !== void 0
	};
}
const unknown = {
	member: void 0,
	waits: false
};
/** The line as the waiter records have it; the window keeps those of its members that stand at the line's head. */
async function freshState(store, queue, record) {
	const control = record.value;
	const state = await extendLine(store, queue, {
		control,
		version: record.version,
		line: [],
		complete: false
	});
	const inWindow = new Set(control.window.map((e) => e.ticket));
	const end = state.line.findIndex((e) => !inWindow.has(e.ticket));
	const window = end < 0 ? state.line : state.line.slice(0, end);
	const waiting = state.complete ? state.line.length : Math.max(control.waiting, state.line.length);
	return {
		...state,
		control: {
			...control,
			window,
			waiting
		}
	};
}
/** Forgets what lies far behind the head, so that a long line costs no more than a short one. */
function trimLine(state) {
	const wanted = positionsDepth(state.control) + 128;
	return state.line.length <= wanted ? state : {
		...state,
		line: state.line.slice(0, wanted - READ_AHEAD),
		complete: false
	};
}
function positionsDepth(control) {
	return Math.max(100, control.permits + 1);
}
async function extendLine(store, queue, state) {
	const wanted = positionsDepth(state.control);
	const last = state.line.at(-1);
	const partition = linePartition(queue);
	const limit = wanted + READ_AHEAD - state.line.length;
	const page = await store.list({
		partition,
		from: decimalKey(0)
	}, last === void 0 ? { limit } : {
		limit,
		after: lineKey(last.priority, last.ticket)
	});
	const more = page.records.map((r) => entryOf$1(r.value)).filter((e) => e.ticket <= state.control.tail);
	return {
		...state,
		line: [...state.line, ...more],
		complete: page.next === void 0
	};
}
function entryOf$1({ id, ticket, priority, ttlMs, joinedAt }) {
	return {
		id,
		ticket,
		priority,
		ttlMs,
		joinedAt
	};
}
// src/turns/queue-reader.ts
/** Serverless: what was read so recently need not be read again. */
const FRESH_MS = 500;
/** From then on what does not fit together is not on its way, but was changed from outside. */
const TRUSTING_ATTEMPTS = 10;
/** So often a posted join may give way to others. */
const PATIENT_ATTEMPTS = 20;
var QueueReader = class {
	#queue;
	#context;
	#state;
	/** Monotonic ms at which `#state` was the present one. */
	#loadedAt = -Infinity;
	/** Serverless: members behind the known part of the line. They are there as long as the line keeps its shape. */
	#behind = /* @__PURE__ */ new Map();
	#isReused = false;
	/** Serverless: the keys of joins posted here. */
	#posted = /* @__PURE__ */ new Map();
	constructor(queue, context) {
		this.#queue = queue;
		this.#context = context;
	}
	/** What is known; undefined: nothing that could be relied on. */
	get state() {
		return this.#state;
	}
	/** A member that waits here behind the known part of the line. */
	behind(id) {
		return this.#behind.get(id)?.member;
	}
	forget() {
		this.#state = void 0;
	}
	/** Takes over what a commit has made. @param decided the control record was written */
	adopt(state, decided) {
		this.#state = state;
		if (decided) this.#loadedAt = this.#context.clock.monotonic();
	}
	/** What `load` gave was not read for it, but a moment before. */
	get isReused() {
		return this.#isReused;
	}
	/**
	* The state for these commands.
	* @param attempt 0 for the first
	* @returns undefined when it is being changed at this moment: load again
	*/
	async load(commands, attempt) {
		this.#isReused = false;
		const state = await (this.#context.serverless ? this.#loadSparingly(commands, attempt) : this.#loadNextDoor(attempt));
		this.#state = state;
		return state;
	}
	/** A member has left: nothing need be remembered of it. */
	left(id) {
		this.#behind.delete(id);
		this.#posted.delete(id);
	}
	/** Control and beats, for the observer. */
	async look() {
		await this.#beats();
	}
	facts(commands, state) {
		return Promise.all(commands.map((command) => this.#factsFor(command, state)));
	}
	/** Serverless: this member's join is in the inbox. */
	notePosted(id, key) {
		this.#posted.set(id, key);
	}
	/** Serverless: should these commands wait, since all are joins that somebody else may let in? */
	async isPatient(commands, attempt) {
		const { store, random } = this.#context;
		for (const command of commands) {
			const key = "id" in command ? this.#posted.get(command.id) : void 0;
			if (key === void 0 || !("id" in command)) return false;
			if (((await store.get(memberKey(this.#queue, command.id)))?.value)?.posted !== key) {
				this.#posted.delete(command.id);
				return false;
			}
			if (attempt >= PATIENT_ATTEMPTS || await mayEmpty(store, this.#queue, key, random)) return false;
		}
		return true;
	}
	/** The inbox, if a member of these facts is in it. */
	async posted(facts, attempt) {
		const own = new Set(facts.flatMap(({ member }) => member?.posted ?? []));
		if (own.size === 0) return /* @__PURE__ */ new Map();
		const posted = await loadPosted(this.#context.store, this.#queue, own);
		return attempt < 23 ? posted : new Map([...posted].filter(([key]) => own.has(key)));
	}
	async #loadNextDoor(attempt) {
		const { store } = this.#context;
		const held = this.#state;
		const control = await store.get(controlKey(this.#queue));
		const how = {
			depth: "positions",
			trusting: attempt >= TRUSTING_ATTEMPTS
		};
		const state = await loadState(store, this.#queue, control, held, how);
		if (held === void 0 || state?.version !== held.version) await this.#beats();
		return state;
	}
	async #loadSparingly(commands, attempt) {
		const { store, clock } = this.#context;
		const has = (kind) => commands.some((command) => command.kind === kind);
		const depth = this.#behind.size > 0 || has("evict") ? "positions" : "decisions";
		if (clock.monotonic() - this.#loadedAt < FRESH_MS && attempt === 0 && !has("settle") && !has("set") && this.#state !== void 0 && isDeepEnough(this.#state, depth)) {
			this.#isReused = true;
			return this.#state;
		}
		const control = await this.#beats();
		this.#loadedAt = clock.monotonic();
		const how = {
			depth,
			trusting: attempt >= TRUSTING_ATTEMPTS
		};
		return loadState(store, this.#queue, control, this.#state, how);
	}
	async #beats() {
		const { store, clock, observer, onLooked } = this.#context;
		const control = await loadBeats(store, this.#queue, observer, () => clock.monotonic());
		onLooked();
		return control;
	}
	async #factsFor(command, state) {
		const { store, serverless } = this.#context;
		if (!serverless || command.kind !== "wait") return loadFacts(store, this.#queue, state, command);
		const { id } = command;
		const { shape } = state.control;
		const behind = this.#behind.get(id);
		const last = state.line.at(-1);
		const waits = behind?.shape === shape && last !== void 0 && !state.complete;
		if (waits && compareInLine(last, behind.member) < 0) return {
			member: behind.member,
			waits
		};
		const facts = await loadFacts(store, this.#queue, state, command);
		if (facts.waits && facts.member !== void 0) this.#behind.set(id, {
			member: facts.member,
			shape
		});
		else this.#behind.delete(id);
		return facts;
	}
};
// src/turns/lookout.ts
/**
* Tells when to look at a queue again: after a time, or at once when the store pushes. One target at a time.
*
* Invariant: while a target is set, `onHint` is called at the latest `everyMs` (Infinity: never) after the last `looked`,
* whatever becomes of the push.
*/
const REWATCH_MS = 1e3;
/** Looks of many waiters are spread by this part of their interval. */
const SPREAD = .15;
/** Somewhat earlier, so that those who came together do not ask together for ever. */
function spread(ms, random) {
	return ms * (1 - SPREAD * random.next());
}
var Lookout = class {
	#store;
	#clock;
	#random;
	#onHint;
	#target;
	#timer;
	#watching;
	#pushed = false;
	#resting = false;
	/** A hint came while resting. */
	#missed = false;
	#lookedAt;
	constructor(options) {
		this.#store = options.store;
		this.#clock = options.clock;
		this.#random = options.random;
		this.#onHint = options.onHint;
		this.#lookedAt = options.clock.monotonic();
	}
	/** The store pushes changes of the target now. */
	get pushed() {
		return this.#pushed;
	}
	/** The queue has just been read. */
	looked() {
		this.#lookedAt = this.#clock.monotonic();
		this.#arm();
	}
	/** Sets what to look out for. */
	aim(target) {
		const same = target.key[0] === this.#target?.key[0] && target.key[1] === this.#target.key[1];
		this.#target = target;
		this.#resting = false;
		if (!same) this.#rewatch();
		this.#arm();
		if (same && this.#missed) this.#hint();
	}
	/** Nobody wants to hear anything for now; the push goes on, so that the next `aim` need not begin anew. */
	rest() {
		this.#resting = true;
		this.#timer?.cancel();
	}
	close() {
		this.#target = void 0;
		this.#rewatch();
		this.#arm();
	}
	#hint() {
		this.#missed = this.#resting;
		if (!this.#resting) this.#onHint();
	}
	#arm() {
		this.#timer?.cancel();
		this.#timer = void 0;
		if (this.#target === void 0 || this.#resting) return;
		const everyMs = spread(this.#target.everyMs(this.#pushed), this.#random);
		if (everyMs === Infinity) return;
		const dueIn = Math.max(0, this.#lookedAt + everyMs - this.#clock.monotonic());
		this.#timer = this.#clock.timer(dueIn, () => {
			this.looked();
			this.#onHint();
		}, { unref: true });
	}
	#rewatch() {
		this.#watching?.abort();
		this.#pushed = false;
		this.#missed = false;
		this.#watching = void 0;
		if (this.#target === void 0 || this.#store.watch === void 0) return;
		this.#watching = new AbortController();
		this.#watch(this.#target.key, this.#watching.signal);
	}
	async #watch([partition, from], signal) {
		const range = {
			partition,
			from,
			to: decimalKey(Number(from) + 1)
		};
		while (!signal.aborted) {
			try {
				for await (const _ of this.#store.watch?.(range, signal) ?? []) {
					this.#pushed = true;
					this.#hint();
				}
			} catch {}
			if (signal.aborted) return;
			this.#pushed = false;
			this.#arm();
			await sleep(this.#clock, REWATCH_MS, signal).catch(() => {});
		}
	}
};
// src/turns/pace.ts
const HEAD_LOOK_MS = 1e3;
/** The head may go at any moment, and whoever follows it is the head then. */
const FRONT_LOOK_MS = 3e3;
const PAUSED_LOOK_MS = 5e3;
/** While nothing is known of past turns, one takes at least this long, and as long as the present one has taken. */
const ASSUMED_HOLD_MS = 2e3;
/**
* Milliseconds until the next look, beyond what a beat brings.
* @param now by the store's clock, as the grants have it
*/
function lookInterval({ position, inWindow, ttlMs }, facts, { pushed, now }) {
	if (pushed) return inWindow ? beatInterval(ttlMs) : Math.min(12e4, 2 * ttlMs);
	const { permits } = facts;
	const next = Math.max(1, permits - facts.holders.length);
	if (position <= next) return facts.state === "paused" ? PAUSED_LOOK_MS : HEAD_LOOK_MS;
	const turnInMs = (position - next) * assumedHold(facts, now) / permits;
	const longest = inWindow ? Math.min(FRONT_LOOK_MS, beatInterval(ttlMs)) : longestLook(ttlMs);
	return Math.max(HEAD_LOOK_MS, Math.min(longest, turnInMs / 2));
}
function assumedHold({ holdMs, holders }, now) {
	if (holdMs !== void 0) return holdMs;
	const since = Math.min(now, ...holders.map((h) => h.grantedAt));
	return Math.max(ASSUMED_HOLD_MS, now - since);
}
/** Leaves a waiter that has just come into the window nearly half of its TTL to beat in. */
function longestLook(ttlMs) {
	return Math.min(3e4, Math.floor(ttlMs * 5 / 9));
}
// src/turns/queue-watch.ts
/**
* What makes a mailbox act without being asked: somebody has been silent for a whole TTL, another writer has changed the
* queue, or it is time to look again.
*/
/** How often to look for other writers' changes where the store cannot push, and after a failed look. */
const LOOK_AGAIN_MS = 1e3;
/** How long after each other the first waiters act on a silence, and how many take a place in that order. */
const RANK_MS = 300;
const RANKS = 5;
var QueueWatch = class {
	#queue;
	#context;
	#closing = new AbortController();
	#lookout;
	/** Serverless: from 0 to 1, what keeps observers from acting all at once. */
	#temper;
	/** Silence is being looked into. */
	#isActing = false;
	#alarm;
	/** Another writer was noticed while a batch was under way. */
	#recheck = false;
	constructor(queue, context) {
		this.#queue = queue;
		this.#context = context;
		this.#temper = context.serverless ? context.random.next() : 0;
		if (context.serverless) this.#lookout = new Lookout({
			...context,
			onHint: () => this.#look()
		});
		else this.#watchOthers();
	}
	close() {
		this.#closing.abort();
		this.#lookout?.close();
		this.#alarm?.timer.cancel();
	}
	/** Control and beats have been read. */
	looked() {
		this.#lookout?.looked();
		this.setAlarm();
	}
	/** How often this member should ask, and how long its request may stay open meanwhile. */
	pace(view) {
		const state = this.#context.reader.state;
		if (this.#lookout === void 0 || state === void 0 || view.state !== "waiting" || view.inWindow) return {
			pollMs: view.pollMs,
			openMs: view.pollMs
		};
		const pollMs = Math.floor(this.#interval(view, state, this.#lookout.pushed));
		return {
			pollMs,
			openMs: spread(pollMs, this.#context.random)
		};
	}
	/** All that was asked has been answered, or stands ready. */
	afterBatch() {
		this.#aim();
		if (this.#recheck) this.#lookForOthers().catch(() => {});
	}
	setAlarm() {
		if (this.#isActing) return;
		const silent = this.#context.observer.nextDue();
		const due = silent === void 0 ? void 0 : silent + this.#patience();
		if (due === void 0 || this.#closing.signal.aborted) {
			this.#alarm?.timer.cancel();
			this.#alarm = void 0;
		} else if (this.#alarm === void 0 || this.#alarm.at > due) this.#alarmIn(due - this.#context.clock.monotonic(), due);
	}
	/** Serverless: what to look out for, so that whoever waits here hears of its turn in time. */
	#aim() {
		const { state } = this.#context.reader;
		if (this.#lookout === void 0 || state === void 0 || this.#closing.signal.aborted) return;
		const first = this.#firstReady(state);
		if (first === void 0) {
			this.#lookout.rest();
			return;
		}
		const { place, ticket } = first;
		const key = place.inWindow ? controlKey(this.#queue) : beatKey(this.#queue, ticket);
		const everyMs = (pushed) => place.inWindow ? this.#interval(place, state, pushed) : Infinity;
		this.#lookout.aim({
			key,
			everyMs
		});
	}
	/** Who stands foremost of those whose request is open here. */
	#firstReady(state) {
		const { ready, reader } = this.#context;
		let first;
		for (const id of ready.ids) {
			const entry = state.line.find((e) => e.id === id) ?? reader.behind(id);
			if (entry === void 0) continue;
			const { position } = positionOf(state, entry);
			if (first !== void 0 && position >= first.place.position) continue;
			first = {
				place: {
					position,
					inWindow: position <= state.control.window.length,
					ttlMs: entry.ttlMs
				},
				ticket: entry.ticket
			};
		}
		return first;
	}
	/** Serverless: reads the queue, and takes what can be taken. */
	#look() {
		if (this.#context.ready.size > 0) this.#context.submit({ kind: "settle" }).catch(() => {});
	}
	/**
	* Serverless: how much longer than a TTL to watch somebody's silence. Everybody who waits observes; those near the front
	* act first, the others only if nobody there lives.
	*/
	#patience() {
		const { state } = this.#context.reader;
		if (this.#lookout === void 0 || state === void 0) return 0;
		const first = this.#firstReady(state);
		if (first === void 0) return (RANKS + this.#temper) * RANK_MS;
		const { place } = first;
		if (place.inWindow) return (Math.min(place.position - 1, RANKS) + this.#temper) * RANK_MS;
		return this.#interval(place, state, this.#lookout.pushed) + 5e3 * this.#temper;
	}
	#interval(place, { control }, pushed) {
		return lookInterval(place, control, {
			pushed,
			now: this.#context.store.now().ms
		});
	}
	#alarmIn(ms, at) {
		this.#alarm?.timer.cancel();
		const { clock } = this.#context;
		const target = clock.monotonic() + Math.max(0, ms);
		const timer = clock.timer(Math.max(0, ms), () => void this.#lookForSilence(target), { unref: true });
		this.#alarm = {
			at,
			timer
		};
	}
	/** Somebody may have been silent for a whole TTL: look once more, then evict exactly what was seen. */
	async #lookForSilence(due) {
		const { clock, observer, reader, submit } = this.#context;
		this.#alarm = void 0;
		const silent = observer.nextDue();
		if (silent === void 0 || silent + this.#patience() > clock.monotonic()) {
			this.setAlarm();
			return;
		}
		this.#isActing = true;
		let failed = false;
		try {
			const late = clock.monotonic() - due;
			await (this.#lookout === void 0 ? reader.look() : submit({ kind: "settle" }));
			const now = clock.monotonic();
			observer.restart(late, now);
			const suspects = observer.suspects(now);
			await Promise.all(suspects.map((suspect) => submit({
				kind: "evict",
				id: suspect.id,
				suspect
			})));
		} catch {
			failed = true;
		}
		this.#isActing = false;
		if (!failed) this.setAlarm();
		else if (!this.#closing.signal.aborted) this.#alarmIn(LOOK_AGAIN_MS, clock.monotonic() + LOOK_AGAIN_MS);
	}
	async #watchOthers() {
		const { store, clock, ready } = this.#context;
		const { signal } = this.#closing;
		await Promise.resolve();
		while (!signal.aborted) try {
			if (store.watch === void 0) {
				await sleep(clock, LOOK_AGAIN_MS, signal);
				if (ready.size > 0) await this.#lookForOthers();
			} else {
				for await (const _ of store.watch({ partition: controlKey(this.#queue)[0] }, signal)) await this.#lookForOthers();
				await sleep(clock, LOOK_AGAIN_MS, signal);
			}
		} catch {
			if (!signal.aborted) await sleep(clock, LOOK_AGAIN_MS, signal).catch(() => {});
		}
	}
	/** Did somebody else write the control record? Then grant what can be granted to those who wait here. */
	async #lookForOthers() {
		const { store, reader, ready, submit, isBusy } = this.#context;
		this.#recheck = isBusy();
		if (this.#recheck || reader.state === void 0 && ready.size === 0) return;
		if ((await store.get(controlKey(this.#queue)))?.version !== reader.state?.version && !this.#closing.signal.aborted) await submit({ kind: "settle" });
	}
};
// src/turns/ready-waiters.ts
var ReadyWaiters = class {
	#clock;
	#byId = /* @__PURE__ */ new Map();
	constructor(clock) {
		this.#clock = clock;
	}
	get size() {
		return this.#byId.size;
	}
	get ids() {
		return this.#byId.keys();
	}
	has(id) {
		return this.#byId.has(id);
	}
	get(id) {
		return this.#byId.get(id);
	}
	/**
	* Takes the place of an earlier request of the same member, which the caller has answered.
	* @param waitMs until `onTimeout`
	*/
	add(waiter, waitMs, onTimeout) {
		const { signal } = waiter;
		const onAbort = () => {
			if (this.#byId.get(waiter.id) !== registered) return;
			this.take(waiter.id);
			waiter.reject(new SignalboxError("cancelled", "the caller hung up"));
		};
		const timer = this.#clock.timer(waitMs, () => {
			if (this.#byId.get(waiter.id) !== registered) return;
			this.take(waiter.id);
			onTimeout(waiter);
		});
		const release = () => {
			timer.cancel();
			signal?.removeEventListener("abort", onAbort);
		};
		const registered = {
			...waiter,
			release
		};
		this.#byId.set(waiter.id, registered);
		signal?.addEventListener("abort", onAbort, { once: true });
	}
	/** Removes a waiter; whoever takes it answers it. */
	take(id) {
		const found = this.#byId.get(id);
		if (found === void 0) return void 0;
		this.#byId.delete(id);
		found.release();
		return found;
	}
	rejectAll(error) {
		for (const id of this.#byId.keys()) this.take(id)?.reject(error);
	}
};
// src/turns/change-set.ts
var ChangeSet = class {
	#changes = /* @__PURE__ */ new Map();
	get size() {
		return this.#changes.size;
	}
	put(key, expect, value, expiresAt) {
		this.#add(expiresAt === void 0 ? {
			op: "put",
			key,
			expect,
			value
		} : {
			op: "put",
			key,
			expect,
			value,
			expiresAt
		});
	}
	delete(key, expect) {
		this.#add({
			op: "delete",
			key,
			expect
		});
	}
	check(key, expect) {
		const before = this.#changes.get(nameOf(key));
		const undone = before?.op === "put" && before.expect === "absent" && expect === "absent";
		if (before === void 0 || undone) this.#changes.set(nameOf(key), {
			op: "check",
			key,
			expect
		});
	}
	toChanges() {
		return [...this.#changes.values()];
	}
	#add(change) {
		const name = nameOf(change.key);
		const before = this.#changes.get(name);
		if (before === void 0) this.#changes.set(name, change);
		else if (before.expect === "absent" && change.op === "delete") this.#changes.delete(name);
		else this.#changes.set(name, {
			...change,
			expect: before.expect
		});
	}
};
function nameOf(key) {
	return `${key[0]}\n${key[1]}`;
}
// src/turns/rules.ts
/**
* The rules of a turn queue, pure: a `Transition` takes the queue's state and a few facts, applies commands in order and
* yields the next state with the changes that make it durable. No clock, no store, no randomness.
*
* Invariants (checked after every step by the tests):
*  1. at most `permits` holders, unless `permits` was lowered under them;
*  2. a fence is greater than every fence before it on this queue, tickets likewise;
*  3. only the first in line is granted; a join never lands before a member of its priority or above it;
*  4. a beat record exists exactly for holders and members of the window; the window is a prefix of the line;
*  5. a member that ended (released, withdrawn, lost) never comes back.
*/
/** How much of one hold's duration enters the moving average. */
const HOLD_WEIGHT = .2;
var Transition = class {
	changes = new ChangeSet();
	#queue;
	#before;
	#now;
	#maxChanges;
	#beats;
	#line;
	#holders;
	#granted = [];
	/** What this transition already did to member records and to the line: the facts given with a command are older. */
	#members = /* @__PURE__ */ new Map();
	#waits = /* @__PURE__ */ new Map();
	#beaten = /* @__PURE__ */ new Set();
	/** Who left the line out of the window. */
	#departed = [];
	#control;
	#decided = false;
	/**
	* @param now the store's time in milliseconds; used for display, averages and retention, never for a decision
	* @param maxChanges what a commit of the store takes; grants and the window stop growing before it
	* @param beats what the last complete look showed of beat records that should not be missing, or not be there
	*/
	constructor(queue, state, now, maxChanges, beats = {
		isMissing: () => false,
		isShown: () => false
	}) {
		this.#queue = queue;
		this.#maxChanges = maxChanges;
		this.#beats = beats;
		this.#before = state;
		this.#now = now;
		this.#control = state.control;
		this.#line = new Line(state.line, state.control.window.length, state.complete);
		this.#holders = [...state.control.holders];
	}
	/** Grants made by this transition. */
	get granted() {
		return this.#granted;
	}
	/** The queue has, or will have, records. */
	get exists() {
		return this.#before.version !== void 0 || this.#decided;
	}
	/** The control record will be written. */
	get decided() {
		return this.#decided;
	}
	/** The state after the commands so far; `version` must be replaced by the one the commit returns. */
	get state() {
		if (!this.#decided) return this.#before;
		return {
			control: {
				...this.#control,
				holders: this.#holders,
				window: this.#line.window
			},
			version: this.#before.version,
			line: this.#line.entries,
			complete: this.#line.complete
		};
	}
	/** Adds a change that belongs with what was decided, such as its audit record. */
	add(change) {
		if (change.op === "put") this.changes.put(change.key, change.expect, change.value, change.expiresAt);
	}
	/** Adds the control record to the changes: written if anything was decided. Call once, before the commit. */
	seal() {
		if (!this.#decided) return;
		const last = this.#line.window.at(-1);
		if (this.#departed.some((e) => last === void 0 || compareInLine(e, last) > 0) && this.#control.waiting > 0) this.#reshape();
		const expect = this.#before.version === void 0 ? "absent" : { version: this.#before.version };
		this.changes.put(controlKey(this.#queue), expect, asJson(this.state.control));
	}
	/**
	* Where a member stands, from its record (undefined: none) and, for one beyond the known line, whether its waiter
	* record exists.
	*/
	standing(id, member, waits) {
		const grant = this.#holders.find((g) => g.id === id);
		if (grant !== void 0) return {
			state: grant.ending === void 0 ? "holding" : "ending",
			grant
		};
		const entry = this.#line.byId(id);
		if (entry !== void 0) return {
			state: "waiting",
			entry
		};
		member = this.#members.get(id) ?? member;
		if (member === void 0) return { state: "unknown" };
		if (member.posted !== void 0) return {
			state: "posted",
			member,
			key: member.posted
		};
		if (member.end !== void 0) return member.end.as === "lost" ? {
			state: "lost",
			member
		} : {
			state: "left",
			member
		};
		return this.#waits.get(id) ?? waits ? {
			state: "waiting",
			entry: entryOf(member)
		} : {
			state: "evicted",
			member
		};
	}
	/** An evicted waiter is back: same ticket, same place. */
	reinstate(member) {
		this.changes.put(memberKey(this.#queue, member.id), "present", asJson(member));
		return this.#enlist(member, false);
	}
	/** @throws `conflict` for another number of permits, `queue_paused`; nothing is changed then. */
	join(command) {
		const member = this.#admit(command);
		this.changes.put(memberKey(this.#queue, member.id), "absent", asJson(member));
		return this.#enlist(member, this.#atEnd(member.priority));
	}
	/** A join from the inbox gets its ticket. @throws as `join` */
	enlist(key, posted) {
		const member = this.#admit({
			permits: void 0,
			...posted
		});
		this.changes.delete([inboxPartition(this.#queue), key], "present");
		this.changes.put(memberKey(this.#queue, member.id), "present", asJson(member));
		return this.#enlist(member, this.#atEnd(member.priority));
	}
	#admit(command) {
		const fresh = this.#before.version === void 0 && !this.#decided;
		const permits = command.permits ?? (fresh ? 1 : this.#control.permits);
		if (!fresh && permits !== this.#control.permits) throw new SignalboxError("conflict", `permits: queue '${this.#queue}' has ${this.#control.permits}, the join asks for ${permits}; leave --permits out, or change the queue`, { details: {
			field: "permits",
			permits: this.#control.permits
		} });
		if (this.#control.state !== "open") throw new SignalboxError("queue_paused", `queue '${this.#queue}' is ${this.#control.state} and takes no new members; wait until it is resumed`);
		const ticket = this.#control.tail + 1;
		this.#decide({
			permits,
			tail: ticket
		});
		const member = {
			id: command.id,
			ticket,
			priority: command.priority,
			ttlMs: command.ttlMs,
			joinedAt: this.#now,
			labels: command.labels
		};
		this.#members.set(member.id, member);
		return member;
	}
	/** Proof of life, accepted from holders and from the window; others need none. */
	beat(entry) {
		const { fence, ticket } = entry;
		const alive = fence === void 0 ? this.#line.inWindow(ticket) : this.#holders.some((g) => g.fence === fence && g.ending === void 0);
		if (alive) this.#putBeat(entry, fence ?? 0, "present");
		return alive;
	}
	/**
	* A member's own end. `standing` as given by `standing()`; an unknown member leaves a tombstone, so that a join which is
	* still on its way finds it.
	*/
	leave(id, standing, member, fence) {
		const key = memberKey(this.#queue, id);
		if (standing.state === "unknown") {
			if (fence === void 0) {
				const tombstone = {
					id,
					ticket: 0,
					priority: 0,
					ttlMs: 0,
					joinedAt: this.#now,
					labels: {},
					end: {
						as: "withdrawn",
						at: this.#now
					}
				};
				this.#members.set(id, tombstone);
				this.changes.put(key, "absent", asJson(tombstone), this.#now + MEMBER_KEPT_MS);
			}
			return "gone";
		}
		if (standing.state === "left" || standing.state === "lost") {
			const { end, ticket } = standing.member;
			if (end?.as === "released" && (fence === void 0 || fence === end.fence)) return "released";
			return end?.as === "withdrawn" && fence === void 0 && ticket > 0 ? "withdrawn" : "gone";
		}
		if (standing.state === "posted") {
			if (fence !== void 0) return "gone";
			this.changes.delete([inboxPartition(this.#queue), standing.key], "present");
			this.#end(standing.member, {
				as: "withdrawn",
				at: this.#now
			});
			return "withdrawn";
		}
		if (standing.state === "evicted") {
			if (fence !== void 0) return "gone";
			this.#decide({});
			this.#end(standing.member, {
				as: "withdrawn",
				at: this.#now
			});
			return "withdrawn";
		}
		if (standing.state === "waiting") {
			if (fence !== void 0) return "gone";
			this.#dropWaiter(standing.entry, "present");
			this.#end(member ?? unlabelled(standing.entry), {
				as: "withdrawn",
				at: this.#now
			});
			return "withdrawn";
		}
		const { grant } = standing;
		if (fence !== void 0 && fence !== grant.fence) return "gone";
		const released = standing.state === "holding";
		this.#endHold(grant, member, "present", released ? "released" : "evicted", grant.ending);
		if (released) this.#averageHold(this.#now - grant.grantedAt);
		return released ? "released" : "gone";
	}
	/**
	* Ends a member that an observer saw silent for a whole TTL; nothing happens unless it still holds with that fence (0:
	* still stands in the window) and its beat still has that version when the commit is applied.
	*/
	evict(ticket, fence, beat, member) {
		if (this.#beaten.has(ticket)) return false;
		const grant = this.#holders.find((g) => g.ticket === ticket && g.fence === fence);
		if (grant !== void 0) {
			const expect = beat === null ? "absent" : { version: beat };
			this.#endHold(grant, member, expect, grant.ending === void 0 ? "lost" : "evicted", grant.ending);
			return true;
		}
		const entry = fence === 0 && this.#line.inWindow(ticket) ? this.#line.byTicket(ticket) : void 0;
		if (entry === void 0) return false;
		this.#decide({ evictions: this.#control.evictions + 1 });
		this.#dropWaiter(entry, beat === null ? "absent" : { version: beat });
		if (member !== void 0) {
			this.#members.set(entry.id, member);
			this.changes.put(memberKey(this.#queue, entry.id), "present", asJson(member), this.#now + MEMBER_KEPT_MS);
		}
		return true;
	}
	/** Opens, pauses (no joins, no grants) or drains (no joins) the queue. @returns whether that changed anything */
	setState(state, note) {
		if (this.#control.state === state) return false;
		const { note: _, ...control } = this.#control;
		this.#control = control;
		this.#decide(state === "open" ? { state } : {
			state,
			note
		});
		return true;
	}
	/** Changes the number of permits; lowering it revokes nobody. @returns whether that changed anything */
	setPermits(permits) {
		if (this.#before.version !== void 0 && this.#control.permits === permits) return false;
		this.#decide({ permits });
		this.#refill();
		return true;
	}
	/**
	* An operator's eviction. A waiter goes at once. A holder's beats are refused from now on, so that it stops its work; its
	* permit is free when it has left, or was silent for a TTL. `force` frees it at once: then only the fence keeps late
	* writes of its work away.
	*/
	remove(standing, member, note, force) {
		switch (standing.state) {
			case "waiting":
				this.#dropWaiter(standing.entry, "present");
				this.#end(member ?? unlabelled(standing.entry), {
					as: "lost",
					at: this.#now,
					note
				});
				return "evicted";
			case "posted":
				this.changes.delete([inboxPartition(this.#queue), standing.key], "present");
				this.#end(standing.member, {
					as: "lost",
					at: this.#now,
					note
				});
				return "evicted";
			case "evicted":
				this.#decide({});
				this.#end(standing.member, {
					as: "lost",
					at: this.#now,
					note
				});
				return "evicted";
			case "holding":
			case "ending":
				if (force) this.#endHold(standing.grant, member, "present", "evicted", note);
				else if (standing.state === "holding") this.#markEnding(standing.grant, note);
				return force ? "evicted" : "ending";
			case "left":
			case "lost":
			case "unknown": return "gone";
		}
	}
	/**
	* Grants while a permit is free and the first in line is ready to take it. Strictly in order: one that is not ready
	* is waited for (or evicted), never passed.
	* @returns false when it stopped early (a full commit, or the known line is used up), and another should go on
	*/
	settle(ready) {
		while (this.#control.state !== "paused" && this.#holders.length < this.#control.permits) {
			const { first } = this.#line;
			if (first === void 0) return this.#line.complete;
			if (!ready(first.id)) return true;
			if (this.changes.size + 5 > this.#maxChanges) return false;
			this.#grant(first);
		}
		return true;
	}
	#grant(entry) {
		const fence = this.#control.fence + 1;
		this.#decide({
			fence,
			evictions: 0
		});
		if (!this.#takeOut(entry)) this.#putBeat(entry, 0, "absent");
		this.changes.delete(waiterKey(this.#queue, entry), "present");
		const grant = {
			...entry,
			fence,
			grantedAt: this.#now
		};
		this.#holders.push(grant);
		this.#granted.push(grant);
		this.#putBeat(grant, fence, "present");
		this.#refill();
	}
	/** Does a newcomer of this priority certainly stand behind everybody? */
	#atEnd(priority) {
		const { floor } = this.#control;
		return floor === void 0 || priority <= floor;
	}
	/** Takes a waiter out of the line. @returns whether it stood in the window */
	#takeOut(entry) {
		const inWindow = this.#line.remove(entry.ticket);
		this.#decide({ waiting: Math.max(0, this.#control.waiting - 1) });
		if (inWindow) this.#departed.push(entry);
		else this.#reshape();
		return inWindow;
	}
	/** The line has changed in a way that the control record does not tell. */
	#reshape() {
		this.#decide({ shape: this.#control.shape + 1 });
	}
	#enlist(member, atEnd) {
		const { waiting, floor = 0 } = this.#control;
		this.#decide({
			waiting: waiting + 1,
			floor: waiting === 0 ? member.priority : Math.min(floor, member.priority)
		});
		if (!atEnd) this.#reshape();
		const { end: _, ...waiter } = member;
		const entry = entryOf(member);
		this.changes.put(waiterKey(this.#queue, entry), "absent", asJson(waiter));
		this.#waits.set(member.id, true);
		if (this.#line.insert(entry)) {
			this.#putBeat(entry, 0, "absent");
			const displaced = this.#line.windowLength > longestWindow(this.#control) ? this.#line.narrow() : void 0;
			if (displaced !== void 0) {
				this.#reshape();
				this.#dropBeat(displaced.ticket, "present");
			}
		}
		this.#refill();
		return entry;
	}
	/** Extends the window to its size. Who enters it has a beat record from then on. */
	#refill() {
		const size = windowSize(this.#control);
		while (this.#line.windowLength < size && this.changes.size + 3 <= this.#maxChanges) {
			const next = this.#line.widen();
			if (next === void 0) return;
			this.#putBeat(next, 0, "absent");
		}
	}
	#putBeat(entry, fence, expect) {
		if (expect === "present" && this.#beats.isMissing(entry.ticket)) {
			this.#decide({});
			expect = "absent";
		} else if (expect === "absent" && this.#isStray(entry.ticket)) expect = "present";
		this.#beaten.add(entry.ticket);
		const beat = {
			id: entry.id,
			fence,
			at: this.#now
		};
		this.changes.put(beatKey(this.#queue, entry.ticket), expect, asJson(beat));
	}
	/** A beat record that nobody should have: left by a program that got it wrong. It must not keep its member out. */
	#isStray(ticket) {
		const { holders, window } = this.#before.control;
		return ![...holders, ...window].some((e) => e.ticket === ticket) && this.#beats.isShown(ticket);
	}
	#endHold(grant, member, beat, as, note) {
		this.#decide({});
		this.#holders.splice(this.#holders.indexOf(grant), 1);
		this.#dropBeat(grant.ticket, beat);
		const { fence, grantedAt } = grant;
		const noted = note === void 0 ? {} : { note };
		const ended = member ?? unlabelled(grant);
		this.#end(ended, {
			as: as === "released" ? "released" : "lost",
			at: this.#now,
			fence,
			...noted
		});
		const past = {
			...entryOf(grant),
			fence,
			grantedAt,
			endedAt: this.#now,
			as,
			labels: ended.labels,
			...noted
		};
		const key = [historyPartition(this.#queue), decimalKey(fence)];
		this.changes.put(key, "absent", asJson(past), this.#now + HISTORY_KEPT_MS);
	}
	#markEnding(grant, ending) {
		this.#decide({});
		this.#holders[this.#holders.indexOf(grant)] = {
			...grant,
			ending
		};
	}
	#dropWaiter(entry, beat) {
		this.changes.delete(waiterKey(this.#queue, entry), "present");
		this.#waits.set(entry.id, false);
		if (!this.#takeOut(entry)) return;
		this.#dropBeat(entry.ticket, beat);
		this.#refill();
	}
	#dropBeat(ticket, expect) {
		const key = beatKey(this.#queue, ticket);
		if (expect === "present" && this.#beats.isMissing(ticket) || expect === "absent") this.changes.check(key, "absent");
		else this.changes.delete(key, expect);
	}
	#end(member, end) {
		const ended = {
			...entryOf(member),
			labels: member.labels,
			end
		};
		this.#members.set(member.id, ended);
		this.changes.put(memberKey(this.#queue, member.id), "present", asJson(ended), this.#now + MEMBER_KEPT_MS);
	}
	#averageHold(heldMs) {
		const before = this.#control.holdMs;
		const held = Math.max(0, heldMs);
		this.#decide({ holdMs: Math.round(before === void 0 ? held : before + HOLD_WEIGHT * (held - before)) });
	}
	#decide(next) {
		this.#decided = true;
		this.#control = {
			...this.#control,
			...next
		};
	}
};
function entryOf({ id, ticket, priority, ttlMs, joinedAt }) {
	return {
		id,
		ticket,
		priority,
		ttlMs,
		joinedAt
	};
}
function unlabelled(entry) {
	return {
		...entryOf(entry),
		labels: {}
	};
}
// src/turns/queue-actor.ts
/**
* The mailbox of one queue: commands that arrive together are applied in order to one loaded state and committed
* once; nobody is answered before the commit is durable. A conflict or a lost answer reloads and applies again, which
* is safe because every command is idempotent by member id.
*
* Members that wait for their turn *stand ready* (`ReadyWaiters`): the transition that frees a permit grants it to the
* first in line in the same commit, so a hand-off costs one write. Several actors on one store may serve one queue;
* the control record's version decides between them.
*/
/** Commands looked at for one commit; how many fit is decided by the changes they make. */
const MAX_BATCH = 48;
/** Room that any one command, the control record and one grant may need. */
const ROOM = 12;
/** How many at the head of the line are told of each step forward; the others when they ask. */
const TOLD_POSITIONS = 5;
const MAX_ATTEMPTS = 60;
const RETRY = {
	baseMs: 5,
	maxMs: 500
};
/** Serverless, many members contend, and each attempt is a request of each of them. */
const SERVERLESS_RETRY = {
	baseMs: 10,
	maxMs: 3e3
};
var QueueActor = class {
	queue;
	#context;
	#observer = new Observer();
	#ready;
	#closing = new AbortController();
	#pending = [];
	#reader;
	#watch;
	#running = false;
	/** A commit of the present batch may have been applied. */
	#unknown = false;
	/** The last commit lost against another writer. */
	#contended = false;
	/** Monotonic ms of the last command. */
	lastUsedAt;
	constructor(queue, context) {
		this.queue = queue;
		this.#context = context;
		this.#ready = new ReadyWaiters(context.clock);
		this.lastUsedAt = context.clock.monotonic();
		const observer = this.#observer;
		this.#reader = new QueueReader(queue, {
			...context,
			observer,
			onLooked: () => this.#watch.looked()
		});
		this.#watch = new QueueWatch(queue, {
			...context,
			observer,
			reader: this.#reader,
			ready: this.#ready,
			submit: (command) => this.submit(command),
			isBusy: () => this.#running
		});
	}
	/** Nobody waits here or must be observed, and nothing is under way: the actor may be dropped. */
	get idle() {
		return !this.#running && this.#pending.length === 0 && this.#ready.size === 0 && (this.#context.serverless || this.#observer.nextDue() === void 0);
	}
	/** @param arrivedAt monotonic ms of the request's arrival, when that was earlier than now */
	submit(command, arrivedAt = this.#context.clock.monotonic()) {
		this.lastUsedAt = this.#context.clock.monotonic();
		return new Promise((resolve, reject) => {
			if (this.#closing.signal.aborted) {
				reject(stopping());
				return;
			}
			this.#pending.push({
				command,
				arrivedAt,
				resolve,
				reject
			});
			if (!this.#running) this.#run();
		});
	}
	/** Answers those who wait with `unavailable`; they ask again when a server is back. */
	close() {
		this.#closing.abort();
		this.#watch.close();
		this.#ready.rejectAll(stopping());
		for (const { reject } of this.#pending.splice(0)) reject(stopping());
	}
	async #run() {
		this.#running = true;
		while (this.#pending.length > 0) await this.#runBatch();
		this.#running = false;
		this.#watch.afterBatch();
	}
	async #runBatch() {
		const { clock, random, serverless } = this.#context;
		const retry = serverless ? SERVERLESS_RETRY : RETRY;
		await Promise.resolve();
		const batch = this.#pending.splice(0, MAX_BATCH);
		this.#unknown = false;
		try {
			for (let attempt = 0;; attempt++) {
				if (attempt > 0) {
					await sleep(clock, backoffDelay(retry, attempt - 1, random), hungUp(batch));
					await this.#letBeatsPass(batch);
				}
				if (await this.#attempt(batch, attempt)) return;
			}
		} catch (error) {
			this.#reader.forget();
			const told = this.#unknown ? stillUnknown(error) : error;
			for (const { reject } of batch) reject(told);
		}
	}
	/** Holders' beats contend with nobody: they do not wait for what does. */
	async #letBeatsPass(batch) {
		if (batch.every(isBeat)) return;
		const beats = [...takeBeats(batch), ...takeBeats(this.#pending)];
		if (beats.length === 0) return;
		try {
			if (await this.#attempt(beats, 0, true)) return;
			this.#reader.forget();
			batch.push(...beats);
		} catch (error) {
			for (const { reject } of beats) reject(error);
		}
	}
	/**
	* @param beatsOnly nothing but these beats is to be written
	* @returns false when the store decided against it, or its answer was lost, and it must be tried again
	*/
	async #attempt(batch, attempt, beatsOnly = false) {
		const { store, clock } = this.#context;
		const commands = batch.map(({ command }) => command);
		if (attempt > 0 && await this.#reader.isPatient(commands, attempt)) return false;
		const state = await this.#reader.load(commands, attempt);
		if (state === void 0) return false;
		const facts = await this.#reader.facts(commands, state);
		const posted = await this.#reader.posted(facts, attempt);
		const decidedAt = clock.monotonic();
		const { queue } = this;
		const beats = this.#observer;
		const transition = new Transition(queue, state, store.now().ms, store.limits.changes - 1, {
			isMissing: (ticket) => beats.isMissing(ticket),
			isShown: (ticket) => beats.isShown(ticket)
		});
		const applied = this.#apply(transition, batch, facts, posted, decidedAt);
		const stale = applied.some(({ kind }) => kind === "stale");
		if (stale && attempt >= MAX_ATTEMPTS) throw new SignalboxError("throttled", `queue '${queue}' is too busy; ask again`);
		if (stale || this.#reader.isReused && applied.some(isFinalNo)) {
			this.#reader.forget();
			return false;
		}
		const untold = this.#ready.size === 0 || beatsOnly ? [] : state.control.holders.filter((h) => this.#ready.has(h.id));
		const rejoined = untold.filter((h) => transition.changes.size + ROOM <= store.limits.changes && transition.beat(h));
		const wanting = new Set(applied.map(wantedBy));
		const settled = (beatsOnly || transition.settle((id) => wanting.has(id) || this.#ready.has(id))) && (rejoined.length === untold.length || rejoined.length === 0);
		transition.seal();
		const changes = transition.changes.toChanges();
		const again = {
			attempt,
			decided: transition.decided
		};
		const versions = changes.length === 0 ? [] : await this.#commit(changes, again);
		if (versions === void 0) {
			if (this.#contended) await this.#post(batch, facts);
			return false;
		}
		this.#adopt(transition, changes, versions);
		const grants = [...rejoined, ...transition.granted];
		this.#answer(batch, applied, grants, decidedAt);
		if (settled) this.#tellMoved(decidedAt);
		if (transition.decided) this.#tell(applied, transition.granted);
		if (!settled) {
			this.#reader.forget();
			this.#pending.unshift({
				command: { kind: "settle" },
				arrivedAt: decidedAt,
				resolve: () => {},
				reject: () => {}
			});
		}
		return true;
	}
	/** Joins that met contention go to the inbox, where they contend with nobody. */
	async #post(batch, facts) {
		const { store, random, serverless } = this.#context;
		if (!serverless) return;
		for (const [index, { command }] of batch.entries()) {
			if (command.kind !== "join" || facts[index]?.member !== void 0) continue;
			this.#unknown = true;
			this.#reader.notePosted(command.id, await postJoin(store, this.queue, command.join, random));
		}
	}
	/** Applies as many commands as one commit takes; the others go back to the head of the mailbox. */
	#apply(transition, batch, facts, posted, at) {
		const { store, random } = this.#context;
		const fits = () => transition.changes.size + ROOM <= store.limits.changes;
		const { queue } = this;
		const context = {
			queue,
			observer: this.#observer,
			at,
			now: store.now().ms,
			random,
			posted,
			fits
		};
		const applied = [];
		for (const [index, { command }] of batch.entries()) {
			if (index > 0 && !fits()) {
				this.#pending.unshift(...batch.splice(index));
				break;
			}
			applied.push(apply(transition, command, facts[index] ?? {
				member: void 0,
				waits: false
			}, context));
		}
		return applied;
	}
	async #commit(changes, { attempt, decided }) {
		try {
			const result = await this.#context.store.commit(changes);
			this.#contended = !result.ok;
			if (result.ok) return result.versions;
			this.#again("conflict", attempt > 0 || !decided);
			if (attempt >= MAX_ATTEMPTS) throw new SignalboxError("throttled", `queue '${this.queue}' is too busy; ask again`);
		} catch (error) {
			if (!(isSignalboxError(error) && (error.code === "outcome_unknown" || error.code === "throttled")) || attempt >= MAX_ATTEMPTS) throw error;
			this.#contended = false;
			if (error.code === "outcome_unknown") this.#unknown = true;
			this.#again(error.code === "throttled" ? "throttled" : "outcome_unknown", true);
		}
	}
	#again(why, forget) {
		if (forget) this.#reader.forget();
		this.#context.emit({
			kind: "retried",
			queue: this.queue,
			why
		});
	}
	#adopt(transition, changes, versions) {
		const at = this.#context.clock.monotonic();
		const [partition, control] = controlKey(this.queue);
		const state = transition.state;
		watchState(this.#observer, state.control, at);
		let { version } = state;
		for (const [index, { key, op }] of changes.entries()) {
			const written = versions[index];
			if (op === "delete" && key[0] === partition) this.#observer.deleted(Number(key[1]));
			if (op !== "put" || key[0] !== partition || written === void 0) continue;
			if (key[1] === control) version = written;
			else this.#observer.wrote(Number(key[1]), written, at);
		}
		this.#reader.adopt(trimLine({
			...state,
			version
		}), transition.decided);
		this.#watch.setAlarm();
	}
	#answer(batch, applied, grants, decidedAt) {
		const holding = new Map(grants.map((grant) => [grant.id, grant]));
		for (const [index, { arrivedAt, resolve, reject }] of batch.entries()) {
			const result = applied[index];
			if (result === void 0) continue;
			if (result.kind === "left") this.#reader.left(result.id);
			if (result.kind === "refused") reject(result.error);
			else if (result.kind === "beaten") resolve({ elapsedMs: Math.max(0, decidedAt - arrivedAt) });
			else if (result.kind === "left") {
				resolve({ outcome: result.outcome });
				this.#askAgain(result.id);
			} else if (result.kind === "done" || result.kind === "stale") resolve(void 0);
			else if (result.kind === "changed") resolve({ changed: result.changed });
			else if (result.kind === "removed") {
				resolve({ outcome: result.outcome });
				if (result.outcome === "evicted") this.#askAgain(result.id);
			} else {
				const grant = holding.get(result.id);
				const standing = grant === void 0 ? result.standing : {
					state: "holding",
					grant
				};
				this.#answerMember(result, standing, decidedAt, {
					arrivedAt,
					resolve,
					reject
				});
			}
		}
		for (const grant of grants) {
			const waiter = this.#ready.take(grant.id);
			waiter?.resolve(this.#view(grant.id, {
				state: "holding",
				grant
			}, decidedAt - waiter.arrivedAt));
		}
	}
	/** A member that waits here is gone: let its request find that out. */
	#askAgain(id) {
		const waiter = this.#ready.take(id);
		if (waiter !== void 0) this.#resubmit(waiter);
	}
	#resubmit({ id, arrivedAt, signal, resolve, reject }) {
		const wait = {
			waitMs: 0,
			seenPosition: void 0,
			signal
		};
		this.submit({
			kind: "wait",
			id,
			wait
		}, arrivedAt).then((reply) => resolve(reply), reject);
	}
	/** Answers a join or wait, or keeps the member ready until something changes for it. */
	#answerMember({ id, wait }, standing, decidedAt, request) {
		const view = this.#view(id, standing, decidedAt - request.arrivedAt);
		const moved = wait.seenPosition !== void 0 && wait.seenPosition !== view.position;
		if (view.state !== "waiting" || wait.waitMs === 0 || moved || this.#closing.signal.aborted) request.resolve(view);
		else if (wait.signal?.aborted === true) request.reject(new SignalboxError("cancelled", "the caller hung up"));
		else {
			const { position, inWindow } = view;
			const waitMs = Math.min(wait.waitMs, this.#watch.pace(view).openMs);
			this.#ready.take(id)?.resolve(view);
			const waiter = {
				id,
				position,
				inWindow,
				signal: wait.signal,
				...request
			};
			this.#ready.add(waiter, waitMs, (timedOut) => this.#resubmit(timedOut));
		}
	}
	/** Only who enters the window, and the first few, hear of it: what a release costs does not grow with the queue. */
	#tellMoved(decidedAt) {
		const { state } = this.#reader;
		if (this.#ready.size === 0 || state === void 0) return;
		for (const [index, entry] of state.control.window.entries()) {
			const waiter = this.#ready.get(entry.id);
			const near = index < TOLD_POSITIONS && waiter?.position !== index + 1;
			if (waiter === void 0 || !(near || !waiter.inWindow)) continue;
			this.#ready.take(entry.id);
			waiter.resolve(this.#view(entry.id, {
				state: "waiting",
				entry
			}, decidedAt - waiter.arrivedAt));
		}
	}
	#view(id, standing, elapsedMs) {
		const { state } = this.#reader;
		if (state === void 0) throw new SignalboxError("internal", "a view was asked for before the state was loaded");
		const now = this.#context.store.now().ms;
		const view = memberView(this.queue, state, id, standing, now, Math.max(0, elapsedMs));
		return {
			...view,
			pollMs: this.#watch.pace(view).pollMs
		};
	}
	#tell(applied, granted) {
		const { emit, changed, store } = this.#context;
		for (const result of applied) {
			if (result.kind === "left" && result.outcome !== "gone") emit({
				kind: result.outcome,
				queue: this.queue
			});
			if (result.kind === "removed" && result.outcome === "evicted") emit({
				kind: "evicted",
				queue: this.queue
			});
			if ((result.kind === "member" || result.kind === "done") && result.happened !== void 0) emit({
				kind: result.happened,
				queue: this.queue
			});
		}
		const now = store.now().ms;
		for (const { joinedAt } of granted) emit({
			kind: "granted",
			queue: this.queue,
			waitedMs: Math.max(0, now - joinedAt)
		});
		changed(this.queue);
	}
};
/** What a look a moment later could contradict. */
function isFinalNo(applied) {
	if (applied.kind === "refused") return true;
	if (applied.kind === "changed") return !applied.changed;
	return (applied.kind === "left" || applied.kind === "removed") && applied.outcome === "gone";
}
/** Whose turn may be granted in this commit because its request is in the batch. */
function wantedBy(applied) {
	if (applied.kind !== "member" || applied.standing.state !== "waiting") return void 0;
	return applied.wait.signal?.aborted === true ? void 0 : applied.id;
}
/** Takes the beats out of a list of requests. */
function takeBeats(requests) {
	const beats = requests.filter(isBeat);
	if (beats.length > 0) requests.splice(0, requests.length, ...requests.filter((r) => !isBeat(r)));
	return beats;
}
function isBeat({ command }) {
	return command.kind === "beat";
}
/** Aborts when nobody waits for this batch any more: what the caller wants now, such as to leave, must not wait for it. */
function hungUp([first, ...more]) {
	return first !== void 0 && more.length === 0 && "wait" in first.command ? first.command.wait.signal : void 0;
}
/** Once a commit of a batch has an unknown outcome, no later failure may say that nothing was applied. */
function stillUnknown(error) {
	return isSignalboxError(error, "unavailable") || isSignalboxError(error, "throttled") ? new SignalboxError("outcome_unknown", error.message, { cause: error }) : error;
}
function stopping() {
	return new SignalboxError("unavailable", "the server is stopping; ask again");
}
// src/turns/service.ts
const PAGE = 1e3;
/** A queue nobody used for this long gives up its memory. */
const IDLE_MS = 6e4;
function createTurnsService(options) {
	return new StoreTurns(options);
}
var StoreTurns = class {
	#options;
	#actors = /* @__PURE__ */ new Map();
	#registered = /* @__PURE__ */ new Set();
	#listeners = /* @__PURE__ */ new Set();
	#elsewhere;
	/** Labels of holders last shown; a member's labels never change. */
	#labels = /* @__PURE__ */ new Map();
	#sweep;
	#closed = false;
	constructor(options) {
		this.#options = options;
		if (options.shared === true) {
			const { clock, store } = options;
			const changed = (queue) => this.#changed(queue);
			this.#elsewhere = new Elsewhere({
				clock,
				store,
				records: () => this.#controls(),
				changed
			});
		}
		this.#sweepLater();
	}
	async start() {
		for (const queue of await this.#names()) {
			this.#registered.add(queue);
			const control = await this.#control(queue);
			if (control !== void 0 && control.holders.length + control.window.length > 0) await this.#actor(queue).submit({ kind: "settle" });
		}
	}
	onChange(listener) {
		this.#listeners.add(listener);
		if (this.#listeners.size === 1) this.#elsewhere?.start();
		return () => {
			this.#listeners.delete(listener);
			if (this.#listeners.size === 0) this.#elsewhere?.stop();
		};
	}
	async close() {
		this.#closed = true;
		this.#sweep?.cancel();
		this.#elsewhere?.stop();
		for (const actor of this.#actors.values()) actor.close();
		this.#actors.clear();
	}
	async join(queue, request, signal) {
		const { id, permits, priority = 50, ttlMs = DEFAULT_TTL_MS, labels = {}, waitMs = 0 } = request;
		const arrivedAt = this.#options.clock.monotonic();
		if (!this.#registered.has(queue)) await this.#register(queue);
		const wait = {
			waitMs,
			seenPosition: void 0,
			signal
		};
		const join = {
			id,
			permits,
			priority,
			ttlMs,
			labels
		};
		return this.#member(queue, {
			kind: "join",
			id,
			join,
			wait
		}, arrivedAt);
	}
	wait(queue, id, request, signal) {
		const wait = {
			waitMs: request.waitMs ?? 0,
			seenPosition: request.seenPosition,
			signal
		};
		return this.#member(queue, {
			kind: "wait",
			id,
			wait
		});
	}
	async beat(queue, id, fence) {
		return await this.#submit(queue, {
			kind: "beat",
			id,
			fence
		});
	}
	async leave(queue, id, fence) {
		return await this.#submit(queue, {
			kind: "leave",
			id,
			fence
		});
	}
	async show(queue, options = {}) {
		const { store } = this.#options;
		const record = await store.get(controlKey(queue));
		if (record === void 0) throw unknownQueue(queue);
		const control = record.value;
		const limit = Math.min(options.limit ?? 100, PAGE);
		const page = await store.list({
			partition: linePartition(queue),
			from: decimalKey(0)
		}, { limit });
		const waiters = page.records.map((r) => r.value);
		const labels = /* @__PURE__ */ new Map();
		for (const holder of control.holders) labels.set(holder.id, await this.#labelsOf(queue, holder.id));
		return queueView(queue, {
			...emptyState,
			control
		}, waiters, page.next !== void 0, labels);
	}
	async list(options = {}) {
		const names = (await this.#names()).filter((name) => options.after === void 0 || name > options.after).sort();
		const limit = options.limit ?? 100;
		const queues = [];
		for (const queue of names.slice(0, limit)) {
			const control = await this.#control(queue);
			if (control !== void 0) queues.push(summary(queue, control));
		}
		const last = names[limit - 1];
		return names.length > limit && last !== void 0 ? {
			queues,
			next: last
		} : { queues };
	}
	async setState(queue, state, act) {
		return await this.#submit(queue, {
			kind: "set",
			to: { state },
			act: byWhom(act)
		});
	}
	async setPermits(queue, permits, act) {
		if (!this.#registered.has(queue)) await this.#register(queue);
		return await this.#submit(queue, {
			kind: "set",
			to: { permits },
			act: byWhom(act)
		});
	}
	async evict(queue, id, act) {
		return await this.#submit(queue, {
			kind: "remove",
			id,
			force: act.force === true,
			act: byWhom(act)
		});
	}
	async history(queue, options = {}) {
		const { limit = 50, before } = options;
		if (await this.#control(queue) === void 0) throw unknownQueue(queue);
		const page = await this.#options.store.list({ partition: historyPartition(queue) }, {
			limit: Math.min(limit, PAGE),
			reverse: true,
			...before === void 0 ? {} : { after: decimalKey(before) }
		});
		const holds = page.records.map((r) => pastHoldView(r.value));
		const last = holds.at(-1);
		return page.next === void 0 || last === void 0 ? { holds } : {
			holds,
			next: last.fence
		};
	}
	async #member(queue, command, arrivedAt) {
		const view = await this.#submit(queue, command, arrivedAt);
		if (view.holders.length === 0) return view;
		const far = this.#options.serverless === true && command.kind === "wait" && !view.inWindow;
		const holders = [];
		for (const holder of view.holders) {
			const labels = far ? this.#labels.get(holder.id) : await this.#labelsOf(queue, holder.id);
			holders.push({
				...holder,
				...labels === void 0 ? {} : { labels }
			});
		}
		return {
			...view,
			holders
		};
	}
	#submit(queue, command, arrivedAt) {
		return this.#actor(queue).submit(command, arrivedAt);
	}
	#actor(queue) {
		if (this.#closed) throw new SignalboxError("unavailable", "the server is stopping; ask again");
		let actor = this.#actors.get(queue);
		if (actor === void 0) {
			const { store, clock, random, serverless = false, onEvent = () => {} } = this.#options;
			const changed = (name) => this.#changed(name);
			actor = new QueueActor(queue, {
				store,
				clock,
				random,
				serverless,
				emit: onEvent,
				changed
			});
			this.#actors.set(queue, actor);
		}
		return actor;
	}
	#changed(queue) {
		for (const listener of this.#listeners) listener(queue);
	}
	async #controls() {
		return new Map((await this.#names()).map((queue) => [queue, controlKey(queue)]));
	}
	async #control(queue) {
		return (await this.#options.store.get(controlKey(queue)))?.value;
	}
	/** The queue's name goes into the registry before its first record; a name without records is not shown. */
	async #register(queue) {
		const { store } = this.#options;
		for (let probe = 0, chances = 5;;) {
			const key = registryKey(queue, probe);
			const found = await store.get(key);
			if (found === void 0) try {
				if ((await store.commit([{
					op: "put",
					key,
					expect: "absent",
					value: { queue }
				}])).ok) break;
			} catch (error) {
				if (!isSignalboxError(error, "outcome_unknown") || --chances === 0) throw error;
			}
			else if (found.value.queue === queue) break;
			else probe++;
		}
		this.#registered.add(queue);
	}
	async #names() {
		const names = [];
		for (let after;;) {
			const page = await this.#options.store.list({ partition: registryPartition }, after === void 0 ? { limit: PAGE } : {
				limit: PAGE,
				after
			});
			for (const { value } of page.records) names.push(value.queue);
			if (page.next === void 0) return names;
			after = page.next;
		}
	}
	async #labelsOf(queue, id) {
		const cached = this.#labels.get(id);
		if (cached !== void 0) return cached;
		let record;
		try {
			record = await this.#options.store.get(memberKey(queue, id));
		} catch {
			return {};
		}
		const found = (record?.value)?.labels ?? {};
		if (this.#labels.size > 1e4) this.#labels.clear();
		this.#labels.set(id, found);
		return found;
	}
	#sweepLater() {
		const { clock } = this.#options;
		this.#sweep = clock.timer(IDLE_MS, () => {
			const before = clock.monotonic() - IDLE_MS;
			for (const [queue, actor] of this.#actors) {
				if (!actor.idle || actor.lastUsedAt > before) continue;
				actor.close();
				this.#actors.delete(queue);
			}
			this.#sweepLater();
		}, { unref: true });
	}
};
function summary(queue, { permits, state, holders, waiting }) {
	return {
		queue,
		permits,
		state,
		holding: holders.length,
		waiting
	};
}
function byWhom({ by = "unknown", reason }) {
	return {
		by,
		reason
	};
}
// src/cli/open-engine.ts
/**
* Connects to the engine as one of the processes that meet there.
*
* @param open opens the store; a parameter for tests
* @throws SignalboxError `config_invalid` (no region, no SDK), and with Firestore, which is asked here already, what it
*   refuses with; DynamoDB speaks at the first call
*/
async function openEngine(choice, facts, open = openStore) {
	const { store, describe, settings } = await open(choice, facts);
	const service = createTurnsService({
		store,
		...facts,
		serverless: true
	});
	return {
		turns: choice.guard ? besideReference({
			turns: service,
			store,
			...facts
		}) : service,
		store,
		describe,
		settings,
		async close() {
			try {
				await service.close();
			} finally {
				await store.close();
			}
		}
	};
}
function openStore(choice, facts) {
	return choice.backend === "aws" ? openAws(choice, facts) : openGcp(choice, facts);
}
async function openAws(choice, { clock, random }) {
	const { loadSdk, openDynamodbStore } = await import("./dynamodb.mjs");
	const { table, endpoint, settings } = choice;
	const region = choice.region ?? await profileRegion(await loadSdk(), table);
	return {
		store: await openDynamodbStore({
			table,
			region,
			...endpoint === void 0 ? {} : { endpoint },
			clock,
			random
		}),
		describe: describeEngine({
			...choice,
			region
		}),
		settings: choice.region === void 0 ? [...settings, {
			name: "region",
			value: region,
			from: "AWS profile"
		}] : settings
	};
}
/** From the profile's files; the network is not asked. */
async function profileRegion({ DynamoDBClient }, table) {
	const client = new DynamoDBClient({});
	try {
		return await client.config.region();
	} catch (cause) {
		const what = `AWS_REGION: missing; name the region of the DynamoDB table ${table} there, or in the AWS profile`;
		throw new SignalboxError("config_invalid", what, {
			cause,
			details: { field: "AWS_REGION" }
		});
	} finally {
		client.destroy();
	}
}
async function openGcp(choice, { clock, random }) {
	const { openFirestoreStore } = await import("./firestore.mjs");
	const { collection, database, project, emulatorHost, settings } = choice;
	return {
		store: await openFirestoreStore({
			collection,
			database,
			...project === void 0 ? {} : { project },
			...emulatorHost === void 0 ? {} : { emulatorHost },
			clock,
			random
		}),
		describe: describeEngine(choice),
		settings
	};
}
export { openEngine };
