/** A real `signalbox serve` with lease providers, and the few calls of the wire that tests make of it. */
import { startServer, type ServerProcess } from '../../support/processes.ts'
import type { Call } from './story.ts'

/** Long enough that nothing ends by time unless a test wants it. */
const patient = {
  owner: 'acme',
  name: 'shop',
  base_ref: 'main',
  stabilize_duration_seconds: 600,
  ttl_seconds: 600,
  expected_request_count: 1,
}

export interface LeaseServerOptions extends NonNullable<Parameters<typeof startServer>[0]> {
  /** What differs from a patient `acme/shop@main`, one provider each. */
  readonly providers: readonly Partial<typeof patient & { max_lease_seconds: number }>[]
}

export async function startLeaseServer({
  providers,
  ...options
}: LeaseServerOptions): Promise<ServerProcess> {
  const repositories = JSON.stringify(providers.map((provider) => ({ ...patient, ...provider })))
  const env = { ...options.env, SIGNALBOX_REPOSITORIES: repositories }
  if (options.via === undefined) return startServer({ ...options, env })
  const set = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  return startServer({ ...options, via: ['env', ...set, ...options.via] })
}

export interface Told {
  /** The HTTP status. */
  readonly code: number
  /** `pending`, `acquired`, …; undefined of an error. */
  readonly status?: string
  readonly fence?: number
  readonly body: Record<string, unknown>
}

/** A POST as the README's clients send it. @throws TypeError when there is no answer; Error when it is not JSON */
export async function post(url: string, body: object): Promise<Told> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'json' },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  let json: Record<string, unknown>
  try {
    json = JSON.parse(text) as Record<string, unknown>
  } catch {
    throw new Error(`an answer that is not JSON: ${answer.status} ${text.slice(0, 200)}`)
  }
  const { status, fence } = json as { status?: string; fence?: number }
  return {
    code: answer.status,
    ...(status === undefined ? {} : { status }),
    ...(fence === undefined ? {} : { fence }),
    body: json,
  }
}

/**
 * Sends a call of the story once. @param url of the provider
 * @returns what was told, as the story writes it @throws TypeError when there is no answer
 */
export async function sendCall(url: string, call: Call): Promise<string> {
  if (call.do === 'clear') {
    const answer = await fetch(url, { method: 'DELETE' })
    await answer.text()
    return answer.ok ? 'cleared' : `${answer.status}`
  }
  const { sha, priority, status, leaseSeconds } = call
  const told = await post(`${url}/${call.do}`, {
    head_sha: sha,
    priority,
    ...(status === undefined ? {} : { status }),
    ...(leaseSeconds === undefined ? {} : { lease_seconds: leaseSeconds }),
  })
  if (told.code === 409 || told.code === 400) return 'refused'
  if (told.code !== 200) return `${told.code}`
  return told.status === 'acquired' ? `acquired ${told.fence}` : (told.status ?? '')
}

/** What of `GET` is neither a time, nor speaks of one, nor names the provider. */
const PASSING = ['name', 'id', 'reason']

/** The provider as `GET` shows it, without what passes. */
export async function timelessView(url: string): Promise<unknown> {
  const answer = await fetch(url)
  return JSON.parse(await answer.text(), (name, value: unknown) =>
    name.endsWith('_at') || PASSING.includes(name) ? undefined : value,
  )
}
