// src/kernel/error.ts
const errorCodes = {
	invalid_argument: {
		http: 400,
		grpc: 3,
		exit: 64,
		retryable: false,
		meaning: "An input is malformed or out of range.",
		remedy: "Correct the input that the message names."
	},
	config_invalid: {
		http: 500,
		grpc: 9,
		exit: 78,
		retryable: false,
		meaning: "A configuration value (file, environment or flag) cannot work.",
		remedy: "Correct the key that the message names; `signalbox config check` checks a file without starting."
	},
	unauthenticated: {
		http: 401,
		grpc: 16,
		exit: 77,
		retryable: false,
		meaning: "No valid credential came with the call.",
		remedy: "Set SIGNALBOX_TOKEN to a valid token: one of Signalbox, or one that an OIDC issuer has just signed for this server."
	},
	permission_denied: {
		http: 403,
		grpc: 7,
		exit: 77,
		retryable: false,
		meaning: "The credential is valid but may not do this.",
		remedy: "Use a token whose role and scope allow the call (for OIDC tokens a rule of auth.oidc decides that), or correct the file or cloud permissions that the message names."
	},
	not_found: {
		http: 404,
		grpc: 5,
		exit: 66,
		retryable: false,
		meaning: "What the call names does not exist.",
		remedy: "Check the name; list what exists."
	},
	conflict: {
		http: 409,
		grpc: 9,
		exit: 65,
		retryable: false,
		meaning: "The call contradicts the present state, for example another number of permits than the queue has.",
		remedy: "Look at the present state (`signalbox turn show`) and repeat the call in agreement with it."
	},
	queue_paused: {
		http: 409,
		grpc: 9,
		exit: 75,
		retryable: true,
		meaning: "The queue does not take new members at present.",
		remedy: "Wait until it is resumed, or resume it."
	},
	turn_lost: {
		http: 410,
		grpc: 10,
		exit: 75,
		retryable: false,
		meaning: "The member no longer holds its place: its hold TTL passed without a beat, or an operator evicted it.",
		remedy: "Stop the work that the turn protected and join again. If it recurs, raise --ttl or look for a suspended machine."
	},
	lease_lost: {
		http: 410,
		grpc: 10,
		exit: 75,
		retryable: false,
		meaning: "The merge group no longer holds its lease: it was not renewed in time, or an operator cleared it.",
		remedy: "Stop the work that the lease protected and ask again. If it recurs, raise --lease or look for a suspended machine."
	},
	wait_timeout: {
		http: 408,
		grpc: 4,
		exit: 124,
		retryable: true,
		meaning: "The turn or lease did not come within the time the caller was ready to wait.",
		remedy: "Raise --wait-timeout, or look at who holds the queue or lease."
	},
	cancelled: {
		http: 499,
		grpc: 1,
		exit: 130,
		retryable: true,
		meaning: "The caller gave up.",
		remedy: "Nothing; the call left nothing behind."
	},
	payload_too_large: {
		http: 413,
		grpc: 8,
		exit: 65,
		retryable: false,
		meaning: "The body or a value is larger than the limit.",
		remedy: "Send less; the message names the limit."
	},
	throttled: {
		http: 429,
		grpc: 8,
		exit: 75,
		retryable: true,
		meaning: "Too many calls; this one was not applied.",
		remedy: "Repeat later, with back-off."
	},
	unavailable: {
		http: 503,
		grpc: 14,
		exit: 69,
		retryable: true,
		meaning: "The server or its store cannot be reached or cannot write; the call was not applied.",
		remedy: "Check that the server runs, its address, and its disk; the call may be repeated."
	},
	outcome_unknown: {
		http: 503,
		grpc: 14,
		exit: 75,
		retryable: true,
		meaning: "The answer was lost on the way: the call may or may not have been applied.",
		remedy: "Repeat the call; every call of Signalbox may be repeated with the same id."
	},
	store_owned: {
		http: 503,
		grpc: 14,
		exit: 73,
		retryable: false,
		meaning: "Another process owns the data directory.",
		remedy: "Talk to that process (SIGNALBOX_URL, or the same SIGNALBOX_DATA_DIR), stop it, or choose another data directory."
	},
	store_newer: {
		http: 503,
		grpc: 9,
		exit: 78,
		retryable: false,
		meaning: "The data file was written by a newer version.",
		remedy: "Run that version or a later one, or restore a backup made before the upgrade."
	},
	store_invalid: {
		http: 503,
		grpc: 15,
		exit: 74,
		retryable: false,
		meaning: "The data file is damaged or is not ours.",
		remedy: "Restore a backup, or choose another data directory."
	},
	address_in_use: {
		http: 503,
		grpc: 14,
		exit: 69,
		retryable: false,
		meaning: "The address to listen on is taken.",
		remedy: "Stop the process that has it, or choose another port."
	},
	command_failed: {
		http: 500,
		grpc: 13,
		exit: 126,
		retryable: false,
		meaning: "The command given after `--` could not be started.",
		remedy: "Check its name and permissions."
	},
	internal: {
		http: 500,
		grpc: 13,
		exit: 70,
		retryable: false,
		meaning: "A defect in Signalbox.",
		remedy: "Report it with the log line that carries the request id."
	}
};
var SignalboxError = class extends Error {
	code;
	details;
	/** @param message one line: what is wrong, with which input, and what to do. */
	constructor(code, message, options = {}) {
		super(message, options.cause === void 0 ? void 0 : { cause: options.cause });
		this.name = "SignalboxError";
		this.code = code;
		this.details = options.details ?? {};
	}
	get facts() {
		return errorCodes[this.code];
	}
};
/** Is this a `SignalboxError`, of the given code if one is given? */
function isSignalboxError(error, code) {
	return error instanceof SignalboxError && (code === void 0 || error.code === code);
}
function isErrorCode(text) {
	return Object.hasOwn(errorCodes, text);
}
/** Any thrown value as a `SignalboxError`; what is not one already becomes `internal`, its cause kept. */
function toSignalboxError(error) {
	if (error instanceof SignalboxError) return error;
	return new SignalboxError("internal", error instanceof Error ? error.message : String(error), { cause: error });
}
export { toSignalboxError as a, isSignalboxError as i, errorCodes as n, isErrorCode as r, SignalboxError as t };
