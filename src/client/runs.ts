/**
 * `RunsApi` at a distance: the routes under `/api/v1/runs` and `/api/v1/jobs`. The server knows who calls; whom the caller
 * names in `by` is not sent.
 */
import { z } from 'zod'
import { isTransient } from '../kernel/attempt.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import {
  beatAnswer,
  claimView,
  createdList,
  createdRun,
  finishView,
  jobList,
  jobView,
  logPage,
  orderPage,
  runList,
  runView,
  type CancelOrder,
  type CreatedRun,
  type NewRun,
  type RunFilter,
  type RunsOperations,
} from '../runs/api.ts'
import { query } from './query.ts'
import type { Transport } from './transport.ts'

const empty = z.object({})
/** Runs, or log lines, of one call. */
const AT_ONCE = 500
const AT_ONCE_BYTES = 384 * 1024
const ORDERS_WAIT_MS = 20_000
const AGAIN_MS = 1_000

/** Works on the server that `transport` reaches. Each call is sent once; see `RunsApi` for what it throws. */
export function runsOver(
  transport: Transport,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): RunsOperations {
  const createMany = async (runs: readonly NewRun[]): Promise<readonly CreatedRun[]> => {
    const created: CreatedRun[] = []
    for (const part of portions(runs)) {
      const body = { runs: part }
      const answer = await transport.call({ method: 'POST', path: '/api/v1/runs', body, answer: createdList })
      created.push(...answer.runs)
    }
    return created
  }
  return {
    async create(run) {
      const [created] = await createMany([run])
      return created as CreatedRun // one run, one answer
    },
    createMany,
    claim: (id, { nonce = random.id(), ...claim }) =>
      transport.call({
        method: 'POST',
        path: `${runPath(id)}/claim`,
        body: { ...claim, nonce },
        answer: claimView,
      }),
    beat: (id, epoch, beat) =>
      transport.call({
        method: 'POST',
        path: `${runPath(id)}/beat`,
        body: { epoch, ...beat },
        answer: beatAnswer,
      }),
    finish: (id, epoch, outcome) =>
      transport.call({
        method: 'POST',
        path: `${runPath(id)}/finish`,
        body: { epoch, outcome },
        answer: finishView,
      }),
    async log(id, epoch, lines, from) {
      let first = from
      for (const part of portions(lines)) {
        const body = { epoch, lines: part, ...(first === undefined ? {} : { from: first }) }
        await transport.call({ method: 'POST', path: `${runPath(id)}/log`, body, answer: empty })
        if (first !== undefined) first += part.length
      }
    },
    watchCancel: (worker, signal) => watchOrders(transport, clock, worker, signal),
    cancel: (id, { reason }) =>
      transport.call({
        method: 'POST',
        path: `${runPath(id)}/cancel`,
        body: reason === undefined ? {} : { reason },
        answer: runView,
      }),
    restart: (id) => transport.call({ method: 'POST', path: `${runPath(id)}/restart`, answer: runView }),
    get: (id) => transport.call({ method: 'GET', path: runPath(id), answer: runView }),
    list: (filter = {}) =>
      transport.call({ method: 'GET', path: `/api/v1/runs${query(filterQuery(filter))}`, answer: runList }),
    readLog: (id, { after, limit } = {}) =>
      transport.call({
        method: 'GET',
        path: `${runPath(id)}/log${query({ after, limit })}`,
        answer: logPage,
      }),
    async registerJobs(jobs, worker) {
      await transport.call({ method: 'POST', path: '/api/v1/jobs', body: { jobs, worker }, answer: empty })
    },
    async listJobs() {
      return (await transport.call({ method: 'GET', path: '/api/v1/jobs', answer: jobList })).jobs
    },
    getJob: (name) => transport.call({ method: 'GET', path: jobPath(name), answer: jobView }),
    runNow: (job, request) =>
      transport.call({ method: 'POST', path: `${jobPath(job)}/runs`, body: request, answer: createdRun }),
  }
}

/** Orders as they come; goes on after failures that pass. */
async function* watchOrders(
  transport: Transport,
  clock: Clock,
  worker: string,
  signal: AbortSignal,
): AsyncGenerator<CancelOrder> {
  const seen = new Set<string>()
  let after: string | undefined
  while (!signal.aborted) {
    try {
      const page = await transport.call({
        method: 'POST',
        path: '/api/v1/runs/orders',
        body: { worker, waitMs: ORDERS_WAIT_MS, ...(after === undefined ? {} : { after }) },
        answer: orderPage,
        waitMs: ORDERS_WAIT_MS,
        signal,
      })
      after = page.next
      const fresh = page.orders.filter(({ id, epoch }) => !seen.has(`${epoch} ${id}`))
      for (const order of fresh) {
        seen.add(`${order.epoch} ${order.id}`)
        yield order
      }
      // What is still shown was seen already.
      if (page.orders.length > 0 && fresh.length === 0) await sleep(clock, AGAIN_MS, signal)
    } catch (error) {
      if (signal.aborted) return
      if (!isTransient(error)) throw error
      await sleep(clock, AGAIN_MS, signal).catch(() => undefined)
    }
  }
}

function filterQuery(filter: RunFilter): Record<string, string | number | undefined> {
  const { states, from, to, ...rest } = filter
  return {
    ...rest,
    state: states === undefined ? undefined : states.join(','),
    from: from === undefined ? undefined : new Date(from).toISOString(),
    to: to === undefined ? undefined : new Date(to).toISOString(),
  }
}

/** What fits one call. */
function* portions<T>(all: readonly T[]): Generator<T[]> {
  let part: T[] = []
  let bytes = 0
  for (const one of all) {
    const own = JSON.stringify(one).length
    if (part.length > 0 && (part.length === AT_ONCE || bytes + own > AT_ONCE_BYTES)) {
      yield part
      part = []
      bytes = 0
    }
    part.push(one)
    bytes += own
  }
  if (part.length > 0) yield part
}

function runPath(id: string): string {
  return `/api/v1/runs/${encodeURIComponent(id)}`
}

function jobPath(name: string): string {
  return `/api/v1/jobs/${encodeURIComponent(name)}`
}
