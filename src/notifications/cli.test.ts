/** The commands, against the whole application over a socket. */
import type { AddressInfo } from 'node:net'
import { CommanderError, type Command } from 'commander'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { NotificationsContext } from '../cli/notifications-context.ts'
import { printError } from '../cli/output.ts'
import { createClient, type Client } from '../client/client.ts'
import { systemClock } from '../kernel/clock.ts'
import { seededRandom } from '../kernel/id.ts'
import { appWorld } from '../server/auth/testing/world.ts'
import { notificationsCommands } from './cli.ts'
import { notice, world, type World } from './testing/world.ts'

let made: World
let client: Client
let out: string
let err: string

beforeEach(async () => {
  made = world({ channels: ['ops', 'chat'], giveUpAfterMs: 600_000 })
  const box = await appWorld({ notifications: made.notes })
  await box.app.listen({ port: 0, host: '127.0.0.1' })
  client = createClient({
    url: `http://127.0.0.1:${(box.app.server.address() as AddressInfo).port}`,
    token: await box.token({ role: 'admin' }),
    clock: systemClock,
    random: seededRandom(6),
  })
  await made.notes.start()
  onTestFinished(async () => {
    await client.close()
    await made.notes.close()
    await box.close()
  })
})

/** Runs one command line as the program does. @returns the exit code */
async function signalbox(...argv: string[]): Promise<number> {
  out = ''
  err = ''
  const context: NotificationsContext = {
    connect: async () => ({ notifications: client.notifications, close: async () => undefined }),
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    env: {},
    clock: made.clock,
    random: seededRandom(1),
    setExitCode: () => undefined,
  }
  const command = notificationsCommands(context)
  const quiet = (one: Command): void => {
    one.exitOverride().configureOutput({ writeOut: (text) => (out += text), writeErr: () => undefined })
    one.commands.forEach(quiet)
  }
  quiet(command)
  try {
    await command.parseAsync(argv, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64
    return printError(error, { stderr: context.stderr }, { json: argv.includes('--json') })
  }
}

async function waiting(): Promise<string> {
  made.refusing.set('ops', { error: 'answered 503: \u001B[31mno' })
  await made.tell(notice({ error: 'disk\nfull' }))
  await made.clock.advance(3_000)
  expect(await signalbox('list', '--json')).toBe(0)
  return (JSON.parse(out) as { deliveries: { id: string }[] }).deliveries[0]?.id ?? ''
}

describe('signalbox notifications', () => {
  it('lists what waits, shows it, retries and discards it', async () => {
    expect(await signalbox('list')).toBe(0)
    expect(out).toBe('Nothing waits.\n')
    const id = await waiting()
    expect(await signalbox('list', '--channel', 'ops')).toBe(0)
    expect(out).toMatch(
      new RegExp(`^ID .*\n${id} +ops +Schedule nightly failed +1 +in \\d+m?s +answered 503: \\?\\[31mno\n$`),
    )
    expect(await signalbox('show', id)).toBe(0)
    expect(out).toContain('waits, tried 1 times')
    expect(out).toMatch(/error +disk\?full/)
    expect(await signalbox('retry', id)).toBe(0)
    expect(out).toBe(`${id}: tried again\n`)
    expect(await signalbox('discard', id)).toBe(0)
    expect(await signalbox('show', id)).toBe(66)
    expect(err).toContain(`no message '${id}'`)
  })

  it('retries all that was given up', async () => {
    made.refusing.set('ops', { error: 'answered 503', slow: true })
    await made.tell(notice())
    await made.clock.advance(1_500_000)
    expect(await signalbox('list', '--given-up')).toBe(0)
    expect(out).toContain('given up 2026-01-0')
    made.refusing.clear()
    expect(await signalbox('retry', '--given-up', '--channel', 'ops')).toBe(0)
    await made.clock.advance(1_000)
    expect(made.taken['ops']).toHaveLength(1)
    expect(await signalbox('retry', '--given-up')).toBe(0)
    expect(out).toBe('There is nothing to retry.\n')
  })

  it('shows and tests channels', async () => {
    await waiting()
    expect(await signalbox('channels')).toBe(0)
    expect(out).toMatch(
      /^CHANNEL .*\nchat +webhook +0 +works, as far as known .*\nops +webhook +1 +fails, tried again in /,
    )
    expect(await signalbox('test', 'chat')).toBe(0)
    expect(out).toMatch(/^chat: taken in \d+ ms\n$/)
    expect(await signalbox('test', 'ops')).toBe(69)
    expect(err).toContain("channel 'ops' did not take the test: answered 503")
  })

  it.each([
    [['show', '12'], 'write the 15 digits'],
    [['test', 'a b'], 'is not a name'],
    [['retry'], 'name notifications, or write --given-up'],
    [['list', '--limit', '0'], '--limit'],
  ])('refuses %j before it asks the server', async (argv, expected) => {
    expect(await signalbox(...argv)).toBe(64)
    expect(err).toContain(expected)
  })
})
