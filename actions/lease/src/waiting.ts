/** What the waiting for a lease says in the log: who holds it and why this one waits, each thing once a minute. */
import { warning } from '@actions/core'
import type { Output } from '../../../src/cli/context.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { formatDuration } from '../../../src/kernel/duration.ts'
import type { SignalboxError } from '../../../src/kernel/error.ts'
import type { LeaseProgress } from '../../../src/leases/session.ts'
import type { Priority } from './priority.ts'
import { inputWords } from './words.ts'

const REMIND_MS = 60_000

export class Waiting {
  readonly #output: Output
  readonly #priority: Priority
  readonly #startedAt = systemClock.monotonic()
  readonly #said = new Map<string, number>()
  #shownPriority: number
  /** Could the server not be told that nobody waits any more? */
  leftBehind = false
  /** Why it waited, as the server said it last. */
  reason: string | undefined

  constructor(output: Output, priority: Priority) {
    this.#output = output
    this.#priority = priority
    this.#shownPriority = priority.current
  }

  get elapsedMs(): number {
    return systemClock.monotonic() - this.#startedAt
  }

  readonly progress = (event: LeaseProgress): void => {
    switch (event.type) {
      case 'waiting':
        this.#sayPriority()
        this.reason = event.reason
        this.#remind(`waiting: ${event.reason ?? (event.admitted ? 'pending' : 'a batch is being settled')}`)
        return
      case 'unreachable':
        this.#remind(this.#silence(event.error))
        return
      case 'reachable':
        this.#say('the server is asked again, and answers')
        return
      case 'withdraw_failed':
        this.leftBehind = true
        warning(`the server could not be told that this job waits no more: ${inputWords(event.error)}`)
        return
      case 'release_failed':
        this.#remind(`the lease is not given back yet, trying again: ${inputWords(event.error)}`)
        return
      case 'acquired':
      case 'completed':
      case 'renew_failed':
      case 'renewed':
    }
  }

  /** Numbers in it run on; they are no news. */
  #remind(text: string): void {
    const what = text.replaceAll(/\d+(?:m?s|m|h|d)?\b/g, '#')
    const now = systemClock.monotonic()
    if (now - (this.#said.get(what) ?? -Infinity) < REMIND_MS) return
    this.#said.set(what, now)
    this.#say(text)
  }

  #silence(error: SignalboxError): string {
    const why = inputWords(error)
    return error === this.#priority.failure
      ? `the server is not asked, for the priority may have fallen: ${why}`
      : `the server does not answer, asking again: ${why}`
  }

  #sayPriority(): void {
    const { current } = this.#priority
    if (current === this.#shownPriority) return
    this.#say(`the base branch has moved: the priority is ${current} now, was ${this.#shownPriority}`)
    this.#shownPriority = current
  }

  #say(text: string): void {
    this.#output.write(`[${formatDuration(this.elapsedMs)}] ${text}\n`)
  }
}
