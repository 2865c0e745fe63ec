import { n as systemClock, t as sleep } from "./clock.mjs";
import { a as toSignalboxError, t as SignalboxError } from "./error.mjs";
import { S as formatDuration, d as agentsFolder, f as checkFolder, g as logPath, h as lives, m as forget, n as agentRequest, p as clean, r as watchedProcess, t as systemRandom, v as readAgent, w as processSignals, x as takenId, y as readAgents } from "./id.mjs";
import { t as chooseEngine } from "./engine.mjs";
import { getCompileCacheDir } from "node:module";
import * as os from "os";
import { EOL } from "os";
import * as crypto from "crypto";
import * as fs from "fs";
import { constants, promises } from "fs";
import { fileURLToPath } from "node:url";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { spawn } from "node:child_process";
// node_modules/@actions/core/lib/utils.js
/**
* Sanitizes an input into a string so it can be passed into issueCommand safely
* @param input input to sanitize into a string
*/
function toCommandValue(input) {
	if (input === null || input === void 0) return "";
	else if (typeof input === "string" || input instanceof String) return input;
	return JSON.stringify(input);
}
/**
*
* @param annotationProperties
* @returns The command properties to send with the actual annotation command
* See IssueCommandProperties: https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionCommandManager.cs#L646
*/
function toCommandProperties(annotationProperties) {
	if (!Object.keys(annotationProperties).length) return {};
	return {
		title: annotationProperties.title,
		file: annotationProperties.file,
		line: annotationProperties.startLine,
		endLine: annotationProperties.endLine,
		col: annotationProperties.startColumn,
		endColumn: annotationProperties.endColumn
	};
}
// node_modules/@actions/core/lib/command.js
/**
* Issues a command to the GitHub Actions runner
*
* @param command - The command name to issue
* @param properties - Additional properties for the command (key-value pairs)
* @param message - The message to include with the command
* @remarks
* This function outputs a specially formatted string to stdout that the Actions
* runner interprets as a command. These commands can control workflow behavior,
* set outputs, create annotations, mask values, and more.
*
* Command Format:
*   ::name key=value,key=value::message
*
* @example
* ```typescript
* // Issue a warning annotation
* issueCommand('warning', {}, 'This is a warning message');
* // Output: ::warning::This is a warning message
*
* // Set an environment variable
* issueCommand('set-env', { name: 'MY_VAR' }, 'some value');
* // Output: ::set-env name=MY_VAR::some value
*
* // Add a secret mask
* issueCommand('add-mask', {}, 'secretValue123');
* // Output: ::add-mask::secretValue123
* ```
*
* @internal
* This is an internal utility function that powers the public API functions
* such as setSecret, warning, error, and exportVariable.
*/
function issueCommand(command, properties, message) {
	const cmd = new Command(command, properties, message);
	process.stdout.write(cmd.toString() + os.EOL);
}
function issue(name, message = "") {
	issueCommand(name, {}, message);
}
const CMD_STRING = "::";
var Command = class {
	constructor(command, properties, message) {
		if (!command) command = "missing.command";
		this.command = command;
		this.properties = properties;
		this.message = message;
	}
	toString() {
		let cmdStr = CMD_STRING + this.command;
		if (this.properties && Object.keys(this.properties).length > 0) {
			cmdStr += " ";
			let first = true;
			for (const key in this.properties) if (this.properties.hasOwnProperty(key)) {
				const val = this.properties[key];
				if (val) {
					if (first) first = false;
					else cmdStr += ",";
					cmdStr += `${key}=${escapeProperty(val)}`;
				}
			}
		}
		cmdStr += `${CMD_STRING}${escapeData(this.message)}`;
		return cmdStr;
	}
};
function escapeData(s) {
	return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
}
function escapeProperty(s) {
	return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/:/g, "%3A").replace(/,/g, "%2C");
}
// node_modules/@actions/core/lib/file-command.js
function issueFileCommand(command, message) {
	const filePath = process.env[`GITHUB_${command}`];
	if (!filePath) throw new Error(`Unable to find environment variable for file command ${command}`);
	if (!fs.existsSync(filePath)) throw new Error(`Missing file at path: ${filePath}`);
	fs.appendFileSync(filePath, `${toCommandValue(message)}${os.EOL}`, { encoding: "utf8" });
}
function prepareKeyValueMessage(key, value) {
	const delimiter = `ghadelimiter_${crypto.randomUUID()}`;
	const convertedValue = toCommandValue(value);
	if (key.includes(delimiter)) throw new Error(`Unexpected input: name should not contain the delimiter "${delimiter}"`);
	if (convertedValue.includes(delimiter)) throw new Error(`Unexpected input: value should not contain the delimiter "${delimiter}"`);
	return `${key}<<${delimiter}${os.EOL}${convertedValue}${os.EOL}${delimiter}`;
}
// node_modules/@actions/core/lib/summary.js
var __awaiter$1 = function(thisArg, _arguments, P, generator) {
	function adopt(value) {
		return value instanceof P ? value : new P(function(resolve) {
			resolve(value);
		});
	}
	return new (P || (P = Promise))(function(resolve, reject) {
		function fulfilled(value) {
			try {
				step(generator.next(value));
			} catch (e) {
				reject(e);
			}
		}
		function rejected(value) {
			try {
				step(generator["throw"](value));
			} catch (e) {
				reject(e);
			}
		}
		function step(result) {
			result.done ? resolve(result.value) : adopt(result.value).then(fulfilled, rejected);
		}
		step((generator = generator.apply(thisArg, _arguments || [])).next());
	});
};
const { access, appendFile, writeFile } = promises;
const SUMMARY_ENV_VAR = "GITHUB_STEP_SUMMARY";
var Summary = class {
	constructor() {
		this._buffer = "";
	}
	/**
	* Finds the summary file path from the environment, rejects if env var is not found or file does not exist
	* Also checks r/w permissions.
	*
	* @returns step summary file path
	*/
	filePath() {
		return __awaiter$1(this, void 0, void 0, function* () {
			if (this._filePath) return this._filePath;
			const pathFromEnv = process.env[SUMMARY_ENV_VAR];
			if (!pathFromEnv) throw new Error(`Unable to find environment variable for $${SUMMARY_ENV_VAR}. Check if your runtime environment supports job summaries.`);
			try {
				yield access(pathFromEnv, constants.R_OK | constants.W_OK);
			} catch (_a) {
				throw new Error(`Unable to access summary file: '${pathFromEnv}'. Check if the file has correct read/write permissions.`);
			}
			this._filePath = pathFromEnv;
			return this._filePath;
		});
	}
	/**
	* Wraps content in an HTML tag, adding any HTML attributes
	*
	* @param {string} tag HTML tag to wrap
	* @param {string | null} content content within the tag
	* @param {[attribute: string]: string} attrs key-value list of HTML attributes to add
	*
	* @returns {string} content wrapped in HTML element
	*/
	wrap(tag, content, attrs = {}) {
		const htmlAttrs = Object.entries(attrs).map(([key, value]) => ` ${key}="${value}"`).join("");
		if (!content) return `<${tag}${htmlAttrs}>`;
		return `<${tag}${htmlAttrs}>${content}</${tag}>`;
	}
	/**
	* Writes text in the buffer to the summary buffer file and empties buffer. Will append by default.
	*
	* @param {SummaryWriteOptions} [options] (optional) options for write operation
	*
	* @returns {Promise<Summary>} summary instance
	*/
	write(options) {
		return __awaiter$1(this, void 0, void 0, function* () {
			const overwrite = !!(options === null || options === void 0 ? void 0 : options.overwrite);
			const filePath = yield this.filePath();
			yield (overwrite ? writeFile : appendFile)(filePath, this._buffer, { encoding: "utf8" });
			return this.emptyBuffer();
		});
	}
	/**
	* Clears the summary buffer and wipes the summary file
	*
	* @returns {Summary} summary instance
	*/
	clear() {
		return __awaiter$1(this, void 0, void 0, function* () {
			return this.emptyBuffer().write({ overwrite: true });
		});
	}
	/**
	* Returns the current summary buffer as a string
	*
	* @returns {string} string of summary buffer
	*/
	stringify() {
		return this._buffer;
	}
	/**
	* If the summary buffer is empty
	*
	* @returns {boolen} true if the buffer is empty
	*/
	isEmptyBuffer() {
		return this._buffer.length === 0;
	}
	/**
	* Resets the summary buffer without writing to summary file
	*
	* @returns {Summary} summary instance
	*/
	emptyBuffer() {
		this._buffer = "";
		return this;
	}
	/**
	* Adds raw text to the summary buffer
	*
	* @param {string} text content to add
	* @param {boolean} [addEOL=false] (optional) append an EOL to the raw text (default: false)
	*
	* @returns {Summary} summary instance
	*/
	addRaw(text, addEOL = false) {
		this._buffer += text;
		return addEOL ? this.addEOL() : this;
	}
	/**
	* Adds the operating system-specific end-of-line marker to the buffer
	*
	* @returns {Summary} summary instance
	*/
	addEOL() {
		return this.addRaw(EOL);
	}
	/**
	* Adds an HTML codeblock to the summary buffer
	*
	* @param {string} code content to render within fenced code block
	* @param {string} lang (optional) language to syntax highlight code
	*
	* @returns {Summary} summary instance
	*/
	addCodeBlock(code, lang) {
		const attrs = Object.assign({}, lang && { lang });
		const element = this.wrap("pre", this.wrap("code", code), attrs);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML list to the summary buffer
	*
	* @param {string[]} items list of items to render
	* @param {boolean} [ordered=false] (optional) if the rendered list should be ordered or not (default: false)
	*
	* @returns {Summary} summary instance
	*/
	addList(items, ordered = false) {
		const tag = ordered ? "ol" : "ul";
		const listItems = items.map((item) => this.wrap("li", item)).join("");
		const element = this.wrap(tag, listItems);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML table to the summary buffer
	*
	* @param {SummaryTableCell[]} rows table rows
	*
	* @returns {Summary} summary instance
	*/
	addTable(rows) {
		const tableBody = rows.map((row) => {
			const cells = row.map((cell) => {
				if (typeof cell === "string") return this.wrap("td", cell);
				const { header, data, colspan, rowspan } = cell;
				const tag = header ? "th" : "td";
				const attrs = Object.assign(Object.assign({}, colspan && { colspan }), rowspan && { rowspan });
				return this.wrap(tag, data, attrs);
			}).join("");
			return this.wrap("tr", cells);
		}).join("");
		const element = this.wrap("table", tableBody);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds a collapsable HTML details element to the summary buffer
	*
	* @param {string} label text for the closed state
	* @param {string} content collapsable content
	*
	* @returns {Summary} summary instance
	*/
	addDetails(label, content) {
		const element = this.wrap("details", this.wrap("summary", label) + content);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML image tag to the summary buffer
	*
	* @param {string} src path to the image you to embed
	* @param {string} alt text description of the image
	* @param {SummaryImageOptions} options (optional) addition image attributes
	*
	* @returns {Summary} summary instance
	*/
	addImage(src, alt, options) {
		const { width, height } = options || {};
		const attrs = Object.assign(Object.assign({}, width && { width }), height && { height });
		const element = this.wrap("img", null, Object.assign({
			src,
			alt
		}, attrs));
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML section heading element
	*
	* @param {string} text heading text
	* @param {number | string} [level=1] (optional) the heading level, default: 1
	*
	* @returns {Summary} summary instance
	*/
	addHeading(text, level) {
		const tag = `h${level}`;
		const allowedTag = [
			"h1",
			"h2",
			"h3",
			"h4",
			"h5",
			"h6"
		].includes(tag) ? tag : "h1";
		const element = this.wrap(allowedTag, text);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML thematic break (<hr>) to the summary buffer
	*
	* @returns {Summary} summary instance
	*/
	addSeparator() {
		const element = this.wrap("hr", null);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML line break (<br>) to the summary buffer
	*
	* @returns {Summary} summary instance
	*/
	addBreak() {
		const element = this.wrap("br", null);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML blockquote to the summary buffer
	*
	* @param {string} text quote text
	* @param {string} cite (optional) citation url
	*
	* @returns {Summary} summary instance
	*/
	addQuote(text, cite) {
		const attrs = Object.assign({}, cite && { cite });
		const element = this.wrap("blockquote", text, attrs);
		return this.addRaw(element).addEOL();
	}
	/**
	* Adds an HTML anchor tag to the summary buffer
	*
	* @param {string} text link text/content
	* @param {string} href hyperlink
	*
	* @returns {Summary} summary instance
	*/
	addLink(text, href) {
		const element = this.wrap("a", text, { href });
		return this.addRaw(element).addEOL();
	}
};
const summary = new Summary();
/**
* The code to exit an action
*/
var ExitCode;
(function(ExitCode) {
	/**
	* A code indicating that the action was successful
	*/
	ExitCode[ExitCode["Success"] = 0] = "Success";
	/**
	* A code indicating that the action was a failure
	*/
	ExitCode[ExitCode["Failure"] = 1] = "Failure";
})(ExitCode || (ExitCode = {}));
/**
* Registers a secret which will get masked from logs
*
* @param secret - Value of the secret to be masked
* @remarks
* This function instructs the Actions runner to mask the specified value in any
* logs produced during the workflow run. Once registered, the secret value will
* be replaced with asterisks (***) whenever it appears in console output, logs,
* or error messages.
*
* This is useful for protecting sensitive information such as:
* - API keys
* - Access tokens
* - Authentication credentials
* - URL parameters containing signatures (SAS tokens)
*
* Note that masking only affects future logs; any previous appearances of the
* secret in logs before calling this function will remain unmasked.
*
* @example
* ```typescript
* // Register an API token as a secret
* const apiToken = "abc123xyz456";
* setSecret(apiToken);
*
* // Now any logs containing this value will show *** instead
* console.log(`Using token: ${apiToken}`); // Outputs: "Using token: ***"
* ```
*/
function setSecret(secret) {
	issueCommand("add-mask", {}, secret);
}
/**
* Gets the value of an input.
* Unless trimWhitespace is set to false in InputOptions, the value is also trimmed.
* Returns an empty string if the value is not defined.
*
* @param     name     name of the input to get
* @param     options  optional. See InputOptions.
* @returns   string
*/
function getInput(name, options) {
	const val = process.env[`INPUT_${name.replace(/ /g, "_").toUpperCase()}`] || "";
	if (options && options.required && !val) throw new Error(`Input required and not supplied: ${name}`);
	if (options && options.trimWhitespace === false) return val;
	return val.trim();
}
/**
* Gets the values of an multiline input.  Each value is also trimmed.
*
* @param     name     name of the input to get
* @param     options  optional. See InputOptions.
* @returns   string[]
*
*/
function getMultilineInput(name, options) {
	const inputs = getInput(name, options).split("\n").filter((x) => x !== "");
	if (options && options.trimWhitespace === false) return inputs;
	return inputs.map((input) => input.trim());
}
/**
* Sets the value of an output.
*
* @param     name     name of the output to set
* @param     value    value to store. Non-string values will be converted to a string via JSON.stringify
*/
function setOutput(name, value) {
	if (process.env["GITHUB_OUTPUT"] || "") return issueFileCommand("OUTPUT", prepareKeyValueMessage(name, value));
	process.stdout.write(os.EOL);
	issueCommand("set-output", { name }, toCommandValue(value));
}
/**
* Sets the action status to failed.
* When the action exits it will be with an exit code of 1
* @param message add error issue message
*/
function setFailed(message) {
	process.exitCode = ExitCode.Failure;
	error(message);
}
/**
* Writes debug message to user log
* @param message debug message
*/
function debug(message) {
	issueCommand("debug", {}, message);
}
/**
* Adds an error issue
* @param message error issue message. Errors will be converted to string via toString()
* @param properties optional properties to add to the annotation.
*/
function error(message, properties = {}) {
	issueCommand("error", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
/**
* Adds a warning issue
* @param message warning issue message. Errors will be converted to string via toString()
* @param properties optional properties to add to the annotation.
*/
function warning(message, properties = {}) {
	issueCommand("warning", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
/**
* Adds a notice issue
* @param message notice issue message. Errors will be converted to string via toString()
* @param properties optional properties to add to the annotation.
*/
function notice(message, properties = {}) {
	issueCommand("notice", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
/**
* Writes info to log with console.log.
* @param message info message
*/
function info(message) {
	process.stdout.write(message + os.EOL);
}
/**
* Begin an output group.
*
* Output until the next `groupEnd` will be foldable in this group
*
* @param name The name of the output group
*/
function startGroup(name) {
	issue("group", name);
}
/**
* End an output group.
*/
function endGroup() {
	issue("endgroup");
}
/**
* Saves state for current action, the state can only be retrieved by this action's post job execution.
*
* @param     name     name of the state to store
* @param     value    value to store. Non-string values will be converted to a string via JSON.stringify
*/
function saveState(name, value) {
	if (process.env["GITHUB_STATE"] || "") return issueFileCommand("STATE", prepareKeyValueMessage(name, value));
	issueCommand("save-state", { name }, toCommandValue(value));
}
/**
* Gets the value of an state set by this action's main execution.
*
* @param     name     name of the state to get
* @returns   string
*/
function getState(name) {
	return process.env[`STATE_${name}`] || "";
}
// actions/shared/log.ts
/**
* What actions say in the job's log.
*
* Invariant: text from elsewhere (labels of other members, reasons, a server's message) is never read as a command by the
* runner, which takes `::name::` at the start of a line and `##[name]` anywhere in it
* (github.com/actions/runner, src/Runner.Common/ActionCommand.cs).
*/
/** One line, or several, that the runner only prints. */
function say(text) {
	info(harmless(text));
}
/** A fold of the log for what is said while waiting; without any of it there is none. A quiet log keeps it for debugging. */
function progressFold(title, { quiet = false } = {}) {
	let open = false;
	const write = (text) => {
		if (quiet) {
			debug(harmless(text.trimEnd()));
			return;
		}
		if (!open) startGroup(title);
		open = true;
		say(text.trimEnd());
	};
	return {
		output: { write },
		close: () => open ? endGroup() : void 0
	};
}
/** A line on the page of the run. One that cannot be written is no reason to fail a step. */
async function summarise(line) {
	if (!process.env["GITHUB_STEP_SUMMARY"]) return;
	try {
		await summary.addRaw(line, true).write();
	} catch (error) {
		warning(`the job summary could not be written (${error.message})`);
	}
}
function harmless(text) {
	return text.replaceAll("##[", "# #[").replaceAll(/^(\s*)::/gm, "$1: :");
}
// actions/shared/step.ts
/**
* How a step of an action begins and ends: signals in, one clear line out.
*
* Invariants:
* - a failure is one annotation and exit code 1, never a stack trace;
* - a cancelled step ends by itself before the runner kills it: 7.5 s after SIGINT comes SIGTERM, 2.5 s later SIGKILL
*   (docs.github.com, workflow cancellation reference).
*/
const PATIENCE_MS = 6e3;
const CANCELLED = 130;
/** Runs a step to its end. The signal aborts when the step is cancelled. */
async function runStep({ words, leftBehind }, body) {
	process.on("uncaughtException", (error) => {
		setFailed(words(error));
		process.exit(1);
	});
	const cancelled = new AbortController();
	processSignals(() => {
		if (cancelled.signal.aborted) process.exit(CANCELLED);
		cancelled.abort(new SignalboxError("cancelled", "the step was cancelled"));
		const leaveIt = () => {
			warning(leftBehind);
			process.exit(CANCELLED);
		};
		systemClock.timer(PATIENCE_MS, leaveIt, { unref: true });
	});
	try {
		await body(cancelled.signal);
	} catch (error) {
		if (!cancelled.signal.aborted) setFailed(words(error));
		else say(error === cancelled.signal.reason ? "cancelled" : `cancelled: ${words(error)}`);
	}
	if (cancelled.signal.aborted) process.exitCode = CANCELLED;
}
// src/turns/cli/agent/select.ts
/** Its process ended without a word. */
function killedError({ queue, pid, id, ttlMs }) {
	const lapse = `its place lapses within ${formatDuration(ttlMs)}`;
	return new SignalboxError("turn_lost", `${queue}: agent ${id} (process ${pid}) was killed; ${lapse}`);
}
/** What an agent that ended by itself, or could not leave, is reported as. */
function endedError({ queue, id, end, log }) {
	const message = `${end?.message ?? `${queue}: agent ${id} has ended`}; see ${log}`;
	const code = end?.place === "unconfirmed" && end.why !== "lost" ? "unavailable" : "turn_lost";
	return new SignalboxError(code, message, { details: {
		queue,
		agent: id,
		why: end?.why ?? "failed"
	} });
}
/** Reports the end of an agent once and for all. */
function consume({ folder, agent }) {
	forget(folder, agent.id, { log: false });
	return endedError(agent);
}
// src/turns/cli/agent/start.ts
/**
* `turn agent start`: starts the agent's process and waits until it has a place in the queue.
*
* Invariants: the agent outlives this process only once it has reported that it joined (the end of their channel before
* that is an order to leave); a start that failed leaves neither a process nor a file behind.
*/
/**
* Starts an agent and waits until it has a place in the queue; prints nothing.
*
* @throws SignalboxError what kept the agent from joining; then there is no agent
*/
async function launchAgent(queue, flags, context, options = {}) {
	const { env, clock, random } = context;
	if (process.platform === "win32") throw new SignalboxError("invalid_argument", "this platform (win32) has no signals, so an agent cannot be told to leave; run it in WSL or a container");
	const { name } = agentRequest(queue, flags, {});
	chooseEngine(flags, env);
	const watched = watchedProcess(flags, env);
	const folder = agentsFolder(env);
	checkFolder(folder, { create: true });
	clean(folder, clock.now());
	const id = name ?? random.id().slice(0, 8);
	for (const old of readAgents(folder)) if (old.state === "ended" && (old.queue === queue || old.id === id)) forget(folder, old.id, { log: true });
	else if (old.id === id) throw takenId(id);
	return {
		state: await begin({
			id,
			folder,
			queue,
			flags,
			watched
		}, env, options),
		watched
	};
}
async function begin(order, env, { program = cliProgram(), signal }) {
	const { folder, id } = order;
	const log = openLog(folder, id);
	const child = launch(program, log, env);
	closeSync(log);
	const leave = () => void child.kill("SIGTERM");
	if (signal?.aborted === true) leave();
	signal?.addEventListener("abort", leave, { once: true });
	const report = await reportOf(child, order);
	signal?.removeEventListener("abort", leave);
	if (report?.type === "joined") {
		child.disconnect();
		child.unref();
		return report.state;
	}
	await ended(child);
	const said = report === void 0 ? lastLine(logPath(folder, id)) : "";
	if (report?.details["agent"] !== id) forget(folder, id, { log: true });
	if (report === void 0) throw new SignalboxError("internal", `the agent's process ended before it joined${said}`);
	throw new SignalboxError(report.code, report.message, { details: report.details });
}
function cliProgram() {
	const self = import.meta.url;
	return [
		fileURLToPath(new URL(`../../../cli/main.${self.endsWith(".ts") ? "ts" : "js"}`, self)),
		"turn",
		"agent",
		"serve"
	];
}
/** A session of its own: signals to this one, and the end of its terminal, do not reach it. */
function launch(program, log, env) {
	const cache = getCompileCacheDir();
	return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...program], {
		detached: true,
		stdio: [
			"ignore",
			log,
			log,
			"ipc"
		],
		env: {
			...env,
			...cache === void 0 ? {} : { NODE_COMPILE_CACHE: cache }
		}
	});
}
/** @returns undefined when it ended without a word */
function reportOf(child, order) {
	return new Promise((done) => {
		child.once("message", (message) => done(message));
		child.once("exit", () => done(void 0));
		child.once("error", () => done(void 0));
		child.send(order, () => void 0);
	});
}
function ended(child) {
	if (child.exitCode !== null || child.signalCode !== null || child.pid === void 0) return Promise.resolve();
	if (child.connected) child.disconnect();
	return new Promise((done) => child.once("exit", () => done()));
}
/** Appends: an agent of the same name before this one may have said why it ended. */
function openLog(folder, id) {
	const path = logPath(folder, id);
	try {
		return openSync(path, "a", 384);
	} catch (cause) {
		const { code } = cause;
		throw new SignalboxError("permission_denied", `${path}: cannot be written (${code})`, { cause });
	}
}
function lastLine(path) {
	try {
		const line = readFileSync(path, "utf8").trim().split("\n").at(-1) ?? "";
		return line === "" ? "" : `; it said: ${line}`;
	} catch {
		return "";
	}
}
// src/turns/cli/agent/stop.ts
const LOOK_MS = 25;
/** What an agent may need beyond the hold TTL, in which the server is told again and again. */
const END_MS = 2e4;
/**
* Makes an agent leave; prints nothing.
*
* @throws SignalboxError `turn_lost` when it had lost its place before, `unavailable`, `permission_denied`
*/
async function endAgent({ folder, agent }, clock) {
	if (agent.state !== "ended") terminate(agent);
	await untilEnded(agent, clock);
	const left = readAgent(folder, agent.id);
	if (left?.state === "ended" && left.pid === agent.pid) throw consume({
		folder,
		agent: left
	});
	if (left?.pid === agent.pid) {
		clean(folder, clock.now());
		throw killedError(agent);
	}
}
function terminate({ pid, queue }) {
	try {
		process.kill(pid, "SIGTERM");
		if (process.platform !== "win32") process.kill(pid, "SIGCONT");
	} catch (cause) {
		if (cause.code === "ESRCH") return;
		const what = `${queue}: process ${pid} may not be signalled; run as the user who started it`;
		throw new SignalboxError("permission_denied", what, { cause });
	}
}
async function untilEnded(agent, clock) {
	const { queue, pid, ttlMs } = agent;
	const until = clock.monotonic() + ttlMs + END_MS;
	while (lives(agent)) {
		if (clock.monotonic() >= until) {
			const what = `${queue}: process ${pid} does not end; is it stopped? Kill it, then its place lapses`;
			throw new SignalboxError("unavailable", what);
		}
		await sleep(clock, LOOK_MS);
	}
}
// actions/turn/src/log.ts
/** What the turn action alone says in the job's log. */
/** What the agent wrote, folded. It is gone when the agent ended as planned. */
function sayLogOf({ log, queue }) {
	const text = read(log).trim();
	if (text === "") return;
	startGroup(`Log of the agent for ${queue}`);
	say(text.split("\n").slice(-50).join("\n"));
	endGroup();
}
/** The turn, in the job's log and on the page of the run. */
async function announce({ queue, fence = 0, waitedMs = 0, positionAtJoin = 0 }) {
	const waited = formatDuration(waitedMs);
	say(`${queue}: your turn (fence ${fence}, waited ${waited})`);
	await summarise(`Turn queue \`${queue}\`: ${waitedMs < 1e3 ? "the turn was free" : `waited ${waited} from position ${positionAtJoin} of the line`}, fence ${fence}. Waiting in a job spends runner minutes.`);
}
function read(path) {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
// actions/turn/src/agents.ts
/**
* The agents of this job: background processes that hold its places (docs/turns-agent.md). Their state files lie under
* RUNNER_TEMP, which each runner has for itself and empties for each job, so jobs beside each other never meet.
*
* Invariants:
* - a step of the three-step form sees the agents of `server-start` alone, and never guesses between two;
* - the end of an agent that nobody asked for is reported by exactly one step, as a failure.
*/
/** Begins the ids of the agents that `server-start` leaves to later steps. */
const SHARED = "job-";
/** Ids are made before the agent is, so that the post step finds what a crashed main left. */
function newAgentId(form) {
	return `${form === "take" ? "step-" : SHARED}${systemRandom.id().slice(0, 8)}`;
}
/** Joins the queue. @throws SignalboxError what kept it from joining; the signal aborted: `cancelled` */
async function join(id, { queue, flags, secrets }, options) {
	const { env, agentProgram, signal } = options;
	const context = {
		env: {
			...withoutInputs(env),
			...secrets
		},
		clock: systemClock,
		random: systemRandom
	};
	try {
		const { state, watched } = await launchAgent(queue, {
			...flags,
			name: id
		}, context, {
			program: [agentProgram],
			signal
		});
		return {
			agent: state,
			watched
		};
	} catch (error) {
		throw signal.aborted ? signal.reason : error;
	}
}
/** The agents that `server-start` left, living or not, in the order of their starts. */
function sharedAgents(env) {
	return readAgents(agentsFolder(env)).filter(({ id }) => id.startsWith(SHARED));
}
/**
* The one agent of `server-start` that a later step means; of those that have ended, only where none lives.
*
* @returns undefined when there is none
* @throws SignalboxError `invalid_argument` that names the queues
*/
function sharedAgent(queue, env) {
	const all = sharedAgents(env).filter((agent) => queue === void 0 || agent.queue === queue);
	const living = all.filter((agent) => agent.state !== "ended");
	const [agent, ...others] = living.length > 0 ? living : all;
	if (agent === void 0) return void 0;
	if (others.length === 0) return {
		folder: agentsFolder(env),
		agent
	};
	const names = [agent, ...others].map((one) => one.queue).join(", ");
	throw new SignalboxError("invalid_argument", `queue-name: is missing; this job is in several queues: ${names}`);
}
/** @returns undefined when it has ended as planned, or never was */
function agentById(id, env) {
	const folder = agentsFolder(env);
	const agent = readAgent(folder, id);
	return agent === void 0 ? void 0 : {
		folder,
		agent
	};
}
/** Was this agent killed, and its state file cleared away since? Its log is then left. */
function vanished(id, env) {
	return existsSync(logPath(agentsFolder(env), id));
}
/** Leaves the queue; returns when the place is gone. @throws SignalboxError `turn_lost`, `unavailable` */
async function leave({ folder, agent }) {
	try {
		if (agent.state !== "ended" && !lives(agent)) {
			forget(folder, agent.id, { log: false });
			throw killedError(agent);
		}
		await endAgent({
			folder,
			agent
		}, systemClock);
	} catch (error) {
		sayLogOf(agent);
		forget(folder, agent.id, { log: true });
		throw error;
	}
}
/** Inputs are the step's own; what the agent needs of them it is told. */
function withoutInputs(env) {
	return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(INPUT|STATE)_/.test(name)));
}
// actions/turn/src/words.ts
/** Messages of the shared code in the words of the action's inputs: `--max-hold` there is `max-hold` here. */
/** Flags whose input has another name. */
const RENAMED = {
	label: "labels",
	"data-dir": "SIGNALBOX_DATA_DIR",
	"firestore-database": "gcp-database"
};
/** One line: what is wrong, which input, what to do. */
function inputWords(thrown) {
	const error = toSignalboxError(thrown);
	const text = error.message.replaceAll(/\s*\n\s*/g, " ").replace(/^queue: /, "queue-name: ").replace(/^server URL /, "url: server URL ").replaceAll(/--([a-z][a-z-]*[a-z])/g, (_, flag) => RENAMED[flag] ?? flag);
	return error.code === "internal" ? `internal error: ${text}; this is a defect, please report it` : text;
}
const stepWords = {
	words: inputWords,
	leftBehind: "the leaving is not confirmed yet; the agent goes on with it as long as this job lasts"
};
/** A failure of the action's own. */
function refusal(message) {
	return new SignalboxError("invalid_argument", message);
}
export { setSecret as C, setOutput as S, getInput as _, join as a, notice as b, sharedAgent as c, announce as d, endedError as f, say as g, progressFold as h, agentById as i, sharedAgents as l, runStep as m, refusal as n, leave as o, killedError as p, stepWords as r, newAgentId as s, inputWords as t, vanished as u, getMultilineInput as v, warning as w, saveState as x, getState as y };
