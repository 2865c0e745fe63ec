import { o as __toESM } from "./rolldown-runtime.mjs";
import { t as SignalboxError } from "./error.mjs";
import { t as backoffDelay } from "./backoff.mjs";
import { t as sleep } from "./clock.mjs";
import { a as checkRange, i as checkListOptions, n as checkCommit, o as EngineTime, r as checkKey, t as holds } from "./expect.mjs";
import { n as decimalKey, r as portableLimits } from "./store.mjs";
import { createHash } from "node:crypto";
// src/drivers/shared/deadline.ts
var Deadline = class {
	#clock;
	#controller = new AbortController();
	#expired = Promise.withResolvers();
	#timer;
	constructor(clock, ms) {
		this.#clock = clock;
		this.#expired.promise.catch(() => void 0);
		this.#timer = this.#start(ms);
	}
	get signal() {
		return this.#controller.signal;
	}
	/** Rejects when the time is over. */
	get passed() {
		return this.#expired.promise;
	}
	restart(ms) {
		this.#timer.cancel();
		this.#timer = this.#start(ms);
	}
	end() {
		this.#timer.cancel();
	}
	#start(ms) {
		return this.#clock.timer(ms, () => {
			const error = Object.assign(/* @__PURE__ */ new Error(`no answer within ${ms} ms`), { name: "TimeoutError" });
			this.#expired.reject(error);
			this.#controller.abort(error);
		});
	}
};
// src/drivers/shared/gate.ts
/** Lets at most so many through at once; the others wait in the order they came. */
var Gate = class {
	#free;
	#waiting = [];
	constructor(places) {
		this.#free = places;
	}
	async enter() {
		if (this.#free > 0) {
			this.#free -= 1;
			return;
		}
		await new Promise((resolve) => this.#waiting.push(resolve));
	}
	/** Hands the place to the next in line. */
	leave() {
		const next = this.#waiting.shift();
		if (next === void 0) this.#free += 1;
		else next();
	}
};
// src/drivers/shared/aws-failure.ts
/** Too many calls, in the words of any service. */
const THROTTLED = /* @__PURE__ */ new Set([
	"KmsThrottled",
	"ProvisionedThroughputExceededException",
	"ProvisionedThroughputExceeded",
	"RequestLimitExceeded",
	"RequestThrottled",
	"RequestThrottledException",
	"ThrottlingException",
	"ThrottlingError",
	"Throttling",
	"TooManyRequestsException"
]);
/** Credentials that are not accepted. */
const UNAUTHENTICATED = /* @__PURE__ */ new Set([
	"AuthFailure",
	"ExpiredToken",
	"ExpiredTokenException",
	"IncompleteSignatureException",
	"InvalidClientTokenId",
	"InvalidSignatureException",
	"MissingAuthenticationToken",
	"MissingAuthenticationTokenException",
	"RequestExpired",
	"RequestInTheFuture",
	"RequestTimeTooSkewed",
	"SignatureDoesNotMatch",
	"UnrecognizedClientException"
]);
/** Refused because of the time of the signature. */
const SKEWED = /* @__PURE__ */ new Set([
	"RequestTimeTooSkewed",
	"RequestExpired",
	"RequestInTheFuture",
	"InvalidSignatureException",
	"SignatureDoesNotMatch"
]);
/** Errors that sockets have while they connect, and later as well. */
const CONNECTING = /* @__PURE__ */ new Set([
	"ETIMEDOUT",
	"EHOSTUNREACH",
	"EHOSTDOWN",
	"ENETUNREACH",
	"EPROTO"
]);
/** Errors of sockets that never were connected. */
const UNCONNECTED = /* @__PURE__ */ new Set([
	"ECONNREFUSED",
	"ENOTFOUND",
	"EAI_AGAIN",
	"EAI_FAIL",
	"EADDRNOTAVAIL",
	"CERT_HAS_EXPIRED",
	"DEPTH_ZERO_SELF_SIGNED_CERT",
	"ERR_TLS_CERT_ALTNAME_INVALID",
	"SELF_SIGNED_CERT_IN_CHAIN",
	"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE"
]);
/** @param special a service's own reading of an answer with a client error, before the common one */
function awsFailure(thrown, exchange, special = () => void 0) {
	const error = typeof thrown === "object" && thrown !== null ? thrown : {};
	const status = error.$response?.statusCode ?? error.$metadata?.httpStatusCode;
	const name = error.name ?? "Error";
	return {
		kind: kindOf(error, name, status, exchange, special),
		name,
		message: oneLine(messageOf(error, thrown)),
		status,
		error: thrown
	};
}
function kindOf(error, name, status, exchange, special) {
	if (!exchange.sent) return isUnconnected(error) ? "unreachable" : "unprepared";
	if (status === void 0) return isUnconnected(error) ? "unreachable" : "lost";
	const own = special(name);
	if (own !== void 0) return own;
	if (THROTTLED.has(name)) return "throttled";
	if (status >= 500 || status < 400) return "lost";
	if (SKEWED.has(name) && error.$metadata?.clockSkewCorrected === true) return "skewed";
	return "refused";
}
function isUnconnected(error) {
	if (typeof error.code === "string" && UNCONNECTED.has(error.code)) return true;
	if (CONNECTING.has(error.code) && error.syscall === "connect") return true;
	return error.name === "TimeoutError" && /not establish a connection/.test(error.message ?? "");
}
/** Trying every address of a host fails with an error that has no words of its own. */
function messageOf(error, thrown) {
	const first = error.errors?.[0];
	if (first instanceof Error) return first.message;
	return error.message ?? String(thrown);
}
function oneLine(text) {
	return text.replaceAll(/\s+/g, " ").trim();
}
// src/drivers/shared/aws-meaning.ts
/** @param refused what a client error of the service means, in its own words */
function meaningOf(failure, call, refused) {
	const { operation, effect, where } = call;
	const said = `${failure.name}: ${failure.message}`;
	switch (failure.kind) {
		case "unprepared": return unprepared(failure, call);
		case "unreachable": return ["unavailable", `cannot reach ${where} (${failure.message}); check the network, the region and the endpoint`];
		case "lost": return effect ? ["outcome_unknown", `${where} did not say whether ${operation} was applied (${said})`] : ["unavailable", `${where} did not answer ${operation} (${said})`];
		case "throttled": return ["throttled", `${where} takes no more calls at present (${said}); repeat later`];
		case "skewed":
		case "refused": return refused();
	}
}
function unprepared({ name, message, status }, { where, what }) {
	if (/region is missing/i.test(message)) return ["config_invalid", `no AWS region for ${what}; set AWS_REGION`];
	if (status !== void 0 && status >= 500) return ["unavailable", `no AWS credentials for ${where} at present (${name}: ${message})`];
	if (status !== void 0 || /Credentials|Token|Provider/.test(name)) return ["unauthenticated", `no AWS credentials for ${where} (${message}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role`];
	if (name === "AbortError" || name === "TimeoutError") return ["unavailable", `AWS credentials for ${where} took too long (${message})`];
	return ["config_invalid", `cannot prepare a request to ${where} (${name}: ${message})`];
}
// src/drivers/dynamodb/errors.ts
/**
* A failure in our words: which code, what it means for this table, and what to do.
*
* Invariant: `throttled` and `unavailable` were not applied; a write of which that is not certain is `outcome_unknown`.
*/
/** All that a store ever asks of IAM, on the table alone. */
const ACTIONS = [
	"GetItem",
	"Query",
	"PutItem",
	"DeleteItem",
	"ConditionCheckItem"
];
function translate(failure, call) {
	const [code, text] = meaningOf(failure, awsCall(call), () => refused(failure, call));
	return new SignalboxError(code, text, { cause: failure.error });
}
function awsCall(call) {
	const { operation, write, table } = call;
	return {
		operation,
		effect: write,
		what: `the DynamoDB table '${table}'`,
		where: place(call)
	};
}
function refused({ name, message, reasons }, call) {
	const where = place(call);
	if (name === "AccessDeniedException" || name === "AccessDenied") return ["permission_denied", `${where}: the AWS credentials may not perform ${actionOf(message, call.operation)}; allow it in their IAM policy on this table (${message})`];
	if (UNAUTHENTICATED.has(name)) return ["unauthenticated", `${where} does not accept the AWS credentials; renew them and check the clock of this machine (${name}: ${message})`];
	if (name === "ResourceNotFoundException") return ["not_found", `${where} does not exist; check table, region and account, or create it (${keysText(call.keys)})`];
	const why = reasons.find(({ Code }) => Code === "ValidationError")?.Message ?? message;
	if (name === "ValidationException" || why !== message) return /\bkey\b|schema/i.test(why) ? ["config_invalid", `${where} has other keys than expected (${keysText(call.keys)}): ${why}`] : ["internal", `${where} refused ${call.operation} (${name}: ${why})`];
	if (name === "SyntaxError" || name === "UnknownOperationException" || name === "UnknownError") return ["config_invalid", `what answers at ${where} is not DynamoDB (${name}: ${message})`];
	return ["internal", `${where} refused ${call.operation} (${name}: ${message})`];
}
/** The action that the engine names, else those that the operation asks for. */
function actionOf(message, operation) {
	const named = /dynamodb:[A-Za-z]+/.exec(message)?.[0];
	if (named !== void 0 && named !== "dynamodb:TransactWriteItems") return named;
	return (operation === "TransactWriteItems" ? ACTIONS.slice(2) : [operation]).map((action) => `dynamodb:${action}`).join(", ");
}
function keysText({ partition, sort, sortType }) {
	return `partition key '${partition}' of type S, sort key '${sort}' of type ${sortType === "number" ? "N" : "S"}`;
}
function place({ table, region, endpoint }) {
	return `DynamoDB table '${table}'${region === void 0 ? "" : ` in ${region}`}${endpoint === void 0 ? "" : ` at ${endpoint}`}`;
}
// src/drivers/dynamodb/failure.ts
/**
* What became of one request to DynamoDB.
* Error names: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
*/
function failureOf(thrown, exchange) {
	const { CancellationReasons: reasons = [] } = thrown ?? {};
	return {
		...awsFailure(thrown, exchange, (name) => {
			if (isThrottled(reasons)) return "throttled";
			return name === "TransactionInProgressException" ? "lost" : void 0;
		}),
		reasons
	};
}
/** Throttling alone is the reason: a condition that failed, or a conflict, says more. */
function isThrottled(reasons) {
	const codes = reasons.map(({ Code }) => Code ?? "None").filter((code) => code !== "None");
	return codes.length > 0 && codes.every((code) => THROTTLED.has(code));
}
/** For region and credentials, which the SDK may have to fetch. */
const PREPARATION_MS = 3e4;
const READ_BACKOFF = {
	baseMs: 50,
	maxMs: 1e3
};
const PASSING = /* @__PURE__ */ new Set([
	"throttled",
	"lost",
	"unreachable",
	"skewed"
]);
/** Answers tell their time in whole seconds: half a second later, give or take half a second. */
const HALF_SECOND_MS = 500;
/** How far the clocks of the engine's machines may differ; they are kept to a few milliseconds. */
const ENGINE_CLOCKS_MS = 50;
var TableClient = class {
	#sdk;
	#client;
	#options;
	#time = new EngineTime(ENGINE_CLOCKS_MS);
	#gate = new Gate(64);
	#learning;
	constructor(sdk, client, options) {
		this.#sdk = sdk;
		this.#client = client;
		this.#options = options;
	}
	/** Always a linearisable read. */
	async getItem(key) {
		const input = {
			TableName: this.#options.table,
			Key: key,
			ConsistentRead: true
		};
		return (await this.#repeat("GetItem", () => new this.#sdk.GetItemCommand(input))).Item;
	}
	/** Always a strongly consistent read. */
	query(query, signal) {
		const input = {
			...query,
			TableName: this.#options.table,
			ConsistentRead: true
		};
		return this.#repeat("Query", () => new this.#sdk.QueryCommand(input), signal);
	}
	/** Deletes whatever stands there. */
	async removeItem(key, signal) {
		const input = {
			TableName: this.#options.table,
			Key: key
		};
		await this.#repeat("DeleteItem", () => new this.#sdk.DeleteItemCommand(input), signal);
	}
	/**
	* Conditional writes, all or none: one as itself, several as a transaction.
	* @returns undefined when applied; the failure when the engine refused it, for the caller to read.
	* @throws SignalboxError for every other failure.
	*/
	async write(writes) {
		const [operation, send] = this.#writer(writes);
		let outcome = await send();
		if ("failure" in outcome && outcome.failure.kind === "skewed") outcome = await send();
		if ("answer" in outcome) return void 0;
		if (outcome.failure.kind === "refused") return outcome.failure;
		throw await this.error(outcome.failure, operation, true);
	}
	async error(failure, operation, write) {
		const { table, keys, endpoint } = this.#options;
		return translate(failure, {
			operation,
			write,
			table,
			keys,
			endpoint,
			region: await this.#client.config.region().catch(() => void 0)
		});
	}
	/** Engine time as far as answers have told it; undefined before the first. */
	time() {
		return this.#time.at(this.#options.clock.monotonic());
	}
	/** Asks the engine for its time, by reading an item, unless an answer has told it already. */
	async learnTime(key) {
		if (this.time() !== void 0) return;
		this.#learning ??= this.getItem(key).finally(() => this.#learning = void 0);
		await this.#learning;
	}
	destroy() {
		this.#client.destroy();
	}
	#writer(writes) {
		const sdk = this.#sdk;
		const [first] = writes;
		if (writes.length === 1 && first?.Put !== void 0) {
			const put = first.Put;
			return ["PutItem", () => this.#exchange("PutItem", new sdk.PutItemCommand(put))];
		}
		if (writes.length === 1 && first?.Delete !== void 0) {
			const remove = first.Delete;
			return ["DeleteItem", () => this.#exchange("DeleteItem", new sdk.DeleteItemCommand(remove))];
		}
		const operation = "TransactWriteItems";
		const input = {
			TransactItems: [...writes],
			ClientRequestToken: this.#options.random.id()
		};
		return [operation, () => this.#exchange(operation, new sdk.TransactWriteItemsCommand(input))];
	}
	/** What may be done twice. */
	async #repeat(operation, make, signal) {
		const { clock, random } = this.#options;
		for (let attempt = 0;; attempt++) {
			signal?.throwIfAborted();
			const outcome = await this.#exchange(operation, make());
			if ("answer" in outcome) return outcome.answer;
			const { failure } = outcome;
			if (!PASSING.has(failure.kind) || attempt === 3) throw await this.error(failure, operation, false);
			await sleep(clock, backoffDelay(READ_BACKOFF, attempt, random), signal);
		}
	}
	/** One request, once. */
	async #exchange(operation, command) {
		const { clock, onRequest, requestTimeoutMs } = this.#options;
		await this.#gate.enter();
		const exchange = { sent: false };
		const deadline = new Deadline(clock, PREPARATION_MS);
		command.middlewareStack.add((next) => async (args) => {
			deadline.signal.throwIfAborted();
			exchange.sent = true;
			deadline.restart(requestTimeoutMs);
			onRequest(operation);
			const sentAt = clock.monotonic();
			const result = await next(args);
			this.#learn(sentAt, result.response);
			return result;
		}, {
			step: "deserialize",
			priority: "low",
			name: "signalboxExchange"
		});
		try {
			const sending = this.#client.send(command, { abortSignal: deadline.signal });
			return { answer: await Promise.race([sending, deadline.passed]) };
		} catch (error) {
			return { failure: failureOf(error, exchange) };
		} finally {
			deadline.end();
			this.#gate.leave();
		}
	}
	#learn(sentAt, response) {
		const headers = response?.headers;
		const date = Date.parse(headers?.["date"] ?? "");
		if (Number.isNaN(date)) return;
		this.#time.learn(sentAt, this.#options.clock.monotonic(), date + HALF_SECOND_MS, HALF_SECOND_MS);
	}
};
// src/drivers/dynamodb/table.ts
/** The turn table of the dynamo-q tool (references/turn-queue-dynamo-q.md). */
const turnTableKeys = {
	partition: "queueName",
	sort: "entryTimestamp",
	sortType: "number",
	ttl: "lastUpdated"
};
/**
* Attributes of our own. Their names are unlikely in anybody else's item: one that lacks the version is not ours.
* `expiresAt` alone makes a record expire, to the millisecond; the TTL attribute only tells the engine to clean up later.
*/
const OWN = {
	version: "sbVersion",
	value: "sbValue",
	expiresAt: "sbExpiresAt"
};
const LOWEST_DECIMAL = decimalKey(0);
const HIGHEST_DECIMAL = "9".repeat(LOWEST_DECIMAL.length);
const DECIMAL = /^\d{1,15}$/;
const ASCII = /^[\x20-\x7e]{1,200}$/;
/** @throws SignalboxError `config_invalid` when two attributes would have one name. */
function checkTableKeys({ partition, sort, ttl }) {
	const names = [
		partition,
		sort,
		ttl,
		...Object.values(OWN)
	];
	const twice = names.find((name, i) => name === "" || names.indexOf(name) !== i);
	if (twice === void 0) return;
	throw new SignalboxError("config_invalid", `keys of the DynamoDB table: '${twice}' cannot be used; partition, sort and ttl need names of their own, none of them ${Object.values(OWN).join(", ")}`);
}
function keyItem(keys, [partition, key]) {
	return {
		[keys.partition]: { S: partition },
		[keys.sort]: sortValue(keys, key)
	};
}
/** Our key of an item; undefined when it stands at a place that no key of ours names (a fraction, say). */
function keyOf(keys, item) {
	const partition = item[keys.partition]?.S ?? "";
	const sort = item[keys.sort];
	if (keys.sortType === "number") return sort?.N !== void 0 && DECIMAL.test(sort.N) ? [partition, decimalKey(Number(sort.N))] : void 0;
	return sort?.S !== void 0 && ASCII.test(sort.S) ? [partition, sort.S] : void 0;
}
/**
* The query for a range, or undefined when nothing can be in it. In a table with string keys it may find one record
* too many, at `to` itself: the engine's interval has both its ends.
*/
function queryRange(keys, range, { after, reverse = false } = {}) {
	const { partition, from, to } = range;
	if (from !== void 0 && to !== void 0 && from >= to) return void 0;
	const begun = after === void 0 ? "before" : whereIs(after, range, reverse);
	if (begun === "past") return void 0;
	const interval = keys.sortType === "number" ? decimalInterval(range) : asciiInterval(range);
	if (interval === void 0) return void 0;
	const values = { ":p": { S: partition } };
	if (interval.low !== void 0) values[":low"] = sortValue(keys, interval.low);
	if (interval.high !== void 0) values[":high"] = sortValue(keys, interval.high);
	return {
		KeyConditionExpression: `#p = :p${interval.condition}`,
		ExpressionAttributeNames: {
			"#p": keys.partition,
			...interval.condition === "" ? {} : { "#s": keys.sort }
		},
		ExpressionAttributeValues: values,
		...begun === "within" && after !== void 0 ? { ExclusiveStartKey: keyItem(keys, [partition, after]) } : {}
	};
}
/** Where a key lies, seen in the direction of travel. */
function whereIs(key, { from, to }, reverse) {
	const below = from !== void 0 && (reverse ? key <= from : key < from);
	const above = to !== void 0 && key >= to;
	if (below) return reverse ? "past" : "before";
	if (above) return reverse ? "before" : "past";
	return "within";
}
/** Both ends always, so that numbers that are no key of ours stay outside. */
function decimalInterval({ from = LOWEST_DECIMAL, to }) {
	if (to === LOWEST_DECIMAL) return void 0;
	return {
		condition: " AND #s BETWEEN :low AND :high",
		low: from,
		high: to === void 0 ? HIGHEST_DECIMAL : decimalKey(Number(to) - 1)
	};
}
function asciiInterval({ from, to }) {
	if (from !== void 0 && to !== void 0) return {
		condition: " AND #s BETWEEN :low AND :high",
		low: from,
		high: to
	};
	if (from !== void 0) return {
		condition: " AND #s >= :low",
		low: from
	};
	return to === void 0 ? { condition: "" } : {
		condition: " AND #s < :high",
		high: to
	};
}
function sortValue(keys, key) {
	return keys.sortType === "number" ? { N: String(Number(key)) } : { S: key };
}
// src/drivers/dynamodb/item.ts
/**
* Records as items. Ours carry their value as JSON text beside a version that the writer drew; an item without that
* version was written by somebody else: it reads as a record all the same, its attributes are the value and a digest of
* them is the version.
*
* Invariant: the TTL attribute stands in an item of ours only if the record expires, and never before its time, since
* the engine deletes by it.
*/
/** Marks the versions of items that are not ours; no drawn version begins with it. */
const FOREIGN = "~";
/** Bounds of what is written as a time: the engine's numbers end, and times beyond mean the same. */
const LATEST_MS = 864e13;
function isForeign(version) {
	return version.startsWith(FOREIGN);
}
/** @param json the value as JSON text. */
function toItem(keys, key, version, json, expiresAt) {
	const item = {
		...keyItem(keys, key),
		[OWN.version]: { S: version },
		[OWN.value]: { S: json }
	};
	if (expiresAt !== void 0) {
		const ms = Math.ceil(Math.min(Math.max(expiresAt, 0), LATEST_MS));
		item[OWN.expiresAt] = { N: String(ms) };
		item[keys.ttl] = { N: String(Math.ceil(ms / 1e3)) };
	}
	return item;
}
/**
* The record in an item, and the bytes of its value.
* @param sureMs a time that has surely passed on the engine.
* @returns undefined when it is expired, or stands where no key of ours leads.
*/
function fromItem(keys, item, sureMs) {
	const key = keyOf(keys, item);
	const expiresAt = item[OWN.expiresAt]?.N;
	if (key === void 0 || expiresAt !== void 0 && Number(expiresAt) <= sureMs) return void 0;
	const version = item[OWN.version]?.S;
	const json = item[OWN.value]?.S;
	if (version !== void 0 && json !== void 0) return {
		record: {
			key,
			version,
			value: JSON.parse(json)
		},
		bytes: Buffer.byteLength(json)
	};
	const attributes = foreignAttributes(keys, item);
	const value = Object.fromEntries(attributes.map(([name, attribute]) => [name, toJson(attribute)]));
	return {
		record: {
			key,
			version: FOREIGN + digest(attributes),
			value
		},
		bytes: Buffer.byteLength(JSON.stringify(value))
	};
}
/** What an item holds beside its key, in an order that does not depend on the engine's. */
function foreignAttributes(keys, item) {
	return Object.entries(item).filter(([name]) => name !== keys.partition && name !== keys.sort).toSorted(([a], [b]) => byText(a, b));
}
function digest(attributes) {
	return createHash("sha256").update(JSON.stringify(attributes.map(canonical))).digest("base64url");
}
/** One text for one attribute: names of maps and members of sets come in any order. */
function canonical([name, value]) {
	if (value.M !== void 0) return [
		name,
		"M",
		Object.entries(value.M).toSorted(([a], [b]) => byText(a, b)).map(canonical)
	];
	if (value.L !== void 0) return [
		name,
		"L",
		value.L.map((member) => canonical(["", member]))
	];
	const json = toJson(value, String);
	const set = value.SS !== void 0 || value.NS !== void 0 || value.BS !== void 0;
	return [
		name,
		Object.keys(value)[0],
		set ? json.toSorted(byText) : json
	];
}
function toJson(value, number = Number) {
	if (value.S !== void 0) return value.S;
	if (value.N !== void 0) return number(value.N);
	if (value.BOOL !== void 0) return value.BOOL;
	if (value.L !== void 0) return value.L.map((member) => toJson(member, number));
	if (value.M !== void 0) return Object.fromEntries(Object.entries(value.M).map(([name, member]) => [name, toJson(member, number)]));
	if (value.SS !== void 0) return value.SS;
	if (value.NS !== void 0) return value.NS.map(number);
	if (value.B !== void 0) return base64(value.B);
	return value.BS === void 0 ? null : value.BS.map(base64);
}
function byText(a, b) {
	return a < b ? -1 : 1;
}
function base64(bytes) {
	return Buffer.from(bytes).toString("base64");
}
// src/drivers/dynamodb/conditions.ts
/** @param sureMs a time that has surely passed on the engine. */
function conditionOf(keys, expect, sureMs) {
	const now = { ":now": { N: String(sureMs) } };
	const names = {
		"#p": keys.partition,
		"#e": OWN.expiresAt
	};
	if (expect === "absent") return {
		ConditionExpression: "attribute_not_exists(#p) OR #e <= :now",
		ExpressionAttributeNames: names,
		ExpressionAttributeValues: now
	};
	const alive = "(attribute_not_exists(#e) OR #e > :now)";
	if (expect === "present") return {
		ConditionExpression: `attribute_exists(#p) AND ${alive}`,
		ExpressionAttributeNames: names,
		ExpressionAttributeValues: now
	};
	return {
		ConditionExpression: `#v = :v AND ${alive}`,
		ExpressionAttributeNames: {
			"#v": OWN.version,
			"#e": OWN.expiresAt
		},
		ExpressionAttributeValues: {
			...now,
			":v": { S: expect.version }
		}
	};
}
/**
* Expects an item that is not ours to be exactly as it was read: every attribute equal, still not ours. What the engine
* cannot say is that no further attribute came along; of the TTL attribute it can.
* @param item as read just now. @param version what the caller saw.
*/
function foreignCondition(keys, item, version) {
	const names = { "#p": keys.partition };
	const seen = item && fromItem(keys, item, 0)?.record.version;
	if (item === void 0 || seen !== version) return {
		ConditionExpression: "attribute_exists(#p) AND attribute_not_exists(#p)",
		ExpressionAttributeNames: names
	};
	const terms = ["attribute_exists(#p)", "attribute_not_exists(#v)"];
	names["#v"] = OWN.version;
	if (item[keys.ttl] === void 0) {
		terms.push("attribute_not_exists(#t)");
		names["#t"] = keys.ttl;
	}
	const values = {};
	for (const [i, [name, value]] of foreignAttributes(keys, item).entries()) {
		terms.push(`#${i} = :${i}`);
		names[`#${i}`] = name;
		values[`:${i}`] = value;
	}
	return {
		ConditionExpression: terms.join(" AND "),
		ExpressionAttributeNames: names,
		...Object.keys(values).length === 0 ? {} : { ExpressionAttributeValues: values }
	};
}
// src/drivers/dynamodb/commit.ts
/**
* Applies all changes or none.
* @param encoded the values as JSON text, by index (from `checkCommit`).
* @throws SignalboxError as `Store.commit`
*/
async function applyChanges(context, changes, encoded) {
	const { client, random } = context;
	const versions = changes.map((change) => change.op === "put" ? random.id() : void 0);
	const conditions = await Promise.all(changes.map((change) => condition(context, change)));
	const writes = changes.map((change, i) => toWrite(context, change, conditions[i], versions[i] ?? "", encoded[i] ?? ""));
	const failure = await client.write(writes);
	if (failure === void 0) return {
		ok: true,
		versions
	};
	const result = refusal(failure, changes);
	if (result !== void 0) return result;
	throw await client.error(failure, writes.length === 1 ? singleOperation(changes) : "TransactWriteItems", true);
}
/** Deciding about an item that is not ours takes its attributes, so it is read first. */
async function condition({ client, keys, sureMs }, { key, expect }) {
	if (typeof expect === "string" || !isForeign(expect.version)) return conditionOf(keys, expect, sureMs());
	return foreignCondition(keys, await client.getItem(keyItem(keys, key)), expect.version);
}
function toWrite({ table, keys }, change, condition, version, json) {
	const target = {
		TableName: table,
		...condition
	};
	if (change.op === "put") return { Put: {
		...target,
		Item: toItem(keys, change.key, version, json, change.expiresAt)
	} };
	const Key = keyItem(keys, change.key);
	return change.op === "delete" ? { Delete: {
		...target,
		Key
	} } : { ConditionCheck: {
		...target,
		Key
	} };
}
function singleOperation([change]) {
	return change?.op === "put" ? "PutItem" : "DeleteItem";
}
/** Undefined when the refusal has nothing to do with what was expected. */
function refusal({ name, reasons }, changes) {
	switch (name) {
		case "ConditionalCheckFailedException": return {
			ok: false,
			failed: changes.map(({ key }) => key)
		};
		case "TransactionConflictException":
		case "ReplicatedWriteConflictException": return {
			ok: false,
			failed: "unknown"
		};
		case "TransactionCanceledException": return cancellation(reasons.map(({ Code }) => Code ?? "None"), changes);
		default: return;
	}
}
/** One code per change: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html */
function cancellation(codes, changes) {
	const failed = changes.filter((_, i) => codes[i] === "ConditionalCheckFailed").map(({ key }) => key);
	const conflict = codes.includes("TransactionConflict");
	if (failed.length === 0 && !conflict) return void 0;
	return {
		ok: false,
		failed: codes.every((code) => code === "None" || code === "ConditionalCheckFailed") ? failed : "unknown"
	};
}
// src/drivers/dynamodb/delete-range.ts
const AT_ONCE = 16;
/** @param assertOpen throws once the store closes. */
async function deleteItems(client, keys, range, query, signal, assertOpen) {
	let start;
	do {
		const { Items = [], LastEvaluatedKey } = await client.query({
			...withKeysOnly(query, keys),
			ExclusiveStartKey: start
		}, signal);
		const doomed = Items.filter((item) => range.to === void 0 || item[keys.sort]?.S !== range.to);
		for (let i = 0; i < doomed.length; i += AT_ONCE) {
			assertOpen();
			await Promise.all(doomed.slice(i, i + AT_ONCE).map((key) => client.removeItem(key, signal)));
		}
		start = LastEvaluatedKey;
	} while (start !== void 0);
}
function withKeysOnly(query, { sort }) {
	const names = {
		...query.ExpressionAttributeNames,
		"#s": sort
	};
	return {
		...query,
		ExpressionAttributeNames: names,
		ProjectionExpression: "#p, #s"
	};
}
// src/drivers/dynamodb/store.ts
/**
* The store port on a DynamoDB table.
*
* Invariants: every read is strongly consistent; every write is conditional on what the commit expects, decided by the
* engine; a version is drawn anew for each put, so none is used twice; a record expires by the engine's clock, and only
* once its time has surely passed there.
*
* Two things differ from an embedded store: there is no watch, and a page is no snapshot, since the engine may show the
* first writes of a transaction before its last ones (never one that is taken back).
*/
/** How far this machine's clock may be off, while no answer has told the engine's time. */
const UNCHECKED_CLOCK_MS = 864e5;
var DynamodbStore = class {
	limits;
	#client;
	#keys;
	#clock;
	#context;
	#underWay = /* @__PURE__ */ new Set();
	#closed;
	constructor({ client, table, keys, clock, random }) {
		this.limits = {
			...portableLimits,
			keys: keys.sortType === "number" ? "decimal" : "ascii"
		};
		this.#client = client;
		this.#keys = keys;
		this.#clock = clock;
		this.#context = {
			client,
			table,
			keys,
			random,
			sureMs: () => this.#sureMs()
		};
	}
	async get(key) {
		this.#assertOpen();
		checkKey(key, this.limits.keys);
		return this.#track(this.#read(key));
	}
	async list(range, options) {
		this.#assertOpen();
		checkRange(range, this.limits.keys);
		checkListOptions(options, this.limits.keys);
		return this.#track(this.#page(range, options));
	}
	async commit(changes) {
		this.#assertOpen();
		const encoded = checkCommit(changes, this.limits);
		const kept = changes.map((change) => ({
			...change,
			key: [change.key[0], change.key[1]]
		}));
		return this.#track(this.#apply(kept, encoded));
	}
	async deleteRange(range, options = {}) {
		this.#assertOpen();
		checkRange(range, this.limits.keys);
		options.signal?.throwIfAborted();
		const query = queryRange(this.#keys, range);
		if (query === void 0) return;
		await this.#track(deleteItems(this.#client, this.#keys, range, query, options.signal, () => this.#assertOpen()));
	}
	/**
	* The engine's time as its answers tell it, to about half a second. Before the first answer this machine's own, of
	* which nothing is known.
	*/
	now() {
		this.#assertOpen();
		return this.#time();
	}
	close() {
		this.#closed ??= Promise.allSettled(this.#underWay).then(() => this.#client.destroy());
		return this.#closed;
	}
	async #read(key) {
		const item = await this.#client.getItem(keyItem(this.#keys, key));
		return item && fromItem(this.#keys, item, this.#sureMs())?.record;
	}
	async #page(range, options) {
		const { limit } = options;
		const query = queryRange(this.#keys, range, options);
		const records = [];
		if (query === void 0) return { records };
		let bytes = 0;
		let start = query.ExclusiveStartKey;
		do {
			const answer = await this.#client.query({
				...query,
				ExclusiveStartKey: start,
				ScanIndexForward: options.reverse !== true,
				Limit: limit - records.length + 1
			});
			for (const item of answer.Items ?? []) {
				const found = fromItem(this.#keys, item, this.#sureMs());
				if (found === void 0 || range.to !== void 0 && found.record.key[1] >= range.to) continue;
				const last = records.at(-1);
				if (last !== void 0 && (records.length === limit || bytes >= 4194304)) return {
					records,
					next: last.key[1]
				};
				records.push(found.record);
				bytes += found.bytes;
			}
			start = answer.LastEvaluatedKey;
			const last = records.at(-1);
			if (start !== void 0 && last !== void 0 && bytes >= 4194304) return {
				records,
				next: last.key[1]
			};
		} while (start !== void 0);
		return { records };
	}
	async #apply(changes, encoded) {
		const [first] = changes;
		if (first.op === "check" && changes.length === 1) {
			const record = await this.#read(first.key);
			return holds(first.expect, record?.version) ? {
				ok: true,
				versions: [void 0]
			} : {
				ok: false,
				failed: [first.key]
			};
		}
		await this.#client.learnTime(keyItem(this.#keys, first.key));
		return applyChanges(this.#context, changes, encoded);
	}
	/** A time that has surely passed on the engine, in whole milliseconds. */
	#sureMs() {
		const { ms, uncertaintyMs } = this.#time();
		return Math.floor(ms - uncertaintyMs);
	}
	#time() {
		return this.#client.time() ?? {
			ms: this.#clock.now(),
			uncertaintyMs: UNCHECKED_CLOCK_MS
		};
	}
	#track(operation) {
		this.#underWay.add(operation);
		const done = () => this.#underWay.delete(operation);
		operation.then(done, done);
		return operation;
	}
	#assertOpen() {
		if (this.#closed !== void 0) throw new SignalboxError("unavailable", "the store is closed");
	}
};
// src/drivers/dynamodb/index.ts
const REQUEST_TIMEOUT_MS = 5e3;
const CONNECT_TIMEOUT_MS = 3e3;
/** Idle connections are given up before the engine closes them, or a write might meet a closed one. */
const IDLE_MS = 15e3;
/**
* Opens a store on a table that exists. Nothing is sent yet: what is wrong with table, region or credentials shows at
* the first call.
* @example
* const store = await openDynamodbStore({ table: 'github-actions-dynamo-q-queue', clock: systemClock, random: systemRandom })
* @throws SignalboxError `config_invalid`
*/
async function openDynamodbStore(options) {
	const { table, keys = turnTableKeys, region, endpoint, credentials, clock, random } = options;
	checkTableKeys(keys);
	if (endpoint !== void 0 && !URL.canParse(endpoint)) throw new SignalboxError("config_invalid", `the DynamoDB endpoint must be a URL such as http://127.0.0.1:8000, got '${endpoint}'`);
	const sdk = await loadSdk();
	const agent = {
		keepAlive: true,
		maxSockets: 64,
		timeout: IDLE_MS
	};
	return new DynamodbStore({
		client: new TableClient(sdk, new sdk.DynamoDBClient({
			maxAttempts: 1,
			requestHandler: options.requestHandler ?? {
				connectionTimeout: CONNECT_TIMEOUT_MS,
				httpAgent: agent,
				httpsAgent: agent
			},
			...region === void 0 ? {} : { region },
			...endpoint === void 0 ? {} : { endpoint },
			...credentials === void 0 ? {} : { credentials }
		}), {
			table,
			keys,
			endpoint,
			clock,
			random,
			requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
			onRequest: options.onRequest ?? (() => {})
		}),
		table,
		keys,
		clock,
		random
	});
}
/** @param load imports the package; a parameter for tests. */
async function loadSdk(load = () => import("./aws-sdk-client-dynamodb.mjs").then((m) => /* @__PURE__ */ __toESM(m.default, 1))) {
	try {
		return await load();
	} catch (cause) {
		throw new SignalboxError("config_invalid", "the DynamoDB store needs a package that is not installed: npm install @aws-sdk/client-dynamodb", { cause });
	}
}
export { loadSdk, openDynamodbStore };
