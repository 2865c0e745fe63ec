/**
 * The inputs of the action, checked before anything is started. `action.yml` is their description.
 *
 * Invariants: an input that was not given reads as undefined (GitHub hands over an empty text); every refusal names the input.
 */
import { getMultilineInput } from '@actions/core'
import { chooseEngine, type InputNames } from '../../../src/cli/engine.ts'
import { parseDuration } from '../../../src/kernel/duration.ts'
import { agentRequest, type StartFlags } from '../../../src/turns/cli/agent/request.ts'
import { queueArgument } from '../../../src/turns/cli/run-request.ts'
import { idTokenAudience } from '../../shared/id-token.ts'
import { given, input, invalid, shown, type Env } from '../../shared/inputs.ts'

/** What this step is asked to do; `take` is the one-step form. */
export type Form = 'take' | 'server-start' | 'client-wait' | 'server-stop'

/** How to join a queue. */
export interface JoinInputs {
  readonly queue: string
  readonly flags: StartFlags
  /** For the agent: what it needs to know and may not read on its command line. */
  readonly secrets: Readonly<Record<string, string>>
}

const FORMS = ['server-start', 'client-wait', 'server-stop'] as const
const LEVELS = ['debug', 'info', 'warn', 'error'] as const

const inputNames: InputNames = {
  url: 'url',
  dataDir: 'SIGNALBOX_DATA_DIR',
  backend: 'backend',
  queueTable: 'queue-table',
  gcpProject: 'gcp-project',
  gcpDatabase: 'gcp-database',
  firestoreDatabase: 'gcp-database',
  guard: 'guard',
}

export type LogLevel = (typeof LEVELS)[number]

/** @throws SignalboxError `invalid_argument` */
export function formInput(): Form {
  const text = input('action')
  if (text === undefined) return 'take'
  const form = FORMS.find((name) => name === text)
  if (form !== undefined) return form
  throw invalid('action', `'${shown(text)}' must be ${FORMS.join(', ')}, or left away for the one-step form`)
}

/** @throws SignalboxError `invalid_argument` */
export function joinInputs(env: Env): JoinInputs {
  const name = input('queue-name')
  if (name === undefined) throw invalid('queue-name', 'is missing; name the queue to join')
  const queue = queueArgument(name)
  const { flags: where, secrets } = engineInputs(env)
  const flags: StartFlags = {
    ...given('permits', input('permits')),
    ...given('priority', input('priority')),
    ...given('ttl', input('ttl')),
    ...given('maxHold', input('max-hold')),
    ...given('onLost', input('on-lost')),
    label: getMultilineInput('labels'),
    ...where,
  }
  agentRequest(queue, flags, {})
  const token = flags.onLost === 'cancel-run' ? (env['GITHUB_TOKEN'] ?? input('github-token')) : undefined
  return { queue, flags, secrets: { ...secrets, ...given('GITHUB_TOKEN', token) } }
}

/** Which of the job's queues; undefined: the only one. @throws SignalboxError `invalid_argument` */
export function queueInput(): string | undefined {
  const name = input('queue-name')
  return name === undefined ? undefined : queueArgument(name)
}

/** In ms; `Infinity` when none was given. @throws SignalboxError `invalid_argument` */
export function waitTimeoutInput(): number {
  const text = input('wait-timeout')
  return text === undefined ? Infinity : parseDuration(text, 'wait-timeout')
}

/** A level that is not known reads as undefined: no reason to fail a job. */
export function logLevelInput(): LogLevel | undefined {
  const text = (input('log-level') ?? 'info').toLowerCase().replace(/^warning$/, 'warn')
  return LEVELS.find((level) => level === text)
}

/** The version asked for, where one was; the action has its own. */
export function versionInput(): string | undefined {
  const text = input('version')
  return text === 'latest' ? undefined : text
}

/** Inputs that were given and do nothing in this form. */
export function idleInputs(form: Form): string[] {
  const joining = ['permits', 'priority', 'ttl', 'max-hold', 'labels', 'url', 'audience', 'guard']
  const idle: Readonly<Record<Form, readonly string[]>> = {
    take: [],
    'server-start': ['wait-timeout'],
    'client-wait': joining,
    'server-stop': [...joining, 'wait-timeout'],
  }
  return idle[form].filter((name) => input(name) !== undefined)
}

/** The token, for masking, whatever else is wrong. */
export function tokenInput(): string | undefined {
  return input('token')
}

/** Only what the backend has a use for is handed on: some inputs have defaults, and so are always there. */
function engineInputs(env: Env): Pick<JoinInputs, 'flags' | 'secrets'> {
  const backend = input('backend') ?? 'aws'
  const [url, token] = [input('url'), tokenInput()]
  if (backend === 'server' && url === undefined && !env['SIGNALBOX_URL'] && !env['SIGNALBOX_DATA_DIR']) {
    throw invalid('url', 'is missing; give the address of the Signalbox server, or set SIGNALBOX_URL')
  }
  const cloud = backend === 'server' ? {} : given('queueTable', input('queue-table'))
  const gcp = {
    ...given('gcpProject', input('gcp-project')),
    ...given('gcpDatabase', input('gcp-database')),
  }
  const flags: StartFlags = {
    backend,
    ...given('url', url),
    ...given('guard', input('guard')),
    ...cloud,
    ...(backend === 'gcp' || backend === 'firestore' ? gcp : {}),
  }
  chooseEngine(flags, env, inputNames)
  return { flags, secrets: backend === 'server' ? credential(url, token, env) : {} }
}

/** Without a token the agent signs in with ID tokens of GitHub, which it gets by itself as long as it needs them. */
function credential(
  url: string | undefined,
  token: string | undefined,
  env: Env,
): Readonly<Record<string, string>> {
  if (token !== undefined) return { SIGNALBOX_TOKEN: token }
  if (env['SIGNALBOX_TOKEN']) return {}
  return { SIGNALBOX_OIDC_AUDIENCE: idTokenAudience(url ?? env['SIGNALBOX_URL'], env) ?? '' }
}
