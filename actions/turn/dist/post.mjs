import { g as say, i as agentById, m as runStep, o as leave, r as stepWords, u as vanished, y as getState } from "./chunks/words.mjs";
import { t as SignalboxError } from "./chunks/error.mjs";
// actions/turn/src/post.ts
/**
* The end of the job, whatever became of it: gives back what its main step took. For a `server-start` whose `server-stop` has
* run nothing is left to do.
*
* Invariant: a turn that was lost while the job worked fails the job here, if no other step has said so.
*/
await runStep(stepWords, async () => {
	const id = getState("agent");
	if (id === "") return;
	const selected = agentById(id, process.env);
	if (selected !== void 0) {
		await leave(selected);
		const { queue, fence } = selected.agent;
		say(fence === void 0 ? `${queue}: left the queue` : `${queue}: the turn was given back (fence ${fence})`);
	} else if (vanished(id, process.env)) throw new SignalboxError("turn_lost", `${getState("queue")}: agent ${id} was killed while the job worked, so the turn was lost`);
});
export {};
