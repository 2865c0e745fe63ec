import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { execFileSync } from "node:child_process";
// src/turns/agent/processes.ts
/**
* Other processes of this machine, as an agent and its commands see them.
*
* Invariant: a process is known by its id *and* its birth, so that a reused id is never taken for it. A zombie is dead:
* it can do nothing any more, and where nobody reaps it stays for ever.
*/
const linux = process.platform === "linux";
/** The process that runs a job's steps: github.com/actions/runner, src/Runner.Worker. */
const GITHUB_WORKER = "Runner.Worker";
/** @returns undefined when there is no such process */
function markOf(pid) {
	if (!answersSignals(pid)) return void 0;
	if (linux) {
		const stat = statOf(pid);
		if (stat === void 0) return { pid };
		return stat.dead ? void 0 : {
			pid,
			born: `${bootId()}/${stat.ticks}`
		};
	}
	const born = startedAt(pid);
	return born === void 0 ? { pid } : {
		pid,
		born
	};
}
/** Is this very process still there, and able to act? */
function isAlive(mark) {
	const now = markOf(mark.pid);
	return now !== void 0 && (mark.born === void 0 || now.born === void 0 || now.born === mark.born);
}
/** The worker that runs this job's steps: the nearest ancestor of `pid` of that name. Linux only. */
function githubWorkerAbove(pid) {
	if (!linux) return void 0;
	for (let at = pid; at > 1;) {
		const stat = statOf(at);
		if (stat === void 0) return void 0;
		if (stat.name === GITHUB_WORKER) return markOf(at);
		at = stat.parent;
	}
}
/** Who listens on a TCP port, for messages: `node (process 42)`; `another process` where that cannot be seen. */
function describeListener(port) {
	try {
		const sockets = new Set(["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) => listening(table, port)));
		const pid = readdirSync("/proc").find((name) => /^\d+$/.test(name) && holdsOneOf(name, sockets));
		if (pid !== void 0) {
			const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
			return `${basename(program) || "a process"} (process ${pid})`;
		}
	} catch {}
	return "another process";
}
/** See proc(5), `/proc/pid/stat`. */
function statOf(pid) {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, "latin1");
		const end = text.lastIndexOf(")");
		const fields = text.slice(end + 2).split(" ");
		const [state = "", parent] = fields;
		return {
			parent: Number(parent),
			name: text.slice(text.indexOf("(") + 1, end),
			dead: state === "Z" || state === "X",
			ticks: fields[19] ?? ""
		};
	} catch {
		return;
	}
}
function answersSignals(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return error.code === "EPERM";
	}
}
/** Start times on Linux count from the boot, of which this is one. */
function bootId() {
	try {
		return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
	} catch {
		return "";
	}
}
function startedAt(pid) {
	try {
		return execFileSync("ps", [
			"-o",
			"lstart=",
			"-p",
			String(pid)
		], {
			encoding: "utf8",
			timeout: 2e3,
			stdio: [
				"ignore",
				"pipe",
				"ignore"
			]
		}).trim() || void 0;
	} catch {
		return;
	}
}
/** Links as they appear in /proc/<pid>/fd. Format: Linux, Documentation/networking/proc_net_tcp. */
function listening(table, port) {
	const LISTEN = "0A";
	return readFileSync(table, "utf8").split("\n").map((line) => line.trim().split(/\s+/)).filter(([, local, , state]) => state === LISTEN && Number.parseInt(local?.split(":")[1] ?? "", 16) === port).map((columns) => `socket:[${columns[9]}]`);
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
export { markOf as i, githubWorkerAbove as n, isAlive as r, describeListener as t };
