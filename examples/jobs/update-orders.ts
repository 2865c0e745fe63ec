/**
 * A job for schedules: adds to a column of all orders, by a parameter. It shows what a job that changes data needs: parameters that
 * are described and checked, a dependency that is made once a worker, a signal that is obeyed, and an effect that happens once.
 *
 *   npx signalbox schedule create nightly --job update-orders --cron '0 3 * * ? *' --time-zone Europe/Berlin --param increment=5
 *
 * In a project of your own the import is 'signalbox/jobs'.
 */
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { defineJob, defineWorker, type JobContext } from '../../src/jobs-entry.ts'

/** What the job needs, and nothing of how it is done; tests give it another. */
export interface Orders {
  count(): number
  /** Adds to the orders of a page, unless a page with this key has been done. @returns how many orders the page has; 0: there are no more */
  addToPage(increment: number, page: number, key: string): number
  close(): void
}

export const updateOrders = defineJob({
  name: 'update-orders',
  description: 'Adds to the column of every order',
  input: z.object({
    increment: z.int().min(-1_000).max(1_000).describe('How much the column of each order grows'),
  }),
  retry: { attempts: 3, minDelay: '1s', maxDelay: '1m' },
  timeout: '10m',
  keepRuns: { for: '30d' },
  run: async ({ increment }, { deps, signal, effect, log, progress }: JobContext<{ orders: Orders }>) => {
    const total = deps.orders.count()
    let done = 0
    for (let page = 0; ; page++) {
      signal.throwIfAborted() // somebody cancelled it, its time is over, or its worker stops: the reason says which
      const updated = deps.orders.addToPage(increment, page, `${effect.key}/${page}`)
      if (updated === 0) break
      done += updated
      progress({ done, total })
      await setImmediate() // other jobs of this process have their turn
    }
    log.info(`added ${increment} to ${done} orders`)
    return { orders: done }
  },
})

/** Made once a worker process, before its first job. */
export const worker = defineWorker({
  deps: () => ({ orders: openOrders(process.env['ORDERS_DB'] ?? ':memory:') }),
  dispose: ({ orders }) => orders.close(),
})

const PAGE = 100

/** A database of a thousand orders: a file, or `:memory:`. */
export function openOrders(file: string): Orders {
  const database = new DatabaseSync(file, { timeout: 5_000 })
  database.exec(`
    create table if not exists orders (id integer primary key, some_column integer not null default 0);
    create table if not exists effects (key text primary key) without rowid;
    with recursive ids(id) as (select 1 union all select id + 1 from ids where id < 1000)
      insert or ignore into orders (id) select id from ids;`)
  const all = database.prepare('select count(*) as n from orders')
  const size = database.prepare('select count(*) as n from orders where id > ? and id <= ?')
  const once = database.prepare('insert or ignore into effects (key) values (?)')
  const add = database.prepare('update orders set some_column = some_column + ? where id > ? and id <= ?')
  return {
    count: () => Number(all.get()?.['n']),
    addToPage(increment, page, key) {
      const range = [page * PAGE, (page + 1) * PAGE] as const
      // The key and the change are one transaction: an attempt that comes after a crash changes nothing twice.
      database.exec('begin immediate')
      try {
        if (once.run(key).changes > 0) add.run(increment, ...range)
        database.exec('commit')
      } catch (error) {
        database.exec('rollback')
        throw error
      }
      return Number(size.get(...range)?.['n'])
    },
    close: () => database.close(),
  }
}
