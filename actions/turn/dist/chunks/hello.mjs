import { t as require_undici } from "./undici.mjs";
import { i as parseJson, o as timeoutFailure, s as transportFailure } from "./failure.mjs";
import { t as SignalboxError } from "./error.mjs";
// src/version.ts
var import_undici = require_undici();
const version = "0.1.0";
// src/cli/hello.ts
/** The page of a server that answers everybody (`/healthz`): which version it is, and what its clock says. */
const LIMIT_MS = 1e4;
const MAX_ANSWER_BYTES = 65536;
/**
* Asks once.
* @throws SignalboxError `unavailable` when nobody answers, or somebody else
*/
async function hello({ url = "http://localhost", socketPath }, clock) {
	const { origin, pathname } = new URL(url);
	const facts = {
		address: socketPath ?? url.replace(/\/$/, ""),
		write: false
	};
	const hangUp = new AbortController();
	const timer = clock.timer(LIMIT_MS, () => hangUp.abort());
	const agent = new import_undici.Agent({
		connect: socketPath === void 0 ? {} : { socketPath },
		maxResponseSize: MAX_ANSWER_BYTES
	});
	try {
		const path = `${pathname.replace(/\/$/, "")}/healthz`;
		const response = await agent.request({
			origin,
			path,
			method: "GET",
			headers: { accept: "application/json" },
			signal: hangUp.signal
		});
		const { name, version: version$1 } = parseJson(await response.body.text()) ?? {};
		if (name !== "signalbox" || typeof version$1 !== "string") {
			const what = `what answers at ${facts.address} is not Signalbox (status ${response.statusCode}); check the address`;
			throw new SignalboxError("unavailable", what);
		}
		const date = Date.parse(String(response.headers["date"]));
		return {
			version: version$1,
			ownVersion: version,
			now: Number.isNaN(date) ? void 0 : date
		};
	} catch (error) {
		if (error instanceof SignalboxError) throw error;
		throw hangUp.signal.aborted ? timeoutFailure(LIMIT_MS, facts) : transportFailure(error, facts);
	} finally {
		timer.cancel();
		await agent.destroy();
	}
}
export { hello };
