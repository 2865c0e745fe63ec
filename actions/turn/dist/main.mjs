import { C as setSecret, S as setOutput, _ as getInput, a as join, b as notice, c as sharedAgent, d as announce, f as endedError, g as say, h as progressFold, i as agentById, l as sharedAgents, m as runStep, n as refusal, o as leave, p as killedError, r as stepWords, s as newAgentId, t as inputWords, v as getMultilineInput, w as warning, x as saveState } from "./chunks/words.mjs";
import { n as systemClock, t as sleep } from "./chunks/clock.mjs";
import { C as parseDuration, S as formatDuration, h as lives, i as queueArgument, n as agentRequest, v as readAgent } from "./chunks/id.mjs";
import { i as isSignalboxError, t as SignalboxError } from "./chunks/error.mjs";
import { n as waitingLine, t as Reporter } from "./chunks/reporter.mjs";
import { t as chooseEngine } from "./chunks/engine.mjs";
import { n as offersIdTokens } from "./chunks/github-oidc.mjs";
import { fileURLToPath } from "node:url";
// src/turns/cli/agent/text.ts
/** Is the turn held by this state, on both clocks? The agent itself may be frozen. */
function isHolding({ state, heldUntil }, clock) {
	return state === "holding" && heldUntil !== void 0 && clock.monotonic() < heldUntil.at && clock.now() < heldUntil.wallAt;
}
/** `deploy: agent 3f9a2c1b (process 42) at 127.0.0.1:50051: waiting, position 2 of the line; …` */
function describeAgent(state, clock) {
	const { queue, id, pid, address } = state;
	return `${queue}: agent ${id} (process ${pid}) at ${address}: ${place(state, clock)}\n`;
}
/** `waiting, position 2 of the line; held by …`, `holding, fence 7` */
function place(state, clock) {
	if (state.state === "ended") return `ended: ${state.end?.message ?? "no reason is known"}`;
	if (state.state === "holding") return `${isHolding(state, clock) ? "holding" : "not answering in time, was holding"}, fence ${state.fence}`;
	const { view, viewAt } = state;
	if (state.state !== "waiting" || view === void 0) return state.state;
	return waitingLine(view, clock.monotonic() - (viewAt ?? clock.monotonic()));
}
/** As the last answer would read now. */
function agedView({ view, viewAt }, clock) {
	if (view === void 0 || viewAt === void 0) return view;
	const ms = Math.max(0, Math.round(clock.monotonic() - viewAt));
	const { estimatedWaitMs } = view;
	return {
		...view,
		holders: view.holders.map((holder) => ({
			...holder,
			sinceMs: holder.sinceMs + ms
		})),
		...estimatedWaitMs === void 0 ? {} : { estimatedWaitMs: Math.max(0, estimatedWaitMs - ms) }
	};
}
// src/turns/cli/agent/wait.ts
const LOOK_MS = 100;
/**
* Waits until the agent holds its turn; prints nothing but the reporter's lines.
*
* @returns what it then published
* @throws SignalboxError `turn_lost`, `wait_timeout`, `unavailable`; the signal's reason
*/
async function untilHeld({ folder, agent }, options) {
	const { clock, timeoutMs, reporter, signal } = options;
	const { queue, id } = agent;
	const until = clock.monotonic() + timeoutMs;
	for (;;) {
		const state = readAgent(folder, id);
		if (state === void 0) throw new SignalboxError("turn_lost", `${queue}: agent ${id} was stopped while it was waited for`);
		if (state.state === "ended") throw endedError(state);
		if (!lives(state)) throw killedError(state);
		if (isHolding(state, clock)) return state;
		if (clock.monotonic() >= until) throw timedOut(queue, timeoutMs);
		tell(reporter, state, clock);
		await sleep(clock, Math.min(LOOK_MS, until - clock.monotonic()), signal);
	}
}
function tell(reporter, state, clock) {
	const { trouble } = state;
	const view = agedView(state, clock);
	if (trouble !== void 0) {
		const error = new SignalboxError("unavailable", trouble.message);
		reporter.progress({
			type: "unreachable",
			error,
			forMs: clock.monotonic() - trouble.since
		});
	} else if (view !== void 0) reporter.progress({
		type: "waiting",
		view
	});
}
function timedOut(queue, ms) {
	const what = `${queue}: the turn did not come within ${formatDuration(ms)}; the agent waits on`;
	return new SignalboxError("wait_timeout", `${what}: wait longer, or stop it`);
}
// actions/shared/inputs.ts
/** Inputs of a step, as the runner hands them over: an input that was not given reads as undefined (it is an empty text). */
function input(name) {
	return getInput(name) || void 0;
}
/** An object with the key, if there is a value. */
function given(key, value) {
	return value === void 0 ? {} : { [key]: value };
}
/** What messages repeat of an input. */
function shown(text) {
	return text.slice(0, 40);
}
function invalid(name, why) {
	return new SignalboxError("invalid_argument", `${name}: ${why}`, { details: { field: name } });
}
// actions/shared/id-token.ts
const OFF = "off";
/**
* The audience to ask for; undefined: no ID token. One that is named (the input, or SIGNALBOX_OIDC_AUDIENCE of the
* environment) is asked for also where the job may not, so that the message says what is missing.
*/
function idTokenAudience(url, env) {
	const audience = input("audience") ?? (env["SIGNALBOX_OIDC_AUDIENCE"] || void 0);
	if (audience !== void 0) return audience === OFF ? void 0 : audience;
	return offersIdTokens(env) && url !== void 0 && URL.canParse(url) ? new URL(url).origin : void 0;
}
// actions/turn/src/inputs.ts
/**
* The inputs of the action, checked before anything is started. `action.yml` is their description.
*
* Invariants: an input that was not given reads as undefined (GitHub hands over an empty text); every refusal names the input.
*/
const FORMS = [
	"server-start",
	"client-wait",
	"server-stop"
];
const LEVELS = [
	"debug",
	"info",
	"warn",
	"error"
];
const inputNames = {
	url: "url",
	dataDir: "SIGNALBOX_DATA_DIR",
	backend: "backend",
	queueTable: "queue-table",
	gcpProject: "gcp-project",
	gcpDatabase: "gcp-database",
	firestoreDatabase: "gcp-database",
	guard: "guard"
};
/** @throws SignalboxError `invalid_argument` */
function formInput() {
	const text = input("action");
	if (text === void 0) return "take";
	const form = FORMS.find((name) => name === text);
	if (form !== void 0) return form;
	throw invalid("action", `'${shown(text)}' must be ${FORMS.join(", ")}, or left away for the one-step form`);
}
/** @throws SignalboxError `invalid_argument` */
function joinInputs(env) {
	const name = input("queue-name");
	if (name === void 0) throw invalid("queue-name", "is missing; name the queue to join");
	const queue = queueArgument(name);
	const { flags: where, secrets } = engineInputs(env);
	const flags = {
		...given("permits", input("permits")),
		...given("priority", input("priority")),
		...given("ttl", input("ttl")),
		...given("maxHold", input("max-hold")),
		...given("onLost", input("on-lost")),
		label: getMultilineInput("labels"),
		...where
	};
	agentRequest(queue, flags, {});
	const token = flags.onLost === "cancel-run" ? env["GITHUB_TOKEN"] ?? input("github-token") : void 0;
	return {
		queue,
		flags,
		secrets: {
			...secrets,
			...given("GITHUB_TOKEN", token)
		}
	};
}
/** Which of the job's queues; undefined: the only one. @throws SignalboxError `invalid_argument` */
function queueInput() {
	const name = input("queue-name");
	return name === void 0 ? void 0 : queueArgument(name);
}
/** In ms; `Infinity` when none was given. @throws SignalboxError `invalid_argument` */
function waitTimeoutInput() {
	const text = input("wait-timeout");
	return text === void 0 ? Infinity : parseDuration(text, "wait-timeout");
}
/** A level that is not known reads as undefined: no reason to fail a job. */
function logLevelInput() {
	const text = (input("log-level") ?? "info").toLowerCase().replace(/^warning$/, "warn");
	return LEVELS.find((level) => level === text);
}
/** The version asked for, where one was; the action has its own. */
function versionInput() {
	const text = input("version");
	return text === "latest" ? void 0 : text;
}
/** Inputs that were given and do nothing in this form. */
function idleInputs(form) {
	const joining = [
		"permits",
		"priority",
		"ttl",
		"max-hold",
		"labels",
		"url",
		"audience",
		"guard"
	];
	return {
		take: [],
		"server-start": ["wait-timeout"],
		"client-wait": joining,
		"server-stop": [...joining, "wait-timeout"]
	}[form].filter((name) => input(name) !== void 0);
}
/** The token, for masking, whatever else is wrong. */
function tokenInput() {
	return input("token");
}
/** Only what the backend has a use for is handed on: some inputs have defaults, and so are always there. */
function engineInputs(env) {
	const backend = input("backend") ?? "aws";
	const [url, token] = [input("url"), tokenInput()];
	if (backend === "server" && url === void 0 && !env["SIGNALBOX_URL"] && !env["SIGNALBOX_DATA_DIR"]) throw invalid("url", "is missing; give the address of the Signalbox server, or set SIGNALBOX_URL");
	const cloud = backend === "server" ? {} : given("queueTable", input("queue-table"));
	const gcp = {
		...given("gcpProject", input("gcp-project")),
		...given("gcpDatabase", input("gcp-database"))
	};
	const flags = {
		backend,
		...given("url", url),
		...given("guard", input("guard")),
		...cloud,
		...backend === "gcp" || backend === "firestore" ? gcp : {}
	};
	chooseEngine(flags, env, inputNames);
	return {
		flags,
		secrets: backend === "server" ? credential(url, token, env) : {}
	};
}
/** Without a token the agent signs in with ID tokens of GitHub, which it gets by itself as long as it needs them. */
function credential(url, token, env) {
	if (token !== void 0) return { SIGNALBOX_TOKEN: token };
	if (env["SIGNALBOX_TOKEN"]) return {};
	return { SIGNALBOX_OIDC_AUDIENCE: idTokenAudience(url ?? env["SIGNALBOX_URL"], env) ?? "" };
}
// actions/turn/src/forms.ts
/** What each form of the step does: the one-step form, and the three steps of `server-start`, `client-wait`, `server-stop`. */
/** One step: joins and waits here; the turn is held in the background until the post step. */
async function take(context) {
	const inputs = joinInputs(context.env);
	const timeoutMs = waitTimeoutInput();
	const id = newAgentId("take");
	try {
		await begin(id, inputs, context);
		const selected = agentById(id, context.env);
		if (selected === void 0) throw new SignalboxError("turn_lost", `${inputs.queue}: the agent has gone`);
		await hold(await wait(selected, timeoutMs, context));
	} catch (error) {
		await giveUp(id, context.env);
		throw error;
	}
}
/** Joins, and goes on waiting in the background. */
async function serverStart(context) {
	const inputs = joinInputs(context.env);
	if (sharedAgents(context.env).find(({ queue, state }) => queue === inputs.queue && state !== "ended") !== void 0) throw refusal(`queue-name: this job is in '${inputs.queue}' already; run action: server-stop before joining it again`);
	say(describeAgent(await begin(newAgentId("server-start"), inputs, context), systemClock).trimEnd());
}
/** Waits until the job holds its turn. Cancelled or timed out it leaves the place as it is: server-stop gives it up. */
async function clientWait(context) {
	const queue = queueInput();
	const timeoutMs = waitTimeoutInput();
	const selected = sharedAgent(queue, context.env);
	if (selected === void 0) {
		const where = queue === void 0 ? "no queue" : `no queue '${queue}'`;
		throw new SignalboxError("not_found", `this job is in ${where}; join it by a step with action: server-start before`);
	}
	await hold(await wait(selected, timeoutMs, context));
}
/** Leaves. Nothing to leave is no failure: the step runs under `if: always()`. */
async function serverStop({ env }) {
	const queue = queueInput();
	const selected = sharedAgent(queue, env);
	if (selected === void 0) {
		notice(`nothing to stop: this job is in no queue${queue === void 0 ? "" : ` '${queue}'`}`);
		return;
	}
	await leave(selected);
	const { fence, queue: left } = selected.agent;
	say(fence === void 0 ? `${left}: left the queue` : `${left}: the turn was given back (fence ${fence})`);
}
async function begin(id, inputs, context) {
	saveState("agent", id);
	saveState("queue", inputs.queue);
	const { agent, watched } = await join(id, inputs, context);
	if (watched === void 0) {
		const limit = inputs.flags.maxHold ?? "6h";
		say(`the runner's worker process cannot be seen from here, so a job that is killed may keep its turn for ${limit} (max-hold)`);
	}
	return agent;
}
/** After a failure of the main step, which is what is reported. */
async function giveUp(id, env) {
	const selected = agentById(id, env);
	if (selected === void 0) return;
	try {
		await leave(selected);
		say(`${selected.agent.queue}: left the queue`);
	} catch (error) {
		say(inputWords(error));
	}
}
async function wait(selected, timeoutMs, { level, signal }) {
	const { queue } = selected.agent;
	const fold = progressFold(`Waiting for the turn in ${queue}`, { quiet: level === "warn" || level === "error" });
	const reporter = new Reporter({
		queue,
		mode: "lines",
		stderr: fold.output,
		clock: systemClock
	});
	try {
		return await untilHeld(selected, {
			clock: systemClock,
			timeoutMs,
			reporter,
			signal
		});
	} catch (error) {
		if (!isSignalboxError(error, "wait_timeout")) throw error;
		const what = `${queue}: the turn did not come within ${formatDuration(timeoutMs)} (wait-timeout)`;
		throw new SignalboxError("wait_timeout", what, { cause: error });
	} finally {
		reporter.close();
		fold.close();
	}
}
async function hold(state) {
	const { queue, fence, waitedMs = 0, positionAtJoin } = state;
	setOutput("queue", queue);
	setOutput("fence", fence);
	setOutput("position-at-join", positionAtJoin);
	setOutput("waited-seconds", Math.round(waitedMs / 1e3));
	await announce(state);
}
// actions/turn/src/main.ts
/** The step itself. */
/** This module stays in the entry, beside the agent's; what is shared is moved into chunks. */
const agentProgram = fileURLToPath(new URL("agent.mjs", import.meta.url));
const forms = {
	take,
	"server-start": serverStart,
	"client-wait": clientWait,
	"server-stop": serverStop
};
await runStep(stepWords, async (signal) => {
	const token = tokenInput();
	if (token !== void 0) setSecret(token);
	const form = formInput();
	await forms[form]({
		env: process.env,
		level: remarks(form),
		agentProgram,
		signal
	});
});
/** Says what of the inputs has no effect. @returns how much is to be said */
function remarks(form) {
	const version = versionInput();
	if (version !== void 0) notice(`version: '${version.slice(0, 40)}' is ignored; the version is that of 'uses:'`);
	for (const name of idleInputs(form)) warning(`${name}: has no effect with action: ${form}`);
	const level = logLevelInput();
	if (level === void 0) warning("log-level: is not known; it may be debug, info, warn or error");
	return level ?? "info";
}
export {};
