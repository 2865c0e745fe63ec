/** A whole application over a memory store, with tokens for tests. */
import { Registry } from 'prom-client'
import { memoryDatabase, type MemoryDatabase, type MemoryStore } from '../../../drivers/memory/index.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import { seededRandom } from '../../../kernel/id.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import { leasesApiFace } from '../../../leases/http-api.ts'
import { createLeasesService, type LeasesService } from '../../../leases/service.ts'
import { Desk } from '../../../messages/desk.ts'
import { messagesFace } from '../../../messages/http.ts'
import { MessagesService } from '../../../messages/service.ts'
import { FakeQueue } from '../../../messages/testing/fake-queue.ts'
import { notificationsFace } from '../../../notifications/http.ts'
import { createNotificationsService, type NotificationsService } from '../../../notifications/service.ts'
import type { Principal } from '../../../ports/access.ts'
import { runsFace } from '../../../runs/http.ts'
import { createRunsService, type RunsService } from '../../../runs/service.ts'
import { triggerControlFace } from '../../../schedules/http-trigger-control.ts'
import type { TriggerControl } from '../../../schedules/api.ts'
import { schedulesFace } from '../../../schedules/http.ts'
import { createSchedulesService, type SchedulesService } from '../../../schedules/service.ts'
import { turnsFace } from '../../../turns/http.ts'
import { createTurnsService, type TurnsService } from '../../../turns/service.ts'
import { buildApp, type RouteFace } from '../../app.ts'
import { configSchema } from '../../config/schema.ts'
import { createLogger } from '../../logger.ts'
import { OpenStreams } from '../../open-streams.ts'
import type { CreateToken } from '../api.ts'
import { createAuth, type Auth, type AuthOptions } from '../auth.ts'
import type { BasicUsers } from '../basic.ts'
import { authFace } from '../routes.ts'

export const owner: Principal = { name: 'ann', kind: 'local', role: 'admin', scopes: [] }

export interface AuthWorld {
  readonly clock: ManualClock
  readonly store: MemoryStore
  readonly database: MemoryDatabase
  readonly auth: Auth
  /** Creates a token as the owner. @returns its secret */
  readonly token: (request: Partial<CreateToken>) => Promise<string>
  /** Another server on the same store. */
  readonly another: () => Auth
}

export interface AuthWorldOptions {
  readonly required?: boolean
  readonly clock?: ManualClock
  readonly oidc?: AuthOptions['oidc']
  readonly basicUsers?: BasicUsers
  readonly oidcPrefixes?: readonly string[]
}

export function authWorld(options: AuthWorldOptions = {}): AuthWorld {
  const { required = true, clock = new ManualClock(), oidc, basicUsers = {}, oidcPrefixes = [] } = options
  // The keys that every store takes.
  const database = memoryDatabase({ limits: { keys: 'decimal' } })
  const store = database.connect({ clock })
  const server = (on: MemoryStore): Auth =>
    createAuth({
      store: on,
      clock,
      random: seededRandom(1),
      required,
      ownerName: owner.name,
      oidc,
      basicUsers,
      oidcPrefixes,
    })
  const auth = server(store)
  let count = 0
  return {
    clock,
    store,
    database,
    auth,
    async token(request) {
      const whole: CreateToken = { name: `token-${++count}`, role: 'operator', ...request }
      return (await auth.tokens.create(whole, owner)).secret
    },
    another: () => server(database.connect({ clock })),
  }
}

export interface AppWorld extends AuthWorld {
  readonly app: Awaited<ReturnType<typeof buildApp>>
  readonly turns: TurnsService
  /** Queues in memory, with the default queue `orders`. */
  readonly desk: Desk
  close(): Promise<void>
}

const none = async (): Promise<never> => {
  throw new SignalboxError('not_found', 'there is no external trigger')
}
const noTrigger: TriggerControl = { status: none, reconcile: none, remove: none }

/** @param faces added to those of turns, leases, messages, runs, schedules, notifications, tokens and audit; @param viaSocket do requests come through the owner's socket? */
export async function appWorld(
  options: AuthWorldOptions & {
    readonly faces?: readonly RouteFace[]
    readonly viaSocket?: boolean
    readonly leases?: LeasesService
    readonly runs?: RunsService
    readonly schedules?: SchedulesService
    readonly trigger?: TriggerControl
    readonly notifications?: NotificationsService
  } = {},
): Promise<AppWorld> {
  const world = authWorld(options)
  const { clock, store, auth } = world
  const random = seededRandom(2)
  const turns = createTurnsService({ store, clock, random })
  const leases = options.leases ?? createLeasesService({ store, clock, random, providers: [] })
  // Redriving by hand would wait for the clock.
  const engine = Object.assign(new FakeQueue({ clock }), { redrive: async () => ({ moved: 0, skipped: 0 }) })
  const desk = new Desk(new MessagesService({ engine, clock, random, defaultQueue: 'orders' }), clock)
  const runs = options.runs ?? createRunsService({ store, clock, random })
  const schedules =
    options.schedules ?? createSchedulesService({ store, clock, random, runs, trigger: 'embedded' })
  const notifications =
    options.notifications ?? createNotificationsService({ store, clock, random, channels: [], rules: [] })
  const app = await buildApp({
    config: configSchema.parse({}),
    version: '1.2.3',
    lifecycle: { state: 'ready' },
    checkStore: async () => undefined,
    faces: [
      turnsFace({ turns, clock }),
      authFace({ tokens: auth.tokens, store }),
      leasesApiFace({ leases, clock }),
      messagesFace({ desk }),
      runsFace({ runs, clock }),
      schedulesFace({ schedules, clock }),
      triggerControlFace({ control: options.trigger ?? noTrigger }),
      notificationsFace({ notifications }),
      ...(options.faces ?? []),
    ],
    auth,
    logger: createLogger({ level: 'info', format: 'json' }, false, { write: () => true }),
    registry: new Registry(),
    clock,
    random,
    streams: new OpenStreams(),
    trusted: () => options.viaSocket === true,
  })
  const close = async (): Promise<void> => {
    await turns.close()
    if (options.schedules === undefined) await schedules.close()
    if (options.runs === undefined) await runs.close()
    await app.close()
    await auth.close()
  }
  return { ...world, app, turns, desk, close }
}
