/** ElasticMQ, which many use in place of SQS: https://github.com/softwaremill/elasticmq */
import { join } from 'node:path'
import { freePort } from '../processes.ts'
import { installedEngine, launch } from './launch.ts'
import { localEngine, type SqsEngine } from './sqs.ts'

/** @throws Error saying how to install it, unless it is there. */
export async function startElasticmq(): Promise<SqsEngine> {
  const folder = installedEngine('elasticmq')
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const settings = [`-Drest-sqs.bind-port=${port}`, '-Drest-sqs.bind-hostname=127.0.0.1']
  const java = [...settings, `-Dnode-address.port=${port}`, '-cp', join(folder, '*')]
  const stop = await launch('ElasticMQ', endpoint, 'java', [...java, 'org.elasticmq.server.Main'])
  return localEngine(endpoint, stop)
}
