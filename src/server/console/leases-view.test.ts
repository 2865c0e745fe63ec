import { describe, expect, it } from 'vitest'
import type { LeaseProviderView, LeaseRequestView, PastRequestView } from '../../leases/api.ts'

interface View {
  phase(view: LeaseProviderView): { text: string; aspect: string }
  isBusy(view: LeaseProviderView): boolean
  partsOf(provider: string): object | undefined
  pullUrl(provider: string, number: number): string | undefined
  reasonAt(of: Pick<LeaseRequestView, 'reason' | 'ticking'>, now: number): string
  row(view: LeaseProviderView, request: LeaseRequestView): Record<string, unknown>
  gate(view: LeaseProviderView, now: number): Record<string, unknown> | undefined
  failedText(view: Partial<LeaseProviderView>, now: number): string
  summary(views: readonly LeaseProviderView[]): string
  clearEffects(view: LeaseProviderView): string[]
  batches(history: object, current?: number, most?: number): Record<string, unknown>[]
  facts(view: LeaseProviderView): [string, string][]
}
interface Text {
  age(ms: number): string
  duration(ms: number): string
  sentence(text: string): string
}

// The page's own scripts, which have no types and no build step.
const load = (name: string): Promise<unknown> => import(new URL(`assets/${name}`, import.meta.url).href)
const view = (await load('leases-view.js')) as View
const text = (await load('text.js')) as Text

const NOW = Date.UTC(2026, 0, 1, 12)
const ago = (seconds: number): string => new Date(NOW - seconds * 1_000).toISOString()

const config = {
  stabilizeMs: 100_000,
  ttlMs: 30_000,
  expectedCount: 4,
  delayCount: 0,
  maxLeaseMs: 21_600_000,
  coolDownMs: 0,
}

function request(
  pullRequest: number,
  state: LeaseRequestView['state'] = 'waiting',
  priority = pullRequest,
): LeaseRequestView {
  // prettier-ignore
  const sha = `sha${pullRequest}`
  return { sha, pullRequest, priority, state, joinedAt: ago(60), seenAt: ago(1), reason: 'r', brief: 'b' }
}

function provider(changes: Partial<LeaseProviderView> = {}): LeaseProviderView {
  return {
    provider: 'acme/shop@main',
    now: ago(0),
    phase: 'open',
    batch: 7,
    reason: 'nobody waits',
    stackedPullRequests: [],
    requests: [],
    lastFence: 35,
    updatedAt: ago(0),
    config,
    ...changes,
  }
}

const held = provider({
  phase: 'held',
  holder: {
    sha: 'sha3',
    pullRequest: 3,
    priority: 3,
    fence: 36,
    grantedAt: ago(20),
    expiresAt: ago(-600),
    renews: false,
  },
  requests: [request(4), request(3, 'holding'), request(1)],
})

describe('a provider', () => {
  it('is free while nobody is there, whatever its phase is called', () => {
    expect(view.phase(provider())).toEqual({ text: 'Free', aspect: 'stop' })
    expect(view.phase(provider({ requests: [request(1)] })).text).toBe('Open')
    expect(view.phase(held)).toEqual({ text: 'Held', aspect: 'go' })
    expect(view.isBusy(provider({ phase: 'failover' }))).toBe(true)
  })

  it('has pull requests on GitHub, whatever is in its name', () => {
    expect(view.pullUrl('acme/shop@release/1.2', 14)).toBe('https://github.com/acme/shop/pull/14')
    expect(view.pullUrl('a b/c?d@main', 1)).toBe('https://github.com/a%20b/c%3Fd/pull/1')
    expect(view.pullUrl('javascript:alert(1)', 1)).toBeUndefined()
    expect(view.partsOf('main')).toBeUndefined()
  })

  it('says its reason with the time that is left now', () => {
    const ticking = { text: 'granted in {left} at most', at: ago(-65) }
    expect(view.reasonAt({ reason: 'granted in 70 s at most', ticking }, NOW)).toBe('granted in 1m 05s at most') // prettier-ignore
    expect(view.reasonAt({ reason: 'r', ticking }, NOW + 99_000)).toBe('granted in 0s at most')
    expect(view.reasonAt({ reason: 'nobody waits' }, NOW)).toBe('nobody waits')
  })

  it('is summed up with others in a sentence', () => {
    expect(view.summary([])).toBe('')
    expect(view.summary([provider()])).toBe('1 merge queue, all free')
    expect(view.summary([provider(), held])).toBe('2 merge queues, 1 held, 2 waiting')
  })
})

describe('the stack', () => {
  it('joins the holder with what it contains', () => {
    const rows = held.requests.map((one) => view.row(held, one))
    expect(rows).toMatchObject([
      { aspect: 'stop', contained: false, verb: 'waiting for' },
      { aspect: 'go', contained: true, verb: 'held for', since: ago(20), fact: 'priority 3 · fence 36' },
      { aspect: 'stop', contained: true, since: ago(60), fact: 'priority 1' },
    ])
  })

  it('shows after a success who is completed and who stays', () => {
    const draining = {
      ...held,
      phase: 'draining' as const,
      holder: { ...held.holder, releasedAt: ago(5) } as NonNullable<LeaseProviderView['holder']>,
      requests: [request(4), request(3, 'succeeded'), request(1, 'completed')],
    }
    expect(draining.requests.map((one) => view.row(draining, one))).toMatchObject([
      { aspect: 'stop', contained: false },
      { aspect: 'done', contained: true, verb: 'succeeded', since: ago(5), suffix: ' ago' },
      { aspect: 'done', contained: true },
    ])
  })

  it('marks who goes first while nobody holds', () => {
    const open = provider({ requests: [request(2), request(1)] })
    expect(open.requests.map((one) => view.row(open, one)['aspect'])).toEqual(['next', 'stop'])
  })
})

describe('the gate', () => {
  const gate = { open: false, known: 2, expected: 4, windowEndsAt: ago(-25), callsLeft: 0 }

  it('counts down by the clock of the page', () => {
    const open = provider({ requests: [request(1)], gate })
    expect(view.gate(open, NOW)).toMatchObject({
      windowText: 'Window: 25s left',
      windowShare: 0.75,
      knownText: '2 of 4 requests known',
      known: 2,
      expected: 4,
    })
    expect(view.gate(open, NOW + 26_000)).toMatchObject({ windowText: 'Window: passed', windowShare: 1 })
  })

  it('is not there while somebody holds or after a failure', () => {
    expect(view.gate(held, NOW)).toBeUndefined()
    expect(view.gate(provider({ phase: 'failover', gate }), NOW)).toBeUndefined()
    expect(view.failedText({ failed: { sha: 'abc', pullRequest: 9, at: ago(5), expired: false } }, NOW)).toBe(
      '#9 failed 5s ago. Newcomers wait until this batch is settled.',
    )
    expect(view.failedText({}, NOW)).toBe('')
  })
})

describe('a clear', () => {
  it('says what it will do to whom', () => {
    const effects = view.clearEffects(held)
    expect(effects[0]).toMatch(/^#3 loses the lease at once\. Its job is not stopped/)
    expect(effects[1]).toBe(
      '2 waiting requests will be forgotten. They are known anew, as a new batch, when their jobs ask again.',
    )
    expect(effects[2]).toContain('Fences go on growing from 35.')
    expect(view.clearEffects(provider())[0]).toMatch(/^Nobody holds and nobody waits/)
  })
})

describe('batches', () => {
  let seq = 0
  const past = (
    batch: number,
    as: PastRequestView['as'],
    more: Partial<PastRequestView> = {},
  ): PastRequestView => {
    // prettier-ignore
    seq += 1
    return {
      seq,
      sha: `s${seq}`,
      pullRequest: seq,
      priority: seq,
      joinedAt: ago(100),
      endedAt: ago(10),
      as,
      batch,
      config: 0,
      ...more,
    }
  }
  const hold = (fence: number): Partial<PastRequestView> => ({ fence, grantedAt: ago(70) })

  it('tell who tried in turn, what came of it and who was in it', () => {
    seq = 0
    const requests = [
      past(3, 'completed'),
      past(3, 'success', hold(12)),
      past(3, 'failure', { ...hold(11), endedAt: ago(60) }),
      past(3, 'evicted'),
    ]
    const [batch] = view.batches({ requests: requests.toReversed() })
    expect(batch).toMatchObject({
      number: 3,
      text: 'Succeeded',
      aspect: 'go',
      endedAt: NOW - 10_000,
      tookMs: 90_000,
      merged: [{ pullRequest: 2 }, { pullRequest: 1 }],
      tries: [
        { pullRequest: 3, text: 'failed after 10s', aspect: 'lost' },
        { pullRequest: 2, text: 'succeeded after 1m 00s', aspect: 'go' },
      ],
      others: ['#4 fell silent'],
    })
  })

  it.each([
    ['Failed', [past(1, 'failure', hold(1)), past(1, 'expired', hold(2))]],
    ['Cleared', [past(1, 'cleared', hold(1)), past(1, 'cleared')]],
    ['Never ran', [past(1, 'withdrawn'), past(1, 'evicted')]],
  ])('are called %s', (outcome, requests) => {
    expect(view.batches({ requests })).toMatchObject([{ text: outcome }])
    expect(view.batches({ requests }, 1)).toMatchObject([{ text: 'Under way' }])
  })

  it('are the latest, and whole', () => {
    const requests = [5, 4, 3].map((batch) => past(batch, 'success', hold(batch)))
    const numbers = (...of: Parameters<View['batches']>): unknown => view.batches(...of).map((one) => one['number']) // prettier-ignore
    expect(numbers({ requests })).toEqual([5, 4, 3])
    expect(numbers({ requests }, undefined, 2)).toEqual([5, 4])
    expect(numbers({ requests, next: 9 })).toEqual([5, 4])
  })
})

it('the configuration is said in words', () => {
  expect(view.facts(provider())).toEqual([
    ['Window', '1m 40s without a new request, or 4 known requests'],
    ['Forgotten after', '30s of silence'],
    ['Taken for dead after', '6h'],
    ['Last fence', '35'],
  ])
})

describe('text', () => {
  it.each([
    [-5, '0s'],
    [59_999, '59s'],
    [245_000, '4m 05s'],
    [5_400_000, '1h 30m'],
    [273_600_000, '3d 4h'],
  ])('an age of %d ms is %s', (ms, said) => {
    expect(text.age(ms)).toBe(said)
  })

  it('a duration has no noughts', () => {
    expect([0, 300_000, 21_600_000, 305_000].map((ms) => text.duration(ms))).toEqual([
      '0s',
      '5m',
      '6h',
      '5m 05s',
    ])
    expect(text.sentence('after #4')).toBe('After #4')
  })
})
