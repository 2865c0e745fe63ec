/**
 * One contestant in a process of its own: `node contestant.mjs <name> <facts as JSON> <sizes as JSON>`; prints its figures as one line of JSON.
 *
 * A contestant module exports `open(facts)` → `{ enqueue(data), enqueueMany(all), work({ tuned }, handle) → stop, clear, close }`;
 * each call resolves when what it asked for is durable, as far as its engine's settings go.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { cpuMs } from './engines.mjs'

const [name, factsText, sizesText] = process.argv.slice(2)
const facts = JSON.parse(factsText)
const sizes = JSON.parse(sizesText)
const file = facts.typescript ? `./contestants/${name}.ts` : `./contestants/${name}.mjs`
const { open } = await import(file)
const session = await open(facts)

const CONCURRENT = 64
const payload = (bytes) => (seq) => ({ seq, text: 'x'.repeat(bytes) })

/** @returns {Promise<{ perSecond: number, cpuMicroseconds: number }>} CPU of this process and of its engine, an item */
async function measured(run) {
  const engineBefore = facts.enginePid === undefined ? 0 : cpuMs(facts.enginePid)
  const before = process.cpuUsage()
  const start = performance.now()
  const count = await run()
  const ms = performance.now() - start
  const { user, system } = process.cpuUsage(before)
  const engineMs = facts.enginePid === undefined ? 0 : cpuMs(facts.enginePid) - engineBefore
  return { perSecond: (count / ms) * 1_000, cpuMicroseconds: (user + system + engineMs * 1_000) / count }
}

async function enqueueing(make) {
  const one = await measured(async () => {
    for (let i = 0; i < sizes.sequential; i++) await session.enqueue(make(i))
    return sizes.sequential
  })
  await session.clear()
  const concurrent = await measured(async () => {
    let next = 0
    const loop = async () => {
      while (next < sizes.concurrent) await session.enqueue(make(next++))
    }
    await Promise.all(Array.from({ length: CONCURRENT }, loop))
    return sizes.concurrent
  })
  await session.clear()
  const all = Array.from({ length: sizes.bulk }, (_, i) => make(i))
  const bulk = await measured(async () => {
    await session.enqueueMany(all)
    return sizes.bulk
  })
  return { one, concurrent, bulk }
}

/** Works on what is queued until `count` are done or the time is over. */
async function processing(tuned, count) {
  let handled = 0
  const done = Promise.withResolvers()
  const late = setTimeout(() => done.resolve(), sizes.processMs)
  const figures = await measured(async () => {
    const stop = await session.work({ tuned }, () => {
      handled += 1
      if (handled >= count) done.resolve()
    })
    await done.promise
    const counted = handled
    clearTimeout(late)
    void stop().catch(() => undefined)
    return Math.max(counted, 1)
  })
  await pause(500)
  return { ...figures, handled }
}

async function pickup() {
  await session.clear()
  const latencies = []
  const started = new Map()
  let picked = () => undefined
  const stop = await session.work({ tuned: true }, ({ seq }) => {
    latencies.push(performance.now() - started.get(seq))
    picked()
  })
  await pause(1_000)
  for (let seq = 0; seq < sizes.pickups; seq++) {
    const taken = new Promise((done) => (picked = done))
    started.set(seq, performance.now())
    await Promise.all([session.enqueue({ seq }), taken])
    await pause(5)
  }
  void stop().catch(() => undefined)
  latencies.sort((a, b) => a - b)
  const at = (q) => latencies[Math.floor(q * (latencies.length - 1))]
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}

const figures = {}
for (const [kind, bytes] of [
  ['noop', 0],
  ['kilobyte', 1_024],
]) {
  const make = payload(bytes)
  const enqueue = await enqueueing(make)
  const tuned = await processing(true, sizes.bulk)
  await session.clear()
  await session.enqueueMany(Array.from({ length: sizes.byDefault }, (_, i) => make(i)))
  const byDefault = await processing(false, sizes.byDefault)
  await session.clear()
  figures[kind] = { enqueue, process: { tuned, default: byDefault } }
}
figures.pickup = await pickup()
process.stdout.write(`${JSON.stringify(figures)}\n`)
await session.close()
process.exit(0)
