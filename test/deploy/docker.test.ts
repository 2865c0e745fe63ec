/**
 * The image's recipe against this repository: what it copies exists and is let through to it, the stages it copies from and the scripts
 * it runs are there, and what runs in it is not root. (Building it needs a Docker daemon: docs/deploy-messages.md has the commands.)
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../support/processes.ts'

const folder = join(root, 'deploy/docker')
const packageFile = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly workspaces: readonly string[]
  readonly bin: Readonly<Record<string, string>>
}

interface Instruction {
  readonly name: string
  readonly rest: string
}
interface Stage {
  readonly name: string
  readonly from: string
  readonly instructions: readonly Instruction[]
}

function stages(): Stage[] {
  const lines = readFileSync(join(folder, 'Dockerfile'), 'utf8')
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const found: (Stage & { readonly instructions: Instruction[] })[] = []
  for (const line of lines) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === 'FROM') {
      const [from = '', , as = ''] = rest.split(/\s+/)
      found.push({ name: as, from, instructions: [] })
    } else found.at(-1)?.instructions.push({ name, rest })
  }
  return found
}

const all = stages()
const stage = (name: string): Stage => all.find((each) => each.name === name) as Stage
const of = (name: string, instruction: string): string[] =>
  stage(name)
    .instructions.filter((each) => each.name === instruction)
    .map(({ rest }) => rest)

/** Sources in the repository, and where they go. */
const copies = all.flatMap(({ instructions }) =>
  instructions
    .filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from='))
    .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1)),
)

function json(text: string | undefined): readonly string[] {
  return JSON.parse(text ?? '[]') as string[]
}

describe('the Dockerfile', () => {
  it('copies what exists and what the ignore file lets through', () => {
    const ignore = readFileSync(join(folder, 'Dockerfile.dockerignore'), 'utf8').split('\n')
    const through = ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    expect(copies.filter((source) => !existsSync(join(root, source)))).toEqual([])
    expect([...new Set(copies)].toSorted()).toEqual(through.toSorted())
  })

  it('copies from stages that come before', () => {
    all.forEach(({ from, instructions }, at) => {
      const before = all.slice(0, at).map(({ name }) => name)
      const wanted = instructions.flatMap(({ rest }) => /^--from=(\S+)/.exec(rest)?.[1] ?? [])
      expect(wanted.filter((name) => !before.includes(name))).toEqual([])
      expect(before.includes(from) || from.startsWith('node:${NODE}-')).toBe(true)
    })
  })

  it('runs on the major version of Node.js that the repository pins', () => {
    const pinned = readFileSync(join(root, '.nvmrc'), 'utf8').split('.')[0]
    expect(readFileSync(join(folder, 'Dockerfile'), 'utf8')).toContain(`ARG NODE=${pinned}\n`)
  })

  it('installs with the package file of every workspace, which the lock file knows', () => {
    for (const name of ['build', 'dependencies']) {
      const given = of(name, 'COPY').flatMap((rest) => rest.split(/\s+/).slice(0, -1))
      expect(given).toEqual(
        expect.arrayContaining(packageFile.workspaces.map((folderName) => `${folderName}/package.json`)),
      )
    }
  })

  it('runs scripts that exist, and brings only SDKs that the package can use', () => {
    const scripts = of('build', 'RUN').flatMap((rest) => /npm run (\S+)/.exec(rest)?.[1] ?? [])
    expect(scripts).toEqual(['build'])
    expect(packageFile.scripts['build']).toBe('node tools/build.mjs')
    const [, engines = ''] = /ENGINES="([^"]*)"/.exec(of('dependencies', 'ARG')[0] ?? '') ?? []
    const brought = engines.split(' ')
    expect(brought).toContain('@aws-sdk/client-sqs')
    expect(brought.filter((name) => packageFile.devDependencies[name] === undefined)).toEqual([])
    expect(brought.filter((name) => packageFile.peerDependencies[name] === undefined)).toEqual([])
  })

  it('ends as an unprivileged user', () => {
    for (const name of ['client', 'signalbox']) expect(of(name, 'USER')).toEqual(['1000:1000'])
  })

  it('starts what the build makes, and asks for its health where it listens', () => {
    const { signalbox = '' } = packageFile.bin
    expect(of('signalbox', 'RUN').join()).toContain(`ln -s /app/${signalbox} /usr/local/bin/signalbox`)
    expect(existsSync(join(root, signalbox.replace('dist/', 'src/').replace(/\.js$/, '.ts')))).toBe(true)
    expect(json(of('signalbox', 'ENTRYPOINT')[0])).toEqual(['signalbox'])
    const [command, flag, port] = json(of('signalbox', 'CMD')[0])
    expect([command, flag]).toEqual(['sidecar', '--http-port'])
    expect(of('signalbox', 'ENV').join(' ')).toContain(`HEALTH_PORT=${port}`)
    expect(of('signalbox', 'HEALTHCHECK').join()).toContain('http://127.0.0.1:$HEALTH_PORT/readyz')
  })

  it('has in the client what the examples import', () => {
    const [, file = ''] = json(of('client', 'CMD')[0])
    expect(copies).toContain(file)
    for (const example of copies.filter((name) => name.startsWith('examples/'))) {
      const text = readFileSync(join(root, example), 'utf8')
      const imports = [...text.matchAll(/from '(?!node:)([^']+)'/g)].map(([, name = '']) => name)
      const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
        readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>
      }
      const missing = imports.filter((name) => {
        const { dev, optional } = lock.packages[`node_modules/${name}`] ?? { dev: true }
        return dev === true || optional === true
      })
      expect(missing).toEqual([])
    }
  })
})
