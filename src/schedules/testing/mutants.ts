/**
 * Planted faults: each makes the servers break one thing that claims of times rest on, between the service and its store. A simulation
 * with one of them must end with a problem, or the judge is blind.
 */
import { decimalKey, type Change, type CommitResult, type Store } from '../../ports/store.ts'

export interface Mutant {
  readonly name: string
  /** What the judge must say, among other things. */
  readonly caughtAs: RegExp
  readonly sabotage: (store: Store) => Store
}

const isSchedule = ({ key }: Change): boolean => key[0].startsWith('signalbox:sch')
const isStep = ({ key }: Change): boolean =>
  /^signalbox:sch:[A-Za-z0-9._-]+$/.test(key[0]) && key[1] === decimalKey(0)
const isDue = ({ key }: Change): boolean => key[0].startsWith('signalbox:sch:due:')
const isRun = ({ key }: Change): boolean => key[0].startsWith('signalbox:run:')
/** Of a commit that claims a time. */
const claims = (changes: readonly Change[]): boolean => changes.some(isStep) && changes.some(isRun)
const MINUTE_OF_DUE = 60 * 100_000

type Commit = Store['commit']

/** The same store, but for its commits. */
function committing(store: Store, make: (commit: Commit) => Commit): Store {
  return {
    limits: store.limits,
    get: (key) => store.get(key),
    list: (range, options) => store.list(range, options),
    commit: make((changes) => store.commit(changes)),
    deleteRange: (range, options) => store.deleteRange(range, options),
    ...(store.watch === undefined ? {} : { watch: store.watch.bind(store) }),
    now: () => store.now(),
    close: () => store.close(),
  }
}

/** Moves the schedule's record, and the one among what is due. */
function aMinuteLater(change: Change): Change {
  if (change.op !== 'put') return change
  if (isDue(change))
    return { ...change, key: [change.key[0], decimalKey(Number(change.key[1]) + MINUTE_OF_DUE)] }
  if (!isStep(change)) return change
  const { next, due, ...rest } = change.value as { readonly next: number; readonly due: number }
  return { ...change, value: { ...rest, next: next + 60_000, due: due + MINUTE_OF_DUE } }
}

function done(changes: readonly Change[]): CommitResult {
  return { ok: true, versions: changes.map(({ op }) => (op === 'put' ? 'unknown' : undefined)) }
}

export const mutants: readonly Mutant[] = [
  {
    name: 'a claim does not look whether the schedule changed meanwhile',
    caughtAs: /whatever the schedule was meanwhile/,
    sabotage: (store) =>
      committing(store, (commit) => (changes) => {
        const blind = (change: Change): Change =>
          isStep(change) && typeof change.expect === 'object' ? { ...change, expect: 'present' } : change
        return commit(claims(changes) ? changes.map(blind) : changes)
      }),
  },
  {
    name: 'the schedule is moved on first, then the run is made',
    caughtAs: /is missing/,
    sabotage: (store) =>
      committing(store, (commit) => async (changes) => {
        if (!claims(changes)) return commit(changes)
        const first = await commit(changes.filter(isSchedule))
        if (!first.ok) return first
        const second = await commit(changes.filter((change) => !isSchedule(change)))
        return second.ok ? done(changes) : second
      }),
  },
  {
    name: 'who comes second fires all the same',
    caughtAs: /fired twice/,
    sabotage: (store) =>
      committing(store, (commit) => async (changes) => {
        const answer = await commit(changes)
        if (answer.ok || !claims(changes)) return answer
        const runs = changes.filter(isRun)
        return (await commit(runs.map(({ key, ...run }) => ({ ...run, key: [`${key[0]}:too`, key[1]] })))).ok
          ? done(changes)
          : answer
      }),
  },
  {
    name: 'now and then a time is passed over',
    caughtAs: /is missing/,
    sabotage: (store) => {
      let claimed = 0
      return committing(store, (commit) => (changes) => {
        const passes = claims(changes) && ++claimed % 10 === 0
        return commit(passes ? changes.map(aMinuteLater) : changes)
      })
    },
  },
  {
    name: 'when a schedule is due next is forgotten now and then',
    caughtAs: /0 records among what is due/,
    sabotage: (store) => {
      let claimed = 0
      return committing(store, (commit) => (changes) => {
        const forgets = claims(changes) && ++claimed % 10 === 0
        return commit(changes.filter((change) => !forgets || !isDue(change) || change.op !== 'put'))
      })
    },
  },
  {
    name: 'runs that have not ended are overlooked',
    caughtAs: /side by side/,
    sabotage: (store) => ({
      ...committing(store, (commit) => commit),
      list: async (range, options) =>
        range.partition.startsWith('signalbox:runs:c:') ? { records: [] } : store.list(range, options),
    }),
  },
  {
    name: 'the clock is believed to be half a minute ahead',
    caughtAs: /before its time/,
    sabotage: (store) => ({
      ...committing(store, (commit) => commit),
      now: () => ({ ...store.now(), ms: store.now().ms + 30_000 }),
    }),
  },
]
