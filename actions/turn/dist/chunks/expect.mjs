import { t as SignalboxError } from "./error.mjs";
// src/drivers/shared/engine-time.ts
/**
* Engine time as learnt from answers (Cristian, "Probabilistic clock synchronization", 1989): an answer that took a
* round trip of r and says t came at t + r/2, give or take r/2 and the resolution of t.
*
* Invariants: samples that agree are taken together, so that time is known as well as where their intervals meet; one
* that contradicts what is known replaces it (the clock has jumped); the monotonic clock carries it on, and its
* uncertainty grows with age.
*/
/** How far two clocks of one machine may drift apart, per millisecond; generous. */
const DRIFT = 1e-4;
/** For engines that tell whole milliseconds: the clock may be about to turn. */
const DEFAULT_RESOLUTION_MS = 1;
var EngineTime = class {
	#resolutionMs;
	#known;
	/** @param resolutionMs what every answer may be off by, beside what it says of itself. */
	constructor(resolutionMs = DEFAULT_RESOLUTION_MS) {
		this.#resolutionMs = resolutionMs;
	}
	/**
	* Learns from an answer.
	* @param sentAt monotonic time of the request. @param receivedAt monotonic time of its answer.
	* @param ms and `uncertaintyMs`: what the answer says.
	*/
	learn(sentAt, receivedAt, ms, uncertaintyMs) {
		const half = (receivedAt - sentAt) / 2;
		const offset = ms + half - receivedAt;
		const uncertainty = half + uncertaintyMs + this.#resolutionMs;
		let low = offset - uncertainty;
		let high = offset + uncertainty;
		const known = this.#known;
		if (known !== void 0) {
			const aged = known.uncertaintyMs + DRIFT * (receivedAt - known.at);
			const [knownLow, knownHigh] = [known.offset - aged, known.offset + aged];
			if (knownLow <= high && low <= knownHigh) {
				low = Math.max(low, knownLow);
				high = Math.min(high, knownHigh);
			}
		}
		this.#known = {
			offset: (low + high) / 2,
			uncertaintyMs: (high - low) / 2,
			at: receivedAt
		};
	}
	/** Engine time now, in whole milliseconds; undefined before the first sample. */
	at(monotonic) {
		const known = this.#known;
		if (known === void 0) return void 0;
		const exact = monotonic + known.offset;
		const ms = Math.round(exact);
		return {
			ms,
			uncertaintyMs: known.uncertaintyMs + DRIFT * (monotonic - known.at) + Math.abs(ms - exact)
		};
	}
	/** Time since the last answer. */
	age(monotonic) {
		return this.#known === void 0 ? Infinity : monotonic - this.#known.at;
	}
};
// src/ports/store-checks.ts
/**
* What every driver checks of its arguments before it touches its engine, so that all of them refuse the same calls
* with the same words. Everything here throws `invalid_argument` with one line, or returns.
*
* Invariant: a value that passes reads back equal from any engine, since it is plain JSON (`-0` reads back as `0`).
* The checks take arguments as untrusted: calls also arrive from other processes.
*/
const ASCII = /^[\x20-\x7e]{1,200}$/;
const DECIMAL = /^[0-9]{15}$/;
const MAX_LIST = 1e3;
/** Deeper values are refused; this also catches cycles. */
const MAX_DEPTH = 100;
/** Up to this many changes, comparing each with each is cheaper than a set. */
const FEW = 6;
/** @throws SignalboxError `invalid_argument` unless both parts of the key suit a store of this kind. */
function checkKey(key, keys) {
	if (!Array.isArray(key) || key.length !== 2) throw invalid(`a key is [partition, key], got ${show(key)}`);
	checkPartition(key[0]);
	checkKeyPart(key[1], keys, "key");
}
/** @throws SignalboxError `invalid_argument` */
function checkRange(range, keys) {
	if (!isObject(range)) throw invalid(`a range is { partition, from?, to? }, got ${show(range)}`);
	checkPartition(range.partition);
	if (range.from !== void 0) checkKeyPart(range.from, keys, "range from");
	if (range.to !== void 0) checkKeyPart(range.to, keys, "range to");
}
/** @throws SignalboxError `invalid_argument` */
function checkListOptions(options, keys) {
	if (!isObject(options)) throw invalid(`list options are { limit, … }, got ${show(options)}`);
	const { limit, after } = options;
	if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIST) throw invalid(`list limit must be a whole number from 1 to ${MAX_LIST}, got ${show(limit)}`);
	if (after !== void 0) checkKeyPart(after, keys, "list after");
}
/**
* Checks a whole commit.
* @returns the values as JSON text, by index of the change; undefined for `delete` and `check`. Drivers store this
*   text, so that what the caller does to its objects afterwards changes nothing.
* @throws SignalboxError `invalid_argument`
*/
function checkCommit(changes, limits) {
	if (!Array.isArray(changes)) throw invalid(`a commit takes an array of changes, got ${show(changes)}`);
	if (changes.length === 0) throw invalid("a commit needs at least one change");
	if (changes.length > limits.changes) throw invalid(`a commit takes at most ${limits.changes} changes, got ${changes.length}`);
	const encoded = changes.map((change) => checkChange(change, limits));
	checkRepeats(changes);
	let bytes = 0;
	for (const json of encoded) if (json !== void 0) bytes += Buffer.byteLength(json);
	if (bytes > limits.commitBytes) throw invalid(`the values of a commit may have ${limits.commitBytes} bytes together, got ${bytes}`);
	return encoded;
}
function checkChange(change, limits) {
	if (!isObject(change)) throw invalid(`a change is { key, expect, op, … }, got ${show(change)}`);
	checkKey(change.key, limits.keys);
	checkExpect(change);
	if (change.op === "delete" || change.op === "check") return void 0;
	if (change.op !== "put") throw invalid(`${at(change)}: op must be put, delete or check, got ${show(change.op)}`);
	if (change.expiresAt !== void 0 && !Number.isFinite(change.expiresAt)) throw invalid(`${at(change)}: expiresAt must be milliseconds since the epoch, got ${show(change.expiresAt)}`);
	const problem = notJson(change.value, 0);
	if (problem !== void 0) throw invalid(`${at(change)}: value${problem}; only plain JSON can be stored`);
	const json = JSON.stringify(change.value);
	const bytes = Buffer.byteLength(json);
	if (bytes > limits.valueBytes) throw invalid(`${at(change)}: a value may have ${limits.valueBytes} bytes as JSON, got ${bytes}`);
	return json;
}
function checkExpect(change) {
	const expect = change.expect;
	if (expect === "absent" || expect === "present") return;
	if (isObject(expect) && typeof expect.version === "string") return;
	throw invalid(`${at(change)}: expect must be 'absent', 'present' or { version }, got ${show(expect)}`);
}
function checkRepeats(changes) {
	if (changes.length <= FEW) {
		changes.forEach((change, i) => {
			for (let j = 0; j < i; j++) if (sameKey(changes[j], change)) throw repeated(change);
		});
		return;
	}
	const seen = /* @__PURE__ */ new Set();
	changes.forEach((change, i) => {
		if (seen.add(`${change.key[0]}\0${change.key[1]}`).size !== i + 1) throw repeated(change);
	});
}
function sameKey(a, b) {
	return a.key[1] === b.key[1] && a.key[0] === b.key[0];
}
function repeated(change) {
	return invalid(`${at(change)}: a commit may change a key only once`);
}
function checkPartition(partition) {
	if (typeof partition === "string" && ASCII.test(partition)) return;
	throw invalid(`a partition must be 1 to 200 printable ASCII characters, got ${show(partition)}`);
}
function checkKeyPart(key, keys, what) {
	if (keys === "decimal") {
		if (typeof key === "string" && DECIMAL.test(key)) return;
		throw invalid(`${what}: this store takes keys of exactly 15 digits (decimalKey), got ${show(key)}`);
	}
	if (typeof key === "string" && ASCII.test(key)) return;
	throw invalid(`${what} must be 1 to 200 printable ASCII characters, got ${show(key)}`);
}
/** Where and why a value is not plain JSON, as `.a[3] is undefined`; undefined when it is. */
function notJson(value, depth) {
	if (value === null || typeof value === "string" || typeof value === "boolean") return void 0;
	if (typeof value === "number") return Number.isFinite(value) ? void 0 : ` is ${value}`;
	if (value === void 0) return " is undefined";
	if (typeof value !== "object") return ` is a ${typeof value}`;
	if (depth >= MAX_DEPTH) return ` is nested deeper than ${MAX_DEPTH} levels or contains itself`;
	if (Array.isArray(value)) {
		for (let i = 0; i < value.length; i++) {
			const problem = notJson(value[i], depth + 1);
			if (problem !== void 0) return `[${i}]${problem}`;
		}
		return;
	}
	const prototype = Object.getPrototypeOf(value);
	if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return ` is a ${value.constructor?.name ?? "class instance"}`;
	for (const name of Object.keys(value)) {
		const problem = notJson(value[name], depth + 1);
		if (problem !== void 0) return `.${name}${problem}`;
	}
}
function isObject(value) {
	return typeof value === "object" && value !== null;
}
function at(change) {
	return `change of ${show(change.key[0])} ${show(change.key[1])}`;
}
/** An argument in a message: one short line, whatever it is. */
function show(value) {
	if (typeof value === "string") return `'${JSON.stringify(value.slice(0, 60)).slice(1, -1)}'`;
	if (typeof value === "number" || typeof value === "boolean" || value == null) return String(value);
	if (Array.isArray(value)) return `an array of ${value.length}`;
	return `a ${typeof value}`;
}
function invalid(message) {
	return new SignalboxError("invalid_argument", message);
}
// src/drivers/shared/expect.ts
/** @param version of the record as it reads now; undefined when absent or expired. */
function holds(expect, version) {
	if (expect === "absent") return version === void 0;
	if (expect === "present") return version !== void 0;
	return version === expect.version;
}
export { checkRange as a, checkListOptions as i, checkCommit as n, EngineTime as o, checkKey as r, holds as t };
