import { t as backoffDelay } from "./backoff.mjs";
import { t as sleep } from "./clock.mjs";
import { i as isSignalboxError, t as SignalboxError } from "./error.mjs";
import { i as parseJson } from "./failure.mjs";
// src/client/github-oidc.ts
/**
* ID tokens of GitHub Actions as a credential: a job with the permission `id-token: write` asks GitHub for a token that
* says who it is, made out to an audience (docs.github.com, "OpenID Connect reference", requesting the token). Nothing is
* stored anywhere.
*
* Invariants:
* - a token is shown until 60 s before its end at most; its life counts from before it was asked for, by the monotonic clock;
* - one question at a time: callers that need a token at once share the answer;
* - neither the token nor the job's right to ask for it is part of a message.
*/
const URL_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_URL";
const TOKEN_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const REMEDY = "give the job 'permissions: id-token: write' (runs for pull requests from forks cannot have it), or a token of Signalbox";
const RESERVE_MS = 6e4;
/** GitHub's own tokens live so long; for one that does not say. */
const USUAL_LIFE_MS = 3e5;
/** All tries together end within the time that a client gives a call (`transport.ts`). */
const PATIENCE_MS = 2500;
const TRIES = 3;
const BACKOFF = {
	baseMs: 250,
	maxMs: 1e3
};
/** May this process ask for ID tokens? */
function offersIdTokens(env) {
	return Boolean(env[URL_VARIABLE]) && Boolean(env[TOKEN_VARIABLE]);
}
/**
* A source of tokens for a client (`TokenSource`). Nothing is asked for before the first call.
*
* The source throws a SignalboxError: `unauthenticated` when GitHub gives this job no token, `unavailable` when it cannot
* be asked.
* @throws SignalboxError `unauthenticated` where the runner offers no ID tokens, with the permission that is missing
*/
function githubIdTokens(options) {
	const { env, audience, clock, onToken } = options;
	const address = env[URL_VARIABLE] ?? "";
	if (!offersIdTokens(env) || !URL.canParse(address)) throw refused(`this job may not ask GitHub for an ID token (${env[URL_VARIABLE] ? TOKEN_VARIABLE : URL_VARIABLE} is not set)`);
	const url = `${address}${address.includes("?") ? "&" : "?"}audience=${encodeURIComponent(audience)}`;
	let had;
	let asking;
	const renew = async () => {
		const askedAt = clock.monotonic();
		const token = await persistently(() => ask(url, env[TOKEN_VARIABLE] ?? ""), options);
		onToken?.(token);
		had = {
			token,
			goodUntil: askedAt + lifeMs(token) - RESERVE_MS
		};
		return token;
	};
	return async ({ renew: must = false } = {}) => {
		if (!must && had !== void 0 && clock.monotonic() < had.goodUntil) return had.token;
		asking ??= renew().finally(() => asking = void 0);
		return asking;
	};
}
/** What may be gone in a moment is asked again. */
async function persistently(call, { clock, random }) {
	for (let attempt = 0;; attempt++) {
		try {
			return await call();
		} catch (error) {
			if (attempt + 1 >= TRIES || !isSignalboxError(error, "unavailable")) throw error;
		}
		await sleep(clock, backoffDelay(BACKOFF, attempt, random));
	}
}
async function ask(url, right) {
	const { origin } = new URL(url);
	let status;
	let text;
	try {
		const answer = await fetch(url, {
			headers: {
				accept: "application/json",
				authorization: `Bearer ${right}`,
				"user-agent": "signalbox"
			},
			redirect: "error",
			signal: AbortSignal.timeout(PATIENCE_MS)
		});
		status = answer.status;
		text = await answer.text();
	} catch (cause) {
		throw new SignalboxError("unavailable", `${origin}: GitHub could not be asked for an ID token`, { cause });
	}
	if (status === 200) return tokenIn(text, origin);
	if (status === 429 || status >= 500) throw new SignalboxError("unavailable", `${origin}: GitHub gives no ID token at the moment (status ${status})`);
	throw refused(`GitHub gives this job no ID token (status ${status})`);
}
/** `{"value": "<token>"}` */
function tokenIn(text, origin) {
	const value = parseJson(text)?.value;
	if (typeof value === "string" && value !== "") return value;
	throw new SignalboxError("unavailable", `${origin}: GitHub answered without an ID token; check ${URL_VARIABLE}`);
}
/** By the token's own times, so that it does not matter whether this machine's clock is right. */
function lifeMs(token) {
	const [, payload = ""] = token.split(".");
	const { exp, iat } = parseJson(Buffer.from(payload, "base64url").toString()) ?? {};
	return typeof exp === "number" && typeof iat === "number" ? (exp - iat) * 1e3 : USUAL_LIFE_MS;
}
function refused(what) {
	return new SignalboxError("unauthenticated", `${what}; ${REMEDY}`);
}
export { offersIdTokens as n, githubIdTokens as t };
