import { o as __toESM } from "./rolldown-runtime.mjs";
import { t as require_src } from "./src.mjs";
import { i as isSignalboxError, t as SignalboxError } from "./error.mjs";
import { n as decimalKey, r as portableLimits, t as PAGE_BYTES } from "./store.mjs";
import { t as backoffDelay } from "./backoff.mjs";
import { t as sleep } from "./clock.mjs";
import { a as checkRange, i as checkListOptions, n as checkCommit, o as EngineTime, r as checkKey, t as holds } from "./expect.mjs";
// src/drivers/firestore/errors.ts
var import_src = /* @__PURE__ */ __toESM(require_src(), 1);
/**
* Firestore's errors in our words. Codes: https://cloud.google.com/firestore/docs/reference/rpc/google.rpc and
* https://cloud.google.com/firestore/docs/understand-error-codes.
*
* Invariant: a write is called *not applied* only where that is certain: the engine said so (a failed precondition,
* ABORTED, RESOURCE_EXHAUSTED, a refused permission) or the request never left. Everything else is `outcome_unknown`.
*/
/** gRPC status codes by number: google/rpc/code.proto. */
const status = {
	CANCELLED: 1,
	UNKNOWN: 2,
	INVALID_ARGUMENT: 3,
	DEADLINE_EXCEEDED: 4,
	NOT_FOUND: 5,
	ALREADY_EXISTS: 6,
	PERMISSION_DENIED: 7,
	RESOURCE_EXHAUSTED: 8,
	FAILED_PRECONDITION: 9,
	ABORTED: 10,
	OUT_OF_RANGE: 11,
	UNIMPLEMENTED: 12,
	INTERNAL: 13,
	UNAVAILABLE: 14,
	DATA_LOSS: 15,
	UNAUTHENTICATED: 16
};
/** The operation that makes a token of the credentials. */
const SIGN_IN = "sign in";
/** The status code of a gRPC error; undefined for any other error. */
function statusOf(error) {
	if (!(error instanceof Error) || !("code" in error)) return void 0;
	return typeof error.code === "number" ? error.code : void 0;
}
/** The engine wants a composite index that is not there. */
function isMissingIndex(error) {
	return statusOf(error) === status.FAILED_PRECONDITION && /\bindex\b/i.test(detailsOf(error));
}
/** The engine means the database, not a document. */
function isMissingDatabase(error) {
	return statusOf(error) === status.NOT_FOUND && /\bdatabase .*does not exist/i.test(detailsOf(error));
}
/**
* The engine gave up and applied nothing: ABORTED (contention), or a transaction that rested for too long, for example
* while this machine slept.
*/
function isAborted(error) {
	if (statusOf(error) === status.ABORTED) return true;
	return statusOf(error) === status.INVALID_ARGUMENT && /transaction has expired/i.test(detailsOf(error));
}
/**
* The call never left. These are the transport's own words for a call that found no connection, or whose headers could
* not be made; a connection that broke has others (`errors.test.ts` holds the installed transport to them).
*/
function wasNeverSent(error) {
	return statusOf(error) === status.UNAVAILABLE && /^(?:No connection established|Name resolution failed|Getting metadata from plugin failed)/.test(detailsOf(error));
}
/** An error of a call as a `SignalboxError`. */
function translate(error, facts) {
	if (error instanceof SignalboxError) return error;
	const [code, message] = meaning(error, facts);
	return new SignalboxError(code, message, { cause: error });
}
function meaning(error, facts) {
	const { place, operation, write } = facts;
	const where = `Firestore database '${place.database}' of project '${place.project}'`;
	const details = detailsOf(error);
	if (isCredentialFailure(details)) return ["unauthenticated", noCredentials()];
	const unusable = unusableCredentials(error, facts);
	if (unusable !== void 0) return ["unauthenticated", `the Google Cloud credentials cannot be used: ${unusable}`];
	if (facts.timedOutAfterMs !== void 0) return lost(write, `${where}: no answer to ${operation} within ${facts.timedOutAfterMs} ms`);
	const said = `${where}: ${operation}: ${details}`;
	switch (statusOf(error)) {
		case status.PERMISSION_DENIED: return ["permission_denied", `${where}: access denied; grant roles/datastore.user to the account in use (${details})`];
		case status.UNAUTHENTICATED: return ["unauthenticated", `${where}: the credentials were refused; sign in again (${details})`];
		case status.NOT_FOUND: return ["not_found", `${where} does not exist, or the project has no Firestore; create the database in native mode or correct its name (${details})`];
		case status.FAILED_PRECONDITION: return isMissingIndex(error) ? ["config_invalid", missingIndex(where, place.collection)] : ["config_invalid", `${where}: refused; the database must be in native mode (${details})`];
		case status.INVALID_ARGUMENT:
		case status.OUT_OF_RANGE: return ["invalid_argument", said];
		case status.UNIMPLEMENTED: return ["unavailable", `${said}; is this the address of a Firestore?`];
		case status.RESOURCE_EXHAUSTED: return /Bandwidth exhausted/.test(details) ? lost(write, said) : ["throttled", said];
		case status.ABORTED: return ["throttled", `${where}: too much contention for ${operation}; not applied`];
		case status.UNAVAILABLE: return wasNeverSent(error) ? ["unavailable", `${where} cannot be reached: ${details.replace(/\s*Resolution note:\s*$/, "")}`] : lost(write, said);
		case void 0:
		default: return lost(write, said);
	}
}
function lost(write, said) {
	return write ? ["outcome_unknown", said] : ["unavailable", said];
}
function isCredentialFailure(details) {
	return /Could not load the default credentials|invalid_grant|Could not refresh access token/.test(details);
}
/** Why no token could be made of the credentials, unless it was the network. */
function unusableCredentials(error, { operation }) {
	const details = detailsOf(error);
	const why = operation === "sign in" && statusOf(error) === void 0 ? details : /^Getting metadata from plugin failed with error: (.*)/s.exec(details)?.[1];
	return why === void 0 || /ENOTFOUND|ECONN|ETIMEDOUT|EAI_AGAIN|socket|timeout/i.test(why) ? void 0 : why;
}
function noCredentials() {
	return "no usable Google Cloud credentials were found; run `gcloud auth application-default login`, set GOOGLE_APPLICATION_CREDENTIALS, or in GitHub Actions use google-github-actions/auth";
}
function missingIndex(where, collection) {
	return `${where}: collection '${collection}' lacks its composite index; create one with the fields queueName ascending, entryTimestamp ascending`;
}
function detailsOf(error) {
	if (!(error instanceof Error)) return String(error);
	return ("details" in error && typeof error.details === "string" ? error.details : error.message).split("\n", 1)[0] ?? "";
}
// src/drivers/firestore/wire.ts
/** Milliseconds since the epoch, with their fraction. */
function toMs({ seconds, nanos }) {
	return Number(seconds) * 1e3 + nanos / 1e6;
}
/** Whole numbers as integers, others as doubles; Firestore orders and compares both alike. */
function numberValue(n) {
	return Number.isSafeInteger(n) ? { integerValue: String(n) } : { doubleValue: n };
}
/** The number in a field, or undefined when it holds none. */
function asNumber(value) {
	if (value?.integerValue !== void 0) return Number(value.integerValue);
	return value?.doubleValue;
}
/** Any field as JSON: what has no form there becomes text (times in ISO 8601, bytes in base64). */
function toJson(value) {
	if (value.stringValue !== void 0) return value.stringValue;
	if (value.booleanValue !== void 0) return value.booleanValue;
	const number = asNumber(value);
	if (number !== void 0) return Number.isFinite(number) ? number : String(number);
	if (value.timestampValue !== void 0) return new Date(toMs(value.timestampValue)).toISOString();
	if (value.referenceValue !== void 0) return value.referenceValue;
	if (value.bytesValue !== void 0) return Buffer.from(value.bytesValue).toString("base64");
	if (value.arrayValue !== void 0) return value.arrayValue.values.map(toJson);
	if (value.mapValue !== void 0) return fieldsToJson(value.mapValue.fields);
	if (value.geoPointValue !== void 0) return {
		latitude: value.geoPointValue.latitude,
		longitude: value.geoPointValue.longitude
	};
	return null;
}
function fieldsToJson(fields) {
	return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, toJson(value)]));
}
// src/drivers/firestore/connection.ts
const READ_ATTEMPTS = 3;
const READ_BACKOFF = {
	baseMs: 100,
	maxMs: 1e3
};
const TRANSIENT = [
	status.UNAVAILABLE,
	status.INTERNAL,
	status.UNKNOWN
];
/** Between two answers wall and monotonic time may differ so much before we think that the machine slept. */
const SUSPECT_MS = 1e3;
/** An error the caller looks at before it is translated. */
var CallFailure = class extends Error {
	failure;
	timedOut;
	constructor(failure, timedOut) {
		super("a call failed");
		this.failure = failure;
		this.timedOut = timedOut;
	}
};
var Connection = class {
	clock;
	random;
	place;
	#options;
	#time = new EngineTime();
	#heardAt = {
		wall: 0,
		monotonic: 0
	};
	constructor(options) {
		this.#options = options;
		this.clock = options.clock;
		this.random = options.random;
		this.place = options.place;
	}
	/** How long a call may take. */
	get timeoutMs() {
		return this.#options.timeoutMs;
	}
	/**
	* Sends a commit, once.
	* @throws the gRPC error of a refusal that says "not applied" and needs judgement (`isRefusal`), else SignalboxError
	*/
	async commit(request) {
		try {
			return await this.#unary("Commit", (answer) => this.#options.stub.commit(request, this.#options.metadata, answer));
		} catch (error) {
			throw isRefusal(error) ? error.failure : this.#translate(error, "Commit", true);
		}
	}
	/** Gives a transaction's locks back. Best effort: the engine ends idle transactions itself. */
	async rollback(database, transaction) {
		await this.#unary("Rollback", (answer) => this.#options.stub.rollback({
			database,
			transaction
		}, this.#options.metadata, answer)).catch(() => void 0);
	}
	/** @throws the gRPC error ABORTED as it is (transactions only), else SignalboxError */
	async batchGet(request) {
		let messages = [];
		await this.#read("BatchGetDocuments", () => this.#options.stub.batchGetDocuments(request, this.#options.metadata), () => {
			messages = [];
			return (message) => messages.push(message) > 0;
		});
		return messages;
	}
	/**
	* Runs a query.
	* @param start is called for each attempt and gives who takes the results.
	* @throws the gRPC error of a missing index (`isMissingIndex`) as it is, else SignalboxError
	*/
	async query(request, start) {
		await this.#read("RunQuery", () => this.#options.stub.runQuery(request, this.#options.metadata), start, request.readTime !== void 0);
	}
	/** Opens the stream of a listener. */
	listen() {
		this.#options.onRequest("Listen");
		return this.#options.stub.listen(this.#options.metadata);
	}
	translate(error, operation) {
		return translate(error, {
			place: this.place,
			operation,
			write: false
		});
	}
	/** Engine time; before the first answer this machine's, which may be off by anything. */
	now() {
		const monotonic = this.clock.monotonic();
		const known = this.#time.at(monotonic);
		if (known === void 0) return {
			ms: this.clock.now(),
			uncertaintyMs: Number.MAX_SAFE_INTEGER
		};
		const apart = Math.abs(this.clock.now() - this.#heardAt.wall - (monotonic - this.#heardAt.monotonic));
		return apart < SUSPECT_MS ? known : {
			ms: known.ms,
			uncertaintyMs: known.uncertaintyMs + apart
		};
	}
	close() {
		return this.#options.close();
	}
	#unary(operation, call) {
		this.#options.onRequest(operation);
		const sentAt = this.clock.monotonic();
		return new Promise((resolve, reject) => {
			let timedOut = false;
			const limit = this.clock.timer(this.timeoutMs, () => {
				timedOut = true;
				sent.cancel();
			});
			const sent = call((error, response) => {
				limit.cancel();
				if (error !== null) {
					reject(new CallFailure(error, timedOut));
					return;
				}
				this.#learn(sentAt, response.commitTime);
				resolve(response);
			});
		});
	}
	async #read(operation, open, start, past = false) {
		for (let attempt = 0;; attempt++) try {
			await this.#stream(operation, open, start(), past);
			return;
		} catch (error) {
			const { failure, timedOut } = error;
			if (isMissingIndex(failure) || isAborted(failure)) throw failure;
			if (!(TRANSIENT.includes(statusOf(failure)) && !timedOut && !wasNeverSent(failure)) || attempt + 1 >= READ_ATTEMPTS) throw this.#translate(error, operation, false);
			await sleep(this.clock, backoffDelay(READ_BACKOFF, attempt, this.random));
		}
	}
	/** One attempt. The time limit counts from the last message. */
	#stream(operation, open, sink, past) {
		this.#options.onRequest(operation);
		const sentAt = this.clock.monotonic();
		return new Promise((resolve, reject) => {
			let heard = false;
			let timedOut = false;
			let done = false;
			const stream = open();
			const watchdog = () => {
				if (heard) {
					heard = false;
					limit = this.clock.timer(this.timeoutMs, watchdog);
					return;
				}
				timedOut = true;
				stream.cancel();
			};
			let limit = this.clock.timer(this.timeoutMs, watchdog);
			const end = () => {
				done = true;
				limit.cancel();
			};
			stream.on("data", (message) => {
				if (done) return;
				if (!heard && !past) this.#learn(sentAt, message.readTime);
				heard = true;
				if (sink(message)) return;
				end();
				stream.cancel();
				resolve();
			});
			stream.on("end", () => {
				end();
				resolve();
			});
			stream.on("error", (error) => {
				if (done) return;
				end();
				reject(new CallFailure(error, timedOut));
			});
		});
	}
	#learn(sentAt, time) {
		if (time === null || time === void 0) return;
		const monotonic = this.clock.monotonic();
		this.#heardAt = {
			wall: this.clock.now(),
			monotonic
		};
		this.#time.learn(sentAt, monotonic, toMs(time), 0);
	}
	#translate(error, operation, write) {
		const { failure, timedOut } = error;
		const limit = timedOut ? { timedOutAfterMs: this.timeoutMs } : {};
		return translate(failure, {
			place: this.place,
			operation,
			write,
			...limit
		});
	}
};
/** Codes by which the engine says that a commit's preconditions failed, or that it lost against another. */
const REFUSALS = [
	status.ALREADY_EXISTS,
	status.NOT_FOUND,
	status.FAILED_PRECONDITION
];
function isRefusal(error) {
	if (!(error instanceof CallFailure) || error.timedOut || isMissingDatabase(error.failure)) return false;
	return REFUSALS.includes(statusOf(error.failure)) || isAborted(error.failure);
}
// src/drivers/firestore/documents.ts
/**
* How a record lies in a collection, and what a document that we find there says.
*
* - `queueName` is the partition and `entryTimestamp` the key, as in the collection of dynamo-q, so that its one composite
*   index (queueName, entryTimestamp, __name__, all ascending) serves every query.
* - `value` is our value as JSON text. `nonce` is new with each write: a write that changes no field does not advance a
*   document's update time, and update times are our versions.
* - A record that expires carries `expiresAt` (milliseconds: what counts), `expireAt` (the same as a timestamp, for a
*   TTL policy) and `lastUpdated` (the same in seconds, rounded up: clients of dynamo-q remove leading entries whose
*   `lastUpdated` is missing or more than 120 s old).
*
* Invariants: a key has exactly one document name; a version carries its record's expiry, so that whoever holds a
* version knows whether it may have expired without reading it again; a document of someone else (without `value`) is a
* record too: its value is its other fields, and it never expires.
*/
/** Timestamps reach to the end of the year 9999; a later end is none for a TTL policy. */
const LAST_SECOND = 253402300799;
/** Names documents of one collection and reads them. */
var Documents = class {
	/** `projects/<p>/databases/<d>` */
	database;
	/** Where queries start: `projects/<p>/databases/<d>/documents` */
	parent;
	collection;
	keys;
	#prefix;
	constructor(place, keys) {
		this.database = `projects/${place.project}/databases/${place.database}`;
		this.parent = `${this.database}/documents`;
		this.collection = place.collection;
		this.keys = keys;
		this.#prefix = `${this.parent}/${place.collection}/`;
	}
	/**
	* Decimal keys: `<base64url(partition)>-<number>`, which is also how dynamo-q names an entry. Ascii keys:
	* `<base64url(partition)>.<base64url(key)>`: a dot is not in that alphabet, and no id is `.`, `..` or `__…__`.
	*/
	name([partition, key]) {
		const id = this.keys === "decimal" ? `${base64(partition)}-${Number(key)}` : `${base64(partition)}.${base64(key)}`;
		return this.#prefix + id;
	}
	/** The key as it stands in `entryTimestamp`. */
	keyValue(key) {
		return this.keys === "decimal" ? { integerValue: String(Number(key)) } : { stringValue: key };
	}
	/** The key in `entryTimestamp`, or undefined when that is none of ours. */
	keyOf(fields) {
		const value = fields["entryTimestamp"];
		if (this.keys === "ascii") return value?.stringValue === "" ? void 0 : value?.stringValue;
		const number = asNumber(value);
		if (number === void 0 || !Number.isInteger(number) || number < 0 || number > 999999999999999) return;
		return decimalKey(number);
	}
	/** The least key above this one. */
	successor(key) {
		return this.keys === "decimal" ? decimalKey(Number(key) + 1) : `${key} `;
	}
	fields(change, json, nonce) {
		return {
			queueName: { stringValue: change.key[0] },
			entryTimestamp: this.keyValue(change.key[1]),
			value: { stringValue: json },
			nonce: { stringValue: nonce },
			...change.expiresAt === void 0 ? {} : expiryFields(change.expiresAt)
		};
	}
	/** Reads a document found at this key. */
	read(key, { fields, updateTime }) {
		const json = fields["value"]?.stringValue;
		if (json !== void 0 && fields["nonce"]?.stringValue !== void 0) {
			const expiresAt = asNumber(fields["expiresAt"]);
			return {
				key,
				version: formatVersion(updateTime, expiresAt),
				value: JSON.parse(json),
				expiresAt,
				bytes: Buffer.byteLength(json)
			};
		}
		const { queueName: _, entryTimestamp: __, ...others } = fields;
		const value = fieldsToJson(others);
		const bytes = Buffer.byteLength(JSON.stringify(value));
		return {
			key,
			version: formatVersion(updateTime, void 0),
			value,
			expiresAt: void 0,
			bytes
		};
	}
};
/** The record as it reads at this moment of the engine's time. */
function live(found, nowMs) {
	if (found === void 0 || found.expiresAt !== void 0 && found.expiresAt <= nowMs) return void 0;
	return {
		key: found.key,
		version: found.version,
		value: found.value
	};
}
/** `<seconds>.<nanos>`, and `x<expiresAt>` when the record expires. */
function formatVersion({ seconds, nanos }, expiresAt) {
	const time = `${seconds}.${String(nanos).padStart(9, "0")}`;
	return expiresAt === void 0 ? time : `${time}x${expiresAt}`;
}
const VERSION = /^(\d{1,12})\.(\d{6}000)(?:x(.+))?$/;
/** What a version says, or undefined when it cannot be one of ours. */
function parseVersion(version) {
	const match = VERSION.exec(version);
	if (match === null) return void 0;
	const [, seconds = "", nanos = "", expiry] = match;
	const expiresAt = expiry === void 0 ? void 0 : Number(expiry);
	if (Number.isNaN(expiresAt)) return void 0;
	return {
		updateTime: {
			seconds,
			nanos: Number(nanos)
		},
		expiresAt
	};
}
function expiryFields(expiresAt) {
	const seconds = Math.ceil(expiresAt / 1e3);
	const whole = Math.floor(expiresAt / 1e3);
	const inReach = whole >= 0 && whole <= LAST_SECOND;
	const nanos = inReach ? Math.round((expiresAt - whole * 1e3) * 1e3) * 1e3 : 0;
	return {
		expiresAt: numberValue(expiresAt),
		lastUpdated: numberValue(seconds),
		...inReach ? { expireAt: { timestampValue: {
			seconds: String(whole),
			nanos: Math.min(nanos, 999999e3)
		} } } : {}
	};
}
function base64(text) {
	return Buffer.from(text).toString("base64url");
}
// src/drivers/firestore/commits.ts
/**
* Commits. One request where every expectation can stand as a precondition of a write; otherwise, or when such a request
* fails in a way that an expired record may explain, a transaction that reads and judges the expectations here.
*
* | expectation | as a precondition |
* |---|---|
* | put `absent` | the document must not exist; an expired one does, so ALREADY_EXISTS leads to a transaction |
* | put, delete `{ version }` | its update time, if the version cannot have expired by the time of the commit |
* | put, delete `present` | the update time of the version we know, on the same condition; else a transaction |
* | any `check`, delete `absent` | none: a transaction |
*
* Invariants: all or nothing, in either form; what the engine ABORTs was not applied (Firestore: "retry the request";
* for a transaction "retry the entire transaction"), so it is tried again a few times; anything else is sent once.
*/
const ATTEMPTS = 6;
const BACKOFF$1 = {
	baseMs: 20,
	maxMs: 500
};
/** Tells that the engine aborted; nothing was applied. */
const ABORTED = Symbol("aborted");
var Commits = class {
	#connection;
	#documents;
	#known;
	#rollbacks = /* @__PURE__ */ new Set();
	constructor(connection, documents, known) {
		this.#connection = connection;
		this.#documents = documents;
		this.#known = known;
	}
	/** @param encoded the values as JSON text, by index (from `checkCommit`). */
	async commit(changes, encoded) {
		const plan = this.#plan(changes, encoded);
		if (plan !== void 0) {
			const result = await this.#untilNotAborted(() => this.#send(plan, changes));
			if (result !== "judge") return result;
		}
		let retried;
		return await this.#untilNotAborted(() => this.#transact(changes, encoded, retried, (transaction) => retried = transaction));
	}
	/** Resolves once no transaction is being rolled back any more. */
	async settled() {
		await Promise.all(this.#rollbacks);
	}
	async #untilNotAborted(attempt) {
		for (let failures = 0;; failures++) {
			const result = await attempt();
			if (result !== ABORTED) return result;
			if (failures + 1 >= ATTEMPTS) return {
				ok: false,
				failed: "unknown"
			};
			await sleep(this.#connection.clock, backoffDelay(BACKOFF$1, failures, this.#connection.random));
		}
	}
	/** One request for the whole commit, or undefined when it takes a transaction. */
	#plan(changes, encoded) {
		let guessed = false;
		const writes = [];
		for (const [i, change] of changes.entries()) {
			const name = this.#documents.name(change.key);
			const precondition = this.#precondition(change, name);
			if (precondition === void 0) return void 0;
			if (change.expect === "present") guessed = true;
			writes.push(this.#write(change, name, encoded[i], precondition));
		}
		return {
			writes,
			guessed
		};
	}
	#precondition({ op, expect }, name) {
		if (op === "check") return void 0;
		if (expect === "absent") return op === "put" ? { exists: false } : void 0;
		const version = expect === "present" ? this.#known.get(name) : expect.version;
		const parsed = version === void 0 ? void 0 : parseVersion(version);
		if (parsed === void 0) return void 0;
		if (parsed.expiresAt !== void 0) {
			const { ms, uncertaintyMs } = this.#connection.now();
			if (parsed.expiresAt <= ms + uncertaintyMs + this.#connection.timeoutMs) return void 0;
		}
		return { updateTime: parsed.updateTime };
	}
	#write(change, name, json, currentDocument) {
		const guard = currentDocument === void 0 ? {} : { currentDocument };
		if (change.op !== "put") return {
			delete: name,
			...guard
		};
		return {
			update: {
				name,
				fields: this.#documents.fields(change, json, this.#connection.random.id())
			},
			...guard
		};
	}
	/** @returns `judge` when only a transaction can tell whether the expectations hold. */
	async #send(plan, changes) {
		try {
			const { database } = this.#documents;
			return this.#applied(changes, await this.#connection.commit({
				database,
				writes: plan.writes
			}));
		} catch (error) {
			const code = statusOf(error);
			if (code === void 0) throw error;
			if (isAborted(error)) return ABORTED;
			for (const { key } of changes) this.#known.delete(this.#documents.name(key));
			if (code === status.ALREADY_EXISTS || plan.guessed) return "judge";
			const [only] = changes;
			return {
				ok: false,
				failed: changes.length === 1 && only !== void 0 ? [only.key] : "unknown"
			};
		}
	}
	/** @param begun is told of the transaction: a repeated one inherits its age, and so its place in line. */
	async #transact(changes, encoded, retryTransaction, begun) {
		const { database } = this.#documents;
		const names = changes.map(({ key }) => this.#documents.name(key));
		const writing = changes.some(({ op, expect }) => op === "put" || op === "delete" && expect !== "absent");
		const newTransaction = { readWrite: retryTransaction === void 0 ? {} : { retryTransaction } };
		try {
			const answers = await this.#connection.batchGet({
				database,
				documents: names,
				...writing ? { newTransaction } : {}
			});
			const transaction = answers.find((answer) => (answer.transaction?.length ?? 0) > 0)?.transaction;
			if (transaction !== void 0) begun(transaction);
			const failed = this.#judge(changes, names, answers);
			if (failed.length > 0) {
				if (transaction !== void 0) this.#rollback(transaction);
				return {
					ok: false,
					failed
				};
			}
			if (transaction === void 0) return {
				ok: true,
				versions: changes.map(() => void 0)
			};
			const writes = changes.flatMap((change, i) => isWrite(change) ? [this.#write(change, names[i], encoded[i])] : []);
			return this.#applied(changes, await this.#connection.commit({
				database,
				writes,
				transaction
			}));
		} catch (error) {
			if (isAborted(error)) return ABORTED;
			throw this.#connection.translate(error, "Commit");
		}
	}
	/** The keys whose expectation does not hold, judged by the engine's time of each read. */
	#judge(changes, names, answers) {
		const found = /* @__PURE__ */ new Map();
		for (const { found: document, readTime } of answers) if (document) found.set(document.name, {
			document,
			at: readTime ? toMs(readTime) : this.#connection.now().ms
		});
		return changes.flatMap(({ key, expect }, i) => {
			const there = found.get(names[i]);
			const record = there && this.#documents.read(key, there.document);
			return holds(expect, live(record, there?.at ?? 0)?.version) ? [] : [key];
		});
	}
	#applied(changes, { writeResults, commitTime }) {
		let next = 0;
		return {
			ok: true,
			versions: changes.map((change) => {
				if (!isWrite(change)) return void 0;
				const result = writeResults[next++];
				const name = this.#documents.name(change.key);
				if (change.op !== "put") {
					this.#known.delete(name);
					return;
				}
				const version = formatVersion(result?.updateTime ?? commitTime, change.expiresAt);
				this.#known.set(name, version);
				return version;
			})
		};
	}
	#rollback(transaction) {
		const ended = this.#connection.rollback(this.#documents.database, transaction).finally(() => this.#rollbacks.delete(ended));
		this.#rollbacks.add(ended);
	}
};
/** Does it write anything? A delete of what must be absent only asserts. */
function isWrite({ op, expect }) {
	return op === "put" || op === "delete" && expect !== "absent";
}
// src/drivers/firestore/known.ts
const MAX_ENTRIES = 1e4;
var KnownVersions = class {
	#versions = /* @__PURE__ */ new Map();
	get(name) {
		return this.#versions.get(name);
	}
	set(name, version) {
		this.#versions.delete(name);
		this.#versions.set(name, version);
		if (this.#versions.size <= MAX_ENTRIES) return;
		for (const oldest of this.#versions.keys()) {
			this.#versions.delete(oldest);
			return;
		}
	}
	delete(name) {
		this.#versions.delete(name);
	}
};
// src/drivers/firestore/listener.ts
const BACKOFF = {
	baseMs: 250,
	maxMs: 3e4
};
/** What will not get better by trying again. */
const PERMANENT = [
	status.INVALID_ARGUMENT,
	status.NOT_FOUND,
	status.PERMISSION_DENIED,
	status.FAILED_PRECONDITION,
	status.UNIMPLEMENTED
];
var Listener = class {
	#connection;
	#database;
	#targets = /* @__PURE__ */ new Map();
	#stream;
	#reopening;
	#failures = 0;
	#lastId = 0;
	constructor(connection, database) {
		this.#connection = connection;
		this.#database = database;
	}
	/**
	* Starts to tell a watcher of the changes of a source.
	* @param name the same for equal sources: their watchers share a target.
	* @returns stops it; idempotent
	*/
	add(name, source, watcher) {
		let target = this.#targets.get(name);
		if (target === void 0) {
			target = {
				id: ++this.#lastId,
				source,
				watchers: /* @__PURE__ */ new Set(),
				resumeToken: void 0,
				current: false
			};
			this.#targets.set(name, target);
			if (this.#stream === void 0 && this.#reopening === void 0) this.#open();
			else this.#request(target);
		}
		const { watchers } = target;
		watchers.add(watcher);
		return () => {
			if (watchers.delete(watcher) && watchers.size === 0) this.#drop(name);
		};
	}
	/** Ends the stream; the watchers are told nothing. */
	close() {
		this.#targets.clear();
		this.#end();
	}
	#open() {
		this.#reopening = void 0;
		const stream = this.#connection.listen();
		this.#stream = stream;
		stream.on("data", (message) => {
			if (stream === this.#stream) this.#take(message);
		});
		stream.on("error", (error) => this.#broken(stream, error));
		stream.on("end", () => this.#broken(stream, void 0));
		for (const target of this.#targets.values()) {
			target.current = false;
			this.#request(target);
		}
	}
	#request({ id, source, resumeToken }) {
		const resume = resumeToken === void 0 ? {} : { resumeToken };
		this.#stream?.write({
			database: this.#database,
			addTarget: {
				...source,
				targetId: id,
				...resume
			}
		});
	}
	#drop(name) {
		const target = this.#targets.get(name);
		if (target === void 0) return;
		this.#targets.delete(name);
		if (this.#targets.size === 0) this.#end();
		else this.#stream?.write({
			database: this.#database,
			removeTarget: target.id
		});
	}
	#end() {
		this.#reopening?.cancel();
		this.#reopening = void 0;
		const stream = this.#stream;
		this.#stream = void 0;
		stream?.cancel();
	}
	#take({ targetChange, documentChange, documentDelete, documentRemove, filter }) {
		if (targetChange) this.#takeTargetChange(targetChange);
		if (documentChange) this.#hint([...documentChange.targetIds, ...documentChange.removedTargetIds]);
		if (documentDelete) this.#hint(documentDelete.removedTargetIds);
		if (documentRemove) this.#hint(documentRemove.removedTargetIds);
		if (filter) this.#hint([filter.targetId]);
	}
	#takeTargetChange(change) {
		for (const [name, target] of this.#targets) {
			if (change.targetIds.length > 0 && !change.targetIds.includes(target.id)) continue;
			if (change.resumeToken.length > 0) target.resumeToken = change.resumeToken;
			if (change.targetChangeType === "RESET") target.current = false;
			if (change.targetChangeType === "CURRENT") {
				this.#failures = 0;
				target.current = true;
				for (const watcher of target.watchers) watcher.hint();
			}
			if (change.targetChangeType === "REMOVE") this.#removed(name, target, change.cause);
		}
	}
	/** The engine gave a target up. */
	#removed(name, target, cause) {
		const stream = this.#stream;
		if (cause === null || !PERMANENT.includes(cause.code)) {
			if (stream !== void 0) this.#broken(stream, void 0);
			return;
		}
		if (target.resumeToken !== void 0) {
			target.resumeToken = void 0;
			target.current = false;
			this.#request(target);
			return;
		}
		this.#targets.delete(name);
		if (this.#targets.size === 0) this.#end();
		this.#fail(target, Object.assign(new Error(cause.message), {
			code: cause.code,
			details: cause.message
		}));
	}
	#broken(stream, error) {
		if (stream !== this.#stream) return;
		this.#stream = void 0;
		stream.cancel();
		const code = error?.code;
		if (code !== void 0 && PERMANENT.includes(code)) {
			const targets = [...this.#targets.values()];
			this.#targets.clear();
			for (const target of targets) this.#fail(target, error);
			return;
		}
		const delay = backoffDelay(BACKOFF, this.#failures++, this.#connection.random);
		this.#reopening = this.#connection.clock.timer(delay, () => this.#open());
	}
	#fail(target, error) {
		const translated = this.#connection.translate(error, "Listen");
		for (const watcher of target.watchers) watcher.fail(translated);
	}
	#hint(ids) {
		for (const target of this.#targets.values()) {
			if (!target.current || !ids.includes(target.id)) continue;
			for (const watcher of target.watchers) watcher.hint();
		}
	}
};
// src/drivers/firestore/pages.ts
/**
* Pages of a range, and its deletion.
*
* Invariants: a page is one state of the data (what it takes beyond the first query is read as of that query's time);
* it is bounded in records and bytes and never empty when more follow; all queries are served by the one index
* (queueName, entryTimestamp ascending). Descending ones want an index of their own, which dynamo-q's collection has not:
* once the engine has said so, a reverse page is the tail of an ascending scan.
*/
const DELETE_BATCH = 300;
const DELETE_ATTEMPTS = 6;
const DELETE_BACKOFF = {
	baseMs: 50,
	maxMs: 2e3
};
/** How many more to read when expired records left a page short. */
const NEXT_BATCH = 200;
/** Below every ascii key, and above. */
const LOWEST = "";
const HIGHEST = "";
/** Above every decimal key. */
const END_OF_NUMBERS = 0x38d7ea4c68000;
var Pages = class {
	#connection;
	#documents;
	#descending = true;
	constructor(connection, documents) {
		this.#connection = connection;
		this.#documents = documents;
	}
	async list(range, options) {
		if (isEmpty(range, options)) return { records: [] };
		try {
			if (options.reverse !== true || this.#descending) return await this.#walk(range, options);
		} catch (error) {
			if (!isMissingIndex(error) || options.reverse !== true) throw this.#connection.translate(error, "RunQuery");
			this.#descending = false;
		}
		return this.#tail(range, options);
	}
	/** @param onBatch is called before each batch and throws to stop. */
	async deleteRange(range, onBatch) {
		onBatch();
		if (isEmpty(range, { limit: 1 })) return;
		const query = {
			...this.query(range.partition, this.#ends(range, {})),
			select: { fields: [{ fieldPath: "__name__" }] },
			limit: { value: DELETE_BATCH }
		};
		for (;;) {
			onBatch();
			const names = [];
			await this.#run(query, void 0, () => {
				names.length = 0;
				return ({ document }) => document === null || names.push(document.name) > 0;
			}).catch((error) => {
				throw this.#connection.translate(error, "RunQuery");
			});
			if (names.length > 0) await this.#delete(names, onBatch);
			if (names.length < DELETE_BATCH) return;
		}
	}
	/** The query for a part of a partition, ascending. */
	query(partition, { from, to }) {
		const filter = (fieldPath, op, value) => ({ fieldFilter: {
			field: { fieldPath },
			op,
			value
		} });
		const filters = [
			filter("queueName", "EQUAL", { stringValue: partition }),
			filter("entryTimestamp", from.op, from.value),
			filter("entryTimestamp", "LESS_THAN", to)
		];
		return {
			from: [{ collectionId: this.#documents.collection }],
			where: { compositeFilter: {
				op: "AND",
				filters
			} },
			orderBy: [{
				field: { fieldPath: "entryTimestamp" },
				direction: "ASCENDING"
			}]
		};
	}
	/** The query for a whole range, as a listener watches it. */
	watched(range) {
		return this.query(range.partition, this.#ends(range, {}));
	}
	/** Reads in the direction of travel until the page is full. */
	async #walk(range, options) {
		const { limit, reverse = false } = options;
		const page = new PageBuilder(limit);
		let ends = this.#ends(range, options);
		let readTime;
		for (let want = limit + 1;; want = NEXT_BATCH) {
			const ascending = this.query(range.partition, ends);
			const orderBy = ascending.orderBy.map((order) => ({
				...order,
				direction: "DESCENDING"
			}));
			const query = {
				...ascending,
				...reverse ? { orderBy } : {},
				limit: { value: want }
			};
			let batch = [];
			let bytes = 0;
			await this.#run(query, readTime, () => {
				batch = [];
				bytes = 0;
				return (message) => {
					batch.push(message);
					const enough = bytes >= PAGE_BYTES;
					bytes += this.#item(range.partition, message)?.record.bytes ?? 0;
					return !enough;
				};
			});
			for (const message of batch) {
				readTime ??= message.readTime ?? void 0;
				const item = this.#item(range.partition, message);
				if (item !== void 0 && !page.add(item)) return page.full();
			}
			const documents = batch.flatMap(({ document }) => document ? [document] : []);
			const last = documents.at(-1)?.fields["entryTimestamp"];
			if (last === void 0 || documents.length < want && bytes < 4194304) return page.rest();
			ends = reverse ? {
				...ends,
				to: last
			} : {
				...ends,
				from: {
					op: "GREATER_THAN",
					value: last
				}
			};
		}
	}
	/** A reverse page without a descending index: scans the range forwards, keeping what the page can need. */
	async #tail(range, options) {
		let items = [];
		let bytes = 0;
		await this.#run(this.query(range.partition, this.#ends(range, options)), void 0, () => {
			items = [];
			bytes = 0;
			return (message) => {
				const item = this.#item(range.partition, message);
				if (item === void 0) return true;
				items.push(item);
				bytes += item.record.bytes;
				while (items.length > 2) {
					const [first, second] = items;
					const without = bytes - first.record.bytes - second.record.bytes;
					if (items.length <= 2 * options.limit + 2 && without < 4194304) break;
					items.shift();
					bytes -= first.record.bytes;
				}
				return true;
			};
		}).catch((error) => {
			throw this.#connection.translate(error, "RunQuery");
		});
		const page = new PageBuilder(options.limit);
		for (const item of items.reverse()) if (!page.add(item)) return page.full();
		return page.rest();
	}
	/** A live record, or undefined: a message without a document, an expired one, a key that is none. */
	#item(partition, { document, readTime }) {
		const key = document === null ? void 0 : this.#documents.keyOf(document.fields);
		if (document === null || key === void 0) return void 0;
		const record = this.#documents.read([partition, key], document);
		if (live(record, readTime === null ? this.#connection.now().ms : toMs(readTime)) === void 0) return void 0;
		return {
			record,
			own: document.name === this.#documents.name([partition, key])
		};
	}
	#ends(range, { after, reverse = false }) {
		const decimal = this.#documents.keys === "decimal";
		const value = (key) => this.#documents.keyValue(key);
		const from = range.from ?? (decimal ? "0" : LOWEST);
		const end = decimal ? { integerValue: String(END_OF_NUMBERS) } : { stringValue: HIGHEST };
		const to = range.to === void 0 ? end : value(range.to);
		const first = {
			from: {
				op: "GREATER_THAN_OR_EQUAL",
				value: value(from)
			},
			to
		};
		if (after === void 0) return first;
		if (reverse) return range.to === void 0 || after < range.to ? {
			...first,
			to: value(after)
		} : first;
		return after >= from || range.from === void 0 ? {
			...first,
			from: {
				op: "GREATER_THAN",
				value: value(after)
			}
		} : first;
	}
	#run(structuredQuery, readTime, start) {
		const { parent } = this.#documents;
		return this.#connection.query({
			parent,
			structuredQuery,
			...readTime === void 0 ? {} : { readTime }
		}, start);
	}
	async #delete(names, onBatch) {
		const writes = names.map((name) => ({ delete: name }));
		for (let attempt = 0;; attempt++) try {
			await this.#connection.commit({
				database: this.#documents.database,
				writes
			});
			return;
		} catch (error) {
			if (statusOf(error) === void 0) throw error;
			if (!(isAborted(error) && attempt + 1 < DELETE_ATTEMPTS)) throw this.#connection.translate(error, "Commit");
			await sleep(this.#connection.clock, backoffDelay(DELETE_BACKOFF, attempt, this.#connection.random));
			onBatch();
		}
	}
};
/** Takes records in the direction of travel until the page is full. */
var PageBuilder = class {
	#limit;
	#items = [];
	#bytes = 0;
	constructor(limit) {
		this.#limit = limit;
	}
	/** @returns false when the page was full already: more follow. */
	add(item) {
		const last = this.#items.at(-1);
		if (last?.record.key[1] === item.record.key[1]) {
			if (item.own) this.#items[this.#items.length - 1] = item;
			return true;
		}
		if (last !== void 0 && (this.#items.length === this.#limit || this.#bytes >= 4194304)) return false;
		this.#items.push(item);
		this.#bytes += item.record.bytes;
		return true;
	}
	full() {
		const next = this.#items.at(-1)?.record.key[1];
		if (next === void 0) throw new SignalboxError("internal", "a page without a record cannot be full");
		return {
			...this.rest(),
			next
		};
	}
	rest() {
		return { records: this.#items.map(({ record: { key, version, value } }) => ({
			key,
			version,
			value
		})) };
	}
};
/** No key can be in it, so that nobody needs to be asked. */
function isEmpty({ from, to }, { after, reverse }) {
	if (from !== void 0 && to !== void 0 && from >= to) return true;
	if (after === void 0) return false;
	return reverse === true ? from !== void 0 && after <= from : to !== void 0 && after >= to;
}
// src/drivers/shared/watch-hub.ts
const HINT = {
	done: false,
	value: void 0
};
const END = {
	done: true,
	value: void 0
};
/** One watch from the reader's side: `hint()` and `end()` come from whoever knows of changes. */
var Subscription = class {
	range;
	#signal;
	#onEnd;
	#waiting = [];
	#hinted = true;
	#ended = false;
	/** @param onEnd runs once: on abort, `end()` or when the reader leaves. */
	constructor(range, signal, onEnd) {
		this.range = range;
		this.#signal = signal;
		this.#onEnd = onEnd;
		signal.addEventListener("abort", this.end, { once: true });
	}
	/** Something in the range may have changed. */
	hint() {
		const waiter = this.#waiting.shift();
		if (waiter === void 0) this.#hinted = true;
		else waiter(HINT);
	}
	/** No more hints. Idempotent. */
	end = () => {
		if (this.#ended) return;
		this.#ended = true;
		this.#signal.removeEventListener("abort", this.end);
		this.#onEnd();
		for (const waiter of this.#waiting.splice(0)) waiter(END);
	};
	next() {
		if (this.#ended) return Promise.resolve(END);
		if (this.#hinted) {
			this.#hinted = false;
			return Promise.resolve(HINT);
		}
		return new Promise((resolve) => this.#waiting.push(resolve));
	}
	return() {
		this.end();
		return Promise.resolve(END);
	}
};
// src/drivers/firestore/watches.ts
var Watches = class {
	#listener;
	#documents;
	#pages;
	#open = /* @__PURE__ */ new Set();
	#closed = false;
	constructor(listener, documents, pages) {
		this.#listener = listener;
		this.#documents = documents;
		this.#pages = pages;
	}
	watch(range, signal) {
		return { [Symbol.asyncIterator]: () => {
			let stop;
			const watch = new Watch(range, signal, () => {
				this.#open.delete(watch);
				stop?.();
			});
			if (this.#closed || signal.aborted) watch.end();
			else {
				this.#open.add(watch);
				stop = this.#listener.add(nameOf(range), this.#source(range), watch);
			}
			return watch;
		} };
	}
	/** Ends every watch, and all later ones at once. */
	close() {
		this.#closed = true;
		for (const watch of this.#open) watch.end();
		this.#listener.close();
	}
	#source(range) {
		const { partition, from, to } = range;
		if (from !== void 0 && to === this.#documents.successor(from)) return { documents: { documents: [this.#documents.name([partition, from])] } };
		return { query: {
			parent: this.#documents.parent,
			structuredQuery: this.#pages.watched(range)
		} };
	}
};
/** A subscription that can also end with an error. */
var Watch = class {
	#subscription;
	#failure;
	constructor(range, signal, onEnd) {
		this.#subscription = new Subscription(range, signal, onEnd);
	}
	hint() {
		this.#subscription.hint();
	}
	fail(error) {
		this.#failure = error;
		this.#subscription.end();
	}
	end() {
		this.#subscription.end();
	}
	async next() {
		const result = await this.#subscription.next();
		const failure = this.#failure;
		if (result.done !== true || failure === void 0) return result;
		this.#failure = void 0;
		throw failure;
	}
	return() {
		return this.#subscription.return();
	}
};
function nameOf({ partition, from, to }) {
	return [
		partition,
		from ?? "",
		to ?? ""
	].join("\0");
}
// src/drivers/firestore/store.ts
/**
* The store port on Firestore: one collection holds all partitions (`documents.ts`), commits are preconditions or
* transactions (`commits.ts`), pages are queries (`pages.ts`), watches share a listener (`watches.ts`).
*
* Invariants: what is expired is judged by the engine's own time, where a read tells it by that of the very read; after
* `close()` nothing is under way and no timer or socket keeps the process.
*/
var FirestoreStore = class {
	limits;
	#connection;
	#documents;
	#known = new KnownVersions();
	#commits;
	#pages;
	#watches;
	#underWay = /* @__PURE__ */ new Set();
	#closed;
	constructor(connection, documents) {
		this.limits = {
			...portableLimits,
			keys: documents.keys
		};
		this.#connection = connection;
		this.#documents = documents;
		this.#commits = new Commits(connection, documents, this.#known);
		this.#pages = new Pages(connection, documents);
		this.#watches = new Watches(new Listener(connection, documents.database), documents, this.#pages);
	}
	async get(key) {
		this.#assertOpen();
		checkKey(key, this.limits.keys);
		return this.#perform(this.#get([key[0], key[1]]));
	}
	async list(range, options) {
		this.#assertOpen();
		checkRange(range, this.limits.keys);
		checkListOptions(options, this.limits.keys);
		return this.#perform(this.#pages.list({ ...range }, { ...options }));
	}
	async commit(changes) {
		this.#assertOpen();
		const encoded = checkCommit(changes, this.limits);
		return this.#perform(this.#commits.commit(changes.map(copied), encoded));
	}
	async deleteRange(range, options = {}) {
		this.#assertOpen();
		checkRange(range, this.limits.keys);
		const mayGoOn = () => {
			options.signal?.throwIfAborted();
			this.#assertOpen();
		};
		return this.#perform(this.#pages.deleteRange({ ...range }, mayGoOn));
	}
	watch(range, signal) {
		this.#assertOpen();
		checkRange(range, this.limits.keys);
		return this.#watches.watch({ ...range }, signal);
	}
	now() {
		this.#assertOpen();
		return this.#connection.now();
	}
	close() {
		this.#closed ??= this.#release();
		return this.#closed;
	}
	async #get(key) {
		const { database } = this.#documents;
		const name = this.#documents.name(key);
		const answer = (await this.#connection.batchGet({
			database,
			documents: [name]
		}).catch((error) => {
			throw this.#connection.translate(error, "BatchGetDocuments");
		})).find(({ found }) => found);
		if (!answer?.found) return void 0;
		const found = this.#documents.read(key, answer.found);
		this.#known.set(name, found.version);
		return live(found, answer.readTime === null ? this.#connection.now().ms : toMs(answer.readTime));
	}
	async #release() {
		this.#watches.close();
		await Promise.allSettled(this.#underWay);
		await this.#commits.settled();
		await this.#connection.close();
	}
	#perform(performed) {
		this.#underWay.add(performed);
		const done = () => this.#underWay.delete(performed);
		performed.then(done, done);
		return performed;
	}
	#assertOpen() {
		if (this.#closed !== void 0) throw new SignalboxError("unavailable", "the store is closed");
	}
};
/** A change as it is now, whatever the caller does to its objects afterwards; the value is encoded already. */
function copied(change) {
	const { key, expect } = change;
	return {
		...change,
		key: [key[0], key[1]],
		expect: typeof expect === "string" ? expect : { ...expect }
	};
}
// src/drivers/firestore/index.ts
const DEFAULT_TIMEOUT_MS = 1e4;
/** An idle connection through a proxy or NAT may be cut without a word; pings notice. */
const CHANNEL = {
	"grpc.keepalive_time_ms": 3e4,
	"grpc.keepalive_timeout_ms": 1e4,
	"grpc.service_config_disable_resolution": 1
};
/**
* Opens the store. It reads once, so that a missing database or permission shows here.
* @throws SignalboxError `config_invalid` (SDK or project missing), `invalid_argument`, `unauthenticated`,
*   `permission_denied`, `not_found` (database)
* @example
* const store = await openFirestoreStore({
*   database: 'github-dynamoq', collection: 'github-queues', clock: systemClock, random: systemRandom,
* })
*/
async function openFirestoreStore(options) {
	checkOptions(options);
	const { v1 } = await loadSdk(() => import("./google-cloud-firestore.mjs").then((m) => /* @__PURE__ */ __toESM(m.default, 1)));
	const client = new v1.FirestoreClient({
		...options.emulatorHost === void 0 ? {} : emulator(options.emulatorHost),
		...options.project === void 0 ? {} : { projectId: options.project },
		...CHANNEL,
		grpc: import_src,
		fallback: false
	});
	const { database, collection } = options;
	const place = {
		project: options.project ?? await projectOf(client),
		database,
		collection
	};
	const documents = new Documents(place, options.keys ?? "decimal");
	const store = new FirestoreStore(new Connection({
		stub: await client.initialize().catch((error) => {
			throw translate(error, {
				place,
				operation: SIGN_IN,
				write: false
			});
		}),
		metadata: metadata(documents, place, options.emulatorHost !== void 0),
		place,
		clock: options.clock,
		random: options.random,
		timeoutMs: options.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS,
		onRequest: options.onRequest ?? (() => {}),
		close: () => client.close()
	}), documents);
	try {
		await store.get(["signalbox", decimalKey(0)]);
		return store;
	} catch (error) {
		if (isSignalboxError(error, "throttled") || isSignalboxError(error, "unavailable")) return store;
		await store.close();
		throw error;
	}
}
/**
* Loads the SDK.
* @throws SignalboxError `config_invalid` when it is not installed or cannot run here
*/
async function loadSdk(load) {
	try {
		const loaded = await load();
		return loaded.default ?? loaded;
	} catch (error) {
		const message = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
		const problem = error?.code === "ERR_MODULE_NOT_FOUND" ? "which is not installed" : `which cannot be loaded (${message})`;
		throw new SignalboxError("config_invalid", `Firestore needs the package @google-cloud/firestore, ${problem}; run: npm install @google-cloud/firestore`, { cause: error });
	}
}
function checkOptions({ database, collection, project, emulatorHost }) {
	const segment = /^[^/\s]{1,500}$/;
	if (!segment.test(database)) throw invalid("database", database, "a database id, for example github-dynamoq");
	if (!segment.test(collection) || /^(?:\.\.?|__.*__)$/.test(collection)) throw invalid("collection", collection, "the id of a top-level collection");
	if (project !== void 0 && !segment.test(project)) throw invalid("project", project, "a project id");
	if (emulatorHost === void 0) return;
	if (!/^[^/\s]+:\d{1,5}$/.test(emulatorHost)) throw invalid("emulator host", emulatorHost, "host:port");
	if (project === void 0) throw new SignalboxError("config_invalid", "Firestore emulator: name a project, any name will do");
}
function invalid(what, value, wanted) {
	return new SignalboxError("invalid_argument", `Firestore ${what} '${value.slice(0, 60)}': expected ${wanted}`);
}
/** Plain text and no search for credentials, which would ask the network. */
function emulator(emulatorHost) {
	const split = emulatorHost.lastIndexOf(":");
	return {
		servicePath: emulatorHost.slice(0, split),
		port: Number(emulatorHost.slice(split + 1)),
		sslCreds: import_src.credentials.createInsecure(),
		clientOptions: { universeDomain: "googleapis.com" }
	};
}
async function projectOf(client) {
	try {
		const project = await client.getProjectId();
		if (project !== void 0 && project !== "") return project;
	} catch (error) {
		throw noProject(error);
	}
	throw noProject(void 0);
}
function noProject(cause) {
	return new SignalboxError("config_invalid", "Firestore: no project; name one (--gcp-project, GCP_PROJECT or GOOGLE_CLOUD_PROJECT) or sign in with credentials that carry one", { cause });
}
/** What the engine wants in each call's headers: routing, and for an emulator that we are its owner. */
function metadata(documents, place, emulated) {
	const headers = new import_src.Metadata();
	headers.set("google-cloud-resource-prefix", documents.database);
	const routing = `project_id=${encodeURIComponent(place.project)}&database_id=${encodeURIComponent(place.database)}`;
	headers.set("x-goog-request-params", routing);
	if (emulated) headers.set("authorization", "Bearer owner");
	return headers;
}
export { openFirestoreStore };
