/**
 * X.509 certificates for tests of TLS, made on the spot with a key of their own: an authority, and what it signed. Just enough DER
 * (ITU-T X.690) for that.
 */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'

export interface Certificate {
  /** PEM. */
  readonly certificate: string
  /** PEM. */
  readonly key: string
}

export interface Authority extends Certificate {
  /** A certificate for 127.0.0.1 and localhost, for servers and clients. */
  issue(name: string): Certificate
}

export function newAuthority(name = 'tests'): Authority {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const facts = { issuer: name, signer: own.privateKey }
  return {
    ...pems(own, { ...facts, subject: name, authority: true }),
    issue(subject) {
      const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      return pems(keys, { ...facts, subject, authority: false })
    },
  }
}

interface Facts {
  readonly issuer: string
  readonly subject: string
  readonly signer: KeyObject
  readonly authority: boolean
}

type Keys = { readonly publicKey: KeyObject; readonly privateKey: KeyObject }

function pems({ publicKey, privateKey }: Keys, facts: Facts): Certificate {
  const algorithm = sequence(oid('2a8648ce3d040302')) // ecdsa-with-SHA256
  const signed = sequence(
    tagged(0xa0, integer(2)), // version 3
    integer(Math.floor(Math.random() * 2 ** 30) + 1),
    algorithm,
    named(facts.issuer),
    sequence(text(0x17, '200101000000Z'), text(0x17, '491231235959Z')),
    named(facts.subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions(facts.authority))),
  )
  const whole = sequence(signed, algorithm, bits(sign('sha256', signed, facts.signer)))
  const lines = whole.toString('base64').replaceAll(/.{1,64}/g, '$&\n')
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function extensions(authority: boolean): Buffer[] {
  const constraints = sequence(...(authority ? [tagged(0x01, Buffer.from([0xff]))] : []))
  const names = sequence(tagged(0x87, Buffer.from([127, 0, 0, 1])), text(0x82, 'localhost'))
  return [
    sequence(oid('551d13'), tagged(0x01, Buffer.from([0xff])), tagged(0x04, constraints)), // basicConstraints, critical
    sequence(oid('551d11'), tagged(0x04, names)), // subjectAltName
  ]
}

function named(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(oid('550403'), text(0x0c, commonName))))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts))
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'))
}

function text(tag: number, value: string): Buffer {
  return tagged(tag, Buffer.from(value))
}

function bits(value: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), value]))
}

/** @param value below 2³¹ */
function integer(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  const first = bytes.findIndex((byte, i) => byte !== 0 || i === 3)
  const short = bytes.subarray(first)
  return tagged(0x02, (short[0] ?? 0) < 0x80 ? short : Buffer.concat([Buffer.from([0]), short]))
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}
