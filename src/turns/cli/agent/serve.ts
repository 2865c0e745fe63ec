/**
 * The agent's process: what `turn agent start` leaves running. Puts the parts together: the queue's member, its gRPC face,
 * its state file, the process it is held for.
 *
 * Invariants:
 * - it reports exactly once: when it has joined and serves, or what kept it from that;
 * - its state file is there from before it joins until its place is gone;
 * - the end of its starter before the report, and SIGTERM at any time, make it leave the queue.
 */
import type { CliContext, Connection, Output } from '../../../cli/context.ts'
import { SignalboxError, toSignalboxError } from '../../../kernel/error.ts'
import { Agent } from '../../agent/agent.ts'
import { cancelRun } from '../../agent/cancel-run.ts'
import { isAlive, markOf } from '../../agent/processes.ts'
import type { AgentEnd, AgentProgress, AgentState } from '../../agent/state.ts'
import { forget, logPath, publish, reserve } from '../../agent/state-files.ts'
import { defaultLabels } from '../labels.ts'
import { Reporter } from '../reporter.ts'
import { processSignals } from '../../../supervisor/signals.ts'
import type { StartOrder, StartReport } from './protocol.ts'
import { agentRequest, type AgentRequest } from './request.ts'

/** What may keep a process that is done from ending gets this long. */
const LINGER_MS = 2_000

/** Runs until the agent has ended. @throws SignalboxError when it was not started by `turn agent start` */
export async function serveAgent(context: CliContext): Promise<void> {
  const order = await orderFromStarter()
  const serving = new Serving(order, context)
  const giveBack = processSignals(() => serving.stop())
  process.once('disconnect', () => serving.starterGone())
  try {
    await serving.run()
  } finally {
    giveBack()
    context.clock.timer(LINGER_MS, () => process.exit(), { unref: true })
  }
}

class Serving {
  readonly #order: StartOrder
  readonly #request: AgentRequest
  readonly #context: CliContext
  readonly #reporter: Reporter
  #state: AgentState
  #agent: Agent | undefined
  #reported = false
  #stopping = false
  #publishes = true

  constructor(order: StartOrder, context: CliContext) {
    const { id, folder, queue, flags } = order
    const { clock, env } = context
    const request = agentRequest(queue, flags, defaultLabels(env))
    this.#order = order
    this.#request = request
    this.#context = context
    this.#reporter = new Reporter({ queue, mode: 'lines', stderr: dated(context), clock })
    this.#state = {
      id,
      queue,
      pid: process.pid,
      born: markOf(process.pid)?.born,
      address: '',
      state: 'joining',
      ttlMs: request.ttlMs,
      startedAt: new Date(clock.now()).toISOString(),
      log: logPath(folder, id),
    }
  }

  stop(): void {
    this.#stopping = true
    void this.#agent?.stop()
  }

  starterGone(): void {
    if (!this.#reported) this.stop()
  }

  async run(): Promise<void> {
    const { folder, id, flags } = this.#order
    const { QueueService } = await import('../../agent/queue-service.ts')
    const service = new QueueService()
    let connection: Connection | undefined
    let asPlanned = false
    let reserved = false
    try {
      const address = await service.listen(this.#request.port)
      this.#state = { ...this.#state, address }
      reserve(folder, this.#state)
      reserved = true
      connection = await this.#context.connect(flags)
      const agent = this.#join(connection)
      service.serve(agent)
      await agent.joined
      const { describe } = connection
      this.#reporter.note(`joined at ${describe}; serving on ${address}`, { event: 'joined' })
      await this.#report({ type: 'joined', state: this.#state })
      const end = await agent.ended
      asPlanned = (end.why === 'asked' || end.why === 'process_gone') && end.place !== 'unconfirmed'
      if (!asPlanned) this.#publish({ state: 'ended', end })
      await this.#conclude(end)
    } catch (error) {
      // What failed before the agent joined is its starter's to say; nothing of it stays.
      await this.#agent?.stop()
      if (reserved) forget(folder, id, { log: !process.connected })
      const { code, message, details } = toSignalboxError(error)
      await this.#report({ type: 'failed', code, message, details })
    } finally {
      this.#reporter.close()
      await service.close(this.#context.clock)
      await connection?.close()
      if (asPlanned) forget(folder, id, { log: true })
    }
  }

  #join({ turns }: Connection): Agent {
    const { clock, random } = this.#context
    const { watched } = this.#order
    const agent = new Agent({
      ...this.#request,
      api: turns,
      clock,
      random,
      isWanted: watched === undefined ? undefined : () => isAlive(watched),
      onChange: (progress) => this.#publish(progress),
      onProgress: (event) => this.#reporter.progress(event),
    })
    this.#agent = agent
    if (this.#stopping) void agent.stop()
    return agent
  }

  /** Notes how it ended, and acts on a loss. */
  async #conclude(end: AgentEnd): Promise<void> {
    this.#reporter.note(withoutQueue(end.message, this.#request.queue), { event: 'ended' })
    if (end.why !== 'lost' || this.#request.onLost !== 'cancel-run') return
    try {
      await cancelRun(this.#context.env)
      this.#reporter.note('the workflow run was asked to cancel', { event: 'cancelled_run' })
    } catch (error) {
      this.#reporter.warn(toSignalboxError(error), 'the steps go on without the turn')
    }
  }

  /** A state that cannot be written is stale for those who read it, but the turn is kept. */
  #publish(change: AgentProgress & Pick<AgentState, 'end'>): void {
    this.#state = { ...this.#state, ...change }
    try {
      publish(this.#order.folder, this.#state)
      this.#publishes = true
    } catch (error) {
      if (this.#publishes) this.#reporter.warn(toSignalboxError(error), 'the state file is out of date')
      this.#publishes = false
    }
  }

  #report(report: StartReport): Promise<void> {
    this.#reported = true
    return new Promise((done) => {
      if (process.send === undefined || !process.connected) {
        done()
        return
      }
      process.send(report, undefined, undefined, () => {
        if (process.connected) process.disconnect()
        done()
      })
    })
  }
}

/** The order comes through the channel that `turn agent start` opened. */
function orderFromStarter(): Promise<StartOrder> {
  if (process.send === undefined) {
    throw new SignalboxError('invalid_argument', "serve: is what 'signalbox turn agent start' runs; use that")
  }
  return new Promise((done, failed) => {
    process.once('message', (order) => done(order as StartOrder))
    process.once('disconnect', () => failed(new SignalboxError('cancelled', 'the starter has gone')))
  })
}

/** Lines of the log begin with the time. */
function dated({ stderr, clock }: CliContext): Output {
  return { write: (text) => stderr.write(`${new Date(clock.now()).toISOString()} ${text}`) }
}

function withoutQueue(message: string, queue: string): string {
  return message.startsWith(`${queue}: `) ? message.slice(queue.length + 2) : message
}
