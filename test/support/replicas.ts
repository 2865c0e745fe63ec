/** Servers that share one store: real `signalbox serve` processes on a fresh table of an engine. */
import { DATABASE, PROJECT, type Place } from '../races/serverless/place.ts'
import { startServer, type ServerProcess } from './processes.ts'

export interface ReplicaOptions {
  readonly port?: number
  /** Further configuration, by environment variable. */
  readonly env?: Readonly<Record<string, string>>
}

/** Starts one server on the place's store and waits until it is ready. */
export function startReplica(place: Place, { port, env = {} }: ReplicaOptions = {}): Promise<ServerProcess> {
  return startServer({
    ...(port === undefined ? {} : { port }),
    args: ['--store', place.backend === 'aws' ? 'dynamodb' : 'firestore'],
    env: { ...storeEnv(place), ...env },
  })
}

/** What points a server at this place. */
export function storeEnv({ backend, host, table }: Place): Record<string, string> {
  if (backend === 'aws') {
    return {
      AWS_ACCESS_KEY_ID: 'AKIATEST',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_REGION: 'eu-west-1',
      // One of this machine's own would be preferred to the key.
      AWS_PROFILE: '',
      SIGNALBOX_STORE_DYNAMODB_TABLE: table,
      SIGNALBOX_STORE_DYNAMODB_ENDPOINT: `http://${host}`,
    }
  }
  return {
    SIGNALBOX_STORE_FIRESTORE_PROJECT: PROJECT,
    SIGNALBOX_STORE_FIRESTORE_DATABASE: DATABASE,
    SIGNALBOX_STORE_FIRESTORE_COLLECTION: table,
    SIGNALBOX_STORE_FIRESTORE_EMULATOR_HOST: host,
  }
}
