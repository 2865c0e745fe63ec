import { n as DEFAULT_TTL_MS, t as DEFAULT_STOP_GRACE_MS } from "./api.mjs";
// src/turns/timing.ts
/**
* The few numbers that make a turn safe, in one place; members, observers and documentation all take them from here.
*
* A holder stops at `send time of its last acknowledged claim or beat + TTL − margin`. An observer evicts only after it
* has seen one and the same beat for a whole TTL, counted from an answer that came after that beat was stored. So
* the holder's end comes at least `margin` before a successor's start, as long as two clocks' *rates* differ by less than
* 15 % (margin / TTL, less what `elapsedMs` adds); their readings are never compared.
*/
/** How often a member in the window, or a holder, beats: 10 s, or a sixth of a TTL below 45 s. */
function beatInterval(ttlMs) {
	return ttlMs >= 45e3 ? 1e4 : Math.floor(ttlMs / 6);
}
/** How long before its TTL a holder counts its turn as over: a fifth of it. */
function safetyMargin(ttlMs) {
	return Math.ceil(ttlMs / 5);
}
/** How often a waiter far from the front asks for its position: at most every 30 s, at least thrice a TTL. */
function deepPollInterval(ttlMs) {
	return Math.min(3e4, Math.floor(ttlMs / 3));
}
/** A TTL must leave room for three beats, the margin and the time a command gets to stop. */
function ttlIsWorkable(ttlMs, stopGraceMs = DEFAULT_STOP_GRACE_MS) {
	return ttlMs >= 3 * beatInterval(ttlMs) + safetyMargin(ttlMs) + stopGraceMs;
}
/** The shortest TTL in whole milliseconds that works with this stop grace. */
function minimumTtl(stopGraceMs = DEFAULT_STOP_GRACE_MS) {
	let ttlMs = Math.ceil(stopGraceMs / .3);
	if (ttlMs >= 45e3) ttlMs = Math.max(DEFAULT_TTL_MS, Math.ceil((3e4 + stopGraceMs) / .8));
	while (!ttlIsWorkable(ttlMs, stopGraceMs)) ttlMs++;
	return ttlMs;
}
export { ttlIsWorkable as a, safetyMargin as i, deepPollInterval as n, minimumTtl as r, beatInterval as t };
