import { t as SignalboxError } from "./error.mjs";
import { a as timeoutFailure, i as refusal, n as foreignAnswer, o as transportFailure, r as parseJson, s as require_undici, t as cancelledCall } from "./failure.mjs";
import { a as changedView, d as memberView, i as beatView, m as queueView, o as evictView, p as queueSummary, s as historyView, u as leaveView } from "./api.mjs";
import { t as sleep } from "./clock.mjs";
import { r as flagNames, t as chooseEngine } from "./engine.mjs";
import { a as array, c as number$1, d as strictObject, f as string, g as _isoDateTime, h as _isoDate, i as _enum, l as object, m as _coercedNumber, n as ZodISODateTime, p as union, r as ZodNumber, s as json, t as ZodISODate, u as record } from "./schemas.mjs";
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
	details: record(string(), json()).optional()
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
	#headers;
	constructor(options) {
		const { url, socketPath, token } = options;
		this.#options = options;
		this.address = socketPath ?? url.href.replace(/\/$/, "");
		this.#prefix = url.pathname.replace(/\/$/, "");
		this.#headers = {
			accept: "application/json",
			...token === void 0 ? {} : { authorization: `Bearer ${token}` }
		};
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
		const facts = {
			address: this.address,
			write: call.method !== "GET"
		};
		const { status, text } = await this.#exchange(call, facts);
		if (status < 200 || status > 299) throw refusal(status, text, facts);
		const json = parseJson(text);
		if (json === void 0) throw foreignAnswer(status, facts);
		const parsed = call.answer.safeParse(json);
		if (parsed.success) return parsed.data;
		const at = parsed.error.issues[0];
		throw new SignalboxError("internal", `${this.address}: answered in a shape this version does not know (${at?.path.join(".")}: ${at?.message}); use the same version on both sides`);
	}
	/** Ends idle and running connections. */
	close() {
		return this.#agent.destroy();
	}
	async #exchange(call, facts) {
		const { clock, random, url } = this.#options;
		const { signal } = call;
		if (signal?.aborted === true) throw cancelledCall(signal.reason, facts);
		const limitMs = (call.waitMs ?? 0) + SLACK_MS;
		const hangUp = new AbortController();
		let failure;
		const end = (because) => {
			failure ??= because;
			hangUp.abort(because);
		};
		const onAbort = () => end(cancelledCall(signal?.reason, facts));
		signal?.addEventListener("abort", onAbort, { once: true });
		const timer = clock.timer(limitMs, () => end(timeoutFailure(limitMs, facts)));
		try {
			const response = await this.#agent.request({
				origin: url.origin,
				path: this.#prefix + call.path,
				method: call.method,
				headers: {
					...this.#headers,
					"x-request-id": random.id(),
					...call.body === void 0 ? {} : { "content-type": "application/json" }
				},
				body: call.body === void 0 ? null : JSON.stringify(call.body),
				signal: hangUp.signal
			});
			return {
				status: response.statusCode,
				text: await response.body.text()
			};
		} catch (error) {
			throw failure ?? transportFailure(error, facts);
		} finally {
			timer.cancel();
			signal?.removeEventListener("abort", onAbort);
		}
	}
};
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
	const { url, socketPath, token, clock, random } = options;
	if (url === void 0 && socketPath === void 0) throw new SignalboxError("invalid_argument", "url: missing; give the server’s URL or its socket");
	if (token !== void 0 && !/^[\x21-\x7e]+$/.test(token)) throw new SignalboxError("invalid_argument", "SIGNALBOX_TOKEN: is empty or contains a space, a line break or another character that no token has", { details: { field: "token" } });
	const transport = new Transport({
		url: parseUrl(url ?? "http://localhost"),
		clock,
		random,
		...socketPath === void 0 ? {} : { socketPath },
		...token === void 0 ? {} : { token }
	});
	return {
		turns: turnsOver(transport),
		access: accessOver(transport),
		address: transport.address,
		close: () => transport.close()
	};
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
	const request = get({
		host: reachable(host),
		port,
		path: "/healthz",
		timeout: PATIENCE_MS
	}, (response) => {
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
/** How long an owner that is being restarted is waited for, if it left its socket. */
const RESTART_MS = 2e3;
const RETRY_MS = 100;
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
	const socketPath = ownerSocketPath(dataDir);
	if (dirname(socketPath) !== dataDir) refuseForeignSocket(socketPath);
	if (await answers(socketPath, facts.clock)) {
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
function open(where, server, { env, clock, random }) {
	const token = given(env["SIGNALBOX_TOKEN"]);
	const client = createClient({
		...where,
		clock,
		random,
		...token === void 0 ? {} : { token }
	});
	const settings = [server, ...token === void 0 ? [] : [{
		name: "token",
		value: "********",
		from: "SIGNALBOX_TOKEN"
	}]];
	return {
		client,
		describe: where.socketPath === void 0 ? server.value : `the server that owns ${server.value}`,
		settings,
		hello: async () => (await import("./hello.mjs")).hello(where, clock)
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
/** Does a process listen on this socket? One that is there but refuses may be between two starts. */
async function answers(path, clock) {
	if (!existsSync(path)) return false;
	for (const until = clock.monotonic() + RESTART_MS;; await sleep(clock, RETRY_MS)) {
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
export { connect };
