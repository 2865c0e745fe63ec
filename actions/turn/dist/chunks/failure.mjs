import { n as errorCodes, r as isErrorCode, t as SignalboxError } from "./error.mjs";
import { _ as string, f as number, h as record, o as boolean, p as object, v as union } from "./schemas.mjs";
// src/client/failure.ts
/**
* What went wrong on the way, as a `SignalboxError`.
*
* Invariant: `unavailable` is said only when the call cannot have been applied (no connection came about, or whoever
* answered is not Signalbox) or changes nothing. Everything after the first byte of a write is `outcome_unknown`.
*/
/** Where the request never left this machine, or nobody took it. */
const NOT_SENT = /* @__PURE__ */ new Set([
	"ECONNREFUSED",
	"ENOENT",
	"ENOTSOCK",
	"ENOTFOUND",
	"EAI_AGAIN",
	"EHOSTUNREACH",
	"ENETUNREACH",
	"EADDRNOTAVAIL",
	"UND_ERR_CONNECT_TIMEOUT"
]);
const errorBody = object({
	error: object({
		code: string(),
		message: string(),
		details: record(string(), union([
			string(),
			number(),
			boolean()
		])).optional()
	}),
	requestId: string().optional()
});
/** A failure below HTTP: connect, reset, TLS. */
function transportFailure(cause, { address, write }) {
	const reason = codeOf(cause);
	if (reason === "EACCES" || reason === "EPERM") return new SignalboxError("permission_denied", `${address}: may not connect (${reason}); run as the user who owns it, or set SIGNALBOX_URL`, { cause });
	if (reason !== void 0 && (NOT_SENT.has(reason) || isTlsRefusal(reason))) return new SignalboxError("unavailable", `${address}: cannot connect (${reason}); check that the server runs and its address`, { cause });
	const what = `${address}: the connection broke before the answer came (${reason ?? messageOf(cause)})`;
	return new SignalboxError(write ? "outcome_unknown" : "unavailable", what, { cause });
}
/** No whole answer within the time that the call may take. */
function timeoutFailure(ms, { address, write }) {
	const what = `${address}: no answer within ${Math.round(ms / 100) / 10}s`;
	return new SignalboxError(write ? "outcome_unknown" : "unavailable", what);
}
/** The caller's signal ended the call. */
function cancelledCall(reason, { address }) {
	return new SignalboxError("cancelled", `${address}: the call was given up`, { cause: reason });
}
/** An answer whose status is not 2xx. */
function refusal(status, text, facts) {
	const body = errorBody.safeParse(parseJson(text));
	if (!body.success) return foreignAnswer(status, facts);
	const { code, message, details } = body.data.error;
	return new SignalboxError(isErrorCode(code) ? code : codeByStatus(status, facts.write), message, { details: {
		...details,
		...body.data.requestId === void 0 ? {} : { requestId: body.data.requestId }
	} });
}
/** An answer that Signalbox does not give: from a proxy, or from another server at this address. */
function foreignAnswer(status, { address, write }) {
	if (status === 401 || status === 403 || status === 413 || status === 429) return new SignalboxError(codeByStatus(status, write), `${address}: refused with status ${status}`);
	if (status >= 500) {
		const what = `${address}: answered with status ${status} and no explanation; the server or a proxy before it fails`;
		return new SignalboxError(write ? "outcome_unknown" : "unavailable", what);
	}
	const what = `${address}: answered with status ${status}, but not as Signalbox does; check the address`;
	return new SignalboxError("unavailable", what);
}
function parseJson(text) {
	try {
		return JSON.parse(text);
	} catch {
		return;
	}
}
/** For a status without a code that this version knows. */
function codeByStatus(status, write) {
	if (status >= 500) return write && status !== 503 ? "outcome_unknown" : "unavailable";
	return Object.entries(errorCodes).find(([, facts]) => facts.http === status)?.[0] ?? "invalid_argument";
}
/** Certificates are judged before the request is sent. */
function isTlsRefusal(code) {
	return /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code);
}
function codeOf(error) {
	for (let at = error; at instanceof Error; at = at.cause) {
		const { code } = at;
		if (typeof code === "string" && code !== "UND_ERR_SOCKET") return code;
	}
}
function messageOf(error) {
	return error instanceof Error ? error.message : String(error);
}
export { refusal as a, parseJson as i, codeByStatus as n, timeoutFailure as o, foreignAnswer as r, transportFailure as s, cancelledCall as t };
