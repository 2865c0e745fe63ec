/** EventBridge Scheduler's client: the SDK, loaded when the driver opens, behind `Calls`. */
import type * as Api from '@aws-sdk/client-scheduler'
import { SignalboxError } from '../../../kernel/error.ts'
import type { Calls, CallFacts } from '../calls.ts'
import { clientConfig, openCalls, type AwsOptions } from '../client.ts'

type Command<I extends Api.ServiceInputTypes, O extends Api.ServiceOutputTypes> = InstanceType<
  typeof Api.$Command<I, O, Api.SchedulerClientResolvedConfig, Api.ServiceInputTypes, Api.ServiceOutputTypes>
>

export class Scheduler {
  readonly api: typeof Api
  readonly #client: Api.SchedulerClient
  readonly #calls: Calls

  constructor(api: typeof Api, client: Api.SchedulerClient, calls: Calls) {
    this.api = api
    this.#client = client
    this.#calls = calls
  }

  /** @throws SignalboxError `not_found`, `conflict` (it exists already), `permission_denied`, `throttled`, `unavailable`, … */
  call<I extends Api.ServiceInputTypes, O extends Api.ServiceOutputTypes>(
    facts: CallFacts,
    make: () => Command<I, O>,
  ): Promise<O> {
    return this.#calls.call(facts, async ({ abortSignal, goesOut }) => {
      const command = make()
      command.middlewareStack.add(
        (next) => (args) => {
          goesOut()
          return next(args)
        },
        // The innermost place: the request is signed, the answer not yet read.
        { step: 'deserialize', priority: 'low', name: 'signalboxExchange' },
      )
      try {
        return await this.#client.send(command, { abortSignal })
      } catch (error) {
        throw renamed(error)
      }
    })
  }

  close(): void {
    this.#client.destroy()
  }
}

/**
 * Scheduler says `ConflictException` of a name that is taken as well as of a group that is being deleted; only the second
 * passes. https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html#API_CreateSchedule_Errors
 */
function renamed(error: unknown): unknown {
  if (error instanceof Error && error.name === 'ConflictException' && /already exists/i.test(error.message)) {
    error.name = 'ResourceAlreadyExistsException'
  }
  return error
}

/** Nothing is sent yet. @throws SignalboxError `config_invalid` */
export async function openSchedulerClient(options: AwsOptions): Promise<Scheduler> {
  const api = await loadSchedulerSdk()
  const client = new api.SchedulerClient(clientConfig(options))
  return new Scheduler(
    api,
    client,
    openCalls('scheduler', options, () => client.config.region()),
  )
}

/** @param load imports the package; a parameter for tests. */
export async function loadSchedulerSdk(
  load: () => Promise<typeof Api> = () => import('@aws-sdk/client-scheduler'),
): Promise<typeof Api> {
  try {
    return await load()
  } catch (cause) {
    throw new SignalboxError(
      'config_invalid',
      'schedules on EventBridge Scheduler need a package that is not installed: npm install @aws-sdk/client-scheduler',
      { cause },
    )
  }
}
