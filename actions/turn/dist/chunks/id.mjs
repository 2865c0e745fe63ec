import { i as isSignalboxError, t as SignalboxError } from "./error.mjs";
import { i as markOf, n as githubWorkerAbove, r as isAlive } from "./processes.mjs";
import { _ as string, f as number, i as _enum, p as object } from "./schemas.mjs";
import { c as joinBody, d as memberView, f as queueName, l as labels$1, n as DEFAULT_TTL_MS, r as MAX_TTL_MS, t as DEFAULT_STOP_GRACE_MS } from "./api.mjs";
import { a as ttlIsWorkable, i as safetyMargin, r as minimumTtl, t as beatInterval } from "./timing.mjs";
import { randomBytes } from "node:crypto";
import { tmpdir, userInfo } from "node:os";
import { lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
// src/supervisor/signals.ts
const NUMBERS = {
	SIGINT: 2,
	SIGTERM: 15,
	SIGHUP: 1,
	SIGQUIT: 3
};
/** The signals sent to this process. */
const processSignals = (take) => {
	const listeners = Object.keys(NUMBERS).map((name) => [name, () => take(name)]);
	for (const [name, listener] of listeners) process.on(name, listener);
	return () => {
		for (const [name, listener] of listeners) process.removeListener(name, listener);
	};
};
// src/kernel/duration.ts
/**
* Durations as people write them: `45s`, `2m`, `1h30m`, `500ms`, `7d`; a bare number is seconds.
* In code a duration is a number of milliseconds whose name ends in `Ms`.
*/
const UNIT_MS = {
	ms: 1,
	s: 1e3,
	m: 6e4,
	h: 36e5,
	d: 864e5
};
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;
/**
* @param text the duration as written
* @param field what the message calls the input, for example `--ttl`
* @returns whole milliseconds
* @throws SignalboxError `invalid_argument`
*/
function parseDuration(text, field) {
	const trimmed = text.trim();
	if (/^\d+(?:\.\d+)?$/.test(trimmed)) return checked(Number(trimmed) * 1e3, text, field);
	if (!WHOLE.test(trimmed)) throw malformed(text, field);
	let total = 0;
	for (const [, amount, unit] of trimmed.matchAll(PART)) total += Number(amount) * UNIT_MS[unit];
	return checked(total, text, field);
}
function checked(ms, text, field) {
	if (!Number.isSafeInteger(Math.round(ms))) throw malformed(text, field);
	return Math.round(ms);
}
function malformed(text, field) {
	return new SignalboxError("invalid_argument", `${field}: '${text.slice(0, 40)}' is not a duration; write for example 45s, 2m or 1h30m`, { details: { field } });
}
/** The two largest units, for people: `4m 5s`, `1h 30m`, `850ms`. */
function formatDuration(ms) {
	if (ms < 1e3) return `${Math.max(0, Math.round(ms))}ms`;
	const seconds = Math.round(ms / 1e3);
	const parts = [
		[Math.floor(seconds / 86400), "d"],
		[Math.floor(seconds % 86400 / 3600), "h"],
		[Math.floor(seconds % 3600 / 60), "m"],
		[seconds % 60, "s"]
	];
	const first = parts.findIndex(([amount]) => amount > 0);
	return parts.slice(first, first + 2).filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount}${unit}`).join(" ");
}
// src/turns/agent/state.ts
/**
* What an agent publishes about itself for the commands beside it, one file an agent.
*
* ```
* joining ──▶ waiting ──▶ holding ──▶ stopping ──▶ (no file)
*    └───────────┴───────────┴── without being asked ──▶ ended
* ```
*
* An agent that ends as it was asked to, its place gone for certain, leaves no file. Every other end is left as a record
* (`ended`) for the next `wait` or `stop` of its queue, so that a lost turn is never passed over in silence.
*/
/** Also a file's name. */
const agentId = string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 characters of A-Z a-z 0-9 _ -");
const agentEnd = object({
	why: _enum([
		"asked",
		"max_hold",
		"process_gone",
		"lost",
		"failed"
	]),
	/** What became of the place: `unconfirmed` when the server could not be told, so that it lapses by itself. */
	place: _enum([
		"released",
		"withdrawn",
		"gone",
		"unconfirmed"
	]),
	message: string()
});
const deadline = object({
	at: number(),
	wallAt: number()
});
const agentState = object({
	id: agentId,
	queue: queueName,
	pid: number().int(),
	/** Of the process, so that another one with the same id is not taken for it. */
	born: string().optional(),
	/** Where it serves `comms.QueueService`. */
	address: string(),
	state: _enum([
		"joining",
		"waiting",
		"holding",
		"stopping",
		"ended"
	]),
	ttlMs: number(),
	startedAt: string(),
	log: string(),
	/** The member's id in the queue, as `turn show` lists it. */
	member: string().optional(),
	ticket: number().int().optional(),
	fence: number().int().optional(),
	waitedMs: number().optional(),
	/** Place in the line right after joining; 0 when the turn was free. */
	positionAtJoin: number().int().optional(),
	/** Until when the turn may be relied on, on both clocks of this machine; a beat moves it. */
	heldUntil: deadline.optional(),
	/** The server's last answer while waiting, and when it came (monotonic ms). */
	view: memberView.optional(),
	viewAt: number().optional(),
	/** The server cannot be reached: why, and since when (monotonic ms). */
	trouble: object({
		message: string(),
		since: number()
	}).optional(),
	end: agentEnd.optional()
});
// src/turns/agent/state-files.ts
/**
* The state files of this user's agents: `<folder>/<id>.json`, mode 0600, in a folder that only its owner can enter.
*
* Invariants:
* - a file is replaced as a whole (rename): a reader sees the old or the new one;
* - a folder that others could write to, or that is another user's, is refused, for what lies in it is acted upon;
* - an id is taken by making its file, so two agents never share one.
*/
const FOLDER = "signalbox-agents";
const OTHERS = 63;
/** How long an end that nobody asked about, or a log without an agent, is kept. */
const KEEP_MS = 864e5;
/**
* Where agents of this user and this job lie: under RUNNER_TEMP, which GitHub empties for each job; else under
* XDG_RUNTIME_DIR; else in the temporary directory, which users share, under a name of the user's own.
*/
function agentsFolder(env) {
	const base = [env["RUNNER_TEMP"], env["XDG_RUNTIME_DIR"]].find((path) => path !== void 0 && path !== "");
	if (base !== void 0) return resolve(base, FOLDER);
	const { uid } = userInfo();
	return join(tmpdir(), uid < 0 ? FOLDER : `${FOLDER}-${uid}`);
}
/**
* @param create makes the folder when it is not there
* @returns false when it is not there
* @throws SignalboxError `permission_denied` when it is not this user's alone
*/
function checkFolder(folder, { create }) {
	try {
		if (create) mkdirSync(folder, {
			recursive: true,
			mode: 448
		});
		const { uid, mode } = lstatSync(folder);
		const mine = process.getuid === void 0 || uid === process.getuid() && (mode & OTHERS) === 0;
		if (lstatSync(folder).isDirectory() && mine) return true;
	} catch (cause) {
		const { code } = cause;
		if (code === "ENOENT" && !create) return false;
		throw denied(`${folder}: ${`cannot be used for the state of agents (${code})`}; make its parent directory writable, or set RUNNER_TEMP`, cause);
	}
	throw denied(`${folder}: must be a directory of your own that nobody else can enter (mode 0700); remove it, or set RUNNER_TEMP`);
}
/** Every agent that can be read, living or not, in the order of their starts. */
function readAgents(folder) {
	if (!checkFolder(folder, { create: false })) return [];
	return readdirSync(folder).filter((name) => name.endsWith(".json")).flatMap((name) => read(join(folder, name)) ?? []).sort((a, b) => a.startedAt < b.startedAt ? -1 : 1);
}
/** @returns undefined when there is none */
function readAgent(folder, id) {
	return read(join(folder, `${id}.json`));
}
/** Is its process there? */
function lives(state) {
	return isAlive({
		pid: state.pid,
		born: state.born
	});
}
/** Takes the id. @throws SignalboxError `conflict` when an agent has it */
function reserve(folder, state) {
	checkFolder(folder, { create: true });
	try {
		writeFileSync(join(folder, `${state.id}.json`), JSON.stringify(state), {
			flag: "wx",
			mode: 384
		});
	} catch (cause) {
		const { code } = cause;
		if (code === "EEXIST") throw takenId(state.id, cause);
		throw denied(`${folder}: cannot write (${code}); make it writable, or set RUNNER_TEMP`, cause);
	}
}
function takenId(id, cause) {
	const what = `agent ${id}: exists already; choose another --name, or stop it first`;
	return new SignalboxError("conflict", what, {
		cause,
		details: { agent: id }
	});
}
/** Replaces the file. @throws the file system's error */
function publish(folder, state) {
	const path = join(folder, `${state.id}.json`);
	const draft = `${path}.${state.pid}`;
	writeFileSync(draft, JSON.stringify(state), { mode: 384 });
	renameSync(draft, path);
}
/** Removes an agent's files; its log only when nobody is to read it. */
function forget(folder, id, { log }) {
	rmSync(join(folder, `${id}.json`), { force: true });
	if (log) rmSync(logPath(folder, id), { force: true });
}
function logPath(folder, id) {
	return join(folder, `${id}.log`);
}
/**
* Removes what agents that were killed left behind, and what nobody asked about for a day.
*
* @param now wall-clock ms
* @returns the agents that were killed: what they held lapses by itself
*/
function clean(folder, now) {
	if (!checkFolder(folder, { create: false })) return [];
	const killed = readAgents(folder).filter((state) => state.state !== "ended" && !lives(state));
	for (const { id } of killed) forget(folder, id, { log: false });
	const living = readAgents(folder).filter(({ state }) => state !== "ended");
	const kept = new Set(living.map(({ id }) => id));
	for (const name of readdirSync(folder)) {
		const path = join(folder, name);
		const id = name.slice(0, name.indexOf("."));
		if (!kept.has(id) && now - modifiedAt(path, now) > KEEP_MS) rmSync(path, { force: true });
	}
	return killed;
}
function modifiedAt(path, now) {
	return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now;
}
/** A file that is gone, or is no state of ours, reads as undefined. */
function read(path) {
	try {
		return agentState.safeParse(JSON.parse(readFileSync(path, "utf8"))).data;
	} catch {
		return;
	}
}
function denied(message, cause) {
	return new SignalboxError("permission_denied", message, { cause });
}
// src/cli/inputs.ts
/** Reads what several commands take. */
/** @throws SignalboxError `invalid_argument` */
function wholeNumber(text, bounds) {
	const { flag, min, max } = bounds;
	const value = /^\d{1,9}$/.test(text.trim()) ? Number(text) : NaN;
	if (value >= min && value <= max) return value;
	throw invalidInput(flag, `${flag}: '${text.slice(0, 40)}' must be a whole number from ${min} to ${max}`);
}
function invalidInput(field, message) {
	return new SignalboxError("invalid_argument", message, { details: { field } });
}
// src/turns/session/deadline.ts
/** @throws SignalboxError `invalid_argument` when the TTL leaves no room for three beats, the margin and the stop grace */
function holdTiming(ttlMs, stopGraceMs) {
	if (!ttlIsWorkable(ttlMs, stopGraceMs)) {
		const minimumMs = minimumFrom(ttlMs, stopGraceMs);
		throw new SignalboxError("invalid_argument", `ttl: ${exact(ttlMs)} is too short with a stop grace of ${exact(stopGraceMs)}; use at least ${exact(roundedUp(minimumMs))}`, { details: {
			field: "ttlMs",
			minimumMs
		} });
	}
	const beatMs = beatInterval(ttlMs);
	return {
		ttlMs,
		stopGraceMs,
		beatMs,
		marginMs: safetyMargin(ttlMs),
		retryMs: Math.min(1e3, Math.ceil(beatMs / 3))
	};
}
function momentOf(clock) {
	return {
		mono: clock.monotonic(),
		wall: clock.now()
	};
}
/**
* @param elapsedMs as the answer states it; 0 for a beat. Cut to the time that really passed, should the answer be wrong.
*/
function proofOf(sent, elapsedMs, receivedAt) {
	const elapsed = Math.min(Math.max(0, elapsedMs), receivedAt - sent.mono);
	return {
		base: sent.mono + elapsed,
		skew: sent.wall - sent.mono
	};
}
function deadlineOf(proof, { ttlMs, marginMs }) {
	const at = proof.base + ttlMs - marginMs;
	return {
		at,
		wallAt: at + proof.skew + marginMs / 2
	};
}
/** Did the machine sleep since the proof was asked for? By how long, if by more than clocks are stepped. */
function suspendedMs(proof, { marginMs }, clock) {
	const ahead = clock.now() - clock.monotonic() - proof.skew;
	return ahead > marginMs / 2 ? ahead : void 0;
}
/** Is there time left to work in, before it would already be time to stop? */
function isUsable(proof, timing, clock) {
	const stopAt = deadlineOf(proof, timing).at - timing.stopGraceMs;
	return clock.monotonic() < stopAt && suspendedMs(proof, timing, clock) === void 0;
}
/** The next workable TTL from `ttlMs` up; from 45 s on beats are rarer, so some below would work and some above not. */
function minimumFrom(ttlMs, stopGraceMs) {
	let minimumMs = minimumTtl(stopGraceMs);
	if (ttlMs > minimumMs) minimumMs = Math.ceil((3e4 + stopGraceMs) / .8);
	while (!ttlIsWorkable(minimumMs, stopGraceMs)) minimumMs++;
	return minimumMs;
}
function roundedUp(ms) {
	const step = ms > 1e4 ? 1e3 : 100;
	return Math.ceil(ms / step) * step;
}
/** Unrounded, unlike `formatDuration`, which would call 16.6 s too short for 17 s. */
function exact(ms) {
	return ms % 1e3 === 0 ? formatDuration(ms) : `${ms / 1e3}s`;
}
// src/turns/cli/run-request.ts
/** What `turn run` and `turn agent start` were asked for, checked: arguments and flags in, a request out, no call made. */
const PRIORITIES = {
	low: 25,
	normal: 50,
	high: 75,
	urgent: 90
};
const MAX_LABELS = 16;
/** @throws SignalboxError `invalid_argument` that names the input and what to write */
function memberRequest(queue, flags, defaults) {
	return {
		queue: queueArgument(queue),
		permits: flags.permits === void 0 ? void 0 : wholeNumber(flags.permits, {
			flag: "--permits",
			min: 1,
			max: 500
		}),
		priority: flags.priority === void 0 ? void 0 : priority(flags.priority),
		...timing(flags),
		labels: labels(flags.label ?? [], defaults)
	};
}
/** @throws SignalboxError `invalid_argument` */
function queueArgument(text) {
	const parsed = queueName.safeParse(text);
	if (parsed.success) return parsed.data;
	const why = parsed.error.issues[0]?.message ?? "is not a name";
	throw invalidInput("queue", `queue: '${text.slice(0, 40)}' ${why}`);
}
function priority(text) {
	if (Object.hasOwn(PRIORITIES, text)) return PRIORITIES[text] ?? 0;
	if (/^\d/.test(text)) return wholeNumber(text, {
		flag: "--priority",
		min: 0,
		max: 99
	});
	throw invalidInput("--priority", `--priority: '${text.slice(0, 40)}' must be low, normal, high, urgent or a number from 0 to 99`);
}
function timing(flags) {
	const { ttl, lease } = flags;
	if (ttl !== void 0 && lease !== void 0 && ttl !== lease) throw invalidInput("--ttl", `--ttl and --lease: are the same and contradict each other; give one of them`);
	const flag = ttl === void 0 && lease !== void 0 ? "--lease" : "--ttl";
	const given = ttl ?? lease;
	const ttlMs = given === void 0 ? DEFAULT_TTL_MS : parseDuration(given, flag);
	const stopGraceMs = flags.stopGrace === void 0 ? DEFAULT_STOP_GRACE_MS : parseDuration(flags.stopGrace, "--stop-grace");
	if (!joinBody.shape.ttlMs.safeParse(ttlMs).success) throw invalidInput(flag, `${flag}: '${given}' must be from 1s to ${MAX_TTL_MS / 36e5}h`);
	try {
		holdTiming(ttlMs, stopGraceMs);
	} catch (error) {
		if (!isSignalboxError(error)) throw error;
		throw new SignalboxError(error.code, error.message.replace(/^ttl:/, `${flag}:`), {
			cause: error,
			details: error.details
		});
	}
	return {
		ttlMs,
		stopGraceMs
	};
}
/** The given labels, and as many of the default ones as there is room for. */
function labels(given, defaults) {
	const own = {};
	for (const text of given) {
		const at = text.indexOf("=");
		if (at < 1) throw invalidInput("--label", `--label: '${text.slice(0, 40)}' must be written key=value, with a key`);
		own[text.slice(0, at)] = text.slice(at + 1);
	}
	if (!labels$1.safeParse(own).success) throw invalidInput("--label", `--label: not within the limits: ${`keys of 1 to 64 and values of up to 256 characters, at most ${MAX_LABELS} labels`}`);
	const rest = Object.entries(defaults).filter(([key]) => !Object.hasOwn(own, key));
	return {
		...Object.fromEntries(rest.slice(0, MAX_LABELS - Object.keys(own).length)),
		...own
	};
}
// src/turns/cli/agent/request.ts
/** What `turn agent start` was asked for, checked before any process is started. */
const DEFAULT_MAX_HOLD = "6h";
const LONGEST_HOLD_MS = 6048e5;
/** @throws SignalboxError `invalid_argument` that names the input and what to write */
function agentRequest(queue, flags, defaults) {
	return {
		...memberRequest(queue, flags, defaults),
		port: flags.port === void 0 ? void 0 : wholeNumber(flags.port, {
			flag: "--port",
			min: 1,
			max: 65535
		}),
		maxHoldMs: maxHold(flags.maxHold ?? DEFAULT_MAX_HOLD),
		onLost: onLost(flags.onLost ?? "warn"),
		name: flags.name === void 0 ? void 0 : idArgument(flags.name, "--name")
	};
}
/**
* The process with whose end the agent ends: the one named, or on GitHub Actions the runner's worker.
* @throws SignalboxError `invalid_argument`
*/
function watchedProcess({ watchPid }, env) {
	if (watchPid === void 0) return env["GITHUB_ACTIONS"] === "true" ? githubWorkerAbove(process.ppid) : void 0;
	const pid = wholeNumber(watchPid, {
		flag: "--watch-pid",
		min: 1,
		max: 999999999
	});
	const mark = markOf(pid);
	if (mark === void 0) throw invalid("--watch-pid", `--watch-pid: there is no process ${pid}; give one that runs`);
	return mark;
}
/** @throws SignalboxError `invalid_argument` */
function idArgument(text, flag) {
	const parsed = agentId.safeParse(text);
	if (parsed.success) return parsed.data;
	throw invalid(flag, `${flag}: '${text.slice(0, 40)}' ${parsed.error.issues[0]?.message ?? "is not a name"}`);
}
function maxHold(text) {
	const ms = parseDuration(text, "--max-hold");
	if (ms >= 1e3 && ms <= LONGEST_HOLD_MS) return ms;
	throw invalid("--max-hold", `--max-hold: '${text}' must be from 1s to 7d`);
}
function onLost(text) {
	if (text === "cancel-run" || text === "warn") return text;
	throw invalid("--on-lost", `--on-lost: '${text.slice(0, 40)}' must be cancel-run or warn`);
}
function invalid(field, message) {
	return new SignalboxError("invalid_argument", message, { details: { field } });
}
// src/kernel/id.ts
/**
* Randomness, handed in: ids of members and requests, jitter, inbox keys. Tests pass a seeded source.
*/
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const ID_LENGTH = 20;
const systemRandom = {
	next: () => Math.random(),
	id: () => Array.from(randomBytes(ID_LENGTH), (byte) => ALPHABET[byte & 31]).join("")
};
export { parseDuration as C, formatDuration as S, publish as _, deadlineOf as a, reserve as b, momentOf as c, agentsFolder as d, checkFolder as f, logPath as g, lives as h, queueArgument as i, proofOf as l, forget as m, agentRequest as n, holdTiming as o, clean as p, watchedProcess as r, isUsable as s, systemRandom as t, suspendedMs as u, readAgent as v, processSignals as w, takenId as x, readAgents as y };
