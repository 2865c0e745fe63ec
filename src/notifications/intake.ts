/**
 * Takes notices: decides who is told of each, and puts the messages into the outbox, counts them, or lets them go. Each notice is
 * one commit in which its record goes away, so that of several servers one takes it, and nothing of it is lost or done twice.
 *
 * Invariants: notices of one subject are taken in the order of their keys; a failure leaves the notice where it is.
 */
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import { decimalKey, type Change, type Store, type StoredRecord } from '../ports/store.ts'
import { eventOf, recoveryOf, type Event, type Streak } from './event.ts'
import { endWindow, fold, type Folded, type Lane } from './folding.ts'
import { isBad, subjectOf, type Notice } from './notice.ts'
import {
  inPartitions,
  keyAt,
  laneChange,
  laneKey,
  messageChange,
  messageId,
  messageKey,
  outChange,
  streakChange,
  streakKey,
  windowEndChange,
  type Keys,
  type Message,
  type WindowEnd,
} from './records.ts'
import { channelsFor, type OwnNotify } from './rules.ts'
import type { EventKind, NotificationRule } from './vocabulary.ts'

export interface IntakeContext {
  readonly store: Store
  readonly keys: Keys
  readonly rules: readonly NotificationRule[]
  /** That are configured. */
  readonly channels: ReadonlySet<string>
  readonly foldForMs: number
  /** How long a lane is kept, so that what follows finds what it has to wait for. */
  readonly laneKeptMs: number
  readonly scheduleNotify: (schedule: string) => Promise<OwnNotify | undefined>
  /** After the commit. */
  readonly taken: (subject: string, streak: 'open' | 'over' | undefined, messages: readonly Message[]) => void
  readonly counted: (channel: string) => void
  /** Something stays where it is, to be taken again. */
  readonly failed: (error: unknown) => void
  /** A schedule names a channel that is not configured. */
  readonly unknownChannel: (channel: string, about: string) => void
}

const PAGE = 100
const SUBJECTS_AT_ONCE = 16
const CHANCES = 5

/** Takes what is there. @throws what the store throws when it is asked for that */
export async function takeAll(context: IntakeContext): Promise<void> {
  await Promise.all(inPartitions.map((partition) => takeFrom(context, partition)))
}

async function takeFrom(context: IntakeContext, partition: string): Promise<void> {
  const { store } = context
  const to = decimalKey(keyAt(store.now().ms + 1))
  /** Subjects of which something could not be taken: what follows it, maybe on another page, waits too. */
  const stuck = new Set<string>()
  let after: string | undefined
  do {
    const page = await store.list(
      { partition, to },
      { limit: PAGE, ...(after === undefined ? {} : { after }) },
    )
    const subjects = [...bySubject(page.records)].filter(([subject]) => !stuck.has(subject))
    while (subjects.length > 0) {
      const some = subjects.splice(0, SUBJECTS_AT_ONCE)
      await Promise.all(
        some.map(async ([subject, records]) => {
          if (!(await takeInOrder(context, records))) stuck.add(subject)
        }),
      )
    }
    after = page.next
  } while (after !== undefined)
}

/**
 * Of one subject. A failure leaves it and those after it for the next round, and holds up no other subject.
 * @returns were all taken?
 */
async function takeInOrder(context: IntakeContext, records: readonly StoredRecord[]): Promise<boolean> {
  try {
    for (const record of records) {
      const value = record.value as unknown as Notice | WindowEnd
      await take(context, record, () =>
        value.kind === 'window_end' ? windowEnded(context, value) : noticed(context, value),
      )
    }
    return true
  } catch (error) {
    context.failed(error)
    return false
  }
}

/** What comes of a record, beside that it goes away. */
interface Decision {
  readonly changes: readonly Change[]
  readonly committed: () => void
}

/** Decides and commits, anew where others changed what was read. */
async function take(
  { store }: IntakeContext,
  { key, version }: StoredRecord,
  decide: () => Promise<Decision>,
): Promise<void> {
  for (let chance = 0; chance < CHANCES; chance++) {
    const { changes, committed } = await decide()
    try {
      const { ok } = await store.commit([{ op: 'delete', key, expect: { version } }, ...changes])
      if (ok) {
        committed()
        return
      }
    } catch (error) {
      if (!isSignalboxError(error, 'outcome_unknown')) throw error
    }
    // Somebody else took it, or it was this very commit whose answer was lost.
    if ((await store.get(key))?.version !== version) return
  }
  throw new SignalboxError('throttled', 'a notice could not be taken: others change what it is about')
}

async function noticed(context: IntakeContext, notice: Notice): Promise<Decision> {
  const { store, taken } = context
  const subject = subjectOf(notice)
  const now = Math.floor(store.now().ms)
  const told = await toldOf(context, notice)
  const record = await store.get(streakKey(subject))
  const streak = record?.value as unknown as Streak | undefined
  const expect = record === undefined ? 'absent' : { version: record.version }
  if (notice.kind === 'succeeded') {
    if (record === undefined || streak === undefined) return { changes: [], committed: () => undefined }
    const decision = await tell(context, told('recovered'), recoveryOf(notice, streak), now)
    return {
      changes: [{ op: 'delete', key: record.key, expect: { version: record.version } }, ...decision.changes],
      committed: () => taken(subject, 'over', decision.committed()),
    }
  }
  const kind = notice.kind
  const decision = await tell(context, told(kind), eventOf({ ...notice, kind }), now)
  const opens = isBad(kind) && told('recovered').length > 0
  const longer = { subject, since: streak?.since ?? notice.at, ends: (streak?.ends ?? 0) + 1 }
  return {
    changes: [...(opens ? [streakChange(longer, expect, now)] : []), ...decision.changes],
    committed: () => taken(subject, opens ? 'open' : undefined, decision.committed()),
  }
}

/** Who is told of which kind; channels that are not configured are left out. */
async function toldOf(
  { rules, channels, scheduleNotify, unknownChannel }: IntakeContext,
  notice: Notice,
): Promise<(kind: EventKind) => readonly string[]> {
  const own = notice.schedule === undefined ? undefined : await scheduleNotify(notice.schedule)
  for (const channel of own?.channels ?? []) {
    if (!channels.has(channel)) unknownChannel(channel, subjectOf(notice))
  }
  return (kind) => channelsFor(rules, notice, kind, own).filter((channel) => channels.has(channel))
}

interface Telling {
  readonly changes: readonly Change[]
  readonly committed: () => readonly Message[]
}

async function tell(
  context: IntakeContext,
  channels: readonly string[],
  event: Event,
  now: number,
): Promise<Telling> {
  const subject = subjectOf(event)
  const tellings = await Promise.all(
    channels.map((channel) =>
      inLane(context, channel, subject, now, (lane) => fold(lane, event, now, context.foldForMs)),
    ),
  )
  return {
    changes: tellings.flatMap(({ changes }) => changes),
    committed: () => tellings.flatMap(({ committed }) => committed()),
  }
}

async function windowEnded(context: IntakeContext, { channel, subject }: WindowEnd): Promise<Decision> {
  const now = Math.floor(context.store.now().ms)
  const { changes, committed } = await inLane(context, channel, subject, now, (lane) =>
    endWindow(lane, now, context.foldForMs),
  )
  return { changes, committed: () => context.taken(subject, undefined, committed()) }
}

/** The changes of one lane: itself, what is sent, and when to look again. */
async function inLane(
  { store, keys, laneKeptMs, counted }: IntakeContext,
  channel: string,
  subject: string,
  now: number,
  step: (lane: Lane) => Folded,
): Promise<Telling> {
  const record = await store.get(laneKey(channel, subject))
  const stored = record?.value as unknown as Lane | undefined
  // Two lanes of one hash, which nobody will see, know nothing of each other.
  const own = stored === undefined || (stored.channel === channel && stored.subject === subject)
  const before: Lane = own && stored !== undefined ? stored : { channel, subject }
  const { lane, send, lookAt } = step(before)
  const messages: Message[] = []
  const changes: Change[] = []
  let { last } = lane
  for (const event of send) {
    const message = messageOf(event, channel, keys.next(now), now, last)
    if ((await store.get(messageKey(message.id))) !== undefined) continue // the same event was told already
    messages.push(message)
    changes.push(messageChange(message, 'absent'), outChange(message, message.due))
    last = message.id
  }
  const expect = record === undefined ? 'absent' : { version: record.version }
  const after: Lane = { ...lane, ...(last === undefined ? {} : { last }) }
  if (own && (lane !== before || messages.length > 0))
    changes.push(laneChange(after, expect, now, laneKeptMs))
  if (lookAt !== undefined) changes.push(windowEndChange(lane, keys.at(lookAt)))
  return {
    changes,
    committed: () => {
      if (send.length === 0 && lane !== before) counted(channel)
      return messages
    },
  }
}

function messageOf(
  event: Event,
  channel: string,
  due: number,
  now: number,
  behind: string | undefined,
): Message & { readonly due: number } {
  const id = messageId(event, channel)
  const message = { id, channel, event, createdAt: now, since: now, tries: 0, due }
  return behind === undefined ? message : { ...message, behind }
}

function bySubject(records: readonly StoredRecord[]): Map<string, StoredRecord[]> {
  const subjects = new Map<string, StoredRecord[]>()
  for (const record of records) {
    const value = record.value as unknown as Notice | WindowEnd
    const subject = value.kind === 'window_end' ? value.subject : subjectOf(value)
    subjects.set(subject, [...(subjects.get(subject) ?? []), record])
  }
  return subjects
}
