/**
 * Cancels the workflow run that an agent works for, through GitHub's API: the one way to stop steps that no longer hold
 * their turn. POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel (docs.github.com, REST API, workflow runs).
 */
import { SignalboxError } from '../../kernel/error.ts'

type Env = Readonly<Record<string, string | undefined>>

const PATIENCE_MS = 10_000

/**
 * Asks once.
 *
 * @throws SignalboxError `invalid_argument` that names the variables that are missing; `unavailable`, `permission_denied`
 */
export async function cancelRun(env: Env): Promise<void> {
  const {
    GITHUB_TOKEN: token,
    GITHUB_REPOSITORY: repository,
    GITHUB_RUN_ID: run,
    GITHUB_API_URL: api = 'https://api.github.com',
  } = env
  if (!token || !repository || !run) {
    const missing = Object.entries({ GITHUB_TOKEN: token, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run })
    const names = missing.filter(([, value]) => !value).map(([name]) => name)
    throw new SignalboxError(
      'invalid_argument',
      `the run cannot be cancelled without ${names.join(', ')}; give the step that starts the agent a token with 'actions: write'`,
    )
  }
  const url = `${api.replace(/\/$/, '')}/repos/${repository}/actions/runs/${run}/cancel`
  let answer: Response
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: {
        accept: 'application/vnd.github+json',
        authorization: `Bearer ${token}`,
        'user-agent': 'signalbox',
      },
      redirect: 'error',
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
  } catch (cause) {
    throw new SignalboxError('unavailable', `${url}: could not be called; the run goes on`, { cause })
  }
  await answer.body?.cancel()
  if (answer.ok) return
  const remedy = answer.status === 403 ? "; the token needs 'actions: write'" : ''
  throw new SignalboxError(
    answer.status === 401 || answer.status === 403 ? 'permission_denied' : 'unavailable',
    `${url}: answered with status ${answer.status}; the run goes on${remedy}`,
  )
}
