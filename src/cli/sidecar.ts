/**
 * `signalbox sidecar`: one process with the message capability alone, for the container next door. SIGTERM or SIGINT stop it
 * gracefully (exit 0), a second one at once.
 */
import { setFlagsFromString } from 'node:v8'
import { Command } from 'commander'
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import { onCrash } from './crash.ts'
import { collectGarbage } from './sidecar/memory.ts'
import type { SidecarFlags } from './sidecar/settings.ts'
import type { Terminal } from './terminal.ts'
import { stopRequested } from './stop-requested.ts'

export function sidecarCommand(terminal: Terminal): Command {
  const command = new Command('sidecar').description(
    'Serve message queues to the container next door: gRPC, HTTP',
  )
  command
    .option(
      '--engine <engine>',
      'where the messages are: sqlite (embedded, durable) or sqs (default: sqlite)',
    )
    .option(
      '--data-dir <path>',
      'sqlite: its directory; who owns it already is attached to (default: ./data)',
    )
    .option('--queue <name>', 'the queue of calls that name none (default: APP_QUEUENAME, else sqs-sample-1)')
    .option('--visibility <duration>', 'sqlite: how long a received message stays hidden (default: 30s)')
    .option('--dead-letter <name>', 'sqlite: where messages go that fail too often')
    .option('--max-receives <n>', 'sqlite: so often a message is received before that (default: 3)')
    .option('--region <region>', 'sqs: its region (default: APP_REGION, else what the AWS SDK finds)')
    .option('--profile <name>', 'sqs: a profile of the AWS configuration (default: APP_PROFILE)')
    .option('--endpoint <url>', 'sqs: an engine that is not in the cloud')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'gRPC; 0 takes any free port (default: APP_PORT, else 50051)')
    .option('--socket <path>', 'gRPC on a Unix socket instead')
    .option('--http-port <port>', 'HTTP/JSON, /healthz, /readyz and /metrics (default: none)')
    .option('--tls-cert <file>', 'gRPC with TLS: the certificate, PEM')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--tls-client-ca <file>', 'admit only clients with a certificate of this authority')
    .option('--insecure', 'listen beyond this machine although anybody may then take messages')
    .option(
      '--wait-time <duration>',
      'how long a receive of SQSService waits that does not say so (default: 0s)',
    )
    .option(
      '--grace <duration>',
      'after SIGTERM: how long messages in flight may still be settled (default: 25s)',
    )
    .option('--log-level <level>', 'debug logs what is received and returned (default: info)')
    .option('--log-bodies', 'show bodies and receipt handles in it')
  command.action(async (flags: SidecarFlags) => {
    // What loading leaves behind must not make the heap of a small process large for good; under load it may grow.
    setFlagsFromString('--semi-space-growth-factor=1')
    const [{ sidecarSettings }, { sidecarLogger, startSidecar }] = await Promise.all([
      import('./sidecar/settings.ts'),
      import('./sidecar/run.ts'),
    ])
    const settings = sidecarSettings(flags, terminal)
    const logger = sidecarLogger(settings.logLevel)
    onCrash((error) => logger.fatal({ err: error }, 'crashed'))
    const stopped = stopRequested()
    const sidecar = await startSidecar(settings, { clock: systemClock, random: systemRandom, logger })
    collectGarbage()
    setFlagsFromString('--semi-space-growth-factor=2')
    await stopped
    await sidecar.close()
  })
  return command
}
