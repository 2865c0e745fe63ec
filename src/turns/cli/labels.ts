/** Who takes a turn, for the eyes of others: never used in a decision. */
import { hostname, userInfo } from 'node:os'

type Env = Readonly<Record<string, string | undefined>>

/** From GitHub Actions: label → variable. */
const GITHUB = {
  repository: 'GITHUB_REPOSITORY',
  run: 'GITHUB_RUN_ID',
  attempt: 'GITHUB_RUN_ATTEMPT',
  job: 'GITHUB_JOB',
  actor: 'GITHUB_ACTOR',
} as const

const MAX_VALUE = 256

/** Host, user and process; in GitHub Actions also repository, run, attempt, job, actor and the run's URL. */
export function defaultLabels(env: Env): Record<string, string> {
  const facts: Record<string, string | undefined> = {
    ...(env['GITHUB_ACTIONS'] === 'true' ? github(env) : {}),
    host: hostname(),
    user: user(env),
    pid: String(process.pid),
  }
  return Object.fromEntries(
    Object.entries(facts).flatMap(([key, value]) =>
      value === undefined || value === '' ? [] : [[key, value.slice(0, MAX_VALUE)]],
    ),
  )
}

/** Who acts: the actor of a workflow run, else `ann@laptop`. */
export function actorName(env: Env): string {
  const { actor, user = 'unknown', host } = defaultLabels(env)
  return actor ?? `${user}@${host}`
}

/** `acme/web build #4711`, `ann@laptop`; undefined when the labels say nothing of the kind. */
export function labelName(labels: Readonly<Record<string, string>> | undefined): string | undefined {
  if (labels === undefined) return undefined
  const { name, repository, job, run, user, host } = labels
  if (name !== undefined) return name
  if (repository !== undefined) {
    return [repository, job, run === undefined ? undefined : `#${run}`].filter(Boolean).join(' ')
  }
  return user !== undefined && host !== undefined ? `${user}@${host}` : (host ?? user)
}

function github(env: Env): Record<string, string | undefined> {
  const facts = Object.fromEntries(Object.entries(GITHUB).map(([label, name]) => [label, env[name]]))
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run } = env
  const known = server !== undefined && repository !== undefined && run !== undefined
  return known ? { ...facts, url: `${server}/${repository}/actions/runs/${run}` } : facts
}

function user(env: Env): string | undefined {
  try {
    return userInfo().username
  } catch {
    // The user id has no entry in the password file, as in many containers.
    return env['USER']
  }
}
