/**
 * Recounts all votes and holds the tallies against them, while votes arrive.
 *
 * A shard is read first, the votes afterwards: then all votes of its folds up to the one it was read at are there, and those of
 * later folds are told by their number. A difference must show again at a second look, since an engine may show a commit half
 * done for a moment.
 *
 * Repair adds what is missing (or takes away what is too much) to the shard as it is then, so it may go on counting meanwhile.
 * A shard that was repaired since it was looked at is left alone. Votes of another program, which no fold counted, are counted on
 * a shard of their own.
 */
import type { Clock } from '../kernel/clock.ts'
import { sleep } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { ADOPTED, type StoredVote, type TallyShard, type VoteLedger } from './ledger.ts'

export interface Difference {
  readonly topic_id: string
  readonly choice_id: string
  readonly shard: string
  /** What the tally says, and what the recount says. */
  readonly tally: number
  readonly votes: number
  /** False too when somebody else repaired it meanwhile. */
  readonly repaired: boolean
}

export interface Verdict {
  readonly topics: number
  readonly votes: number
  /** Votes of another program that are in no tally yet are among them, on the shard `adopted`. */
  readonly differences: readonly Difference[]
}

export interface VerifyOptions {
  readonly ledger: VoteLedger
  readonly clock: Clock
  /** Put right what differs. Default false. */
  readonly repair?: boolean
}

/** Between two looks at what differs. */
const SETTLE_MS = 1_000
const REPAIR_ATTEMPTS = 50
const REPAIR_PAUSE_MS = 20
const TOPICS_AT_ONCE = 100

interface Counts {
  readonly topics: ReadonlySet<string>
  readonly votes: number
  /** By shard (topic and name), then choice. */
  readonly off: ReadonlyMap<string, OffShard>
}

interface OffShard {
  readonly topic_id: string
  readonly shard: string
  /** The highest fold of its votes. */
  readonly lastFold: number
  /** How often it had been repaired. */
  readonly repairs: number
  readonly choices: ReadonlyMap<string, { readonly tally: number; readonly votes: number }>
}

/** By shard. */
type Recount = Map<string, { readonly choices: Map<string, number>; readonly lastFold: number }>

/** @throws SignalboxError what the ledger's reads throw; `unavailable` when a repair meets too many other writers */
export async function verifyVotes({ ledger, clock, repair = false }: VerifyOptions): Promise<Verdict> {
  let counts = await compare(ledger)
  if (counts.off.size > 0) {
    await sleep(clock, SETTLE_MS)
    counts = both(counts, await compare(ledger, counts.topics))
  }
  const differences: Difference[] = []
  for (const off of counts.off.values()) {
    const { topic_id, shard, choices } = off
    const repaired = repair && (await repairShard({ ledger, clock }, off))
    for (const [choice_id, numbers] of choices) {
      differences.push({ topic_id, choice_id, shard, ...numbers, repaired })
    }
  }
  return { topics: counts.topics.size, votes: counts.votes, differences }
}

/** @param known topics that are known beside those that are listed */
async function compare(ledger: VoteLedger, known: Iterable<string> = []): Promise<Counts> {
  const topics = new Set([...known, ...(await allTopics(ledger))])
  const shards = await readShards(ledger, [...topics])
  const recount: Recount = new Map()
  const later: StoredVote[] = []
  let votes = 0
  let after: string | undefined
  do {
    const page = await ledger.scanVotes(after)
    const strange = [...new Set(page.entries.map(({ topic_id }) => topic_id))].filter((id) => !topics.has(id))
    for (const [name, shard] of await readShards(ledger, strange)) shards.set(name, shard)
    for (const id of strange) topics.add(id)
    for (const vote of page.entries) {
      if (isCounted(vote, shards)) add(recount, vote)
      else later.push(vote)
    }
    votes += page.entries.length
    after = page.next
  } while (after !== undefined)
  // By now a shard has counted what it had not when it was read; or it has lost folds that it once counted.
  const now = await readShards(ledger, [...new Set(later.map(({ topic_id }) => topic_id))])
  for (const vote of later) if (!isCounted(vote, now)) add(recount, vote)
  return { topics, votes, off: differing(shards, recount) }
}

async function readShards(ledger: VoteLedger, topics: readonly string[]): Promise<Map<string, TallyShard>> {
  const shards = new Map<string, TallyShard>()
  for (let i = 0; i < topics.length; i += TOPICS_AT_ONCE) {
    const some = await ledger.getShards(topics.slice(i, i + TOPICS_AT_ONCE))
    for (const shard of some) shards.set(nameOf(shard.topic_id, shard.shard), shard)
  }
  return shards
}

/** Is it of a fold that the shard, as it was read, has counted? Votes that no fold counted always count. */
function isCounted({ topic_id, counted }: StoredVote, shards: ReadonlyMap<string, TallyShard>): boolean {
  if (counted === undefined) return true
  return counted.fold <= (shards.get(nameOf(topic_id, counted.shard))?.fold ?? 0)
}

function add(recount: Recount, { topic_id, choice_id, counted }: StoredVote): void {
  const name = nameOf(topic_id, counted?.shard ?? ADOPTED)
  const shard = recount.get(name) ?? { choices: new Map<string, number>(), lastFold: 0 }
  shard.choices.set(choice_id, (shard.choices.get(choice_id) ?? 0) + 1)
  recount.set(name, { ...shard, lastFold: Math.max(shard.lastFold, counted?.fold ?? 0) })
}

function differing(shards: ReadonlyMap<string, TallyShard>, recount: Recount): ReadonlyMap<string, OffShard> {
  const off = new Map<string, OffShard>()
  for (const name of new Set([...shards.keys(), ...recount.keys()])) {
    const tally = new Map(Object.entries(shards.get(name)?.counts ?? {}))
    const { choices: votes = new Map<string, number>(), lastFold = 0 } = recount.get(name) ?? {}
    const choices = new Map<string, { tally: number; votes: number }>()
    for (const choice of new Set([...tally.keys(), ...votes.keys()])) {
      const numbers = { tally: tally.get(choice) ?? 0, votes: votes.get(choice) ?? 0 }
      if (numbers.tally !== numbers.votes) choices.set(choice, numbers)
    }
    const [topic_id = '', shard = ''] = name.split('\n')
    const repairs = shards.get(name)?.repairs ?? 0
    if (choices.size > 0) off.set(name, { topic_id, shard, lastFold, repairs, choices })
  }
  return off
}

/** What differs at both looks by as much: a fold only adds, on both sides alike. */
function both(first: Counts, second: Counts): Counts {
  const off = new Map<string, OffShard>()
  for (const [name, each] of second.off) {
    const { shard, repairs, choices } = each
    const then = first.off.get(name)
    const before = then?.repairs === repairs ? then.choices : undefined
    const lasting = [...choices].filter(([choice, { tally, votes }]) => {
      const earlier = before?.get(choice)
      // Votes of another program may go on arriving.
      return earlier !== undefined && (shard === ADOPTED || earlier.votes - earlier.tally === votes - tally)
    })
    if (lasting.length > 0) off.set(name, { ...each, choices: new Map(lasting) })
  }
  return { ...second, off }
}

/** @returns false when somebody else has repaired it since */
async function repairShard(
  { ledger, clock }: { readonly ledger: VoteLedger; readonly clock: Clock },
  { topic_id, shard: name, choices, lastFold, repairs }: OffShard,
): Promise<boolean> {
  for (let attempt = 0; attempt < REPAIR_ATTEMPTS; attempt++) {
    const now = await ledger.getShard(topic_id, name)
    if ((now.repairs ?? 0) !== repairs) return false
    const counts = new Map(Object.entries(now.counts))
    for (const [choice, { tally, votes }] of choices) {
      const right = (counts.get(choice) ?? 0) + votes - tally
      if (right > 0) counts.set(choice, right)
      else counts.delete(choice)
    }
    const fold = Math.max(now.fold, lastFold) + 1
    const shard = { ...now, fold, repairs: repairs + 1, counts: Object.fromEntries(counts) }
    if ((await ledger.commit({ votes: [], shards: [shard] })).ok) return true
    await sleep(clock, REPAIR_PAUSE_MS)
  }
  throw new SignalboxError(
    'unavailable',
    `the tally of topic '${topic_id}' changes too often to be repaired at present; try again when fewer votes arrive`,
  )
}

async function allTopics(ledger: VoteLedger): Promise<readonly string[]> {
  const ids: string[] = []
  let after: string | undefined
  do {
    const page = await ledger.listTopics({ limit: TOPICS_AT_ONCE, after })
    ids.push(...page.entries.map(({ id }) => id))
    after = page.next
  } while (after !== undefined)
  return ids
}

/** No id has a line break. */
function nameOf(topicId: string, shard: string): string {
  return `${topicId}\n${shard}`
}
