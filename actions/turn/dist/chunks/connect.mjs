import { i as isSignalboxError, n as errorCodes, r as isErrorCode, t as SignalboxError } from "./error.mjs";
import { a as refusal, i as parseJson, n as codeByStatus, o as timeoutFailure, r as foreignAnswer, s as transportFailure, t as cancelledCall } from "./failure.mjs";
import { n as isTransient } from "./attempt.mjs";
import { t as sleep } from "./clock.mjs";
import { t as require_undici } from "./undici.mjs";
import { a as changedView, d as memberView, i as beatView, m as queueView, o as evictView, p as queueSummary, s as historyView, u as leaveView } from "./api.mjs";
import { t as githubIdTokens } from "./github-oidc.mjs";
import { r as flagNames, t as chooseEngine } from "./engine.mjs";
import { C as NEVER, S as _isoDateTime, _ as string, a as array, b as _coercedNumber, c as int, d as looseObject, f as number$1, g as strictObject, h as record, i as _enum, l as json$3, m as partialRecord, n as ZodISODateTime, o as boolean, p as object, r as ZodNumber, s as discriminatedUnion, t as ZodISODate, u as literal, v as union, x as _isoDate, y as unknown } from "./schemas.mjs";
import { createConnection } from "node:net";
import { get } from "node:http";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
// node_modules/zod/v4/classic/iso.js
function datetime(params) {
	return _isoDateTime(ZodISODateTime, params);
}
function date(params) {
	return _isoDate(ZodISODate, params);
}
// node_modules/zod/v4/classic/coerce.js
function number(params) {
	return _coercedNumber(ZodNumber, params);
}
// src/ports/access.ts
/**
* Who may do what: roles and scopes, and what a call demands. Pure; the server finds out who calls and enforces it alike on
* HTTP, event streams and gRPC.
*
* Invariants: what is not allowed is refused (an unknown noun, a missing name, a malformed scope allow nothing); a scope is
* matched in time linear in pattern × name, whatever the pattern; whoever hands on rights hands on at most their own.
*/
/** Each includes those before it. Viewers read, operators act (also join a queue), admins manage tokens. */
const roles = [
	"viewer",
	"operator",
	"admin"
];
const nouns = [
	"turns",
	"leases",
	"messages",
	"jobs",
	"schedules",
	"voting",
	"server"
];
/** What is wrong with a scope, to follow its quoted text; undefined when nothing is. */
function scopeProblem(scope) {
	const [noun, pattern] = split(scope);
	if (!nouns.includes(noun)) return `is not a scope; write noun:pattern such as turns:deploy or turns:staging/*, where the noun is one of ${nouns.join(", ")}`;
	if (noun === "server") return pattern === "*" ? void 0 : "is not a scope; of the server there is only server:*";
	if (!/^[A-Za-z0-9._/:@*-]{1,128}$/.test(pattern)) return "is not a scope; the pattern is 1 to 128 characters of A-Z a-z 0-9 . _ / : @ - and *";
	return pattern.includes("**") ? "is not a scope; write one * where there are several" : void 0;
}
function split(scope) {
	const colon = scope.indexOf(":");
	return colon < 0 ? ["", ""] : [scope.slice(0, colon), scope.slice(colon + 1)];
}
// src/server/auth/api.ts
/**
* The vocabulary of tokens and of the audit log as HTTP, CLI and client speak it. Bodies are strict: a misspelt `scopes` must
* not make a token for everything.
*/
const MAX_SCOPES = 32;
/** Longest life a token may be given; one without expiry is asked for by leaving it out. */
const MAX_EXPIRY_MS = 31536e7;
/** 16 hexadecimal digits: the beginning of the secret's hash, which says nothing about the secret. */
const tokenId = string().regex(/^[0-9a-f]{16}$/, "must be 16 hexadecimal digits");
/** As it stands in the audit log. No name looks like an id, so that either can be said. */
const tokenName = string().regex(/^(?![0-9a-f]{16}$)[A-Za-z0-9][A-Za-z0-9._/:@-]{0,63}$/, "must be 1 to 64 characters of A-Z a-z 0-9 . _ / : @ -, begin with a letter or digit, and not be 16 hexadecimal digits");
const scope = string().superRefine((text, context) => {
	const problem = scopeProblem(text);
	if (problem !== void 0) context.addIssue({
		code: "custom",
		message: problem
	});
});
strictObject({
	name: tokenName.describe("Shown in lists and in the audit log; no two valid tokens share one."),
	role: _enum(roles).describe("Viewers read, operators act, admins manage tokens."),
	scopes: array(scope).min(1).max(MAX_SCOPES).optional().describe("`turns:deploy`, `turns:staging/*`; `*` stands for any characters. Absent: everything."),
	expiresInMs: number$1().int().min(1e3).max(MAX_EXPIRY_MS).optional().describe("Absent: it never expires.")
});
const tokenView = object({
	id: tokenId,
	name: string(),
	role: _enum(roles),
	scopes: array(string()).describe("Empty: everything."),
	state: _enum([
		"active",
		"expired",
		"revoked"
	]),
	createdAt: string(),
	createdBy: string(),
	expiresAt: string().optional(),
	revokedAt: string().optional(),
	lastUsedAt: string().optional().describe("Exact to an hour.")
});
const createdTokenView = object({
	token: tokenView,
	secret: string().describe("Shown this once; only its hash is kept.")
});
object({
	limit: number().int().min(1).max(1e3).optional(),
	after: tokenId.optional()
});
const tokenListView = object({
	tokens: array(tokenView).describe("In the order of their ids."),
	next: tokenId.optional()
});
const instant = union([datetime({ offset: true }), date()], { error: "must be a time such as 2030-01-31 or 2030-01-31T12:00:00Z" });
object({
	from: instant.optional().describe("Inclusive. Default: as far back as entries are kept."),
	to: instant.optional().describe("Exclusive. Default: now."),
	limit: number().int().min(1).max(1e3).optional().describe("Default 100."),
	after: string().regex(/^\d{15}$/, "must be the `next` of the page before").optional()
});
const auditEntryView = object({
	id: string(),
	at: string(),
	actor: string(),
	action: string(),
	target: string(),
	reason: string().optional(),
	details: record(string(), json$3()).optional()
});
const auditView = object({
	entries: array(auditEntryView).describe("Newest first."),
	next: string().optional()
});
// src/client/query.ts
/** `?limit=10&after=x` of the values that are given; empty when none is. */
function query(values) {
	const given = Object.entries(values).flatMap(([name, value]) => value === void 0 ? [] : [`${name}=${encodeURIComponent(value)}`]);
	return given.length === 0 ? "" : `?${given.join("&")}`;
}
// src/client/access.ts
/** Tokens and the audit log at a distance: the routes under `/api/v1/tokens` and `/api/v1/audit`. */
/** Manages the server that `transport` reaches. */
function accessOver(transport) {
	return {
		createToken: (request) => transport.call({
			method: "POST",
			path: "/api/v1/tokens",
			body: request,
			answer: createdTokenView
		}),
		listTokens: (options = {}) => transport.call({
			method: "GET",
			path: `/api/v1/tokens${query({ ...options })}`,
			answer: tokenListView
		}),
		revokeToken: (idOrName) => transport.call({
			method: "DELETE",
			path: `/api/v1/tokens/${encodeURIComponent(idOrName)}`,
			answer: tokenView
		}),
		readAudit: (options = {}) => transport.call({
			method: "GET",
			path: `/api/v1/audit${query({ ...options })}`,
			answer: auditView
		})
	};
}
// src/client/credential.ts
/**
* What a client shows of itself: a token, a source of tokens that last for a short time, or a whole `Authorization` header.
*
* Invariant: a credential is part of no message.
*/
/** @throws SignalboxError `invalid_argument` for one that no server could take */
function checkCredential({ token, authorization }) {
	if (typeof token === "string") checkToken(token, "invalid_argument");
	if (authorization === void 0) return;
	if (token !== void 0) throw invalid("authorization", "authorization: and token contradict each other; give one of them");
	if (!/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(authorization)) throw invalid("authorization", "authorization: is empty or contains a line break or another character that no header has; write for example Basic …");
}
/** The header's value; none without a credential. @throws the signal's reason; what the source of tokens throws */
async function authorizationOf({ token, authorization }, renew, signal) {
	if (typeof token !== "function") return token === void 0 ? authorization : `Bearer ${token}`;
	const had = await unlessAborted(signal, renew ? token({ renew }) : token()).catch((error) => {
		if (isSignalboxError(error)) throw error;
		const why = error instanceof Error ? error.message : "the source of tokens failed";
		throw new SignalboxError("unauthenticated", `no token could be had: ${why}`, { cause: error });
	});
	checkToken(had, "unauthenticated");
	return `Bearer ${had}`;
}
function checkToken(token, code) {
	if (/^[\x21-\x7e]+$/.test(token)) return;
	throw new SignalboxError(code, `${code === "invalid_argument" ? "SIGNALBOX_TOKEN" : "token"}: is empty or contains a space, a line break or another character that no token has`, { details: { field: "token" } });
}
function unlessAborted(signal, value) {
	return new Promise((resolve, reject) => {
		const onAbort = () => reject(signal.reason);
		if (signal.aborted) onAbort();
		signal.addEventListener("abort", onAbort, { once: true });
		value.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
	});
}
function invalid(field, message) {
	return new SignalboxError("invalid_argument", message, { details: { field } });
}
// src/leases/api-views.ts
/**
* Providers, their requests and their history as the JSON API beside the wire gives them, under `/api/v1/leases`: for the
* console, for scripts and for `lease simulate`. Times are RFC 3339 in UTC.
*/
/** A provider in one text; see `providerLabel`. */
const providerText = string().max(1e3).regex(/^[^/]+\/[^/@]+@.+$/s, "must be OWNER/REPO@BASE, such as acme/shop@main");
const leaseConfigView = object({
	stabilizeMs: number$1().describe("How long nothing new may have come before the highest is granted."),
	ttlMs: number$1().describe("A request that was silent for longer is forgotten."),
	expectedCount: number$1().int().describe("This many known requests are granted without the window."),
	delayCount: number$1().int().describe("Calls of the highest answered `pending` before its grant."),
	maxLeaseMs: number$1().describe("A holder that has not released after this long is taken for dead."),
	coolDownMs: number$1().describe("How long nobody is granted after a holder was taken for dead.")
});
const ticking = object({
	text: string(),
	at: string()
}).optional().describe("The reason with `{left}` in place of the time left until `at`, for a clock of one’s own.");
const facts = object({
	sha: string(),
	ref: string().optional(),
	pullRequest: number$1().int().optional(),
	priority: number$1().int().describe("How many commits it is ahead of the base; the highest contains the others.")
});
const leaseRequestView = facts.extend({
	state: _enum([
		"waiting",
		"holding",
		"succeeded",
		"completed"
	]),
	joinedAt: string(),
	seenAt: string().describe("Its last call, as far as it was written down."),
	reason: string().describe("Why it waits, or what becomes of it, in a sentence."),
	brief: string().describe("The same for somebody who has read the reason of the provider."),
	ticking
});
const leaseProviderView = object({
	provider: providerText,
	now: string().describe("When this was so, by the clock that decides; count down from here."),
	phase: _enum([
		"open",
		"held",
		"draining",
		"failover"
	]).describe("open: gathering requests; held; draining: after a success; failover: after a failure."),
	batch: number$1().int(),
	reason: string().describe("What everybody waits for, in a sentence."),
	ticking,
	holder: facts.extend({
		fence: number$1().int().describe("Greater than every fence granted before by this provider."),
		grantedAt: string(),
		expiresAt: string(),
		renews: boolean().describe("It says how long it wants the lease, and extends it."),
		releasedAt: string().optional().describe("It succeeded; its batch is draining.")
	}).optional(),
	stackedPullRequests: array(number$1().int()).describe("Those that the holder contains, and its own."),
	requests: array(leaseRequestView).describe("Known requests, highest priority first."),
	gate: object({
		open: boolean().describe("Nothing but its next calls keeps the highest from its grant."),
		known: number$1().int(),
		expected: number$1().int(),
		windowEndsAt: string().optional(),
		coolDownEndsAt: string().optional(),
		callsLeft: number$1().int().describe("Calls of the highest that will still be answered `pending`.")
	}).optional().describe("What stands between the highest request and its grant; absent while somebody holds or nobody waits."),
	failed: object({
		sha: string(),
		ref: string().optional(),
		pullRequest: number$1().int().optional(),
		at: string(),
		expired: boolean().describe("It was taken for dead.")
	}).optional().describe("The last holder of this batch, which failed or was taken for dead."),
	lastFence: number$1().int(),
	updatedAt: string(),
	config: leaseConfigView
});
object({
	now: string(),
	providers: array(leaseProviderView),
	next: providerText.optional()
});
const pastRequestView = facts.extend({
	seq: number$1().int().describe("Requests of a provider are numbered in the order in which they came."),
	joinedAt: string(),
	grantedAt: string().optional(),
	endedAt: string(),
	fence: number$1().int().optional(),
	as: _enum([
		"success",
		"failure",
		"completed",
		"withdrawn",
		"evicted",
		"expired",
		"cleared"
	]).describe("success, failure: released; completed: contained in a success; evicted: silent; expired: a holder taken for dead; cleared: by an operator."),
	batch: number$1().int(),
	config: number$1().int().describe("Which of `configs` was in force at its end.")
});
const leaseHistoryView = object({
	provider: providerText,
	requests: array(pastRequestView).describe("Newest first, by `seq`."),
	configs: array(leaseConfigView),
	next: number$1().int().optional().describe("`before` of the next page.")
});
object({ reason: string().trim().min(1).max(500).describe("Stands in the audit log.") });
// src/leases/api.ts
/** `owner/repo@baseRef`: for people, scopes of tokens (`leases:owner/*`) and the audit log. */
function providerLabel({ owner, repo, baseRef }) {
	return `${owner}/${repo}@${baseRef}`;
}
const HEAD_REF = /^gh-readonly-queue\/.+\/pr-(\d+)-[0-9a-fA-F]+$/;
/** The pull request of a merge queue's branch; undefined when the text is not one, or its number is beyond all numbers. */
function pullRequestOf(ref) {
	const number = Number(HEAD_REF.exec(ref)?.[1] ?? NaN);
	return Number.isSafeInteger(number) ? number : void 0;
}
// src/client/lease-answers.ts
/**
* The answers of the leases' wire, in both generations' forms: facts of a request nested under `request`, flat, or both.
*
* Invariant: nothing is taken for a lease that does not say so itself: an answer that is no JSON, has another status than
* those of the wire, contradicts itself or does not name the commit is `unavailable`, for whoever gave it is not Signalbox.
* `details.strange` is set then, for what passed such an answer on may have passed the call on as well.
*/
/** RFC 3339 → milliseconds. */
const time$2 = string().transform((text, context) => {
	const ms = Date.parse(text);
	if (!Number.isNaN(ms)) return ms;
	context.issues.push({
		code: "custom",
		message: "is not a time",
		input: text
	});
	return NEVER;
}).nullish();
const whole = int().nonnegative().nullish();
const stack = array(object({ number: int() })).nullish();
const requestFacts = object({
	head_sha: string().nullish(),
	head_ref: string().nullish(),
	priority: number$1().nullish(),
	status: string().nullish()
});
const leaseBody = requestFacts.extend({
	request: requestFacts.nullish(),
	stacked_pull_requests: stack,
	fence: whole,
	expires_at: time$2,
	lease_seconds: number$1().positive().nullish(),
	reason: string().nullish(),
	retry_after: number$1().nonnegative().nullish()
});
const requestBody = requestFacts.extend({
	request: requestFacts.nullish(),
	pull_request: whole,
	joined_at: time$2,
	last_seen_at: time$2,
	stacked_pull_requests: stack,
	fence: whole,
	acquired_at: time$2,
	expires_at: time$2
});
const seconds = number$1().nullish();
const providerBody = object({
	last_updated_at: time$2,
	acquired: requestBody.nullish(),
	known: union([array(requestBody), record(string(), requestBody).transform(byPriority)]).nullish(),
	config: object({
		stabilize_duration: seconds,
		ttl: seconds,
		expected_request_count: whole,
		delay_assignment_count: whole,
		max_lease_seconds: seconds,
		cool_down_seconds: seconds
	}).nullish(),
	phase: _enum([
		"open",
		"held",
		"draining",
		"failover"
	]).nullish(),
	failed_head_sha: string().nullish(),
	last_fence: whole,
	reason: string().nullish()
});
const STATUSES = {
	acquire: {
		pending: "pending",
		acquired: "acquired",
		completed: "completed"
	},
	release: {
		completed: "completed",
		success: "completed",
		failure: "failure"
	}
};
/** @throws SignalboxError `unavailable` */
function readLease(answer, asked) {
	const body = read(leaseBody, answer);
	const { status: said, sha, ref, priority } = merged(body, answer.facts);
	const statuses = STATUSES[asked.verb];
	const status = said !== void 0 && Object.hasOwn(statuses, said) ? statuses[said] : void 0;
	if (status === void 0) throw strange(answer.facts, `with the lease status '${printed(said)}'`);
	if (sha === void 0) throw strange(answer.facts, "about no commit");
	if (sha !== asked.sha) throw strange(answer.facts, `about commit '${printed(sha)}'`);
	const retryAfterMs = typeof body.retry_after === "number" ? body.retry_after * 1e3 : answer.retryAfterMs;
	return {
		kind: "lease",
		status,
		sha: asked.sha,
		ref: ref ?? asked.ref,
		priority: priority ?? asked.priority,
		...typeof body.fence === "number" ? { fence: body.fence } : {},
		...typeof body.expires_at === "number" ? { expiresAt: body.expires_at } : {},
		...typeof body.lease_seconds === "number" ? { leaseMs: body.lease_seconds * 1e3 } : {},
		...body.stacked_pull_requests == null ? {} : { stacked: numbers(body.stacked_pull_requests) },
		...typeof body.reason === "string" ? { reason: body.reason } : {},
		...retryAfterMs === void 0 ? {} : { retryAfterMs }
	};
}
/** @throws SignalboxError `unavailable` */
function readProvider(answer, name) {
	return report(name, read(providerBody, answer), answer.facts);
}
/** @throws SignalboxError `unavailable` */
function readProviders(answer) {
	const all = read(record(string(), providerBody), answer);
	return Object.entries(all).map(([id, body]) => {
		const [owner = "", repo = "", ...rest] = id.split(":");
		if (rest.length === 0) throw strange(answer.facts, `with the lease provider '${printed(id)}'`);
		return report({
			owner,
			repo,
			baseRef: rest.join(":")
		}, body, answer.facts);
	});
}
function report(name, body, facts) {
	const { acquired, config } = body;
	if (acquired === void 0 || body.known == null) throw strange(facts, "to the question about a lease provider");
	return {
		name,
		config: {
			...inMs("stabilizeMs", config?.stabilize_duration),
			...inMs("ttlMs", config?.ttl),
			...config?.expected_request_count == null ? {} : { expectedCount: config.expected_request_count },
			...config?.delay_assignment_count == null ? {} : { delayCount: config.delay_assignment_count },
			...inMs("maxLeaseMs", config?.max_lease_seconds),
			...inMs("coolDownMs", config?.cool_down_seconds)
		},
		updatedAt: body.last_updated_at ?? 0,
		...acquired === null ? {} : { holder: holderOf(acquired, facts) },
		stacked: numbers(acquired?.stacked_pull_requests ?? []),
		known: body.known.map((known) => requestOf(known, facts)),
		...body.phase == null ? {} : { phase: body.phase },
		...body.failed_head_sha == null ? {} : { failedSha: body.failed_head_sha },
		...body.last_fence == null ? {} : { lastFence: body.last_fence },
		...body.reason == null ? {} : { reason: body.reason }
	};
}
function holderOf(body, facts) {
	return {
		...requestOf(body, facts),
		...body.fence == null ? {} : { fence: body.fence },
		...body.acquired_at == null ? {} : { grantedAt: body.acquired_at },
		...body.expires_at == null ? {} : { expiresAt: body.expires_at }
	};
}
function requestOf(body, facts) {
	const { sha = "", ref, priority = 0, status } = merged(body, facts);
	const pullRequest = body.pull_request ?? (ref === void 0 ? void 0 : pullRequestOf(ref));
	return {
		sha,
		priority,
		status: status === "acquired" ? status : status === "completed" || status === "success" ? "completed" : "pending",
		...ref === void 0 ? {} : { ref },
		...pullRequest === void 0 ? {} : { pullRequest },
		...body.joined_at == null ? {} : { joinedAt: body.joined_at },
		...body.last_seen_at == null ? {} : { seenAt: body.last_seen_at }
	};
}
/** The nested and the flat form as one. @throws SignalboxError `unavailable` when they contradict each other */
function merged(body, facts) {
	const one = (nested, flat) => {
		if (nested != null && flat != null && nested !== flat) throw strange(facts, "in contradiction to itself");
		return nested ?? flat ?? void 0;
	};
	const { request } = body;
	const status = one(request?.status, body.status);
	const sha = one(request?.head_sha, body.head_sha);
	const ref = one(request?.head_ref, body.head_ref);
	const priority = one(request?.priority, body.priority);
	return {
		...status === void 0 ? {} : { status },
		...sha === void 0 ? {} : { sha },
		...ref === void 0 || ref === "" ? {} : { ref },
		...priority === void 0 ? {} : { priority }
	};
}
function read(shape, { status, text, facts }) {
	const json = parseJson(text);
	if (json === void 0) throw strange(facts, `with status ${status}`);
	const body = shape.safeParse(json);
	if (body.success) return body.data;
	const at = body.error.issues[0];
	throw strange(facts, `in another shape (${at?.path.join(".")}: ${at?.message})`);
}
function strange({ address }, how) {
	return new SignalboxError("unavailable", `${address}: answered ${how}, not as Signalbox does; check the address`, { details: { strange: true } });
}
function printed(text) {
	return (text ?? "").slice(0, 60);
}
function byPriority(known) {
	return Object.values(known).toSorted((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
}
function numbers(entries) {
	return entries.map(({ number }) => number);
}
function inMs(name, value) {
	return value == null ? {} : { [name]: value * 1e3 };
}
// src/client/lease-problems.ts
/** What the leases' wire says when it does not do what was asked: `{error, error_context?, reason?, retry_after?}`. */
const fieldProblem = object({
	failed_field: string(),
	tag: string(),
	value: string().nullish()
});
const wireProblem = object({
	error: string(),
	error_context: unknown().optional(),
	reason: string().nullish(),
	retry_after: number$1().nonnegative().nullish(),
	requestId: string().nullish()
});
/** Conflicts are answers, not failures. Undefined: it is something else. */
function readRefusal(answer, verb) {
	const problem = parsed(answer);
	if (problem === void 0) return void 0;
	const { error, error_context: context } = problem;
	const said = problem.reason ?? (typeof context === "string" ? context : error);
	const retryAfterMs = retryAfter(problem, answer);
	const more = {
		reason: said,
		...retryAfterMs === void 0 ? {} : { retryAfterMs }
	};
	if (verb === "acquire") return answer.status === 409 ? {
		kind: "refused",
		why: "acquired",
		...more
	} : void 0;
	if (answer.status !== 400 || typeof context !== "string") return void 0;
	return {
		kind: "refused",
		why: /hold the lease/.test(context) ? "not_holder" : "not_acquired",
		...more
	};
}
/** @param provider whom the call names; the list names none */
function readProblem(answer, provider) {
	const { status, facts, text } = answer;
	const problem = parsed(answer);
	if (status === 404) return unknownProvider(answer, problem, provider);
	if (problem === void 0) return withRetryAfter(refusal(status, text, facts), answer.retryAfterMs);
	const { error_context: context, requestId } = problem;
	const code = isErrorCode(String(context)) ? context : void 0;
	const details = typeof requestId === "string" ? { details: { requestId } } : {};
	return withRetryAfter(new SignalboxError(code !== void 0 && isErrorCode(code) ? code : codeOf(status, facts), wordsOf(problem, facts, provider), details), retryAfter(problem, answer));
}
function parsed({ text }) {
	const body = wireProblem.safeParse(parseJson(text));
	return body.success ? body.data : void 0;
}
/** One whose form is strange may come from a proxy; then `details.foreign` is set. */
function unknownProvider({ facts }, problem, provider) {
	const { address } = facts;
	if (problem === void 0 || provider === void 0) {
		const what = `${address}: answered with status 404, but not as Signalbox does; check the address`;
		return new SignalboxError("not_found", what, { details: { foreign: true } });
	}
	const what = `${providerLabel(provider)}: ${address} has no such lease provider; check owner, repository and base ref against its configuration (case counts)`;
	return new SignalboxError("not_found", what);
}
function codeOf(status, facts) {
	return status === 422 || status === 405 ? "invalid_argument" : codeByStatus(status, facts.write);
}
function wordsOf({ error, error_context: context, reason }, { address }, provider) {
	const at = provider === void 0 ? address : providerLabel(provider);
	const fields = array(fieldProblem).min(1).safeParse(context);
	if (fields.success) return `${at}: the server refused the request: ${fields.data.map(inWords).join("; ")}`;
	const because = reason ?? (typeof context === "string" && !isErrorCode(context) ? context : void 0);
	return `${at}: ${error}${because === void 0 ? "" : `: ${because}`}`;
}
const RULES = {
	required: () => "is missing",
	min: (value) => `must be at least ${value}`,
	max: (value) => `must not be longer than ${value}`,
	oneof: (value) => `must be one of ${value.split(" ").join(", ")}`,
	ghTempBranchRef: () => "must be a branch of a merge queue: gh-readonly-queue/<base>/pr-<number>-<commit>"
};
/** `{failed_field: 'acquireRequest.HeadSHA', tag: 'required'}` → `head_sha is missing` */
function inWords({ failed_field: field, tag, value }) {
	return `${(field.split(".").at(-1) ?? field).replaceAll(/([a-z])([A-Z])/g, "$1_$2").toLowerCase()} ${(Object.hasOwn(RULES, tag) ? RULES[tag] : void 0)?.(value ?? "") ?? `is not allowed (${tag})`}`;
}
function retryAfter({ retry_after: seconds }, { retryAfterMs }) {
	return typeof seconds === "number" ? seconds * 1e3 : retryAfterMs;
}
/** `details.retryAfterMs`: when the server wants to be asked again. */
function withRetryAfter(error, retryAfterMs) {
	if (retryAfterMs === void 0) return error;
	return new SignalboxError(error.code, error.message, { details: {
		...error.details,
		retryAfterMs
	} });
}
// src/client/leases.ts
/**
* `LeasesApi` at a distance: the reference's routes at the root of the server, `/:owner/:repo/:baseRef…`, in the form
* that the original service has too. A base ref is one percent-encoded segment, for the original takes no other.
*
* Invariant: only an answer that is in every respect a grant for this very request becomes one (`lease-answers.ts`).
*/
/** Takes leases on the server that `transport` reaches. Each call is sent once; see `LeasesApi` for what it throws. */
function leasesOver(transport) {
	return {
		acquire: (provider, request, signal) => post(transport, provider, {
			verb: "acquire",
			request,
			signal
		}),
		release: (provider, request, signal) => post(transport, provider, {
			verb: "release",
			request,
			signal
		}),
		async show(provider) {
			return readProvider(await send(transport, {
				method: "GET",
				provider
			}), provider);
		},
		async clear(provider, { reason }) {
			return readProvider(await send(transport, {
				method: reason !== void 0 && await clearedBecause(transport, provider, reason) ? "GET" : "DELETE",
				provider
			}), provider);
		},
		async list() {
			return readProviders(await send(transport, { method: "GET" }));
		},
		async history(provider, options = {}) {
			const path = `/api/v1/leases/${encodeURIComponent(providerLabel(provider))}/history${query({
				limit: options.limit,
				before: options.before
			})}`;
			return transport.call({
				method: "GET",
				path,
				answer: leaseHistoryView
			});
		}
	};
}
async function post(transport, provider, { verb, request, signal }) {
	const { sha, ref, priority } = request;
	const body = {
		head_sha: sha,
		...ref === void 0 ? {} : { head_ref: ref },
		priority,
		..."success" in request ? { status: request.success ? "success" : "failure" } : {},
		..."leaseMs" in request && request.leaseMs !== void 0 ? { lease_seconds: Math.ceil(request.leaseMs / 1e3) } : {}
	};
	const call = {
		method: "POST",
		path: `${pathOf(provider)}/${verb}`,
		body,
		signal
	};
	const answer = {
		...await transport.exchange(call),
		facts: transport.facts(call)
	};
	const asked = {
		verb,
		sha,
		ref,
		priority
	};
	if (answer.status >= 200 && answer.status <= 299) return readLease(answer, asked);
	const refusal = readRefusal(answer, verb);
	if (refusal !== void 0) return refusal;
	throw readProblem(answer, provider);
}
async function send(transport, { method, provider }) {
	const call = {
		method,
		path: provider === void 0 ? "/" : pathOf(provider)
	};
	const answer = {
		...await transport.exchange(call),
		facts: transport.facts(call)
	};
	if (answer.status >= 200 && answer.status <= 299) return answer;
	throw readProblem(answer, provider);
}
/** The wire knows no reasons; the API beside it does, where there is one. @returns whether it is done */
async function clearedBecause(transport, provider, reason) {
	const call = {
		method: "POST",
		path: `/api/v1/leases/${encodeURIComponent(providerLabel(provider))}/clear`,
		body: { reason }
	};
	const { status, text } = await transport.exchange(call);
	if (status >= 200 && status <= 299) return true;
	if (status === 404 || status === 405) return false;
	throw refusal(status, text, transport.facts(call));
}
function pathOf({ owner, repo, baseRef }) {
	return `/${[
		owner,
		repo,
		baseRef
	].map(encodeURIComponent).join("/")}`;
}
// src/messages/api.ts
/**
* What message queues offer to their faces at a distance (HTTP, command line): the vocabulary as JSON, and `MessagesApi`, which
* a client over HTTP and one over gRPC implement alike. Times are milliseconds; a `Binary` attribute's value is base64.
*/
const messageQueueName = string().regex(/^[A-Za-z0-9_-]{1,80}(?:\.fifo)?$/, "must be 1 to 80 characters of A-Z a-z 0-9 _ -, and end in .fifo for a FIFO queue");
const attributes = record(string(), object({
	type: string().describe("String, Number or Binary"),
	value: string()
}));
const outgoingMessage = object({
	body: string(),
	attributes: attributes.optional(),
	delayMs: number$1().optional(),
	groupId: string().optional(),
	deduplicationId: string().optional(),
	traceHeader: string().optional(),
	deadLetterSource: string().optional().describe("Of a dead letter: the queue it comes from")
});
const messageFacts = object({
	messageId: string(),
	body: string(),
	attributes,
	sentAt: number$1().describe("Milliseconds since the epoch"),
	receiveCount: number$1(),
	firstReceivedAt: number$1().optional(),
	groupId: string().optional(),
	deduplicationId: string().optional(),
	sequence: string().optional(),
	traceHeader: string().optional(),
	deadLetterSource: string().optional()
});
const receivedMessage = messageFacts.extend({
	receipt: string().describe("For delete and visibility"),
	deadline: number$1().describe("When its visibility ends, milliseconds since the epoch")
});
const peekedMessage = messageFacts.extend({
	state: _enum([
		"visible",
		"in_flight",
		"delayed"
	]),
	visibleAt: number$1()
});
const codes = Object.keys(errorCodes).filter(isErrorCode);
const failedEntry = object({
	status: literal("failed"),
	error: object({
		code: _enum(codes),
		message: string()
	})
});
const lostEntry = object({ status: literal("lost") });
const deadLetterPolicy = object({
	queue: messageQueueName,
	maxReceives: number$1().int()
});
object({
	contentDeduplication: boolean().optional().describe("FIFO: by the body, where no id is given"),
	visibilityMs: number$1().optional().describe("Default 30000"),
	delayMs: number$1().optional().describe("Default 0"),
	retentionMs: number$1().optional().describe("Default 4 days"),
	deadLetter: deadLetterPolicy.optional()
});
object({
	name: string(),
	fifo: boolean(),
	contentDeduplication: boolean(),
	visibilityMs: number$1(),
	delayMs: number$1(),
	retentionMs: number$1(),
	deadLetter: deadLetterPolicy.optional()
});
const limit = number$1();
/** The server's clock, to which deadlines refer. */
const now = number$1().optional().describe("Milliseconds since the epoch, by the clock of the server");
object({
	queues: array(string()),
	limits: object({
		batchEntries: limit,
		receiveMessages: limit,
		messageBytes: limit,
		batchBytes: limit,
		attributes: limit,
		visibilityMs: limit,
		delayMs: limit,
		waitMs: limit,
		minRetentionMs: limit,
		maxRetentionMs: limit
	}),
	capabilities: looseObject({
		queues: _enum(["declared", "existing"]),
		resolutionMs: number$1(),
		stats: _enum(["exact", "approximate"]),
		receipts: _enum(["exact", "lenient"]),
		delivery: _enum(["exact", "sampled"]),
		peek: boolean()
	}),
	now
});
object({ messages: array(outgoingMessage) });
const sendView = object({ results: array(union([object({
	status: literal("sent"),
	messageId: string(),
	sequence: string().optional()
}), failedEntry])) });
object({
	max: number$1().int().optional().describe("1 to 10; default 10"),
	visibilityMs: number$1().optional().describe("Default: the queue's"),
	waitMs: number$1().optional().describe("How long to wait for a first message; at most 20000, default 0"),
	attributes: array(string()).optional().describe("Names or prefix.*; default: all")
});
const receiveView = object({
	messages: array(receivedMessage),
	now
});
object({ receipts: array(string()) });
const deleteView = object({ results: array(union([
	object({ status: literal("deleted") }),
	lostEntry,
	failedEntry
])) });
object({ changes: array(object({
	receipt: string(),
	visibilityMs: number$1(),
	nack: boolean().optional(),
	uncounted: boolean().optional()
})) });
object({
	results: array(union([
		object({
			status: literal("changed"),
			deadline: number$1()
		}),
		lostEntry,
		failedEntry
	])),
	now
});
const statsView = object({
	visible: number$1(),
	inFlight: number$1(),
	delayed: number$1(),
	oldestAgeMs: number$1().optional(),
	exact: boolean().describe("Counts of some engines lag behind by up to a minute")
});
const peekView = object({
	messages: array(peekedMessage),
	next: string().optional()
});
object({
	to: messageQueueName.optional().describe("Default: each message to the queue it came from"),
	rate: number$1().int().min(1).optional().describe("Messages a second; default: as fast as it goes"),
	limit: number$1().int().optional().describe("Messages to look at in this call, 1 to 1000"),
	after: string().optional().describe("The `next` of the call before"),
	dryRun: boolean().optional()
});
const redriveView = object({
	moved: number$1(),
	skipped: number$1(),
	next: string().optional().describe("There may be more: call again with it as `after`")
});
// src/client/messages.ts
/** `MessagesApi` at a distance: the routes under `/api/v1/messages`. */
/** How long one call of a redrive goes on at most, before it says where to go on. */
const REDRIVE_MS = 1e4;
/** Message queues of the server that `transport` reaches. Each call is sent once; see `MessagesApi` for what it throws. */
function messagesOver(transport) {
	const path = (queue, rest = "") => `/api/v1/messages/${encodeURIComponent(queue)}${rest}`;
	return {
		send: (queue, messages) => transport.call({
			method: "POST",
			path: path(queue, "/send"),
			body: { messages },
			answer: sendView
		}),
		receive: (queue, request) => transport.call({
			method: "POST",
			path: path(queue, "/receive"),
			body: request,
			answer: receiveView,
			waitMs: request.waitMs ?? 0
		}),
		delete: (queue, receipts) => transport.call({
			method: "POST",
			path: path(queue, "/delete"),
			body: { receipts },
			answer: deleteView
		}),
		stats: (queue) => transport.call({
			method: "GET",
			path: path(queue),
			answer: statsView
		}),
		peek: (queue, { limit, after }) => transport.call({
			method: "GET",
			path: path(queue, "/peek") + query({
				limit,
				after
			}),
			answer: peekView
		}),
		redrive: (queue, request) => transport.call({
			method: "POST",
			path: path(queue, "/redrive"),
			body: request,
			answer: redriveView,
			waitMs: REDRIVE_MS
		}),
		async purge(queue) {
			await transport.call({
				method: "POST",
				path: path(queue, "/purge"),
				body: {},
				answer: object({})
			});
		}
	};
}
string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be 1 to 64 characters of A-Z a-z 0-9 . _ -");
/** Names a message to one channel; 15 digits. */
const deliveryId = string().regex(/^\d{15}$/, "must be 15 digits");
const channelTypes = [
	"webhook",
	"email",
	"slack"
];
const deliveryStates = ["pending", "given_up"];
/** The body of a webhook, and what the others make their text of. */
const eventView = object({
	type: string().describe("`run.failed`, `schedule.missed`, `run.recovered`, `run.repeated`, `test`, …"),
	timestamp: string(),
	data: object({
		text: string().describe("In one line."),
		job: string().optional(),
		schedule: string().optional(),
		run: string().optional(),
		scheduledAt: string().optional(),
		attempt: number$1().optional(),
		error: string().optional(),
		reason: string().optional(),
		by: string().optional(),
		count: number$1().optional().describe("Times that were missed; ends before a recovery."),
		since: string().optional(),
		repeats: record(string(), number$1()).optional().describe("How often each kind was not told of singly."),
		url: string().optional().describe("Where the run is shown.")
	})
});
const deliveryRow = object({
	id: deliveryId,
	event: string().describe("Its id, the same for every channel and every try."),
	channel: string(),
	state: _enum(deliveryStates),
	type: string(),
	text: string(),
	createdAt: string(),
	tries: number$1().int(),
	nextAt: string().optional().describe("Not tried again before then."),
	givenUpAt: string().optional(),
	error: string().optional().describe("Of the last try.")
});
const deliveryView = deliveryRow.extend({ body: eventView });
const deliveryList = object({
	deliveries: array(deliveryRow).describe("Waiting ones: what is due first; given up: the newest first."),
	more: boolean().describe("There are more than these.")
});
const channelView = object({
	name: string(),
	type: _enum(channelTypes).optional().describe("Absent: it is not configured any more."),
	target: string().optional().describe("Where it leads to, without what is secret of that."),
	waiting: number$1().int().describe("Messages that are not delivered yet, 1,000 at most."),
	failing: object({
		since: string(),
		error: string(),
		nextTryAt: string()
	}).optional().describe("As this server sees it.")
});
const channelList = object({ channels: array(channelView).describe("By name.") });
const testAnswer = object({
	delivered: boolean(),
	error: string().optional(),
	ms: number$1().describe("How long it took.")
});
// src/client/notifications.ts
/** `NotificationsApi` at a distance: the routes under `/api/v1/notifications`. The server knows who calls. */
/** A test waits for its receiver. */
const TEST_WAIT_MS = 1e4;
/** Works on the server that `transport` reaches. Each call is sent once. */
function notificationsOver(transport) {
	const path = (id) => `/api/v1/notifications/${encodeURIComponent(id)}`;
	return {
		async channels() {
			const call = {
				method: "GET",
				path: "/api/v1/notification-channels",
				answer: channelList
			};
			return (await transport.call(call)).channels;
		},
		list: (filter = {}) => transport.call({
			method: "GET",
			path: `/api/v1/notifications${query({ ...filter })}`,
			answer: deliveryList
		}),
		get: (id) => transport.call({
			method: "GET",
			path: path(id),
			answer: deliveryView
		}),
		retry: (id) => transport.call({
			method: "POST",
			path: `${path(id)}/retry`,
			answer: deliveryView
		}),
		async discard(id) {
			await transport.call({
				method: "DELETE",
				path: path(id),
				answer: object({})
			});
		},
		test: (channel) => transport.call({
			method: "POST",
			path: `/api/v1/notification-channels/${encodeURIComponent(channel)}/test`,
			answer: testAnswer,
			waitMs: TEST_WAIT_MS
		})
	};
}
// src/runs/vocabulary.ts
/** What is said to runs: names, states, a new run, how an attempt ended, log lines, manifests of jobs. Part of `api.ts`. */
const JOB = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const RUN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}:[A-Za-z0-9._:@/-]{1,100}$/;
const jobName = string().regex(JOB, "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, the first a letter or digit");
/** `<job>:<rest>`. Without one of the caller's, the rest is made so that the ids of a job sort by time. */
const runId = string().regex(RUN, "must be <job>:<id>, where the id is 1 to 100 characters of A-Z a-z 0-9 . _ : @ / -");
const workerName = string().regex(/^[A-Za-z0-9._:@/-]{1,100}$/, "must be 1 to 100 characters of A-Z a-z 0-9 . _ : @ / -");
const runStates = [
	"queued",
	"running",
	"succeeded",
	"failed",
	"cancelled",
	"timed_out",
	"lost",
	"skipped"
];
const runSources = [
	"enqueue",
	"schedule",
	"backfill",
	"restart",
	"run_now"
];
const json$2 = json$3();
/** How long a claim lasts without a beat: 100 ms (for tests) to 15 min; 30 s is usual. */
const leaseMs = number$1().int().min(100).max(9e5);
const delayMs = number$1().min(0).max(316224e5);
const time$1 = number$1().min(0).max(0xe677d21fdbff);
const retentionMs = number$1().int().min(1e3).max(316224e7);
const newRun = object({
	id: runId.optional().describe("Of the caller: the same id again finds the existing run. Default: a new one."),
	job: jobName,
	queue: string().min(1).max(80).describe("The message queue of the wake-up."),
	input: json$2,
	attempts: number$1().int().min(1).max(1e3),
	timeoutMs: number$1().int().min(1).max(316224e5).optional().describe("Of one attempt."),
	onLost: _enum(["retry", "fail"]).describe("When a worker dies: queued again, or ended as lost."),
	group: string().min(1).max(128).optional().describe("Order within it, where the queue keeps one."),
	delayMs: delayMs.optional(),
	source: _enum(runSources),
	schedule: string().regex(/^[\x21-\x7e]{1,100}$/).optional(),
	scheduledAt: time$1.optional().describe("Milliseconds since the epoch."),
	restartOf: runId.optional(),
	retentionMs: retentionMs.optional().describe("How long it is kept after its end."),
	skipped: string().min(1).max(500).optional().describe("Recorded as skipped for this reason, and never sent."),
	hold: string().min(1).max(500).optional().describe("Queued, but held for this reason: nobody is woken and it is not claimed until it is released."),
	secrets: array(string().min(1).max(200)).max(50).optional().describe("Fields of the input, with dots for those within, that no view shows.")
});
const progress = object({
	done: number$1().optional(),
	total: number$1().optional(),
	text: string().max(500).optional()
});
/** What went wrong; longer texts are cut. */
const runError = object({
	name: string().optional(),
	message: string(),
	stack: string().optional()
});
/**
* How an attempt ended. With `retryDelayMs` the run is queued again while attempts are left; without, it ends.
* `returned`: a worker that drains gives it back; the attempt does not count.
*/
const outcome = discriminatedUnion("kind", [
	object({
		kind: literal("succeeded"),
		result: json$2.optional()
	}),
	object({
		kind: literal("failed"),
		error: runError,
		retryDelayMs: delayMs.optional()
	}),
	object({
		kind: literal("timed_out"),
		retryDelayMs: delayMs.optional()
	}),
	object({
		kind: literal("cancelled"),
		reason: string().optional()
	}),
	object({ kind: literal("returned") })
]);
const logLine = object({
	at: time$1.describe("Milliseconds since the epoch, by the worker."),
	level: _enum([
		"debug",
		"info",
		"warn",
		"error"
	]),
	text: string().describe("Cut at 8,000 characters."),
	fields: record(string(), json$2).optional()
});
const jobManifest = object({
	name: jobName,
	description: string().max(2e3).optional(),
	queue: string().min(1).max(80),
	input: record(string(), json$2).optional().describe("JSON Schema of the input."),
	secrets: array(string().min(1).max(200)).max(50).optional(),
	attempts: number$1().int().min(1).max(1e3),
	timeoutMs: number$1().int().min(1).optional(),
	onLost: _enum(["retry", "fail"]).optional().describe("Absent: the job does not say; runs that a schedule makes then fail, others are tried again."),
	retentionMs: retentionMs.optional()
});
/** Bodies of the routes under `/api/v1/runs` and `/api/v1/jobs`. */
/** Who holds a run has to release it, which cannot be done from here. */
const noHold = string().refine(() => false, "must be left away: only schedules hold runs");
const sentRun = newRun.extend({ hold: noHold.optional() });
object({ runs: array(sentRun).min(1).max(1e3) });
object({
	worker: workerName,
	leaseMs,
	nonce: string().min(1).max(64).optional().describe("Random per claim; makes a repetition safe.")
});
const epoch = number$1().int().min(1).describe("Of the claim.");
object({
	epoch,
	leaseMs,
	progress: progress.optional()
});
object({
	epoch,
	outcome
});
object({
	epoch,
	lines: array(logLine).max(1e4),
	from: number$1().int().min(0).optional().describe("Lines this claim has logged before; makes a repetition safe.")
});
object({
	worker: workerName,
	after: string().regex(/^\d{15}$/).optional().describe("The `next` of the call before."),
	waitMs: number$1().int().min(0).max(6e4).optional().describe("Wait so long for an order. Default 0.")
});
object({ reason: string().trim().min(1).max(500).optional() });
object({
	worker: workerName,
	jobs: array(jobManifest).max(1e3)
});
object({
	input: json$2.optional().describe("Default {}."),
	id: string().regex(/^[A-Za-z0-9._:@/-]{1,100}$/).optional().describe("Makes a repetition safe: the run’s id is <job>:<id>."),
	delayMs: delayMs.optional()
});
// src/runs/api-views.ts
/** What people and programs see of runs and jobs. Times are ISO 8601. Part of `api.ts`. */
const json$1 = json$3();
const onLost = _enum(["retry", "fail"]);
/** One run in a list: what its index record carries. */
const runRow = object({
	id: runId,
	job: jobName,
	queue: string(),
	state: _enum(runStates),
	source: _enum(runSources),
	attempt: number$1().int().describe("0 before the first."),
	attempts: number$1().int().describe("At most so many."),
	createdAt: string(),
	notBefore: string().optional().describe("Queued: not before then."),
	held: string().optional().describe("Queued: it waits to be let go, for this reason."),
	startedAt: string().optional().describe("Of the last attempt."),
	endedAt: string().optional(),
	durationMs: number$1().optional().describe("From the start of the last attempt to the end."),
	worker: string().optional(),
	schedule: string().optional(),
	scheduledAt: string().optional(),
	restartOf: runId.optional(),
	reason: string().optional().describe("Why it was skipped or cancelled."),
	error: string().optional().describe("Of the last attempt, in one line."),
	input: string().optional().describe("The beginning of the input as JSON; secrets masked.")
});
const runStep = object({
	at: string(),
	state: _enum(runStates),
	attempt: number$1().int(),
	worker: string().optional(),
	note: string().optional()
});
const runView = runRow.omit({
	error: true,
	input: true
}).extend({
	rev: number$1().int().describe("Grows with each change of the run."),
	group: string().optional(),
	timeoutMs: number$1().optional(),
	onLost,
	input: json$1.describe("Secrets are masked."),
	result: json$1.optional(),
	error: runError.optional().describe("Of the last attempt."),
	progress: progress.optional(),
	cancel: object({
		at: string(),
		by: string(),
		reason: string().optional()
	}).optional().describe("Somebody wants it to end."),
	claimUntil: string().optional().describe("Running: its worker is taken for dead if it says nothing until then."),
	restartedAs: runId.optional().describe("The last restart of it."),
	logLines: number$1().int().describe("Lines of its log so far."),
	timeline: array(runStep).describe("Its states so far; the oldest are left out beyond 50.")
});
const loggedLine = logLine.extend({
	n: number$1().int().describe("Its number in the run, from 1."),
	attempt: number$1().int()
});
const runList = object({
	runs: array(runRow).describe("Newest first."),
	next: string().optional().describe("Present when there may be more: the `after` of the next page."),
	scanned: number$1().int().optional().describe("With a text: so many runs were looked at; at most 10,000 of the newest that fit the rest.")
});
const logPage = object({
	lines: array(loggedLine),
	next: number$1().int().optional().describe("Present when there are more: the `after` of the next page.")
});
const createdRun = object({
	run: runRow,
	created: boolean().describe("False: there was one with this id already.")
});
const claimView = union([object({
	claimed: literal(true),
	epoch: number$1().int(),
	attempt: number$1().int(),
	run: runRow,
	input: json$1.describe("Whole, with its secrets.")
}), object({
	claimed: literal(false),
	why: _enum([
		"finished",
		"running",
		"not_before",
		"not_found"
	]),
	retryAfterMs: number$1().optional().describe("Give the wake-up back for so long; without it, acknowledge it.")
})]);
const beatAnswer = union([object({
	held: literal(true),
	cancel: string().optional().describe("The attempt shall stop, for this reason.")
}), object({ held: literal(false) })]);
const finishView = object({
	accepted: boolean().describe("False: the claim is over, and nothing changed."),
	run: runRow.optional(),
	retryAfterMs: number$1().optional().describe("Give the wake-up back for so long; without it, acknowledge it.")
});
const cancelOrder = object({
	id: runId,
	epoch: number$1().int(),
	reason: string()
});
const count = object({
	count: number$1().int(),
	more: boolean().describe("There are more than counted.")
});
const jobView = jobManifest.extend({
	seenAt: string().describe("When a worker last said that it runs this job."),
	workers: number$1().int().describe("Workers that did so within 3 minutes."),
	runs: partialRecord(_enum(runStates), count).describe("Kept runs by state, counted up to a bound.")
});
const createdList = object({ runs: array(createdRun) });
const jobList = object({ jobs: array(jobView) });
const orderPage = object({
	orders: array(cancelOrder),
	next: string()
});
// src/client/runs.ts
/**
* `RunsApi` at a distance: the routes under `/api/v1/runs` and `/api/v1/jobs`. The server knows who calls; whom the caller
* names in `by` is not sent.
*/
const empty$1 = object({});
/** Runs, or log lines, of one call. */
const AT_ONCE = 500;
const AT_ONCE_BYTES = 393216;
const ORDERS_WAIT_MS = 2e4;
const AGAIN_MS = 1e3;
/** Works on the server that `transport` reaches. Each call is sent once; see `RunsApi` for what it throws. */
function runsOver(transport, { clock, random }) {
	const createMany = async (runs) => {
		const created = [];
		for (const part of portions(runs)) {
			const body = { runs: part };
			const answer = await transport.call({
				method: "POST",
				path: "/api/v1/runs",
				body,
				answer: createdList
			});
			created.push(...answer.runs);
		}
		return created;
	};
	return {
		async create(run) {
			const [created] = await createMany([run]);
			return created;
		},
		createMany,
		claim: (id, { nonce = random.id(), ...claim }) => transport.call({
			method: "POST",
			path: `${runPath(id)}/claim`,
			body: {
				...claim,
				nonce
			},
			answer: claimView
		}),
		beat: (id, epoch, beat) => transport.call({
			method: "POST",
			path: `${runPath(id)}/beat`,
			body: {
				epoch,
				...beat
			},
			answer: beatAnswer
		}),
		finish: (id, epoch, outcome) => transport.call({
			method: "POST",
			path: `${runPath(id)}/finish`,
			body: {
				epoch,
				outcome
			},
			answer: finishView
		}),
		async log(id, epoch, lines, from) {
			let first = from;
			for (const part of portions(lines)) {
				const body = {
					epoch,
					lines: part,
					...first === void 0 ? {} : { from: first }
				};
				await transport.call({
					method: "POST",
					path: `${runPath(id)}/log`,
					body,
					answer: empty$1
				});
				if (first !== void 0) first += part.length;
			}
		},
		watchCancel: (worker, signal) => watchOrders(transport, clock, worker, signal),
		cancel: (id, { reason }) => transport.call({
			method: "POST",
			path: `${runPath(id)}/cancel`,
			body: reason === void 0 ? {} : { reason },
			answer: runView
		}),
		restart: (id) => transport.call({
			method: "POST",
			path: `${runPath(id)}/restart`,
			answer: runView
		}),
		get: (id) => transport.call({
			method: "GET",
			path: runPath(id),
			answer: runView
		}),
		list: (filter = {}) => transport.call({
			method: "GET",
			path: `/api/v1/runs${query(filterQuery$1(filter))}`,
			answer: runList
		}),
		readLog: (id, { after, limit } = {}) => transport.call({
			method: "GET",
			path: `${runPath(id)}/log${query({
				after,
				limit
			})}`,
			answer: logPage
		}),
		async registerJobs(jobs, worker) {
			await transport.call({
				method: "POST",
				path: "/api/v1/jobs",
				body: {
					jobs,
					worker
				},
				answer: empty$1
			});
		},
		async listJobs() {
			return (await transport.call({
				method: "GET",
				path: "/api/v1/jobs",
				answer: jobList
			})).jobs;
		},
		getJob: (name) => transport.call({
			method: "GET",
			path: jobPath(name),
			answer: jobView
		}),
		runNow: (job, request) => transport.call({
			method: "POST",
			path: `${jobPath(job)}/runs`,
			body: request,
			answer: createdRun
		})
	};
}
/** Orders as they come; goes on after failures that pass. */
async function* watchOrders(transport, clock, worker, signal) {
	const seen = /* @__PURE__ */ new Set();
	let after;
	while (!signal.aborted) try {
		const page = await transport.call({
			method: "POST",
			path: "/api/v1/runs/orders",
			body: {
				worker,
				waitMs: ORDERS_WAIT_MS,
				...after === void 0 ? {} : { after }
			},
			answer: orderPage,
			waitMs: ORDERS_WAIT_MS,
			signal
		});
		after = page.next;
		const fresh = page.orders.filter(({ id, epoch }) => !seen.has(`${epoch} ${id}`));
		for (const order of fresh) {
			seen.add(`${order.epoch} ${order.id}`);
			yield order;
		}
		if (page.orders.length > 0 && fresh.length === 0) await sleep(clock, AGAIN_MS, signal);
	} catch (error) {
		if (signal.aborted) return;
		if (!isTransient(error)) throw error;
		await sleep(clock, AGAIN_MS, signal).catch(() => void 0);
	}
}
function filterQuery$1(filter) {
	const { states, from, to, ...rest } = filter;
	return {
		...rest,
		state: states === void 0 ? void 0 : states.join(","),
		from: from === void 0 ? void 0 : new Date(from).toISOString(),
		to: to === void 0 ? void 0 : new Date(to).toISOString()
	};
}
/** What fits one call. */
function* portions(all) {
	let part = [];
	let bytes = 0;
	for (const one of all) {
		const own = JSON.stringify(one).length;
		if (part.length > 0 && (part.length === AT_ONCE || bytes + own > AT_ONCE_BYTES)) {
			yield part;
			part = [];
			bytes = 0;
		}
		part.push(one);
		bytes += own;
	}
	if (part.length > 0) yield part;
}
function runPath(id) {
	return `/api/v1/runs/${encodeURIComponent(id)}`;
}
function jobPath(name) {
	return `/api/v1/jobs/${encodeURIComponent(name)}`;
}
/** The names that rules of Amazon EventBridge may have, so that every schedule can become one. */
const scheduleName = string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/, "must be 1 to 64 characters of A-Z a-z 0-9 . _ -");
/**
* What becomes of times that passed while nobody could fire them: `skip` records them as one skipped run, `once` runs the latest,
* `all` runs each of the newest `limit`. Those older than the window are never made up for.
*/
const missedPolicies = [
	"skip",
	"once",
	"all"
];
/**
* What happens at a time when a run of the schedule has not ended: `skip` records a skipped run, `queue` holds the new run until
* those before it have ended, `allow` lets them run side by side, `cancel-previous` cancels them and then runs the new one.
*/
const overlapPolicies = [
	"skip",
	"queue",
	"allow",
	"cancel-previous"
];
const notificationKinds = [
	"failed",
	"cancelled",
	"timed_out",
	"lost",
	"missed",
	"recovered"
];
const json = json$3();
const DAY_MS = 864e5;
/** Runs that one schedule makes up for, holds or is backfilled with at once. */
const MAX_MISSED = 1e3;
const MAX_BACKFILL = 1e3;
const time = datetime({ offset: true });
/** A schedule as people write it. What is left out has its default. */
const scheduleDefinition = strictObject({
	name: scheduleName,
	job: jobName,
	expression: string().max(256).describe("cron(minutes hours day-of-month month day-of-week year), rate(value unit) or at(yyyy-mm-ddThh:mm:ss)."),
	timeZone: string().max(64).default("UTC").describe("IANA name, such as Europe/Berlin."),
	enabled: boolean().default(true),
	description: string().max(512).optional(),
	parameters: record(string(), json).default({}).describe("The input of the job; checked by its schema."),
	startAt: time.optional().describe("It does not fire before then."),
	endAt: time.optional().describe("It does not fire then or later."),
	missed: _enum(missedPolicies).default("once").describe("What becomes of times that nobody could fire."),
	missedWindowMs: number$1().int().min(0).max(366 * DAY_MS).default(DAY_MS).describe("Missed times older than this are not made up for."),
	missedLimit: number$1().int().min(1).max(MAX_MISSED).default(100).describe("With `all`: at most so many."),
	overlap: _enum(overlapPolicies).default("skip").describe("When a run of it has not ended."),
	jitterMs: number$1().int().min(0).max(DAY_MS).default(0).describe("Each run starts a while later, up to this much; the same time always by the same while."),
	attempts: number$1().int().min(1).max(1e3).optional().describe("Default: those of the job."),
	timeoutMs: number$1().int().min(1).max(366 * DAY_MS).optional().describe("Of one attempt. Default: that of the job."),
	onLost: _enum(["retry", "fail"]).optional().describe("When a worker dies. Default: what the job says, else fail: the run ends as lost."),
	retentionMs: number$1().int().min(6e4).max(36500 * DAY_MS).optional().describe("How long its runs are kept after their end. Default: that of the job."),
	notify: strictObject({
		events: array(_enum(notificationKinds)).max(notificationKinds.length).optional().describe("Default: all."),
		channels: array(string().min(1).max(64)).max(20).describe("Names of configured channels.")
	}).optional().describe("Instead of the server’s rules. No channels: nobody is notified.")
});
scheduleDefinition.omit({ name: true });
strictObject({
	job: jobName.optional(),
	expression: scheduleDefinition.shape.expression.optional(),
	timeZone: string().max(64).optional(),
	enabled: boolean().optional(),
	description: string().max(512).nullable().optional(),
	parameters: record(string(), json).optional(),
	startAt: time.nullable().optional(),
	endAt: time.nullable().optional(),
	missed: _enum(missedPolicies).optional(),
	missedWindowMs: scheduleDefinition.shape.missedWindowMs.unwrap().optional(),
	missedLimit: scheduleDefinition.shape.missedLimit.unwrap().optional(),
	overlap: _enum(overlapPolicies).optional(),
	jitterMs: scheduleDefinition.shape.jitterMs.unwrap().optional(),
	attempts: scheduleDefinition.shape.attempts.nullable(),
	timeoutMs: scheduleDefinition.shape.timeoutMs.nullable(),
	onLost: scheduleDefinition.shape.onLost.nullable(),
	retentionMs: scheduleDefinition.shape.retentionMs.nullable(),
	notify: scheduleDefinition.shape.notify.nullable()
});
const reason = string().trim().min(1).max(500);
strictObject({ reason: reason.optional() });
strictObject({
	parameters: record(string(), json).optional().describe("Instead of the schedule’s; those it does not name stay."),
	id: string().regex(/^[A-Za-z0-9._:@/-]{1,100}$/).optional().describe("Makes a repetition safe: the run’s id is <job>:<id>.")
});
strictObject({
	from: time.describe("The first time that may be made up for."),
	to: time.describe("Only times before then; not in the future."),
	limit: number$1().int().min(1).max(MAX_BACKFILL).optional().describe(`Refused when there are more. Default ${MAX_BACKFILL}.`),
	overlap: _enum(overlapPolicies).optional().describe("For these runs. Default queue: one after the other."),
	dryRun: boolean().optional().describe("Only tell which times it would be.")
});
strictObject({
	expression: string().max(300),
	timeZone: string().max(64).optional().describe("Default UTC."),
	count: number$1().int().min(1).max(100).optional().describe("Default 5."),
	from: time.optional().describe("Only later times. Default: now."),
	startAt: time.optional(),
	endAt: time.optional()
});
const triggerState = object({
	kind: _enum([
		"embedded",
		"eventbridge",
		"eventbridge-scheduler",
		"off"
	]),
	state: _enum([
		"in_sync",
		"pending",
		"failed",
		"refused"
	]).describe("Of its rule there; refused: that service cannot fire it. Embedded ones are always in sync."),
	error: string().optional(),
	checkedAt: string().optional()
});
const lastRun = object({
	id: string(),
	state: _enum(runStates),
	scheduledAt: string().optional(),
	endedAt: string().optional(),
	error: string().optional().describe("In one line.")
});
/** One schedule in a list. */
const scheduleRow = object({
	name: string(),
	job: string(),
	expression: string(),
	says: string().describe("The expression in words."),
	timeZone: string(),
	enabled: boolean(),
	description: string().optional(),
	paused: object({
		at: string(),
		by: string(),
		reason: string().optional()
	}).optional().describe("Who switched it off, when, and why."),
	nextAt: string().optional().describe("When it fires next; absent: never, or it is paused."),
	last: lastRun.optional().describe("Its newest run, if that is kept."),
	trigger: triggerState
});
const scheduleView = scheduleDefinition.extend(scheduleRow.shape).extend({
	parameters: scheduleDefinition.shape.parameters.describe("Secrets are masked."),
	rev: number$1().int().describe("Grows with each change of its definition."),
	createdAt: string(),
	updatedAt: string(),
	updatedBy: string(),
	next: array(string()).describe("The next five times."),
	problem: string().optional().describe("Why its runs could not start now: its job is unknown, or its parameters do not fit the job."),
	held: number$1().int().describe("Runs that wait until those before them have ended.")
});
const scheduleList = object({
	schedules: array(scheduleRow).describe("By name."),
	total: number$1().int().describe("That fit the filter."),
	next: string().optional().describe("Present when there are more: the `after` of the next page.")
});
const savedSchedule = object({
	schedule: scheduleView,
	created: boolean()
});
const backfillView = object({
	times: array(string()).describe("The times of the range."),
	runs: array(createdRun).describe("One a time; `created` false: that time ran already. Empty with dryRun.")
});
const previewView = object({
	says: string().describe("The expression in words."),
	next: array(string())
});
// src/schedules/trigger-api.ts
/** What people see of the external trigger, and what they may do with it. Part of `api.ts`. */
const drift = object({
	object: _enum([
		"connection",
		"destination",
		"bus_rule",
		"group",
		"rule",
		"target"
	]),
	name: string(),
	schedule: string().optional().describe("Whose rule it is."),
	problem: _enum([
		"missing",
		"changed",
		"superfluous",
		"foreign",
		"not_ready"
	]),
	detail: string().describe("What differs."),
	repaired: boolean(),
	error: string().optional().describe("Why it could not be repaired, or is not touched.")
});
const triggerStatus = object({
	kind: _enum(["eventbridge", "eventbridge-scheduler"]),
	facts: record(string(), string()).describe("Region, names of the shared objects, the URL that is called."),
	checkedAt: string().optional().describe("When all was compared last, by this server or another one."),
	error: string().optional().describe("Why the last comparison failed as a whole."),
	removed: object({
		at: string(),
		by: string()
	}).optional().describe("Everything was removed there: nothing is put until it is reconciled by hand."),
	drift: array(drift).describe("What the last comparison found, and what became of it; 200 at most."),
	schedules: object({
		in_sync: number$1().int(),
		pending: number$1().int(),
		failed: number$1().int(),
		refused: number$1().int()
	}).describe("How many are in which state.")
});
strictObject({
	dryRun: boolean().optional().describe("Only look."),
	adopt: boolean().optional().describe("Take over what has a name that is needed without our mark.")
});
const reconcileView = object({ drift: array(drift) });
const removedView = object({ removed: array(string()).describe("What was removed there.") });
// src/client/schedule-trigger.ts
/** `TriggerControl` at a distance: the routes under `/api/v1/schedules-trigger`. The server knows who calls. */
/** A comparison is hundreds of calls to AWS, whose pace is AWS's. */
const PATIENCE_MS$1 = 6e5;
function triggerOver(transport) {
	const path = "/api/v1/schedules-trigger";
	return {
		status: () => transport.call({
			method: "GET",
			path,
			answer: triggerStatus
		}),
		reconcile: (request) => transport.call({
			method: "POST",
			path: `${path}/reconcile`,
			body: request,
			answer: reconcileView,
			waitMs: PATIENCE_MS$1
		}),
		remove: () => transport.call({
			method: "POST",
			path: `${path}/remove`,
			answer: removedView,
			waitMs: PATIENCE_MS$1
		})
	};
}
// src/client/schedules.ts
/**
* `SchedulesApi` at a distance: the routes under `/api/v1/schedules`. The server knows who calls; whom the caller names in `by` is
* not sent.
*/
const empty = object({});
/** Works on the server that `transport` reaches. Each call is sent once; see `SchedulesApi` for what it throws. */
function schedulesOver(transport) {
	return {
		put: ({ name, ...definition }, options) => transport.call({
			...options.expect === "absent" ? {
				method: "POST",
				path: `/api/v1/schedules${saveQuery(options)}`,
				body: {
					name,
					...definition
				}
			} : {
				method: "PUT",
				path: schedulePath(name) + saveQuery(options),
				body: definition
			},
			headers: ifMatch(options),
			answer: savedSchedule
		}),
		update: (name, patch, options) => transport.call({
			method: "PATCH",
			path: schedulePath(name) + saveQuery(options),
			body: patch,
			headers: ifMatch(options),
			answer: scheduleView
		}),
		async delete(name) {
			await transport.call({
				method: "DELETE",
				path: schedulePath(name),
				answer: empty
			});
		},
		get: (name) => transport.call({
			method: "GET",
			path: schedulePath(name),
			answer: scheduleView
		}),
		list: (filter = {}) => transport.call({
			method: "GET",
			path: `/api/v1/schedules${query(filterQuery(filter))}`,
			answer: scheduleList
		}),
		pause: (name, { reason }) => transport.call({
			method: "POST",
			path: `${schedulePath(name)}/pause`,
			body: reason === void 0 ? {} : { reason },
			answer: scheduleView
		}),
		resume: (name) => transport.call({
			method: "POST",
			path: `${schedulePath(name)}/resume`,
			answer: scheduleView
		}),
		run: (name, request) => transport.call({
			method: "POST",
			path: `${schedulePath(name)}/run`,
			body: request,
			answer: createdRun
		}),
		backfill: (name, request) => transport.call({
			method: "POST",
			path: `${schedulePath(name)}/backfill`,
			body: request,
			answer: backfillView
		}),
		preview: (request) => transport.call({
			method: "GET",
			path: `/api/v1/schedules-preview${query(request)}`,
			answer: previewView
		})
	};
}
function saveQuery({ unknownJob }) {
	return query({ unknownJob: unknownJob === true ? "true" : void 0 });
}
function ifMatch({ expect }) {
	return typeof expect === "number" ? { "if-match": `"${expect}"` } : {};
}
function filterQuery({ enabled, ...rest }) {
	return {
		...rest,
		enabled: enabled === void 0 ? void 0 : String(enabled)
	};
}
function schedulePath(name) {
	return `/api/v1/schedules/${encodeURIComponent(name)}`;
}
// src/client/transport.ts
var import_undici = require_undici();
/** What an answer may take beyond the time that the call itself asks the server to wait. */
const SLACK_MS = 1e4;
const CONNECT_TIMEOUT_MS = 4e3;
const MAX_ANSWER_BYTES = 16777216;
var Transport = class {
	address;
	#agent;
	#options;
	#prefix;
	constructor(options) {
		const { url, socketPath } = options;
		this.#options = options;
		this.address = socketPath ?? url.href.replace(/\/$/, "");
		this.#prefix = url.pathname.replace(/\/$/, "");
		this.#agent = new import_undici.Agent({
			connect: {
				timeout: CONNECT_TIMEOUT_MS,
				...socketPath === void 0 ? {} : { socketPath }
			},
			headersTimeout: 0,
			bodyTimeout: 0,
			maxResponseSize: MAX_ANSWER_BYTES
		});
	}
	/** @throws SignalboxError the server's own, or `unavailable`, `outcome_unknown`, `cancelled`, `internal` */
	async call(call) {
		const facts = this.facts(call);
		const { status, text } = await this.exchange(call);
		if (status < 200 || status > 299) throw refusal(status, text, facts);
		const json = parseJson(text);
		if (json === void 0) throw foreignAnswer(status, facts);
		const parsed = call.answer.safeParse(json);
		if (parsed.success) return parsed.data;
		const at = parsed.error.issues[0];
		throw new SignalboxError("internal", `${this.address}: answered in a shape this version does not know (${at?.path.join(".")}: ${at?.message}); use the same version on both sides`);
	}
	/** What messages about this call say. */
	facts({ method }) {
		return {
			address: this.address,
			write: method !== "GET"
		};
	}
	/**
	* For answers in another form than the API's: whatever the server says, refusals included.
	* @throws SignalboxError `unavailable`, `outcome_unknown`, `cancelled`, what the source of tokens throws
	*/
	async exchange(call) {
		const { clock } = this.#options;
		const facts = this.facts(call);
		const { signal } = call;
		if (signal?.aborted === true) throw cancelledCall(signal.reason, facts);
		const limitMs = (call.waitMs ?? 0) + SLACK_MS;
		const hangUp = new AbortController();
		const end = (because) => hangUp.abort(because);
		const onAbort = () => end(cancelledCall(signal?.reason, facts));
		signal?.addEventListener("abort", onAbort, { once: true });
		const timer = clock.timer(limitMs, () => end(timeoutFailure(limitMs, facts)));
		try {
			const answer = await this.#send(call, hangUp.signal, false);
			const renewable = typeof this.#options.token === "function";
			return answer.status === 401 && renewable ? await this.#send(call, hangUp.signal, true) : answer;
		} finally {
			timer.cancel();
			signal?.removeEventListener("abort", onAbort);
		}
	}
	/** Ends idle and running connections. */
	close() {
		return this.#agent.destroy();
	}
	async #send(call, hangUp, renew) {
		const { random, url } = this.#options;
		const authorization = await authorizationOf(this.#options, renew, hangUp);
		try {
			const response = await this.#agent.request({
				origin: url.origin,
				path: this.#prefix + call.path,
				method: call.method,
				headers: {
					accept: "application/json",
					...authorization === void 0 ? {} : { authorization },
					"x-request-id": random.id(),
					...call.body === void 0 ? {} : { "content-type": "application/json" },
					...call.headers
				},
				body: call.body === void 0 ? null : JSON.stringify(call.body),
				signal: hangUp
			});
			const retryAfterMs = secondsOf(response.headers["retry-after"]);
			return {
				status: response.statusCode,
				text: await response.body.text(),
				retryAfterMs
			};
		} catch (error) {
			throw hangUp.aborted ? hangUp.reason : transportFailure(error, this.facts(call));
		}
	}
};
function secondsOf(header) {
	return typeof header === "string" && /^\d{1,9}$/.test(header) ? Number(header) * 1e3 : void 0;
}
// src/client/turns.ts
/**
* `TurnsApi` at a distance: the routes under `/api/v1/turns`. A queue's name is one percent-encoded segment of the path,
* because names may contain `/`, `:` and `@`.
*/
const listView = object({
	queues: array(queueSummary),
	next: string().optional()
});
/** Takes turns on the server that `transport` reaches. Each call is sent once; see `TurnsApi` for what it throws. */
function turnsOver(transport) {
	return {
		join: (queue, request, signal) => transport.call({
			method: "POST",
			path: membersPath(queue),
			body: request,
			answer: memberView,
			waitMs: request.waitMs ?? 0,
			signal
		}),
		wait: (queue, id, request, signal) => transport.call({
			method: "POST",
			path: `${memberPath(queue, id)}/wait`,
			body: request,
			answer: memberView,
			waitMs: request.waitMs ?? 0,
			signal
		}),
		beat: (queue, id, fence, signal) => transport.call({
			method: "POST",
			path: `${memberPath(queue, id)}/beat`,
			body: { fence },
			answer: beatView,
			signal
		}),
		leave: (queue, id, fence, signal) => transport.call({
			method: "DELETE",
			path: memberPath(queue, id) + query({ fence }),
			answer: leaveView,
			signal
		}),
		show: (queue, options = {}) => transport.call({
			method: "GET",
			path: queuePath(queue) + query({ limit: options.limit }),
			answer: queueView
		}),
		async list(options = {}) {
			const { queues, next } = await transport.call({
				method: "GET",
				path: `/api/v1/turns${query({
					limit: options.limit,
					after: options.after
				})}`,
				answer: listView
			});
			return {
				queues,
				...next === void 0 ? {} : { next }
			};
		},
		setState: (queue, state, { reason }) => transport.call({
			method: "POST",
			path: `${queuePath(queue)}/${verbs[state]}`,
			body: { reason },
			answer: changedView
		}),
		setPermits: (queue, permits, { reason }) => transport.call({
			method: "POST",
			path: `${queuePath(queue)}/permits`,
			body: {
				permits,
				reason
			},
			answer: changedView
		}),
		evict: (queue, id, { reason, force = false }) => transport.call({
			method: "POST",
			path: `${memberPath(queue, id)}/evict`,
			body: {
				reason,
				force
			},
			answer: evictView
		}),
		async history(queue, options = {}) {
			const path = `${queuePath(queue)}/history${query({
				limit: options.limit,
				before: options.before
			})}`;
			const { holds, next } = await transport.call({
				method: "GET",
				path,
				answer: historyView
			});
			return {
				holds,
				...next === void 0 ? {} : { next }
			};
		}
	};
}
const verbs = {
	open: "resume",
	paused: "pause",
	draining: "drain"
};
function queuePath(queue) {
	return `/api/v1/turns/${encodeURIComponent(queue)}`;
}
function membersPath(queue) {
	return `${queuePath(queue)}/members`;
}
function memberPath(queue, id) {
	return `${membersPath(queue)}/${encodeURIComponent(id)}`;
}
// src/client/client.ts
/**
* @throws SignalboxError `invalid_argument` for an unusable URL or token; nothing is connected yet
* @example
* const client = createClient({ url: 'http://127.0.0.1:8080', clock: systemClock, random: systemRandom })
* console.log(await client.turns.list())
* await client.close()
*/
function createClient(options) {
	const transport = openTransport(options);
	return {
		turns: turnsOver(transport),
		leases: leasesOver(transport),
		messages: messagesOver(transport),
		runs: runsOver(transport, options),
		schedules: schedulesOver(transport),
		trigger: triggerOver(transport),
		notifications: notificationsOver(transport),
		access: accessOver(transport),
		address: transport.address,
		close: () => transport.close()
	};
}
/** @throws SignalboxError `invalid_argument` for an unusable URL or token; nothing is connected yet */
function openTransport(options) {
	const { url, socketPath, token, authorization, clock, random } = options;
	if (url === void 0 && socketPath === void 0) throw new SignalboxError("invalid_argument", "url: missing; give the server’s URL or its socket");
	checkCredential(options);
	return new Transport({
		url: parseUrl(url ?? "http://localhost"),
		clock,
		random,
		...socketPath === void 0 ? {} : { socketPath },
		...token === void 0 ? {} : { token },
		...authorization === void 0 ? {} : { authorization }
	});
}
function parseUrl(text) {
	const url = URL.canParse(text) ? new URL(text) : void 0;
	const refuse = (why) => new SignalboxError("invalid_argument", `server URL ${why}; write for example http://127.0.0.1:8080`, { details: { field: "url" } });
	if (url === void 0 || url.protocol !== "http:" && url.protocol !== "https:") throw refuse(`'${text.slice(0, 60)}': is not an http:// or https:// URL`);
	if (url.username !== "" || url.password !== "") throw refuse("with a user name or password in it: put the credential into SIGNALBOX_TOKEN");
	if (url.search !== "" || url.hash !== "") throw refuse(`'${text.slice(0, 60)}': must end before ? and #`);
	return url;
}
// src/server/port-owner.ts
/**
* Who listens on a TCP port of this machine, as far as it can be found out cheaply: another Signalbox says so itself, any
* other process of the same user is found through Linux's /proc. For messages only.
*/
const PATIENCE_MS = 1e3;
const MAX_ANSWER = 1e3;
async function findPortOwner(host, port) {
	const [signalbox, process] = [await askVersion(host, port), processListeningOn(port)];
	return {
		...signalbox === void 0 ? {} : { signalbox },
		...process
	};
}
/** `Signalbox 0.1.0 (process 42)`, `node (process 42)`, `another process` */
function describePortOwner({ signalbox, pid, program }) {
	const who = signalbox === void 0 ? program : `Signalbox ${signalbox}`;
	if (who === void 0) return "another process";
	return pid === void 0 ? who : `${who} (process ${pid})`;
}
function askVersion(host, port) {
	const { promise, resolve } = Promise.withResolvers();
	const target = {
		host: reachable(host),
		port,
		path: "/healthz",
		headers: { accept: "application/json" },
		timeout: PATIENCE_MS
	};
	const request = get(target, (response) => {
		let text = "";
		response.setEncoding("utf8");
		response.on("data", (chunk) => {
			text += chunk;
			if (text.length > MAX_ANSWER) response.destroy();
		});
		response.on("close", () => resolve(versionIn(text)));
	});
	request.on("timeout", () => request.destroy());
	request.on("error", () => resolve(void 0));
	return promise;
}
function versionIn(text) {
	try {
		const answer = JSON.parse(text);
		return answer.name === "signalbox" && typeof answer.version === "string" ? answer.version : void 0;
	} catch {
		return;
	}
}
/** An address to call, for one that is listened on. */
function reachable(host) {
	if (host === "0.0.0.0") return "127.0.0.1";
	return host === "::" ? "::1" : host;
}
function processListeningOn(port) {
	try {
		const sockets = /* @__PURE__ */ new Set([...listeningSockets("/proc/net/tcp", port), ...listeningSockets("/proc/net/tcp6", port)]);
		if (sockets.size === 0) return void 0;
		for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) if (holdsOneOf(pid, sockets)) return {
			pid: Number(pid),
			program: programOf(pid)
		};
	} catch {}
}
/** Links as they appear in /proc/<pid>/fd: `socket:[12345]`. Format: Linux, Documentation/networking/proc_net_tcp. */
function listeningSockets(table, port) {
	const LISTEN = "0A";
	return readFileSync(table, "utf8").split("\n").slice(1).map((line) => line.trim().split(/\s+/)).filter(([, local, , state]) => state === LISTEN && Number.parseInt(local?.split(":")[1] ?? "", 16) === port).map((columns) => `socket:[${columns[9]}]`);
}
function holdsOneOf(pid, sockets) {
	try {
		return readdirSync(`/proc/${pid}/fd`).some((fd) => {
			try {
				return sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
			} catch {
				return false;
			}
		});
	} catch {
		return false;
	}
}
function programOf(pid) {
	const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
	return basename(program) || "a process";
}
// src/server/listen.ts
/**
* Binding: the TCP address, and the owner's socket beside the data, on which processes of the same user reach the owner
* without being asked who they are.
*/
/** `sun_path` holds 108 bytes with its final zero on Linux, 104 on macOS. */
const MAX_SOCKET_PATH_BYTES = 103;
/** Where Windows keeps named pipes. */
const PIPE = "\\\\.\\pipe\\";
/**
* Where the owner of a data directory listens for processes of its user: beside the data; where that path is too long for
* a socket, in the temporary directory; on Windows a named pipe.
*/
function ownerSocketPath(dataDir) {
	const directory = resolve(dataDir);
	const name = createHash("sha256").update(directory).digest("hex").slice(0, 24);
	if (process.platform === "win32") return `${PIPE}signalbox-${name}`;
	const path = join(directory, "owner.sock");
	return Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES ? path : join(tmpdir(), `signalbox-${name}.sock`);
}
// src/cli/owner-socket.ts
/**
* Whether the owner of a data directory lives, and where its socket is. Beside `connect.ts`, whose HTTP client a sidecar does not load.
*/
/** How long an owner that is being restarted is waited for, if it left its socket. */
const RESTART_MS = 2e3;
const RETRY_MS = 100;
/**
* Anybody may put a socket of that name into the temporary directory and wait for our calls and our token; so it must be
* this user's. Within the data directory, the directory's permissions say who may. Named pipes have no owner to look at.
*
* @throws SignalboxError `permission_denied`
*/
function refuseForeignSocket(path, userId = process.getuid?.()) {
	if (userId === void 0) return;
	const found = lstatSync(path, { throwIfNoEntry: false });
	if (found === void 0 || found.isSocket() && found.uid === userId) return;
	throw new SignalboxError("permission_denied", `${path}: is not a socket of this user, so it may not be asked; run as the user who runs the server, or set SIGNALBOX_URL and SIGNALBOX_TOKEN`);
}
/**
* The socket of a data directory's live owner; undefined without one.
* @param dataDir absolute
* @param patienceMs how long an owner is waited for that left its socket, and may be between two starts
* @throws SignalboxError `permission_denied`
*/
async function ownerSocket(dataDir, clock, patienceMs = RESTART_MS) {
	const path = ownerSocketPath(dataDir);
	if (dirname(path) !== dataDir) refuseForeignSocket(path);
	return await answers(path, clock, patienceMs) ? path : void 0;
}
async function answers(path, clock, patienceMs) {
	if (!existsSync(path)) return false;
	for (const until = clock.monotonic() + patienceMs;; await sleep(clock, RETRY_MS)) {
		const problem = await tryConnect(path);
		if (problem === void 0) return true;
		if (problem === "EACCES" || problem === "EPERM") throw new SignalboxError("permission_denied", `${path}: belongs to another user; run as that user, or set SIGNALBOX_URL and SIGNALBOX_TOKEN`);
		if (clock.monotonic() >= until) return false;
	}
}
function tryConnect(path) {
	const { promise, resolve } = Promise.withResolvers();
	const socket = createConnection(path);
	socket.on("connect", () => {
		socket.destroy();
		resolve(void 0);
	});
	socket.on("error", (error) => resolve(error.code ?? "unknown"));
	return promise;
}
// src/cli/connect.ts
/**
* What a command talks to, one rule for all: the cloud engine that was chosen (`engine.ts`), else a server:
*
* 1. `--url`; 2. `--data-dir`; 3. `SIGNALBOX_URL`; 4. `SIGNALBOX_DATA_DIR`; 5. `./data`; 6. http://127.0.0.1:8080.
*
* A data directory means the process that owns it, through its socket. One that was *named* and has no owner is an error:
* to take turns in another store instead would let two holders work at once. Only the default directory falls through to
* the default address, and that only if a Signalbox answers there.
*/
const FALLBACK = {
	host: "127.0.0.1",
	port: 8080
};
/**
* Connects by the rule above. Of servers only sockets and the default address are tried here; a URL is used as it is.
*
* @throws SignalboxError `unavailable` when there is no server, with how to start one; `invalid_argument` for a URL, token
*   or engine that cannot work; `permission_denied` for another user's data directory; what `openEngine` throws
*/
async function connect(options, facts) {
	const choice = chooseEngine(options, facts.env, facts.names);
	if (choice.backend !== "server") return (await import("./open-engine.mjs")).openEngine(choice, facts);
	const { client, describe, settings, hello } = await connectClient(options, facts);
	const server = {
		hello,
		access: client.access
	};
	return {
		turns: client.turns,
		describe,
		settings,
		server,
		close: () => client.close()
	};
}
/** A server, whatever SIGNALBOX_BACKEND says, with everything that it offers. */
async function connectClient(options, facts) {
	const { env } = facts;
	if (options.url !== void 0 && options.dataDir !== void 0) {
		const { url, dataDir } = facts.names ?? flagNames;
		throw new SignalboxError("invalid_argument", `${url} and ${dataDir}: give one of them, not both`);
	}
	const url = options.url ?? (options.dataDir === void 0 ? given(env["SIGNALBOX_URL"]) : void 0);
	if (url !== void 0) {
		const from = writtenOr("url", "SIGNALBOX_URL", options, facts);
		return open({ url }, {
			name: "server",
			value: url,
			from
		}, facts);
	}
	const named = options.dataDir ?? given(env["SIGNALBOX_DATA_DIR"]);
	const dataDir = resolve(facts.cwd ?? ".", named ?? "data");
	const socketPath = await ownerSocket(dataDir, facts.clock);
	if (socketPath !== void 0) {
		const from = named === void 0 ? "default" : writtenOr("dataDir", "SIGNALBOX_DATA_DIR", options, facts);
		return open({ socketPath }, {
			name: "owner of",
			value: dataDir,
			from
		}, facts);
	}
	if (named !== void 0) throw new SignalboxError("unavailable", `no server owns the data directory ${dataDir}; start one with 'signalbox serve --data-dir ${named}', or set SIGNALBOX_URL`);
	const { host, port } = facts.fallback ?? FALLBACK;
	const owner = await findPortOwner(host, port);
	const address = `http://${host}:${port}`;
	if (owner.signalbox !== void 0) return open({ url: address }, {
		name: "server",
		value: address,
		from: "default"
	}, facts);
	const taken = owner.pid === void 0 ? "" : ` (at ${address} answers ${describePortOwner(owner)})`;
	throw new SignalboxError("unavailable", `no server is running${taken}; start one with 'signalbox serve' (in a clone: npm start), or set SIGNALBOX_URL`);
}
function open(where, server, facts) {
	const { clock, random } = facts;
	const credential = credentialOf(where, facts);
	const client = createClient({
		...where,
		clock,
		random,
		...credential === void 0 ? {} : { token: credential.token }
	});
	const settings = [server, ...credential === void 0 ? [] : [credential.setting]];
	return {
		client,
		describe: where.socketPath === void 0 ? server.value : `the server that owns ${server.value}`,
		settings,
		hello: async () => (await import("./hello.mjs")).hello(where, clock)
	};
}
/**
* A token of Signalbox, else an ID token of GitHub for the audience that is asked for; on the owner's socket the operating
* system says who calls.
*
* @throws SignalboxError `unauthenticated` when an audience is named and the job may not have ID tokens
*/
function credentialOf({ socketPath }, { env, clock, random }) {
	const token = given(env["SIGNALBOX_TOKEN"]);
	if (token !== void 0) return {
		token,
		setting: {
			name: "token",
			value: "********",
			from: "SIGNALBOX_TOKEN"
		}
	};
	const audience = given(env["SIGNALBOX_OIDC_AUDIENCE"]);
	if (audience === void 0 || socketPath !== void 0) return void 0;
	const setting = {
		name: "ID token of GitHub for",
		value: audience,
		from: "SIGNALBOX_OIDC_AUDIENCE"
	};
	return {
		token: githubIdTokens({
			env,
			audience,
			clock,
			random
		}),
		setting
	};
}
/** Where an input that is in force came from. */
function writtenOr(input, variable, options, { names = flagNames }) {
	return options[input] === void 0 ? variable : names[input];
}
/** An empty variable counts as none, as in most shells' scripts. */
function given(value) {
	return value === void 0 || value.trim() === "" ? void 0 : value.trim();
}
export { connect, connectClient };
