/** Clients of a voting API that cast votes, each three times, until each cast is acknowledged; and look at some meanwhile. */
import { until } from '../../support/processes.ts'

export interface CastVote {
  readonly id: string
  readonly topic_id: string
  readonly choice_id: string
}

export interface Crowd {
  readonly votes: readonly CastVote[]
  /** Votes by topic and choice: `<topic>/<choice>`. */
  readonly expected: ReadonlyMap<string, number>
  /** `created` of the votes that were seen, as it was when first seen. */
  readonly seen: ReadonlyMap<string, string>
  /** Reads that showed another `created` than before. */
  readonly moved: string[]
  /** Resolves when everything is acknowledged. */
  readonly done: Promise<void>
}

export const CASTS = 3
const AT_ONCE = 24
const KEY = 'key of the crowd'
export { KEY as CROWD_KEY }

interface Topic {
  readonly id: string
  readonly choices: readonly { readonly id: string; readonly votes: number | null }[]
}

/** @param pauseMs between two casts of one client, so that there is something to kill */
export async function gatherCrowd(url: string, count: number, pauseMs = 0): Promise<Crowd> {
  const topics = await Promise.all(['hot', 'warm', 'cold'].map((title) => createTopic(url, title)))
  const [hot, warm, cold] = topics
  const votes = Array.from({ length: count }, (_, i): CastVote => {
    const topic = (i % 10 < 7 ? hot : i % 10 < 9 ? warm : cold) as Topic
    return { id: `vote-${i}`, topic_id: topic.id, choice_id: topic.choices[i % 3]?.id ?? '' }
  })
  const expected = new Map<string, number>()
  for (const { topic_id, choice_id } of votes) {
    const name = `${topic_id}/${choice_id}`
    expected.set(name, (expected.get(name) ?? 0) + 1)
  }
  const seen = new Map<string, string>()
  const moved: string[] = []
  const casts = Array.from({ length: CASTS }, () => votes).flat()
  let next = 0
  const client = async (): Promise<void> => {
    for (let i = next++; i < casts.length; i = next++) {
      await cast(url, casts[i] as CastVote)
      if (i % 20 === 0) await look(url, votes[(i * 7) % votes.length] as CastVote, seen, moved)
      if (pauseMs > 0) await new Promise((wake) => setTimeout(wake, pauseMs))
    }
  }
  const done = Promise.all(Array.from({ length: AT_ONCE }, client)).then(() => undefined)
  return { votes, expected, seen, moved, done }
}

/** Tallies as the API tells them, like `Crowd.expected`. */
export async function tallies(url: string): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${url}/topics?include_votes=true`, { signal: AbortSignal.timeout(10_000) })
  const topics = (await answer.json()) as readonly Topic[]
  return new Map(
    topics.flatMap(({ id, choices }) => choices.map((choice) => [`${id}/${choice.id}`, choice.votes ?? 0])),
  )
}

async function createTopic(url: string, title: string): Promise<Topic> {
  const choices = ['a', 'b', 'c'].map((description) => ({ description }))
  const answer = await post(`${url}/topics`, { title, choices, api_key: KEY })
  return (await answer.json()) as Topic
}

/** Until it is acknowledged: the API may be away, and a vote may be cast again. */
async function cast(url: string, vote: CastVote): Promise<void> {
  await until(`vote ${vote.id} is acknowledged`, async () => {
    const answer = await post(`${url}/votes`, vote).catch(() => undefined)
    await answer?.arrayBuffer().catch(() => undefined)
    if (answer !== undefined && answer.status !== 202 && answer.status < 500)
      throw new Error(`vote ${vote.id} was answered ${answer.status}`)
    return answer?.status === 202
  })
}

async function look(
  url: string,
  { id }: CastVote,
  seen: Map<string, string>,
  moved: string[],
): Promise<void> {
  const answer = await fetch(`${url}/votes/${id}`, { signal: AbortSignal.timeout(10_000) }).catch(
    () => undefined,
  )
  if (answer?.status !== 200) return
  const { created } = (await answer.json()) as { readonly created: string }
  const before = seen.get(id)
  if (before === undefined) seen.set(id, created)
  else if (before !== created) moved.push(id)
}

function post(url: string, body: object): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  })
}
