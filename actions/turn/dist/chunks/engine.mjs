import { t as SignalboxError } from "./error.mjs";
// src/cli/engine.ts
/**
* Which engine a command works on, one rule for all: a cloud engine that was chosen explicitly (`--backend`,
* SIGNALBOX_BACKEND), else a server (`connect.ts` finds out which).
*
* Invariants: what a caller writes goes before the environment, so `--url` beats SIGNALBOX_BACKEND; an input that the
* chosen backend has no use for is refused if it was written, and ignored if it only stands in the environment;
* whatever can be checked without the network is checked here.
*/
const flagNames = {
	url: "--url",
	dataDir: "--data-dir",
	backend: "--backend",
	queueTable: "--queue-table",
	gcpProject: "--gcp-project",
	gcpDatabase: "--gcp-database",
	firestoreDatabase: "--firestore-database",
	guard: "--guard"
};
const BACKENDS = {
	server: "server",
	aws: "aws",
	dynamodb: "aws",
	gcp: "gcp",
	firestore: "gcp"
};
const FITS = {
	url: ["server"],
	dataDir: ["server"],
	queueTable: ["aws", "gcp"],
	gcpProject: ["gcp"],
	gcpDatabase: ["gcp"],
	firestoreDatabase: ["gcp"],
	guard: ["aws", "gcp"]
};
/**
* Decides by the rule above.
*
* @throws SignalboxError `invalid_argument` that names the flag or variable; `config_invalid` when there is no project
*/
function chooseEngine(options, env, names = flagNames) {
	const { value, from } = chosenBackend(options, env, names);
	const backend = BACKENDS[value];
	if (backend === void 0) throw invalid(from, `'${shown(value)}' must be server, aws (or dynamodb) or gcp (or firestore)`);
	refuseMisfits(options, {
		backend,
		from,
		names
	});
	if (backend === "server") return { backend };
	const guard = guardOf(options, env, names);
	const shared = [{
		name: "backend",
		value: backend,
		from
	}];
	const guarding = {
		name: "guard",
		...guard
	};
	const table = written(options, "queueTable", names) ?? fromEnv(env, "SIGNALBOX_QUEUE_TABLE") ?? byDefault("github-actions-dynamo-q-queue");
	const choice = backend === "aws" ? aws(table, env) : gcp(table, options, env, names);
	return {
		...choice,
		guard: guard.value === "on",
		settings: [
			...shared,
			...choice.settings,
			guarding
		]
	};
}
/** For people: `DynamoDB table deploys (eu-west-1)`. */
function describeEngine(choice) {
	if (choice.backend === "aws") {
		const { table, region = "the region of the AWS SDK", endpoint } = choice;
		return `DynamoDB table ${table} (${region}${endpoint === void 0 ? "" : `, ${endpoint}`})`;
	}
	const { collection, database, project, emulatorHost } = choice;
	return `Firestore collection ${collection} of database ${database} (${project === void 0 ? "project of the credentials" : `project ${project}`}${emulatorHost === void 0 ? "" : `, emulator ${emulatorHost}`})`;
}
function chosenBackend(options, env, names) {
	const { url, dataDir } = options;
	return written(options, "backend", names) ?? (url === void 0 && dataDir === void 0 ? fromEnv(env, "SIGNALBOX_BACKEND") : void 0) ?? byDefault("server");
}
function refuseMisfits(options, { backend, from, names }) {
	for (const [input, fits] of Object.entries(FITS)) {
		const name = input;
		if (options[name] === void 0 || fits.includes(backend)) continue;
		const wanted = `${fits.length === 1 ? "backend" : "backends"} ${fits.join(" and ")}`;
		throw invalid(names[name], `is for the ${wanted}, but the backend here is ${backend} (${from}); choose another one with ${names.backend}, or leave ${names[name]} away`);
	}
}
function aws(table, env) {
	if (!/^[a-zA-Z0-9_.-]{3,255}$/.test(table.value)) throw invalid(table.from, `'${shown(table.value)}' is not the name of a DynamoDB table: 3 to 255 characters of A-Z a-z 0-9 _ . -`);
	const region = fromEnv(env, "AWS_REGION", "AWS_DEFAULT_REGION");
	const endpoint = fromEnv(env, "DYNAMODB_ENDPOINT_URL");
	if (endpoint !== void 0 && !isHttpUrl(endpoint.value)) throw invalid(endpoint.from, `'${shown(endpoint.value)}' is not an http:// or https:// URL; write for example http://127.0.0.1:8000`);
	return {
		backend: "aws",
		table: table.value,
		region: region?.value,
		endpoint: endpoint?.value,
		settings: settings({
			table,
			region,
			endpoint: endpoint ?? fromEnv(env, "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
		})
	};
}
function gcp(collection, options, env, names) {
	if (!isCollectionId(collection.value)) throw invalid(collection.from, `'${shown(collection.value)}' is not the id of a Firestore collection: 1 to 1500 bytes without /, not ., .. or __…__`);
	const database = databaseOf(options, env, names);
	const emulator = fromEnv(env, "FIRESTORE_EMULATOR_HOST");
	if (emulator !== void 0 && !/^[^/\s]+:\d{1,5}$/.test(emulator.value)) throw invalid(emulator.from, `'${shown(emulator.value)}' is not host:port; write for example 127.0.0.1:8080`);
	const project = projectOf(options, env, names, emulator);
	return {
		backend: "gcp",
		collection: collection.value,
		database: database.value,
		project: project?.value,
		emulatorHost: emulator?.value,
		settings: settings({
			collection,
			database,
			project,
			emulator
		})
	};
}
/** https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields, without white space. */
function isCollectionId(text) {
	return /^[^/\s]+$/.test(text) && !/^(?:\.\.?|__.*__)$/.test(text) && Buffer.byteLength(text) <= 1500;
}
/** Ids: https://cloud.google.com/firestore/docs/manage-databases#database_id */
function databaseOf(options, env, names) {
	const one = written(options, "gcpDatabase", names);
	const other = written(options, "firestoreDatabase", names);
	if (one !== void 0 && other !== void 0 && one.value !== other.value) throw invalid(one.from, `and ${other.from} are the same and contradict each other; give one of them`);
	const database = one ?? other ?? fromEnv(env, "SIGNALBOX_GCP_DATABASE") ?? byDefault("github-dynamoq");
	if (database.value === "(default)" || /^[a-z][a-z0-9-]{2,61}[a-z0-9]$/.test(database.value)) return database;
	throw invalid(database.from, `'${shown(database.value)}' is not the id of a Firestore database: (default), or 4 to 63 characters of a-z 0-9 -, a letter first`);
}
/** Named, or left to the file of credentials. Anything else would have to be asked of the network. */
function projectOf(options, env, names, emulator) {
	const project = written(options, "gcpProject", names) ?? fromEnv(env, "SIGNALBOX_GCP_PROJECT", "GCP_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT");
	if (project !== void 0) {
		if (/^[^/\s]{1,100}$/.test(project.value)) return project;
		throw invalid(project.from, `'${shown(project.value)}' is not the id of a Google Cloud project`);
	}
	if (emulator === void 0 && fromEnv(env, "GOOGLE_APPLICATION_CREDENTIALS") !== void 0) return void 0;
	throw refusal("config_invalid", names.gcpProject, `missing; name the Google Cloud project here, or set GCP_PROJECT or GOOGLE_CLOUD_PROJECT`);
}
function guardOf(options, env, names) {
	const guard = written(options, "guard", names) ?? fromEnv(env, "SIGNALBOX_GUARD") ?? byDefault("on");
	if (guard.value === "on" || guard.value === "off") return guard;
	throw invalid(guard.from, `'${shown(guard.value)}' must be on or off`);
}
function written(options, input, names) {
	const value = options[input];
	return value === void 0 ? void 0 : {
		value,
		from: names[input]
	};
}
/** The first of these variables that is set; an empty one counts as none. */
function fromEnv(env, ...variables) {
	for (const from of variables) {
		const value = env[from]?.trim();
		if (value !== void 0 && value !== "") return {
			value,
			from
		};
	}
}
function byDefault(value) {
	return {
		value,
		from: "default"
	};
}
function settings(all) {
	return Object.entries(all).flatMap(([name, found]) => found === void 0 ? [] : [{
		name,
		...found
	}]);
}
function isHttpUrl(text) {
	return URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol);
}
function shown(text) {
	return text.slice(0, 60);
}
function invalid(input, why) {
	return refusal("invalid_argument", input, why);
}
function refusal(code, input, why) {
	return new SignalboxError(code, `${input}: ${why}`, { details: { field: input } });
}
export { describeEngine as n, flagNames as r, chooseEngine as t };
