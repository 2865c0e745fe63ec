/**
 * `npm run bench:turns:cost`: what an hour of a turn queue costs without a server, counted at a simulated store, beside what the same
 * hour costs with the design of dynamo-q (each client reads the whole queue every 15 to 29 s and beats every 10 to 24 s).
 * Simulated time, so the figures are the same on every machine. Writes results/turns-cost.json.
 */
import { writeFileSync } from 'node:fs'
import { Crowd, type CrowdReport } from '../../test/simulator/crowd.ts'

const MINUTES = 60_000
const HOURS_A_MONTH = 730
const HOLD_MS = MINUTES
/** While all join; not counted. */
const WARM_UP_MS = 5 * MINUTES

/**
 * US dollars. DynamoDB on demand, us-east-1, since November 2024: per million read and write request units. Firestore, nam5: per
 * 100,000 documents read and written.
 */
const price = {
  readUnit: 0.125 / 1e6,
  writeUnit: 0.625 / 1e6,
  documentRead: 0.06 / 1e5,
  documentWrite: 0.18 / 1e5,
} as const

/** One hour, all members together. */
interface Hour {
  readonly requests: number
  readonly readUnits: number
  readonly writeUnits: number
  readonly documentReads: number
  readonly documentWrites: number
}

function total({ cost }: CrowdReport): Hour {
  const sum = (of: 'reads' | 'writes' | keyof Omit<Hour, 'requests'>): number =>
    Object.values(cost).reduce((all, each) => all + each[of], 0)
  return {
    requests: sum('reads') + sum('writes'),
    readUnits: sum('readUnits'),
    writeUnits: sum('writeUnits'),
    documentReads: sum('documentReads'),
    documentWrites: sum('documentWrites'),
  }
}

/** The same seed plays the same history, so that the difference is the hour after the warm-up. */
async function ours(waiters: number, pushed: boolean): Promise<Hour> {
  const options = { waiters, permits: 1, holdMs: HOLD_MS, pushed, wayMs: [3, 12] } as const
  const before = total(await new Crowd({ ...options, forMs: WARM_UP_MS }).play())
  const after = total(await new Crowd({ ...options, forMs: WARM_UP_MS + 60 * MINUTES }).play())
  const keys = Object.keys(before) as (keyof Hour)[]
  return Object.fromEntries(keys.map((key) => [key, after[key] - before[key]])) as unknown as Hour
}

/** Entries of about 110 bytes: queue, client, two numbers and their names. Reads are eventually consistent: half a unit. */
function dynamoQ(waiters: number): Hour {
  const clients = waiters + 1
  const polls = (waiters * 3_600) / 22
  const beats = (clients * 3_600) / 17
  const turns = 3_600_000 / HOLD_MS
  const units = Math.ceil((clients * 110) / 4_096) / 2
  const writes = beats + 2 * turns
  return {
    requests: polls + writes,
    readUnits: polls * units,
    writeUnits: writes,
    documentReads: polls * clients,
    documentWrites: writes,
  }
}

const month = {
  dynamodb: ({ readUnits, writeUnits }: Hour): number =>
    HOURS_A_MONTH * (readUnits * price.readUnit + writeUnits * price.writeUnit),
  firestore: ({ documentReads, documentWrites }: Hour): number =>
    HOURS_A_MONTH * (documentReads * price.documentRead + documentWrites * price.documentWrite),
}

const rows = []
for (const waiters of [10, 50, 200]) {
  const polled = await ours(waiters, false)
  const pushed = await ours(waiters, true)
  const theirs = dynamoQ(waiters)
  rows.push({ waiters, polled, pushed, dynamoQ: theirs })
  const dollars = (n: number): string => `$${n.toFixed(2)}`
  console.log(
    `${waiters} waiting all month, a turn a minute: DynamoDB ${dollars(month.dynamodb(polled))} (dynamo-q ${dollars(month.dynamodb(theirs))}), ` +
      `Firestore ${dollars(month.firestore(pushed))} (dynamo-q ${dollars(month.firestore(theirs))})`,
  )
}
const results = new URL('../results/turns-cost.json', import.meta.url)
writeFileSync(results, `${JSON.stringify({ price, holdMs: HOLD_MS, rows }, null, 2)}\n`)
