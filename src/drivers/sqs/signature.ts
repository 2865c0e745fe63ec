/**
 * AWS Signature Version 4 of a request (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
 * The key of a day is derived once; a request then costs three hashes.
 */
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto'

const ALGORITHM = 'AWS4-HMAC-SHA256'

export interface Scope {
  readonly region: string
  readonly service: string
}

export interface Signable {
  readonly method: string
  /** Of characters that need no encoding; without a query. */
  readonly path: string
  /** Lower-case names. Those among `signed` are part of what is signed. */
  readonly headers: Readonly<Record<string, string>>
  /** In alphabetical order. */
  readonly signed: readonly string[]
  /** SHA-256 of the body, hexadecimal. */
  readonly bodyHash: string
}

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** As `x-amz-date` has it: `20261121T180441Z`. */
export function amzDate(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
}

export class Signatures {
  readonly #scope: Scope
  #key: { readonly secret: string; readonly day: string; readonly key: KeyObject } | undefined

  constructor(scope: Scope) {
    this.#scope = scope
  }

  /** @param date as `amzDate` gives it. @returns the value of the header `authorization` */
  sign(request: Signable, { accessKeyId, secretAccessKey }: Credentials, date: string): string {
    const { method, path, headers, signed, bodyHash } = request
    const names = signed.join(';')
    let canonical = `${method}\n${path}\n\n`
    for (const name of signed) canonical += `${name}:${collapsed(headers[name] ?? '')}\n`
    canonical += `\n${names}\n${bodyHash}`
    const day = date.slice(0, 8)
    const scope = `${day}/${this.#scope.region}/${this.#scope.service}/aws4_request`
    const text = `${ALGORITHM}\n${date}\n${scope}\n${hash('sha256', canonical)}`
    const signature = createHmac('sha256', this.#keyOf(secretAccessKey, day)).update(text).digest('hex')
    return `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
  }

  #keyOf(secret: string, day: string): KeyObject {
    if (this.#key?.day !== day || this.#key.secret !== secret) {
      let bytes = Buffer.from(`AWS4${secret}`)
      for (const part of [day, this.#scope.region, this.#scope.service, 'aws4_request']) {
        bytes = createHmac('sha256', bytes).update(part).digest()
      }
      this.#key = { secret, day, key: createSecretKey(bytes) }
    }
    return this.#key.key
  }
}

function collapsed(value: string): string {
  return value.trim().replaceAll(/\s+/g, ' ')
}
