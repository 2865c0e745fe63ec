/**
 * What time alone does to a provider, before any command is looked at: a dead holder expires, silent requests are
 * forgotten, a failed batch of which nobody is left is over. So no state can lock for ever.
 *
 * Invariants: a stamp from the future (the clock was set back) counts as now; nobody is judged by a silence that began
 * while nobody could have been heard (`Moment.heardSince`); the one who is calling right now is not silent.
 */
import type { ProviderConfig } from './api.ts'
import type { Draft, Entry, Holder, PastRequest } from './state.ts'

/** The time of a decision, and what is known about it. */
export interface Moment {
  /** Milliseconds since the epoch by the store's clock. */
  readonly now: number
  /** Since when requests could be heard: the start, or the end of an outage. */
  readonly heardSince: number
  /** The clock was set forward while this fence held: it keeps what was left of its time, until then. */
  readonly kept?: { readonly fence: number; readonly until: number } | undefined
  /** How far the clocks of those who decide may differ: the dead are declared dead this much later. */
  readonly slackMs: number
  /** A last-seen younger than this is not written anew, so another replica may know a better one. 0: all are written. */
  readonly seenEveryMs: number
}

export type LeaseEvent =
  | { readonly kind: 'joined' | 'completed' | 'evicted' | 'expired' | 'withdrawn'; readonly sha: string }
  | { readonly kind: 'granted'; readonly sha: string; readonly fence: number; readonly waitedMs: number }
  | { readonly kind: 'succeeded'; readonly sha: string; readonly batchSize: number }
  | { readonly kind: 'failed'; readonly sha: string }
  | { readonly kind: 'cleared' }

export interface Scene {
  readonly draft: Draft
  readonly moment: Moment
  readonly config: ProviderConfig
  readonly events: LeaseEvent[]
  /** Records that may be changed in all; what time does stops short of it. */
  readonly room: number
}

/** Changes left for the command itself, and for what an eviction does beyond the first. */
export const RESERVE = 10

/** @returns false when not all could be done within `room`: commit, then go on */
export function settle(scene: Scene, caller?: string): boolean {
  correctStamps(scene)
  expireHolder(scene)
  if (!evictSilent(scene, caller)) return false
  endEmptyFailover(scene)
  return true
}

/** Notes that a request is over. Call it before the holder is dropped. */
export function noteEnd({ draft, moment }: Scene, entry: Entry, as: PastRequest['as']): void {
  const { seq, sha, ref, priority, joinedAt } = entry
  const { holder, batch } = draft.header
  draft.note({
    seq,
    sha,
    ...(ref === undefined ? {} : { ref }),
    priority,
    joinedAt,
    ...(holder?.sha === sha ? { grantedAt: holder.grantedAt, fence: holder.fence } : {}),
    endedAt: moment.now,
    as,
    batch,
  })
}

/** The batch is over: what remains is the next one. */
export function endBatch({ draft }: Scene): void {
  const { holder, failed: _settled, ...rest } = draft.header
  if (holder !== undefined) draft.remove(holder.sha)
  draft.header = { ...rest, batch: rest.batch + 1 }
}

/** When the holder is taken for dead. A renewal that nobody could have heard is not missed. */
function deadline(holder: Holder, moment: Moment, { ttlMs }: ProviderConfig): number {
  const { heardSince, slackMs } = moment
  const missed = holder.renews ? heardSince + ttlMs : 0
  return Math.max(holder.expiresAt, missed) + slackMs
}

/** The holder is gone without success: the next highest may try, newcomers may not. */
export function dropHolder(scene: Scene, holder: Holder, expired: boolean): void {
  const { draft, moment, config } = scene
  const { holder: _dropped, coolUntil, ...rest } = draft.header
  const ref = draft.entries.get(holder.sha)?.ref
  draft.remove(holder.sha)
  const failed = { sha: holder.sha, ...(ref === undefined ? {} : { ref }), at: moment.now, expired }
  draft.header = { ...rest, failed }
  if (expired && config.coolDownMs > 0) {
    draft.header = { ...draft.header, coolUntil: moment.now + config.coolDownMs }
  } else if (coolUntil !== undefined) draft.header = { ...draft.header, coolUntil }
  endEmptyFailover(scene)
}

function correctStamps({ draft, moment: { now, kept }, config }: Scene): void {
  const { header } = draft
  if (header.stableSince > now) draft.header = { ...draft.header, stableSince: now }
  if (header.coolUntil !== undefined && header.coolUntil > now + config.coolDownMs) {
    draft.header = { ...draft.header, coolUntil: now + config.coolDownMs }
  }
  const { holder } = header
  if (holder === undefined) return
  const until = kept?.fence === holder.fence ? Math.max(kept.until, holder.expiresAt) : holder.expiresAt
  const expiresAt = Math.min(until, now + holder.leaseMs)
  if (expiresAt !== holder.expiresAt) draft.header = { ...draft.header, holder: { ...holder, expiresAt } }
}

function expireHolder(scene: Scene): void {
  const { draft, moment, config, events } = scene
  const { holder, batch } = draft.header
  if (holder === undefined || holder.completed !== undefined) return
  if (moment.now < deadline(holder, moment, config)) return
  const { sha, fence, priority } = holder
  draft.keep(sha, { as: 'expired', at: moment.now, batch, priority, fence })
  noteEnd(scene, draft.entries.get(sha) as Entry, 'expired') // a holder is known
  dropHolder(scene, holder, true)
  events.push({ kind: 'expired', sha })
}

/** While a batch is under way, one that was forgotten may come back; so its outcome is kept. */
function evictSilent(scene: Scene, caller: string | undefined): boolean {
  const { draft, moment, events } = scene
  for (const entry of draft.entries.values()) {
    const { sha, priority, ref, spared } = entry
    const stays = sha === caller || sha === draft.header.holder?.sha
    const late = entry.seenAt > moment.now
    if (!late && (stays || !isSilent(entry, scene))) continue
    if (draft.writes + RESERVE > scene.room) return false
    if (late) {
      draft.set({ ...entry, seenAt: moment.now })
      continue
    }
    const { holder, failed, batch } = draft.header
    noteEnd(scene, entry, 'evicted')
    draft.remove(sha)
    if (holder !== undefined || failed !== undefined) {
      draft.keep(sha, {
        as: 'evicted',
        at: moment.now,
        batch,
        // A return must not look like one whose commits the holder contains.
        priority: spared === undefined ? priority : Math.max(priority, holder?.priority ?? 0),
        ...(ref === undefined ? {} : { ref }),
      })
    }
    events.push({ kind: 'evicted', sha })
  }
  return true
}

function isSilent({ seenAt }: Entry, { moment, config }: Scene): boolean {
  const heard = Math.max(seenAt + moment.seenEveryMs, moment.heardSince)
  return moment.now - heard > config.ttlMs + moment.slackMs
}

function endEmptyFailover(scene: Scene): void {
  const { header, entries } = scene.draft
  if (header.failed !== undefined && header.holder === undefined && entries.size === 0) endBatch(scene)
}
