import { S as formatDuration } from "./id.mjs";
import { hostname, userInfo } from "node:os";
// src/turns/cli/labels.ts
/** Who takes a turn, for the eyes of others: never used in a decision. */
/** From GitHub Actions: label → variable. */
const GITHUB = {
	repository: "GITHUB_REPOSITORY",
	run: "GITHUB_RUN_ID",
	attempt: "GITHUB_RUN_ATTEMPT",
	job: "GITHUB_JOB",
	actor: "GITHUB_ACTOR"
};
const MAX_VALUE = 256;
/** Host, user and process; in GitHub Actions also repository, run, attempt, job, actor and the run's URL. */
function defaultLabels(env) {
	const facts = {
		...env["GITHUB_ACTIONS"] === "true" ? github(env) : {},
		host: hostname(),
		user: user(env),
		pid: String(process.pid)
	};
	return Object.fromEntries(Object.entries(facts).flatMap(([key, value]) => value === void 0 || value === "" ? [] : [[key, value.slice(0, MAX_VALUE)]]));
}
/** `acme/web build #4711`, `ann@laptop`; undefined when the labels say nothing of the kind. */
function labelName(labels) {
	if (labels === void 0) return void 0;
	const { name, repository, job, run, user, host } = labels;
	if (name !== void 0) return name;
	if (repository !== void 0) return [
		repository,
		job,
		run === void 0 ? void 0 : `#${run}`
	].filter(Boolean).join(" ");
	return user !== void 0 && host !== void 0 ? `${user}@${host}` : host ?? user;
}
function github(env) {
	const facts = Object.fromEntries(Object.entries(GITHUB).map(([label, name]) => [label, env[name]]));
	const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run } = env;
	return server !== void 0 && repository !== void 0 && run !== void 0 ? {
		...facts,
		url: `${server}/${repository}/actions/runs/${run}`
	} : facts;
}
function user(env) {
	try {
		return userInfo().username;
	} catch {
		return env["USER"];
	}
}
// src/cli/text.ts
/** What is shown to people: short, and with nothing in it that a terminal would obey. */
/** Text from elsewhere without control characters and invisible ones. */
function printable(text) {
	return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "?");
}
/** Enough of an id to tell members apart by eye. */
function shortId(id) {
	return id.slice(0, 8);
}
// src/turns/cli/waiting-line.ts
/** `waiting, position 2 of the line; held by ann@laptop (ab12cd34) for 1m 20s; about 4m` */
/** @param agoMs since the answer came: holders have held for that much longer */
function waitingLine(view, agoMs) {
	const { position, positionExact, holders, estimatedWaitMs } = view;
	const parts = [`waiting, position ${positionExact ? "" : "about "}${position} of the line`];
	if (view.queueState !== void 0) parts.push(`the queue is ${view.queueState}: ${printable(view.reason ?? "no reason given")}`);
	else if (view.reason !== void 0 && holders.length === 0) parts.push(printable(view.reason));
	if (holders.length > 0) {
		const names = holders.map(({ id, sinceMs, labels }) => {
			const name = labelName(labels);
			return `${name === void 0 ? shortId(id) : `${printable(name)} (${shortId(id)})`} for ${formatDuration(wholeSeconds(sinceMs + agoMs))}`;
		});
		parts.push(`held by ${names.join(", ")}`);
	}
	if (estimatedWaitMs !== void 0) {
		const left = Math.max(0, estimatedWaitMs - agoMs);
		parts.push(left < 1e3 ? "any moment now" : `about ${formatDuration(left)}`);
	}
	return parts.join("; ");
}
function wholeSeconds(ms) {
	return Math.max(1e3, Math.floor(ms / 1e3) * 1e3);
}
// src/cli/lines.ts
const REPEAT_MS = 3e4;
const REFRESH_MS = 1e3;
var Lines = class {
	#options;
	#rewrites;
	#waiting;
	#refresh;
	/** What was last said of the kind that repeats, and when. */
	#said = {
		key: "",
		at: -Infinity
	};
	#lineIsOpen = false;
	constructor(options) {
		this.#options = options;
		this.#rewrites = options.mode === "lines" && options.stderr.isTTY === true;
		options.stderr.on?.("error", () => void 0);
	}
	/** Until `settle`, or something else is waited for. */
	waiting(what) {
		this.#waiting = {
			what,
			at: this.#options.clock.monotonic()
		};
		this.#tellWaiting();
	}
	/** Nothing is being waited for any more. */
	settle() {
		this.#refresh?.cancel();
		this.#waiting = void 0;
	}
	/** Something worth a line of its own. */
	note(text, facts) {
		const { subject, mode } = this.#options;
		if (mode === "quiet") return;
		const line = mode === "json" ? JSON.stringify({
			[subject.key]: subject.name,
			...facts
		}) : printable(`${subject.name}: ${text}`);
		this.#print(line, false);
	}
	/** How it ended, for programs; people see the command's own output. */
	result(facts) {
		if (this.#options.mode === "json") this.note("", facts);
	}
	/** Said when it is new, and now and then while it stays so. */
	repeated(key, text, facts, everyMs = REPEAT_MS) {
		const now = this.#options.clock.monotonic();
		if (key === this.#said.key && now - this.#said.at < everyMs) return;
		this.#said = {
			key,
			at: now
		};
		this.note(text, facts);
	}
	/** A failure that does not end the run: said whatever the mode. */
	warn(error, consequence) {
		const text = `${this.withoutName(error.message)}; ${consequence}`;
		const { subject, mode } = this.#options;
		if (mode === "quiet") this.#print(printable(`${subject.name}: ${text}`), false);
		else this.note(text, {
			event: "warning",
			code: error.code,
			message: text
		});
	}
	/** Lines begin with the name already. */
	withoutName(message) {
		const prefix = `${this.#options.subject.name}: `;
		return message.startsWith(prefix) ? message.slice(prefix.length) : message;
	}
	/** Leaves the terminal as a new line. */
	close() {
		this.settle();
		if (this.#lineIsOpen) this.#options.stderr.write("\n");
		this.#lineIsOpen = false;
	}
	#tellWaiting() {
		if (this.#waiting === void 0) return;
		const { clock, subject } = this.#options;
		const { what, at } = this.#waiting;
		const line = what.line(clock.monotonic() - at);
		if (!this.#rewrites) {
			this.repeated(what.key, line, what.facts);
			return;
		}
		this.#print(`${subject.name}: ${line}`, true);
		this.#refresh?.cancel();
		this.#refresh = clock.timer(REFRESH_MS, () => this.#tellWaiting());
	}
	/** @param open the next print may overwrite it */
	#print(line, open) {
		const { stderr } = this.#options;
		if (!this.#rewrites) {
			stderr.write(`${line}\n`);
			return;
		}
		const { columns = 0 } = stderr;
		const shown = open ? line.slice(0, (columns > 0 ? columns : 80) - 1) : line;
		stderr.write(`${this.#lineIsOpen ? "\r\x1B[K" : ""}${shown}${open ? "" : "\n"}`);
		this.#lineIsOpen = open;
	}
};
// src/turns/cli/reporter.ts
const URGENT_REPEAT_MS = 1e4;
var Reporter = class {
	lines;
	constructor({ queue, mode, stderr, clock }) {
		this.lines = new Lines({
			subject: {
				key: "queue",
				name: queue
			},
			mode,
			stderr,
			clock
		});
	}
	progress(event) {
		const { lines } = this;
		switch (event.type) {
			case "waiting":
				this.#waiting(event.view);
				break;
			case "unreachable":
				lines.settle();
				lines.repeated("unreachable", `${event.error.message}; still trying for ${formatDuration(event.forMs)}`, {
					event: "unreachable",
					message: event.error.message,
					forMs: Math.round(event.forMs)
				});
				break;
			case "reachable":
				lines.repeated("reachable", "reachable again", { event: "reachable" });
				break;
			case "beat_failed": {
				const left = `the turn is safe for another ${formatDuration(event.leftMs)}`;
				const facts = {
					event: "beat_failed",
					message: event.error.message,
					leftMs: Math.round(event.leftMs)
				};
				lines.repeated("beat_failed", `${event.error.message}; ${left}`, facts, URGENT_REPEAT_MS);
				break;
			}
			case "beat_restored":
				lines.repeated("beat_restored", "reachable again, the turn is kept", { event: "beat_restored" });
				break;
			case "leave_failed": lines.repeated("leave_failed", `could not tell the server: ${event.error.message}; the place lapses by itself`, {
				event: "leave_failed",
				message: event.error.message
			});
		}
	}
	granted({ id, ticket, fence, waitedMs, positionAtJoin }) {
		this.lines.settle();
		this.lines.note(`your turn (fence ${fence}, waited ${formatDuration(waitedMs)})`, {
			event: "granted",
			id,
			ticket,
			fence,
			waitedMs: Math.round(waitedMs),
			positionAtJoin
		});
	}
	note(text, facts) {
		this.lines.note(text, facts);
	}
	warn(error, consequence) {
		this.lines.warn(error, consequence);
	}
	close() {
		this.lines.close();
	}
	#waiting(view) {
		const { id, ticket, position, positionExact, holders, estimatedWaitMs } = view;
		this.lines.waiting({
			key: `waiting ${position} ${holders.map((holder) => holder.id).join(" ")}`,
			line: (agoMs) => waitingLine(view, agoMs),
			facts: {
				event: "waiting",
				id,
				ticket,
				position,
				positionExact,
				holders,
				estimatedWaitMs
			}
		});
	}
};
export { waitingLine as n, defaultLabels as r, Reporter as t };
