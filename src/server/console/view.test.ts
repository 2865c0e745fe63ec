import { describe, expect, it } from 'vitest'

interface Member {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
}
interface View {
  who(member: Member): { title: string; anonymous: boolean; href?: string; rest: [string, string][] }
  summary(queues: readonly object[]): string
  permitsText(queue: object): string
  waitingCount(queue: object): string
  isBusy(queue: object): boolean
}

// The page's own script, which has no types and no build step.
const view = (await import(new URL('assets/view.js', import.meta.url).href)) as View

const who = (labels: Record<string, string>): ReturnType<View['who']> => view.who({ id: 'm1', labels })

describe('who', () => {
  it('is the CI job, linked, without the machine it runs on', () => {
    const labels = {
      repository: 'acme/web',
      job: 'deploy',
      run: '4711',
      actor: 'ann',
      host: 'runner-1',
      pid: '7',
    }
    expect(who({ ...labels, url: 'https://ci.example/4711' })).toEqual({
      title: 'acme/web deploy #4711',
      anonymous: false,
      href: 'https://ci.example/4711',
      rest: [['actor', 'ann']],
    })
  })

  it('is a name given on purpose, else user and host, else any label, else the id', () => {
    expect(who({ name: 'nightly', user: 'ci' })).toMatchObject({ title: 'nightly', rest: [['user', 'ci']] })
    expect(who({ user: 'ann', host: 'laptop', pid: '7' })).toMatchObject({
      title: 'ann@laptop',
      rest: [['pid', '7']],
    })
    expect(who({ host: 'laptop' }).title).toBe('laptop')
    expect(who({ user: 'ann' }).title).toBe('ann')
    expect(who({ colour: 'red' })).toMatchObject({ title: 'red', rest: [] })
    expect(who({})).toMatchObject({ title: 'm1', anonymous: true })
  })

  it('links only to the web', () => {
    const { href, rest } = who({ name: 'x', url: 'javascript:alert(1)' })
    expect(href).toBeUndefined()
    expect(rest).toEqual([['url', 'javascript:alert(1)']])
  })
})

describe('queues', () => {
  const queue = (holders: number, waiters: number, more = {}): object => ({
    state: 'open',
    permits: 1,
    moreWaiters: false,
    holders: Array.from({ length: holders }, () => ({})),
    waiters: Array.from({ length: waiters }, () => ({})),
    ...more,
  })

  it('are summed up in a sentence', () => {
    expect(view.summary([])).toBe('')
    expect(view.summary([queue(0, 0)])).toBe('1 queue, all free')
    expect(view.summary([queue(1, 0), queue(1, 3)])).toBe('2 queues, 2 holders, 3 waiting')
    expect(view.summary([queue(1, 20, { moreWaiters: true })])).toBe(
      '1 queue, 1 holder, more than 20 waiting',
    )
  })

  it('say their permits only when there are several', () => {
    expect(view.permitsText(queue(1, 0))).toBe('')
    expect(view.permitsText(queue(2, 0, { permits: 3 }))).toBe('2 of 3 permits')
  })

  it('say how many wait as far as it is known', () => {
    expect(view.waitingCount(queue(1, 3))).toBe('3')
    expect(view.waitingCount(queue(1, 20, { moreWaiters: true }))).toBe('20+')
  })

  it('are busy while somebody is there or they are not open', () => {
    expect(view.isBusy(queue(0, 0))).toBe(false)
    expect(view.isBusy(queue(0, 1))).toBe(true)
    expect(view.isBusy(queue(0, 0, { state: 'paused' }))).toBe(true)
  })
})
