/**
 * The reference's worked example, call by call: what it shows of requests and answers, with ids and times as this service makes
 * them. Order and names of fields count, values of ids and times by their form.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { API_KEY, harness, type Harness } from '../testing/harness.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/
const uuid = expect.stringMatching(UUID) as string
const time = expect.stringMatching(TIME) as string

const TITLE = 'I want to quit working computers and become a ...'
const NEW_TITLE = 'I want to quit working computers and become a:'

interface Choice {
  readonly id: string
  readonly description: string
  readonly votes: number | null
}
interface Topic {
  readonly id: string
  readonly created: string
  readonly last_upd: string
  readonly choices: readonly Choice[]
}

let service: Harness
beforeEach(async () => (service = await harness()))
afterEach(() => service.app.close())

const headers = { 'x-api-key': API_KEY }

function choice(description: string, votes: number | null): object {
  return { id: uuid, description, votes }
}

async function create(): Promise<Topic> {
  const choices = ['Woodworker', 'Baker', 'Farmer'].map((description) => ({ description }))
  const payload = { is_active: true, title: TITLE, choices }
  const answer = await service.app.inject({ method: 'POST', url: '/topics', headers, payload })
  expect(answer.statusCode).toBe(201)
  return answer.json()
}

describe('the worked example of the reference', () => {
  it('creates a topic: 201, with ids, times and no counts', async () => {
    const topic = await create()
    expect(topic).toEqual({
      id: uuid,
      created: time,
      last_upd: time,
      is_active: true,
      title: TITLE,
      choices: [choice('Woodworker', null), choice('Baker', null), choice('Farmer', null)],
    })
    expect(topic.created.startsWith('2021-12-28T00:48:55.871')).toBe(true)
  })

  it('replaces it: 200 with null; kept ids stay, a new choice gets one', async () => {
    const topic = await create()
    const [woodworker, baker, farmer] = topic.choices
    const choices = [
      { id: woodworker?.id, description: 'Woodworker' },
      { id: baker?.id, description: 'Baker' },
      { id: farmer?.id, description: 'Organic Farmer' },
      { description: 'Chef' },
    ]
    const payload = { is_active: false, title: NEW_TITLE, choices }
    const answer = await service.app.inject({ method: 'PUT', url: `/topics/${topic.id}`, headers, payload })
    expect([answer.statusCode, answer.headers['content-type'], answer.body]).toEqual([
      200,
      'application/json; charset=utf-8',
      'null',
    ])
    const listed = await service.app.inject('/topics?include_votes=true')
    expect(listed.statusCode).toBe(200)
    const [replaced] = listed.json<Topic[]>()
    expect(listed.json()).toEqual([
      {
        created: topic.created,
        is_active: false,
        id: topic.id,
        last_upd: time,
        choices: [
          choice('Woodworker', 0),
          choice('Baker', 0),
          choice('Organic Farmer', 0),
          choice('Chef', 0),
        ],
        title: NEW_TITLE,
      },
    ])
    expect(replaced?.choices.slice(0, 3).map(({ id }) => id)).toEqual(topic.choices.map(({ id }) => id))
    expect(replaced!.last_upd > topic.last_upd).toBe(true)
  })

  it('lists topics without counts unless asked, one or all', async () => {
    const topic = await create()
    expect((await service.app.inject('/topics')).json()).toEqual([topic])
    expect((await service.app.inject(`/topics/${topic.id}`)).json()).toEqual(topic)
    const counted = (await service.app.inject(`/topics/${topic.id}?include_votes=true`)).json<Topic>()
    expect(counted.choices.map(({ votes }) => votes)).toEqual([0, 0, 0])
  })

  it('takes a vote: 202; the vote is 404 until it is counted, then 200', async () => {
    const topic = await create()
    const [first] = topic.choices
    const payload = { topic_id: topic.id, choice_id: first?.id }
    const answer = await service.app.inject({ method: 'POST', url: '/votes', payload })
    expect(answer.statusCode).toBe(202)
    expect(answer.json()).toEqual({ id: uuid, ...payload, queued_at: time })
    const { id } = answer.json<{ id: string }>()

    const pending = await service.app.inject(`/votes/${id}`)
    expect([pending.statusCode, pending.headers['cache-control']]).toEqual([404, 'no-store'])
    await service.clock.advance(85)
    await service.work()
    const counted = await service.app.inject(`/votes/${id}`)
    expect(counted.statusCode).toBe(200)
    expect(counted.json()).toEqual({ created: time, topic_id: topic.id, id, choice_id: first?.id })
    expect(counted.json<Topic>().created > answer.json<{ queued_at: string }>().queued_at).toBe(true)

    const tallied = await service.app.inject(`/topics/${topic.id}?include_votes=true`)
    expect(tallied.json<Topic>().choices.map(({ votes }) => votes)).toEqual([1, 0, 0])
  })
})
