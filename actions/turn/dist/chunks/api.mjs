import { _ as string, a as array, f as number, h as record, i as _enum, o as boolean, p as object } from "./schemas.mjs";
// src/turns/api.ts
/**
* What a turn queue offers to its faces (HTTP, CLI, library): the vocabulary and one interface, `TurnsApi`, which the
* service implements next to a store and the HTTP client implements at a distance. Code that takes turns is written
* against this interface alone.
*
* A *turn queue* has *members*: *waiters* in ticket order within their priority, and at most `permits` *holders*. Each
* grant carries a *fence*, a number that only ever grows per queue. A member proves that it lives by beats; one that
* is silent for its hold TTL may be evicted.
*/
/** 1–128 of letters, digits and `_ . / : @ -`; not `.` or `..`, which proxies take for steps in a path. */
const queueName = string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._/:@-]{1,128}$/, "must be 1 to 128 characters of A-Z a-z 0-9 . _ / : @ -");
/** Made by the caller, random per join; the join is idempotent by it. */
const memberId = string().regex(/^[A-Za-z0-9_-]{8,64}$/, "must be 8 to 64 characters of A-Z a-z 0-9 _ -");
const DEFAULT_TTL_MS = 45e3;
const MAX_TTL_MS = 864e5;
/** Time between SIGTERM and SIGKILL of a command whose turn is ending. */
const DEFAULT_STOP_GRACE_MS = 5e3;
/** Display only: repository, run id, CI job, actor, url. */
const labels = record(string().min(1).max(64), string().max(256)).refine((l) => Object.keys(l).length <= 16, "at most 16 labels");
const joinBody = object({
	id: memberId.describe("Made by the caller, random per join. Repeating a join with the same id changes nothing."),
	permits: number().int().min(1).max(500).optional().describe("How many may hold at once. Set when the queue is first used (default 1); a join that states another number is refused."),
	priority: number().int().min(0).max(99).optional().describe("Higher goes first. Default 50."),
	ttlMs: number().int().min(1e3).max(MAX_TTL_MS).optional().describe("Hold TTL: a member silent for this long may be evicted. Default 45000."),
	labels: labels.optional().describe("Shown to people, never used in a decision."),
	waitMs: number().int().min(0).max(6e4).optional().describe("Wait up to this long for the turn before answering.")
});
object({
	waitMs: number().int().min(0).max(6e4).optional().describe("Answer at the latest after this long. Default 0: at once."),
	seenPosition: number().int().min(0).optional().describe("Answer earlier when the position differs from this one.")
});
object({ fence: number().int().min(1).describe("The fence of the grant.") });
const memberState = _enum([
	"waiting",
	"holding",
	"left",
	"lost"
]);
const memberView = object({
	queue: queueName,
	id: memberId,
	/** `left`: gone by its own wish. `lost`: it held and was silent for a TTL, or an operator evicted it. */
	state: memberState,
	ticket: number().int().describe("Order of joining; strictly increasing per queue."),
	priority: number().int(),
	permits: number().int(),
	ttlMs: number().int(),
	fence: number().int().optional().describe("Present while holding: greater than every fence granted before on this queue."),
	position: number().int().describe("0 while holding, 1 for the next in line."),
	positionExact: boolean().describe("False beyond 100, where the position is an estimate."),
	inWindow: boolean().describe("Near the front: poll at least once per beat interval, or be taken for dead."),
	pollMs: number().int().describe("Ask again, or beat, at least this often."),
	estimatedWaitMs: number().int().optional().describe("From the average of past holds; absent while there is none."),
	holders: array(object({
		id: memberId,
		fence: number().int(),
		sinceMs: number().int(),
		labels: labels.optional()
	})).max(3).describe("Up to three of those who hold now; sinceMs: for how long."),
	queueState: _enum(["paused", "draining"]).optional().describe("Present when the queue is not open: paused grants nothing, draining takes no new members."),
	reason: string().optional().describe("Why the queue is not open, or why an operator ended this member."),
	elapsedMs: number().describe("How long the server had had this request when the answer was decided; a deadline counts from sending time + this.")
});
const note = object({
	by: string(),
	at: string(),
	reason: string()
});
const holderView = object({
	id: memberId,
	ticket: number().int(),
	fence: number().int(),
	priority: number().int(),
	joinedAt: string(),
	grantedAt: string(),
	ttlMs: number().int(),
	labels,
	ending: note.optional().describe("An operator has ended it; its permit is free when it has left.")
});
const waiterView = object({
	id: memberId,
	ticket: number().int(),
	priority: number().int(),
	position: number().int(),
	joinedAt: string(),
	ttlMs: number().int(),
	inWindow: boolean(),
	labels
});
const queueView = object({
	queue: queueName,
	permits: number().int(),
	state: _enum([
		"open",
		"paused",
		"draining"
	]),
	note: note.optional().describe("Why it is not open."),
	holders: array(holderView),
	waiters: array(waiterView).describe("In the order in which they will be granted; at most `limit`."),
	moreWaiters: boolean().describe("More wait than are listed."),
	lastTicket: number().int(),
	lastFence: number().int(),
	averageHoldMs: number().int().optional()
});
const queueSummary = object({
	queue: queueName,
	permits: number().int(),
	state: _enum([
		"open",
		"paused",
		"draining"
	]),
	holding: number().int(),
	waiting: number().int()
});
/** What `leave` found: `released` and `withdrawn` name what it ended; `gone` is an answer, not an error. */
const leaveView = object({ outcome: _enum([
	"released",
	"withdrawn",
	"gone"
]) });
const beatView = object({ elapsedMs: number() });
/** Every change by an operator has a reason; it is shown to those it concerns and stands in the audit log. */
const reason = string().trim().min(1).max(500);
object({ reason });
object({ reason: reason.optional() });
object({
	permits: number().int().min(1).max(500),
	reason
});
object({
	reason,
	force: boolean().optional().describe("Free the permit of a holder at once, though its work may still run. Only the fence protects you then.")
});
const changedView = object({ changed: boolean().describe("False: it was so already.") });
const evictView = object({ 
/** `ending`: a holder that must stop; its permit is free when it has left, or was silent for a TTL. */
outcome: _enum([
	"evicted",
	"ending",
	"gone"
]) });
const pastHoldView = object({
	id: memberId,
	ticket: number().int(),
	fence: number().int(),
	priority: number().int(),
	joinedAt: string(),
	grantedAt: string(),
	endedAt: string(),
	heldMs: number().int(),
	/** `lost`: silent for a whole TTL; `evicted`: by an operator. */
	as: _enum([
		"released",
		"lost",
		"evicted"
	]),
	labels,
	note: note.optional()
});
const historyView = object({
	holds: array(pastHoldView),
	next: number().int().optional()
});
export { changedView as a, joinBody as c, memberView as d, queueName as f, beatView as i, labels as l, queueView as m, DEFAULT_TTL_MS as n, evictView as o, queueSummary as p, MAX_TTL_MS as r, historyView as s, DEFAULT_STOP_GRACE_MS as t, leaveView as u };
