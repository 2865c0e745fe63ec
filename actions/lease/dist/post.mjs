import { M as runStep, l as maskSecrets, n as releaseTaken, p as stepWords } from "./chunks/release.mjs";
// actions/lease/src/post.ts
/** The end of the job, whatever became of it: in the one-step form, gives back what the main step took. */
await runStep(stepWords, async (signal) => {
	const { env } = process;
	maskSecrets(env);
	await releaseTaken({
		env,
		signal
	});
});
export {};
