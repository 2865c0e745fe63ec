#!/usr/bin/env node
/**
 * Installs the engines that `npm run test:engines` runs against, from the registry each of them is published in, into
 * the folder `.engines/` that git ignores. Idempotent: what is there in the wanted version stays.
 *
 *   node tools/engines/install.mjs dynamodb-local moto
 *
 * Adding an engine: one entry of the table below.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const home = resolve(import.meta.dirname, '../../.engines')

/** What each takes, and how it gets into its folder. */
const engines = {
  'dynamodb-local': {
    version: '3.1.0',
    needs: 'Maven, and Java 17 to run',
    install: (folder, version) => maven('software.amazon.dynamodb', 'DynamoDBLocal', version, folder),
  },
  elasticmq: {
    version: '1.7.1',
    needs: 'Maven, and Java 17 to run',
    install: (folder, version) => maven('org.elasticmq', 'elasticmq-server_2.13', version, folder),
  },
  moto: {
    version: '5.2.5',
    needs: 'Python 3 with venv',
    install: (folder, version) => python(`moto[server]==${version}`, folder),
  },
  hidane: {
    version: '0.6.0',
    needs: 'Rust 1.88 or newer with cargo',
    install: (folder, version) =>
      run('cargo', ['install', '--quiet', '--locked', '--root', folder, `hidane@${version}`]),
  },
}

function maven(group, artifact, version, folder) {
  const project = mkdtempSync(join(tmpdir(), 'signalbox-maven-'))
  const dependency = `<groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>`
  writeFileSync(
    join(project, 'pom.xml'),
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
    <groupId>signalbox</groupId><artifactId>engines</artifactId><version>1</version>
    <dependencies><dependency>${dependency}</dependency></dependencies></project>`,
  )
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`]
  try {
    run('mvn', ['-q', '-B', '-f', join(project, 'pom.xml'), ...goal])
  } finally {
    rmSync(project, { recursive: true })
  }
}

function python(requirement, folder) {
  run('python3', ['-m', 'venv', folder])
  const bin = join(folder, process.platform === 'win32' ? 'Scripts' : 'bin')
  run(join(bin, 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', requirement])
}

function run(command, args) {
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
}

function install(name) {
  const engine = engines[name]
  if (engine === undefined) {
    throw new Error(`no engine '${name}'; there are: ${Object.keys(engines).join(', ')}`)
  }
  const folder = join(home, name)
  const stamp = join(folder, '.version')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === engine.version) {
    console.log(`${name} ${engine.version} is installed`)
    return
  }
  console.log(`installing ${name} ${engine.version} into ${folder}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  try {
    engine.install(folder, engine.version)
  } catch (error) {
    throw new Error(`${name} could not be installed; it needs ${engine.needs} (${error.message})`, {
      cause: error,
    })
  }
  writeFileSync(stamp, engine.version)
}

const wanted = process.argv.slice(2)
if (wanted.length === 0) {
  console.error(`usage: node tools/engines/install.mjs <${Object.keys(engines).join('|')}> …`)
  process.exitCode = 64
}
try {
  for (const name of wanted) install(name)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
